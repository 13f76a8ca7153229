"""How far a server knows what was committed, and the commits of others on the way there."""

import logging
from typing import Final

import msgspec

from runwatch_server.rows import EventRow
from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.statements import load
from runwatch_server.storage.told import Told, decode
from runwatch_shared.errors import StoreUnavailableError

logger: Final = logging.getLogger(__name__)

_SQL: Final = load("postgres", "commits")
AT_ONCE: Final = 200
"""Commits read at once."""


class Position:
    """Outlives the connection that writes; used by its thread."""

    def __init__(self) -> None:
        self.seen = 0
        """The number of the last commit this server knows."""
        self.following = False
        """Whether commits of others are collected, or only forgotten about."""
        self._collected: list[Commit] = []
        self._in_doubt: tuple[int, Commit, str] | None = None
        self._lost = False

    def doubt(self, number: int, commit: Commit, transaction: str) -> None:
        """This server's own commit of this number is about to be made by a transaction."""
        self._in_doubt = (number, commit, transaction)

    def certain(self, number: int) -> None:
        """It is made."""
        self._in_doubt = None
        self.seen = number

    @property
    def is_known(self) -> bool:
        """Whether this server can still learn what others did."""
        return not self._lost

    def require_known(self) -> None:
        """Raises StoreUnavailableError where it cannot."""
        if self._lost:
            raise StoreUnavailableError(
                "this server was cut off for too long, or is too old, to know what the others did; "
                "it must be started again"
            )

    def is_far_from(self, last: int) -> bool:
        """Whether there is more to collect up to a commit than is read at once."""
        return self.following and last - self.seen > AT_ONCE

    def reach(self, connection: Connection, last: int) -> None:
        """Know everything up to a commit; where nobody follows, nothing needs to be read.

        Raises:
            StoreUnavailableError: Some of it is no longer there.
        """
        if self.following:
            self.collect(connection)
            if last < self.seen:
                # The database was put back to an earlier state.
                self._lose()
        self._in_doubt = None
        self.seen = last

    def collect(self, connection: Connection) -> None:
        """Read what was committed since.

        Raises:
            StoreUnavailableError: Some of it is no longer there.
        """
        self.require_known()
        if not self._settle(connection):
            return
        while True:
            rows = connection.all(_SQL["after"], (self.seen, AT_ONCE))
            for number, doc in rows:
                self._take(connection, number, doc)
            if len(rows) < AT_ONCE:
                return

    def take(self) -> list[Commit]:
        """What was collected, once."""
        collected, self._collected = self._collected, []
        return collected

    def _settle(self, connection: Connection) -> bool:
        """See whether this server's own commit was made whose answer was lost; gives whether that
        is decided. Until it is, nobody can have committed anything later.
        """
        if self._in_doubt is None:
            return True
        number, commit, transaction = self._in_doubt
        outcome = connection.value(_SQL["outcome"], (transaction,))
        if outcome == "in progress":
            return False
        self._in_doubt = None
        if outcome == "committed":
            self._collected.append(commit)
            self.seen = number
        return True

    def _take(self, connection: Connection, number: int, doc: bytes | None) -> None:
        if doc is None or number != self.seen + 1:
            self._lose()
            return
        try:
            told = decode(doc)
        except msgspec.DecodeError:
            # Written by a server of another version, in words that this one does not have.
            logger.exception("Could not read what another server committed")
            self._lose()
            return
        self._collected.append(_with_events(connection, told))
        self.seen = number

    def _lose(self) -> None:
        self._lost = True
        self.require_known()


def _with_events(connection: Connection, told: Told) -> Commit:
    events: dict[str, list[EventRow]] = {}
    if told.events:
        ids = list(told.events)
        first, last = map(list, zip(*told.events.values(), strict=True))
        for run_id, *row in connection.all(_SQL["events"], (ids, first, last)):
            events.setdefault(run_id, []).append(connection.event(row))
    return Commit(
        revision=told.revision,
        at_us=told.at_us,
        runs=told.runs,
        nodes=told.nodes,
        tasks=told.tasks,
        events=events,
        counts=told.counts,
        alerts=told.alerts,
        kept=told.kept_changes(),
    )
