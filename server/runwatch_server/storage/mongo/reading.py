"""A snapshot to read from: the aggregates over one view, and what spans them."""

from collections.abc import Callable

from runwatch_server.alerts.row import AlertRow
from runwatch_server.rows import RunRow, Size
from runwatch_server.storage.kept import K
from runwatch_server.storage.mongo import counters, kept, tombstones
from runwatch_server.storage.mongo.access import AccessReader
from runwatch_server.storage.mongo.events import EventReader
from runwatch_server.storage.mongo.kept import KeptReader
from runwatch_server.storage.mongo.leases import LeaseReader
from runwatch_server.storage.mongo.nodes import NodeReader
from runwatch_server.storage.mongo.runs import RunReader
from runwatch_server.storage.mongo.small import PruneReader, pending_alerts
from runwatch_server.storage.mongo.state import oldest_resumable, revision_of, size_of
from runwatch_server.storage.mongo.tasks import TaskReader
from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.protocols import Changed, Span


class ReadTransaction:
    """`protocols.ReadTx`."""

    def __init__(self, view: View, file_bytes: Callable[[], int]) -> None:
        self._view = view
        self._file_bytes = file_bytes
        self._revision = revision_of(view)
        self.runs = RunReader(view)
        self.events = EventReader(view)
        self.tasks = TaskReader(view)
        self.nodes = NodeReader(view)
        self.access = AccessReader(view)
        self.leases = LeaseReader(view)
        self.prunes = PruneReader(view)

    @property
    def at(self) -> int:
        """The number of the last entry of the journal that this snapshot sees."""
        return self._view.at

    def kept(self, row: type[K]) -> KeptReader[K]:
        return KeptReader(self._view, row)

    def size(self) -> Size:
        return size_of(self._view, self._file_bytes())

    def revision(self) -> int:
        return self._revision

    def changed_since(self, revision: int, *, limit: int) -> Changed | None:
        changed = Changed(
            runs=self.runs.changed_since(revision, limit + 1),
            nodes=self.nodes.changed_since(revision, limit + 1),
            tasks=self.tasks.changed_since(revision, limit + 1),
            kept=kept.changed_since(self._view, revision, limit + 1),
            removed=tombstones.removed_since(self._view, revision, limit + 1),
        )
        rows = len(changed.runs) + len(changed.nodes) + len(changed.tasks)
        rows += len(changed.kept) + len(changed.removed)
        return None if rows > limit else changed

    def oldest_resumable(self) -> int:
        return oldest_resumable(self._view)

    def counters(self) -> list[tuple[Span, int, str, float]]:
        return counters.all_of(self._view)

    def pending_alerts(self) -> list[AlertRow]:
        return pending_alerts(self._view)

    def waiting_runs(self) -> list[RunRow]:
        return self.runs.waiting()
