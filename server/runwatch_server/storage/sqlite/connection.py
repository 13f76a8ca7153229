"""One connection to SQLite with its pragmas, and the few ways statements are run on it."""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import apsw

from runwatch_server.rows import EventRow, Size
from runwatch_server.storage.observing import QueryObserver
from runwatch_server.storage.sql import counters
from runwatch_server.storage.sql.bulk import BulkInsert
from runwatch_server.storage.statements import Statement, load
from runwatch_server.tally import KEPT_EVENTS

SqlRow = tuple[Any, ...]

BUSY_MS: Final = 5000
"""How long a statement waits for a lock another process holds."""
STATEMENTS: Final = 256
"""Prepared statements kept by a connection."""

BOTH: Final = (
    "PRAGMA temp_store=MEMORY",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA trusted_schema=OFF",
)
_READER: Final = ("PRAGMA query_only=1", "PRAGMA cache_size=-16384")
_DERIVED: Final = (
    "PRAGMA journal_mode=WAL",
    f"PRAGMA journal_size_limit={64 * 1024 * 1024}",
    "PRAGMA cache_size=-16384",
    "PRAGMA synchronous=NORMAL",
)


_APPEND: Final = BulkInsert(
    "INSERT INTO events(run, seq, epoch, type, at_us, received_us, level, payload, raw)",
    table="events",
    columns=8,
    shared=True,
)
_REMOVE: Final = Statement("DELETE FROM events WHERE run = ? AND seq <= ?", "delete", "events")


class Connection:
    """`sql.connection.SnapshotConnection`; used by one thread at a time.

    Every method reads its whole result at once, `iterate` apart, so that one cursor serves all.
    """

    def __init__(self, raw: apsw.Connection, observer: QueryObserver | None) -> None:
        self.raw = raw
        self.judges = True
        self.event = EventRow._make
        self.changes = raw.changes
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

    def statements(self, topic: str) -> Mapping[str, Statement]:
        return load("sqlite", topic)

    def containing(self, column: str, word: str) -> tuple[str, str]:
        return f"instr({column}, ?) > 0", word

    def unserved(self, term: str) -> str:
        return f"+{term}"

    def append_events(self, run: int, events: Sequence[EventRow]) -> None:
        _APPEND.run(self, events, run)

    def remove_events(self, run: int, *, up_to: int) -> int:
        self.run(_REMOVE, (run, up_to))
        return self.changes()

    def size(self) -> Size:
        """From numbers that are kept: a counter and the head of the file."""
        page_bytes, pages, free = (
            int(self.raw.pragma(name)) for name in ("page_size", "page_count", "freelist_count")
        )
        return Size(
            events=max(0, round(counters.value(self, KEPT_EVENTS))),
            used_bytes=(pages - free) * page_bytes,
            file_bytes=pages * page_bytes,
        )

    def begin_snapshot(self) -> None:
        self.raw.execute("BEGIN")

    def end_snapshot(self) -> None:
        if self.raw.in_transaction:
            self.raw.execute("COMMIT")

    def close(self) -> None:
        self.raw.close()


def open_derived(path: Path) -> Connection:
    """The connection that writes a file made out of the database, for this user alone.

    NORMAL: a power cut may take its last commits, never its being whole.
    """
    with suppress(OSError):
        path.touch(mode=0o600)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    raw = apsw.Connection(str(path), flags=flags, statementcachesize=STATEMENTS)
    prepare(raw, (*BOTH, *_DERIVED))
    return Connection(raw, None)


def open_reader(
    path: Path, *, vfs: str | None = None, observer: QueryObserver | None = None
) -> Connection:
    """A connection that cannot write."""
    flags = apsw.SQLITE_OPEN_READWRITE
    raw = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=STATEMENTS)
    prepare(raw, (*BOTH, *_READER))
    return Connection(raw, observer)


def prepare(raw: apsw.Connection, pragmas: Sequence[str]) -> None:
    raw.set_busy_timeout(BUSY_MS)
    for pragma in pragmas:
        raw.execute(pragma).fetchall()
