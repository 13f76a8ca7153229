"""What a work costs SQLite, counted and not timed."""

from collections.abc import Callable

import apsw

from runwatch_server.storage.protocols import ReadTx
from runwatch_server.storage.sql.reading import ReadTransaction
from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.sqlite.store import SqliteStore

EVERY = 10


def raw_of(tx: ReadTx) -> apsw.Connection:
    """The driver's connection under a snapshot."""
    assert isinstance(tx, ReadTransaction)
    assert isinstance(tx._connection, Connection)
    return tx._connection.raw


def steps(store: SqliteStore, work: Callable[[ReadTransaction], object]) -> int:
    """How many instructions SQLite's machine takes on the database for a work, to tens."""
    counted = 0

    def count() -> bool:
        nonlocal counted
        counted += 1
        return False

    with store.read() as tx:
        assert isinstance(tx, ReadTransaction)
        raw = raw_of(tx)
        raw.set_progress_handler(count, EVERY)
        try:
            work(tx)
        finally:
            raw.set_progress_handler(None)
    return counted * EVERY
