"""The search file beside a database: opening it, and making it anew when it does not fit.

It holds nothing that is not in the database, so it is thrown away rather than repaired.
"""

import logging
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Final

import apsw

from runwatch_server.storage.sqlite.connection import Connection, open_derived, open_reader
from runwatch_server.storage.statements import load

logger: Final = logging.getLogger(__name__)

FORMAT: Final = 1
"""Of the tables and of what the index is given; another number makes the file anew."""
CURSORS: Final = ("seen", "runs", "tasks", "events")
"""Facts that are revisions: removals, texts and events up to there are in the index. What of texts
is later was found so at ``…_of``, the database's revision then.
"""

_SQL: Final = load("sqlite", "search")
_AUTOMERGE: Final = 8
"""Parts of one size that are merged: half as many rewrites as SQLite's own 4."""
_HASH_BYTES: Final = 4 * 1024 * 1024
"""Postings collected in memory before they are written, for one table."""


def beside(database: Path) -> Path:
    """Where the search file of a database is."""
    return database.with_name(f"{database.stem}-search{database.suffix}")


class SearchFile:
    """A search file, bound to one history of one database.

    Args:
        store_id: Of the database; a file of another one is not used.
    """

    def __init__(self, path: Path, store_id: str) -> None:
        self._path = path
        self._store_id = store_id

    def open(self, *, revision: int, resumable: int) -> Connection:
        """The connection that writes the file, made anew where it does not fit.

        Args:
            revision: The database's own.
            resumable: Removals up to there are no longer known.

        Raises:
            apsw.Error: It cannot be made either.
        """
        with suppress(apsw.Error):
            connection = self._connect()
            try:
                if self._fits(connection, revision, resumable):
                    return connection
            except BaseException:
                connection.close()
                raise
            connection.close()
        self._remove()
        connection = self._connect()
        self._make(connection)
        return connection

    def reader(self) -> Connection:
        return open_reader(self._path)

    def reset(self, connection: Connection) -> None:
        """Empty the file in its place, damaged or not; who reads it goes on with what is new."""
        raw = connection.raw
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raw.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 1)
        try:
            raw.execute("VACUUM")
        finally:
            raw.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 0)
        self._make(connection)

    def in_place(self) -> bool:
        """Whether there is a file where it should be."""
        return self._path.exists()

    def bytes(self) -> int:
        """Its size; 0 when it is not there."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _connect(self) -> Connection:
        return open_derived(self._path)

    def _fits(self, connection: Connection, revision: int, resumable: int) -> bool:
        """A database that was taken back to an earlier moment is behind what was indexed."""
        if connection.value(_SQL["fact"], ("format",)) != FORMAT:
            return False
        seen = connection.value(_SQL["fact"], ("seen",))
        same = connection.value(_SQL["fact"], ("store_id",)) == self._store_id
        return bool(same and resumable <= seen <= revision)

    def _make(self, connection: Connection) -> None:
        schema = resources.files("runwatch_server.storage") / "queries/sqlite/search_schema.sql"
        raw = connection.raw
        with raw:
            raw.execute(schema.read_text("utf-8")).fetchall()
            for table in ("run_grams", "task_grams", "event_grams"):
                for name, value in (("automerge", _AUTOMERGE), ("hashsize", _HASH_BYTES)):
                    raw.execute(f"INSERT INTO {table}({table}, rank) VALUES (?, ?)", (name, value))
            for cursor in (*CURSORS, "runs_of", "tasks_of"):
                connection.run(_SQL["set_fact"], (cursor, 0))
            connection.run(_SQL["set_fact"], ("store_id", self._store_id))
            connection.run(_SQL["set_fact"], ("format", FORMAT))
        logger.info("The search index is made anew")

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()
