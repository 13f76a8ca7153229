"""One connection to PostgreSQL and the ways statements are run on it; used by one thread at a time.

The domain is synchronous (ADR 11) and asyncpg is not, so each connection has an event loop of its
own that runs for the length of a statement: 57 µs a statement against 36 µs inside a running loop.
"""

import asyncio
import time
from collections.abc import Coroutine, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Self, TypeVar

import asyncpg

from runwatch_server.rows import EventRow, Size
from runwatch_server.storage.observing import QueryObserver
from runwatch_server.storage.postgres.failures import FAILURES, UNFIT
from runwatch_server.storage.postgres.gathering import as_arrays
from runwatch_server.storage.postgres.marks import numbered
from runwatch_server.storage.sql import counters
from runwatch_server.storage.statements import Statement, load
from runwatch_server.storage.urls import UNREADABLE
from runwatch_server.tally import KEPT_EVENTS
from runwatch_shared.errors import SettingsError

T = TypeVar("T")

CONNECT_S: Final = 5.0
STATEMENT_S: Final = 60.0
"""How long a statement may take before its connection is given up."""
STATEMENTS: Final = 1000
"""Prepared statements kept by a connection."""
COPY_FROM: Final = 50
"""As many events are copied; fewer are cheaper inserted (performance.md 4)."""
EVENT_BYTES: Final = 120
"""Of a stored event beside payload and raw line: its row's head and columns and its index entry."""
PAGE: Final = 500
"""Rows `Connection.iterate` fetches at once."""

EventValues = tuple[Any, ...]
"""A row of ``events``."""

_EVENT_COLUMNS: Final = (
    "run", "seq", "epoch", "type", "at_us", "received_us", "level", "payload", "raw",
)  # fmt: skip
_SETTINGS: Final = {
    "application_name": "runwatch",
    "client_encoding": "UTF8",
    "timezone": "UTC",
    # Lists differ too much in what they leave for one plan to fit all.
    "plan_cache_mode": "force_custom_plan",
    # A server that hangs must not hold the head of the store for ever.
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "20s",
    "statement_timeout": "50s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class Connection:
    """`sql.connection.SnapshotConnection`."""

    judges = False

    def __init__(
        self,
        raw: asyncpg.Connection,
        loop: asyncio.AbstractEventLoop,
        observer: QueryObserver | None,
    ) -> None:
        self.raw = raw
        self._loop = loop
        self._observer = observer
        self._changes = 0
        self._total = 0
        self._failed = False
        self._in_transaction = False
        self._bytes = 0
        """By how much `head.event_bytes` moves with this transaction."""

    @classmethod
    def open(
        cls,
        url: str,
        observer: QueryObserver | None = None,
        *,
        limit_s: float | None = STATEMENT_S,
        **settings: str,
    ) -> Self:
        """Connect; raises the driver's errors.

        Args:
            limit_s: How long a statement may take; None for as long as it takes.
            settings: Of the session, in place of this module's own.

        Raises:
            SettingsError: The URL cannot be read.
        """
        loop = asyncio.new_event_loop()
        try:
            raw = _run(loop, _connect(url, limit_s, _SETTINGS | settings))
        except BaseException as error:
            loop.close()
            if isinstance(error, ValueError | OverflowError) and not isinstance(error, OSError):
                # What the driver says quotes parts of the URL, of which one may be the password.
                raise SettingsError(UNREADABLE) from None
            raise
        return cls(raw, loop, observer)

    def statements(self, topic: str) -> Mapping[str, Statement]:
        return load("postgres", topic)

    def run(self, statement: Statement, parameters: Sequence[Any] = ()) -> None:
        self._before(statement)
        status = self._timed(
            statement, self.raw.execute(numbered(statement.sql), *map(_bound, parameters))
        )
        word = status.rpartition(" ")[2]
        self._changes = int(word) if word.isdigit() else 0
        self._total += self._changes

    def all(self, statement: Statement, parameters: Sequence[Any] = ()) -> list[Any]:
        self._before(statement)
        rows: list[Any] = self._timed(
            statement, self.raw.fetch(numbered(statement.sql), *map(_bound, parameters))
        )
        if statement.operation != "select":
            self._changes = len(rows)
            self._total += len(rows)
        return rows

    def one(self, statement: Statement, parameters: Sequence[Any] = ()) -> Any:
        rows = self.all(statement, parameters)
        return rows[0] if rows else None

    def value(self, statement: Statement, parameters: Sequence[Any] = ()) -> Any:
        rows = self.all(statement, parameters)
        return rows[0][0] if rows else None

    def iterate(
        self, statement: Statement, parameters: Sequence[Any] = ()
    ) -> Generator[Any, None, None]:
        """Row by row through a cursor; inside a transaction."""
        self._before(statement)
        bound = [_bound(value) for value in parameters]
        cursor = self._timed(statement, self._cursor(numbered(statement.sql), bound))
        while rows := self._timed(statement, cursor.fetch(PAGE)):
            yield from rows
            if len(rows) < PAGE:
                return

    def changes(self) -> int:
        return self._changes

    def containing(self, column: str, word: str) -> tuple[str, str]:
        escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return f"{column} LIKE ?", f"%{escaped}%"

    def unserved(self, term: str) -> str:
        return term

    def event(self, row: Any) -> EventRow:
        *known, raw = row
        text = None if raw is None else raw.decode("utf-8", "surrogatepass")
        return EventRow._make((*known, text))

    def append_events(self, run: int, events: Sequence[EventRow]) -> None:
        rows = event_values(run, events)
        self.write_events(rows)
        self._bytes += bytes_of(rows)

    def write_events(self, rows: Sequence[EventValues]) -> None:
        """Insert events, at least one, of any runs."""
        statement = self.statements("events")["few"]
        if len(rows) >= COPY_FROM:
            self._timed(
                statement,
                self.raw.copy_records_to_table("events", records=rows, columns=_EVENT_COLUMNS),
            )
            self._total += len(rows)
        else:
            self.run(statement, as_arrays(rows))

    def remove_events(self, run: int, *, up_to: int) -> int:
        gone, size = self.one(self.statements("events")["remove_until"], (run, up_to))
        self._total += gone
        self._bytes -= size
        return int(gone)

    def size(self) -> Size:
        stored, whole, partitions = self.one(self.statements("meta")["sizes"])
        events = max(0, round(counters.value(self, KEPT_EVENTS)))
        used = max(0, whole - partitions) + stored + events * EVENT_BYTES
        return Size(events=events, used_bytes=used, file_bytes=whole)

    def begin_snapshot(self) -> None:
        self.command("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._in_transaction = True

    def end_snapshot(self) -> None:
        if self._in_transaction:
            self._in_transaction = False
            self.command("COMMIT")

    def listen(self, channel: str) -> asyncio.Event:
        """Listen to a channel; the event is set with each notification."""
        heard = asyncio.Event()
        self.wait(self.raw.add_listener(channel, lambda *_: heard.set()))
        return heard

    def hear(self, heard: asyncio.Event, seconds: float) -> bool:
        """Wait for a notification; gives whether one came, once for all that did.

        Raises:
            asyncpg.InterfaceError: The connection is gone.
        """

        async def wait() -> bool:
            try:
                async with asyncio.timeout(seconds):
                    await heard.wait()
            except TimeoutError:
                return False
            return True

        came = self._loop.run_until_complete(wait())
        heard.clear()
        if self.raw.is_closed():
            raise asyncpg.InterfaceError("the connection is closed")
        return came

    def command(self, sql: str) -> None:
        """A statement without parameters."""
        self.wait(self.raw.execute(sql))

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run this connection's loop until it is done.

        Raises:
            ValueError: What was given does not fit; the database is well.
        """
        try:
            return _run(self._loop, coroutine)
        except UNFIT as error:
            self._failed = True
            raise ValueError("a value does not fit the database") from error
        except BaseException:
            self._failed = True
            raise

    @property
    def is_usable(self) -> bool:
        return not self.raw.is_closed() and not self._loop.is_closed()

    def close(self) -> None:
        """Say goodbye for a moment at most, or hang up."""
        if self._loop.is_closed():
            return
        with suppress(*FAILURES):
            _run(self._loop, self.raw.close(timeout=1))
        self.raw.terminate()
        _run(self._loop, asyncio.sleep(0))
        self._loop.close()

    def _before(self, statement: Statement) -> None:
        """Called before each statement."""

    async def _cursor(self, sql: str, bound: Sequence[Any]) -> Any:
        return await self.raw.cursor(sql, *bound)

    def _timed(self, statement: Statement, coroutine: Coroutine[Any, Any, T]) -> T:
        begun = time.perf_counter()
        result = self.wait(coroutine)
        if self._observer is not None:
            seconds = time.perf_counter() - begun
            self._observer.queried(statement.operation, statement.table, seconds)
        return result


def event_values(run: int, events: Sequence[EventRow]) -> list[EventValues]:
    """Events of a run, given by its small key, as they are stored."""
    return [
        (
            run,
            *event[:7],
            None if event.raw is None else event.raw.encode("utf-8", "surrogatepass"),
        )
        for event in events
    ]


def bytes_of(rows: Sequence[EventValues]) -> int:
    """What payloads and raw lines take."""
    return sum(len(row[7] or b"") + len(row[8] or b"") for row in rows)


async def _connect(url: str, limit_s: float | None, settings: dict[str, str]) -> asyncpg.Connection:
    return await asyncpg.connect(
        url,
        timeout=CONNECT_S,
        command_timeout=limit_s,
        statement_cache_size=STATEMENTS,
        max_cached_statement_lifetime=0,
        server_settings=settings,
    )


def _run(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a loop in this thread, or beside one that runs in it already: what a server does before
    it serves is done on its own loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return loop.run_until_complete(coroutine)
    with ThreadPoolExecutor(1, thread_name_prefix="store-start") as aside:
        return aside.submit(loop.run_until_complete, coroutine).result()


def _bound(value: Any) -> Any:
    """PostgreSQL has no text with a zero character; documents, where the text itself is kept, have
    it escaped, and in columns to find rows by it reads like a replacement character.
    """
    if isinstance(value, str):
        return value.replace("\0", "\ufffd") if "\0" in value else value
    if isinstance(value, list):
        return [_bound(each) for each in value]
    return value
