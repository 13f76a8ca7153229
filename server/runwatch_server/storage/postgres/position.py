"""How far a server knows what was committed, and the commits of others on the way there."""

from typing import Final

from runwatch_server.rows import EventRow
from runwatch_server.storage.postgres.commits import Told, decode
from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.statements import load
from runwatch_shared.errors import StoreUnavailableError

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
        self._in_doubt: tuple[int, Commit] | None = None

    def doubt(self, number: int, commit: Commit) -> None:
        """This server's own commit of this number is about to be made."""
        self._in_doubt = (number, commit)

    def certain(self, number: int) -> None:
        """It is made."""
        self._in_doubt = None
        self.seen = number

    def reach(self, connection: Connection, last: int) -> None:
        """Know everything up to a commit; where nobody follows, nothing needs to be read."""
        if self.following:
            self.collect(connection)
        self.seen = last

    def collect(self, connection: Connection) -> None:
        """Read what was committed since.

        Raises:
            StoreUnavailableError: Some of it is no longer there.
        """
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

    def _take(self, connection: Connection, number: int, doc: bytes | None) -> None:
        own = self._in_doubt
        self._in_doubt = None
        if own is not None and own[0] == number and number == self.seen + 1 and doc is None:
            # The answer to this server's own commit was lost, and nobody else wrote since.
            self._collected.append(own[1])
        elif doc is None or number != self.seen + 1:
            raise StoreUnavailableError(
                "this server was cut off for so long that it no longer knows what the others "
                "did; it must be started again"
            )
        else:
            self._collected.append(_with_events(connection, decode(doc)))
        self.seen = number


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
    )
