"""A snapshot to read from: the aggregates over one connection, and what spans them."""

from runwatch_server.alerts.row import AlertRow
from runwatch_server.rows import RunRow, Size
from runwatch_server.storage.protocols import Changed, Span
from runwatch_server.storage.sqlite import alerts, counters, sizes, tombstones
from runwatch_server.storage.sqlite.access import AccessReader
from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.sqlite.events import EventReader
from runwatch_server.storage.sqlite.leases import LeaseReader
from runwatch_server.storage.sqlite.nodes import NodeReader
from runwatch_server.storage.sqlite.prunes import PruneReader
from runwatch_server.storage.sqlite.revisions import revision_of
from runwatch_server.storage.sqlite.runs import RunReader
from runwatch_server.storage.sqlite.search_reading import SearchIndex, SearchReader
from runwatch_server.storage.sqlite.tasks import TaskReader


class ReadTransaction:
    """`protocols.ReadTx`; made once a connection and used for one snapshot after another."""

    def __init__(self, connection: Connection, index: SearchIndex | None = None) -> None:
        self._connection = connection
        self._search = search = None if index is None else SearchReader(connection, index)
        self._revision = 0
        self.runs = RunReader(connection, search)
        self.events = EventReader(connection, search)
        self.tasks = TaskReader(connection, search)
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
        if self._search is not None:
            self._search.close()
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
