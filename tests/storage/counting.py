"""What a work costs SQLite, counted and not timed."""

from collections.abc import Callable

from runwatch_server.storage.sql.reading import ReadTransaction
from runwatch_server.storage.sqlite.store import SqliteStore

EVERY = 10


def steps(store: SqliteStore, work: Callable[[ReadTransaction], object]) -> int:
    """How many instructions SQLite's machine takes on the database for a work, to tens."""
    counted = 0

    def count() -> bool:
        nonlocal counted
        counted += 1
        return False

    with store.read() as tx:
        assert isinstance(tx, ReadTransaction)
        raw = tx._connection.raw
        raw.set_progress_handler(count, EVERY)
        try:
            work(tx)
        finally:
            raw.set_progress_handler(None)
    return counted * EVERY
