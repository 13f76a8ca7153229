"""The connection that writes to PostgreSQL: one transaction after another, each under the lock of
the store's head, so that they become visible in the order of their numbers.
"""

import logging
from collections.abc import Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from typing import Any, Final

from runwatch_server.rows import EventRow
from runwatch_server.storage.postgres.connection import (
    Connection,
    EventValues,
    bytes_of,
    event_values,
)
from runwatch_server.storage.postgres.failures import FAILURES, is_contradiction
from runwatch_server.storage.postgres.gathering import (
    EVENTS,
    STATEMENTS,
    as_arrays,
    tables_named,
)
from runwatch_server.storage.postgres.position import Position
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.statements import Statement, load
from runwatch_server.storage.told import encode
from runwatch_shared.errors import ConflictError

logger: Final = logging.getLogger(__name__)

CHANNEL: Final = "runwatch"
PREFIX: Final = "events_"
"""Of the names of the partitions of ``events``; a day's number follows."""
DAY_BITS: Final = 32
"""A run's key is the number of its day, shifted by this, and a number."""
KEPT_DAYS: Final = 1
"""Partitions of so many days before today are never dropped."""
DROP_WAIT: Final = "200ms"
FINISH: Final = (
    "UPDATE head SET revision = {revision:d}, last_commit = {number:d}, "
    "event_bytes = event_bytes + {bytes:d}; "
)
TELL: Final = "NOTIFY {channel}, '{number:d}'; "
"""Both go in one message with the COMMIT behind them: each answer waited for keeps every writer
waiting. Where one fails, PostgreSQL does none of what follows it.
"""
MOST_EVENTS: Final = 5_000
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of events that are put off; then they are written."""
_SQL: Final = load("postgres", "meta")
_EVENTS: Final = load("postgres", "events")


class WritingConnection(Connection):
    """`sql.connection.WritingConnection`."""

    server: str
    """This server's name among those at work."""
    position: Position

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._last = 0
        self._remembered = 0
        """The number of the commit that what is remembered of rows is as of."""
        self._transaction = ""
        """The database's name for the one under way."""
        self._today = 0
        self.begun = False
        """Whether the transaction asked for last came to hold the lock."""
        self._watched = False
        self._ready_days: set[int] = set()
        self._made_days: set[int] = set()
        self._rows: dict[str, dict[Hashable, Sequence[Any]]] = {}
        """By table and key, put off to be written with others."""
        self._events: list[EventValues] = []
        """The same of events, and how much they are."""
        self._events_bytes = 0

    @property
    def broken(self) -> bool:
        return self._failed

    def begin(self) -> tuple[int, bool]:
        self.begun = self._failed = False
        self._bytes = 0
        revision = self._lock()
        while self.position.is_far_from(self._last):
            # All of it would keep every server waiting; so the lock is given back meanwhile.
            self.rollback()
            self.position.collect(self)
            revision = self._lock()
        self.begun = True
        if self._last != self.position.seen:
            self.position.reach(self, self._last)
        # Not the same: what others did may be told long before it is written upon.
        others_wrote = self._last != self._remembered
        self._remembered = self._last
        self._made_days.clear()
        # Tomorrow's too: nobody shall wait for it at midnight.
        self._have(self._today)
        self._have(self._today + 1)
        return revision, others_wrote

    def _lock(self) -> int:
        """Begin a transaction that holds the head; gives the revision it stands at."""
        self._in_transaction = True
        # A statement reads as of when it began, also where it had to wait for a lock: who joined
        # meanwhile is seen by the next one only.
        self.command(f"BEGIN; {_SQL['lock'].sql}")
        revision: int
        revision, self._last, self._today, self._watched, self._transaction = self.one(
            _SQL["begin"], (self.server,)
        )
        return revision

    def commit(self, commit: Commit) -> None:
        self.settle()
        number = self._last + 1
        finish = FINISH.format(revision=commit.revision, number=number, bytes=self._bytes)
        if self._watched:
            self.run(_SQL["record"], (number, self.server, encode(commit)))
            finish += TELL.format(channel=CHANNEL, number=number)
        self.position.doubt(number, commit, self._transaction)
        self.command(finish + "COMMIT")
        self.position.certain(number)
        self._remembered = number
        self._in_transaction = False
        self._ready_days |= self._made_days

    def rollback(self) -> None:
        self._made_days.clear()
        self._drop_put_off()
        if self._in_transaction:
            self._in_transaction = False
            with suppress(*FAILURES):
                self.command("ROLLBACK")
        self._failed = False

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self.settle()
        self.command("SAVEPOINT work")
        held, made = self._bytes, set(self._made_days)
        try:
            yield
            self.settle()
        except BaseException:
            self._drop_put_off()
            self.command("ROLLBACK TO SAVEPOINT work")
            self._failed = False
            self._bytes = held
            self._made_days = made
            raise
        self.command("RELEASE SAVEPOINT work")

    def total_changes(self) -> int:
        return self._total

    def contradiction(self, error: BaseException) -> bool:
        return is_contradiction(error)

    def failed(self, error: BaseException) -> bool:
        return isinstance(error, FAILURES)

    def probe(self) -> None:
        """Write a row that changes nothing, down to the disk; raises the driver's errors.

        Raises:
            StoreUnavailableError: This server no longer knows what the others did.
        """
        self.position.require_known()
        self.run(_SQL["probe"])

    def append_events(self, run: int, events: Sequence[EventRow]) -> None:
        """Late events of an old run may find its day's partition gone."""
        self._have(run >> DAY_BITS)
        rows = event_values(run, events)
        size = bytes_of(rows)
        self._events += rows
        self._events_bytes += size
        self._bytes += size
        self._total += len(rows)
        if len(self._events) >= MOST_EVENTS or self._events_bytes >= MOST_BYTES:
            self.settle()

    def later(self, table: str, key: Hashable, row: Sequence[Any]) -> bool:
        self._rows.setdefault(table, {})[key] = row
        self._total += 1
        return True

    def put_off(self, table: str, key: Hashable) -> Sequence[Any] | None:
        return self._rows.get(table, {}).get(key)

    def settle(self) -> None:
        self._settle({*self._rows, EVENTS})

    def _settle(self, tables: AbstractSet[str]) -> None:
        """Write what is put off of some tables."""
        total = self._total
        for table, statement in STATEMENTS.items():
            rows = self._rows.pop(table, None) if table in tables else None
            if rows:
                self.run(statement, as_arrays(rows.values()))
                if self._changes != len(rows):
                    self._failed = True
                    raise ConflictError(f"a row of {table} is no longer what was read")
        if EVENTS in tables and self._events:
            events, self._events, self._events_bytes = self._events, [], 0
            self.write_events(events)
        # They were counted when they were put off, by the works that did it.
        self._total = total

    def _drop_put_off(self) -> None:
        self._rows, self._events, self._events_bytes = {}, [], 0

    def _before(self, statement: Statement) -> None:
        """Whatever is asked finds written what it may look at."""
        if self._rows or self._events:
            self._settle(tables_named(statement.sql))

    def drop_empty(self) -> list[str]:
        """Drop the partitions of past days that hold no event any more and belong to no run under
        way; gives their names. Outside a transaction; readers are waited for a moment only.
        """
        today: int = self.value(_EVENTS["today"])
        gone: list[str] = []
        for (name,) in self.all(_EVENTS["partitions"]):
            day = int(name.removeprefix(PREFIX))
            if day >= today - KEPT_DAYS:
                break
            bounds = (day << DAY_BITS, (day + 1) << DAY_BITS)
            if self.value(_EVENTS["in_use"], bounds):
                continue
            self.command("BEGIN")
            try:
                self.command(f"SET LOCAL lock_timeout = '{DROP_WAIT}'")
                self.value(_SQL["lock"])
                if not self.value(_EVENTS["in_use"], bounds):
                    self.command(f"DROP TABLE {name}")
                    gone.append(name)
                self.command("COMMIT")
            except BaseException:
                self.command("ROLLBACK")
                raise
        return gone

    def _have(self, day: int) -> None:
        """See that a day has its partition; attached, which readers do not wait for."""
        # One of earlier days may have been dropped since, by any server.
        ready = day in self._ready_days and day >= self._today - KEPT_DAYS
        if ready or day in self._made_days:
            return
        name = f"{PREFIX}{day}"
        if name not in {known for (known,) in self.all(_EVENTS["partitions"])}:
            self.command(f"CREATE TABLE {name} (LIKE events INCLUDING ALL)")
            self.command(
                f"ALTER TABLE events ATTACH PARTITION {name} "
                f"FOR VALUES FROM ({day << DAY_BITS}) TO ({(day + 1) << DAY_BITS})"
            )
        self._made_days.add(day)
