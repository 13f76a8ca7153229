"""A snapshot to read from: the aggregates over one connection, and what spans them."""

from typing import Any

from runwatch_server.alerts.row import AlertRow
from runwatch_server.rows import RunRow, Size
from runwatch_server.storage.kept import K
from runwatch_server.storage.protocols import Changed, Span
from runwatch_server.storage.sql import alerts, counters, kept, tombstones
from runwatch_server.storage.sql.access import AccessReader
from runwatch_server.storage.sql.connection import SnapshotConnection
from runwatch_server.storage.sql.events import EventReader
from runwatch_server.storage.sql.kept import KeptReader
from runwatch_server.storage.sql.leases import LeaseReader
from runwatch_server.storage.sql.nodes import NodeReader
from runwatch_server.storage.sql.prunes import PruneReader
from runwatch_server.storage.sql.revisions import revision_of
from runwatch_server.storage.sql.runs import RunReader
from runwatch_server.storage.sql.searching import Search
from runwatch_server.storage.sql.tasks import TaskReader
from runwatch_server.storage.statements import Statement


class ReadTransaction:
    """`protocols.ReadTx`; made once a connection and used for one snapshot after another."""

    def __init__(self, connection: SnapshotConnection, search: Search | None = None) -> None:
        self._connection = connection
        self._search = search
        self._revision = 0
        self.runs = RunReader(connection, search)
        self.events = EventReader(connection, search)
        self.tasks = TaskReader(connection, search)
        self.nodes = NodeReader(connection)
        self.access = AccessReader(connection)
        self.leases = LeaseReader(connection)
        self.prunes = PruneReader(connection)

    def begin(self) -> None:
        """Take the snapshot: the first read does, so it is done here."""
        self._connection.begin_snapshot()
        self._revision = revision_of(self._connection)

    def end(self) -> None:
        self._connection.end_snapshot()

    def close(self) -> None:
        if self._search is not None:
            self._search.close()
        self._connection.close()

    def ask(self, statement: Statement) -> Any:
        """One value this snapshot has, for the store itself."""
        return self._connection.value(statement)

    def kept(self, row: type[K]) -> KeptReader[K]:
        return KeptReader(self._connection, row)

    def size(self) -> Size:
        return self._connection.size()

    def revision(self) -> int:
        return self._revision

    def changed_since(self, revision: int, *, limit: int) -> Changed | None:
        changed = Changed(
            runs=self.runs.changed_since(revision, limit + 1),
            nodes=self.nodes.changed_since(revision, limit + 1),
            tasks=self.tasks.changed_since(revision, limit + 1),
            kept=kept.changed_since(self._connection, revision, limit + 1),
            removed=tombstones.removed_since(self._connection, revision, limit + 1),
        )
        rows = len(changed.runs) + len(changed.nodes) + len(changed.tasks)
        rows += len(changed.kept) + len(changed.removed)
        return None if rows > limit else changed

    def oldest_resumable(self) -> int:
        return tombstones.oldest_resumable(self._connection)

    def counters(self) -> list[tuple[Span, int, str, float]]:
        return counters.all_of(self._connection)

    def pending_alerts(self) -> list[AlertRow]:
        return alerts.pending(self._connection)

    def waiting_runs(self) -> list[RunRow]:
        return self.runs.waiting()
