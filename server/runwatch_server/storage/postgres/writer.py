"""The connection that writes to PostgreSQL: one transaction after another, each under the lock of
the store's head, so that they become visible in the order of their numbers.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from runwatch_server.rows import EventRow
from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.postgres.failures import FAILURES, is_contradiction
from runwatch_server.storage.postgres.position import Position
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.statements import load
from runwatch_server.storage.told import encode

logger: Final = logging.getLogger(__name__)

CHANNEL: Final = "runwatch"
PREFIX: Final = "events_"
"""Of the names of the partitions of ``events``; a day's number follows."""
DAY_BITS: Final = 32
"""A run's key is the number of its day, shifted by this, and a number."""
KEPT_DAYS: Final = 1
"""Partitions of so many days before today are never dropped."""
DROP_WAIT: Final = "200ms"
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
        number = self._last + 1
        self.run(_SQL["finish"], (commit.revision, number, self._bytes))
        if self._watched:
            self.run(_SQL["record"], (number, self.server, encode(commit)))
            self.all(_SQL["tell"], (str(number),))
        self.position.doubt(number, commit, self._transaction)
        self.command("COMMIT")
        self.position.certain(number)
        self._remembered = number
        self._in_transaction = False
        self._ready_days |= self._made_days

    def rollback(self) -> None:
        self._made_days.clear()
        if self._in_transaction:
            self._in_transaction = False
            with suppress(*FAILURES):
                self.command("ROLLBACK")
        self._failed = False

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self.command("SAVEPOINT work")
        held, made = self._bytes, set(self._made_days)
        try:
            yield
        except BaseException:
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
        super().append_events(run, events)

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
