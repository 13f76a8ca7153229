"""A snapshot to read from: the aggregates over one connection, and what spans them."""

from typing import Final

from runwatch_server.rows import AlertRow, RunRow, Size
from runwatch_server.storage.protocols import Changed, Span
from runwatch_server.storage.sqlite import alerts, counters, sizes, tombstones
from runwatch_server.storage.sqlite.access import AccessReader
from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.sqlite.events import EventReader
from runwatch_server.storage.sqlite.leases import LeaseReader
from runwatch_server.storage.sqlite.nodes import NodeReader
from runwatch_server.storage.sqlite.prunes import PruneReader
from runwatch_server.storage.sqlite.runs import RunReader
from runwatch_server.storage.sqlite.tasks import TaskReader
from runwatch_server.storage.statements import load

_SQL: Final = load("sqlite", "meta")


def revision_of(connection: Connection) -> int:
    """The revision of the last commit this connection sees."""
    return int(connection.value(_SQL["revision"]))


class ReadTransaction:
    """`protocols.ReadTx`; made once a connection and used for one snapshot after another."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._revision = 0
        self.runs = RunReader(connection)
        self.events = EventReader(connection)
        self.tasks = TaskReader(connection)
        self.nodes = NodeReader(connection)
        self.access = AccessReader(connection)
        self.leases = LeaseReader(connection)
        self.prunes = PruneReader(connection)

    def begin(self) -> None:
        """Take the snapshot: in SQLite the first read does, so it is done here."""
        self._connection.raw.execute("BEGIN")
        self._revision = revision_of(self._connection)

    def end(self) -> None:
        if self._connection.raw.in_transaction:
            self._connection.raw.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()

    def size(self) -> Size:
        return sizes.of(self._connection)

    def revision(self) -> int:
        return self._revision

    def changed_since(self, revision: int, *, limit: int) -> Changed | None:
        changed = Changed(
            runs=self.runs.changed_since(revision, limit + 1),
            nodes=self.nodes.changed_since(revision, limit + 1),
            tasks=self.tasks.changed_since(revision, limit + 1),
            removed=tombstones.removed_since(self._connection, revision, limit + 1),
        )
        rows = len(changed.runs) + len(changed.nodes) + len(changed.tasks) + len(changed.removed)
        return None if rows > limit else changed

    def oldest_resumable(self) -> int:
        return tombstones.oldest_resumable(self._connection)

    def counters(self) -> list[tuple[Span, int, str, float]]:
        return counters.all_of(self._connection)

    def pending_alerts(self) -> list[AlertRow]:
        return alerts.pending(self._connection)

    def waiting_runs(self) -> list[RunRow]:
        return self.runs.waiting()
