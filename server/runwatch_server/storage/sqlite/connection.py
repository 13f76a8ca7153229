"""One connection to SQLite with its pragmas, and the few ways statements are run on it."""

import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import apsw

from runwatch_server.storage.observing import QueryObserver
from runwatch_server.storage.statements import Statement

SqlRow = tuple[Any, ...]

BUSY_MS: Final = 5000
"""How long a statement waits for a lock another process holds."""
STATEMENTS: Final = 256
"""Prepared statements kept by a connection."""

_BOTH: Final = (
    "PRAGMA temp_store=MEMORY",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA trusted_schema=OFF",
)
_READER: Final = ("PRAGMA query_only=1", "PRAGMA cache_size=-16384")
_WRITER: Final = (
    "PRAGMA journal_mode=WAL",
    # The store checkpoints by itself, never inside a commit.
    "PRAGMA wal_autocheckpoint=0",
    # After a burst the log shrinks to this when it starts again from its beginning.
    f"PRAGMA journal_size_limit={64 * 1024 * 1024}",
    "PRAGMA cache_size=-65536",
)
_DERIVED: Final = (
    "PRAGMA journal_mode=WAL",
    f"PRAGMA journal_size_limit={64 * 1024 * 1024}",
    "PRAGMA cache_size=-16384",
    "PRAGMA synchronous=NORMAL",
)


class Connection:
    """A connection used by one thread at a time.

    Every method reads its whole result at once, `iterate` apart, so that one cursor serves all.
    """

    def __init__(self, raw: apsw.Connection, observer: QueryObserver | None) -> None:
        self.raw = raw
        self._observer = observer
        self._execute = raw.cursor().execute

    def run(self, statement: Statement, parameters: Sequence[Any] = ()) -> None:
        """Run a statement for its effect."""
        if self._observer is None:
            self._execute(statement.sql, parameters)
            return
        begun = time.perf_counter()
        self._execute(statement.sql, parameters)
        self._observer.queried(statement.operation, statement.table, time.perf_counter() - begun)

    def all(self, statement: Statement, parameters: Sequence[Any] = ()) -> list[SqlRow]:
        begun = time.perf_counter()
        rows: list[SqlRow] = self._execute(statement.sql, parameters).fetchall()
        if self._observer is not None:
            seconds = time.perf_counter() - begun
            self._observer.queried(statement.operation, statement.table, seconds)
        return rows

    def one(self, statement: Statement, parameters: Sequence[Any] = ()) -> SqlRow | None:
        """The first row, if any."""
        rows = self.all(statement, parameters)
        return rows[0] if rows else None

    def value(self, statement: Statement, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row; None without a row."""
        rows = self.all(statement, parameters)
        return rows[0][0] if rows else None

    def iterate(
        self, statement: Statement, parameters: Sequence[Any] = ()
    ) -> Generator[SqlRow, None, None]:
        """Row by row, for who may stop early; close what is given back when stopping."""
        begun = time.perf_counter()
        cursor = self.raw.cursor()
        try:
            yield from cursor.execute(statement.sql, parameters)
        finally:
            cursor.close(True)
            if self._observer is not None:
                seconds = time.perf_counter() - begun
                self._observer.queried(statement.operation, statement.table, seconds)

    def close(self) -> None:
        self.raw.close()


def open_writer(
    path: Path, *, synchronous: str, vfs: str | None = None, observer: QueryObserver | None = None
) -> Connection:
    """The connection that writes; makes the file when it is absent, for this user alone: it holds
    prompts and environments.

    Args:
        synchronous: ``full`` or ``normal``; only ``full`` survives a power cut whole.
        vfs: A SQLite VFS registered under this name; None for the machine's own.
    """
    if vfs is None:
        with suppress(OSError):  # SQLite says better what is wrong; its other files follow this one
            path.touch(mode=0o600)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    raw = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=STATEMENTS)
    _prepare(raw, (*_BOTH, *_WRITER, f"PRAGMA synchronous={synchronous}"))
    return Connection(raw, observer)


def open_derived(path: Path) -> Connection:
    """The connection that writes a file made out of the database, for this user alone.

    NORMAL: a power cut may take its last commits, never its being whole.
    """
    with suppress(OSError):
        path.touch(mode=0o600)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    raw = apsw.Connection(str(path), flags=flags, statementcachesize=STATEMENTS)
    _prepare(raw, (*_BOTH, *_DERIVED))
    return Connection(raw, None)


def open_reader(
    path: Path, *, vfs: str | None = None, observer: QueryObserver | None = None
) -> Connection:
    """A connection that cannot write."""
    flags = apsw.SQLITE_OPEN_READWRITE
    raw = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=STATEMENTS)
    _prepare(raw, (*_BOTH, *_READER))
    return Connection(raw, observer)


def _prepare(raw: apsw.Connection, pragmas: Sequence[str]) -> None:
    raw.set_busy_timeout(BUSY_MS)
    for pragma in pragmas:
        raw.execute(pragma).fetchall()
