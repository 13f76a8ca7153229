"""One group of works upon one view, each work all or nothing; committing it is the store's part."""

from collections.abc import Callable, Sequence
from typing import Final

from runwatch_server.rows import Size
from runwatch_server.storage.changes import Changes
from runwatch_server.storage.kept import K
from runwatch_server.storage.mongo import counters
from runwatch_server.storage.mongo.access import AccessWriter
from runwatch_server.storage.mongo.context import WriteContext
from runwatch_server.storage.mongo.events import EventWriter
from runwatch_server.storage.mongo.failures import FAILURES
from runwatch_server.storage.mongo.housekeeping import Housekeeper
from runwatch_server.storage.mongo.journal import Entry
from runwatch_server.storage.mongo.kept import KeptWriter
from runwatch_server.storage.mongo.leases import LeaseWriter
from runwatch_server.storage.mongo.nodes import NodeWriter
from runwatch_server.storage.mongo.runs import RunWriter
from runwatch_server.storage.mongo.small import AlertWriter, PruneWriter, ReplayWriter
from runwatch_server.storage.mongo.state import revision_of, size_of
from runwatch_server.storage.mongo.tasks import TaskWriter
from runwatch_server.storage.mongo.telemetry import TelemetryWriter
from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.protocols import Commit, Outcome, Rules, Span, WriteTx
from runwatch_shared.errors import StorageFullError, StoreUnavailableError

Work = Callable[[WriteTx], object]

_ALL: Final[tuple[tuple[Span, int], ...]] = (("all", 0),)
_OF_ALL: Final = (*FAILURES, StoreUnavailableError, StorageFullError)
"""What fails the whole group: the database did, and not what was asked of it."""


class WriteTransaction:
    """`protocols.WriteTx`; for one group."""

    def __init__(self, view: View, rules: Rules, file_bytes: Callable[[], int]) -> None:
        self._view = view
        self._file_bytes = file_bytes
        self._stands_at = revision_of(view)
        self._context = context = WriteContext(view, rules, self._stands_at + 1)
        self.runs = RunWriter(context)
        self.events = EventWriter(context)
        self.tasks = TaskWriter(context)
        self.nodes = NodeWriter(context)
        self.leases = LeaseWriter(view)
        self.access = AccessWriter(view)
        self.replays = ReplayWriter(view)
        self.alerts = AlertWriter(view)
        self.housekeeping = Housekeeper(view)
        self.prunes = PruneWriter(context)
        self.telemetry = TelemetryWriter(context)

    @property
    def now_us(self) -> int:
        return self._context.now_us

    def kept(self, row: type[K]) -> KeptWriter[K]:
        return KeptWriter(self._context, row)

    def size(self) -> Size:
        return size_of(self._view, self._file_bytes())

    def count(self, name: str, by: float, *, spans: Sequence[tuple[Span, int]] = _ALL) -> None:
        self._context.changes.counted((span, start_us, name, by) for span, start_us in spans)

    def run(
        self, works: Sequence[Work], now_us: int
    ) -> tuple[list[Outcome], tuple[Commit, Entry] | None]:
        """Run the works; gives what to commit, None where nothing was written.

        Raises:
            Exception: The driver's or the store's: the database failed.
        """
        group = Changes()
        outcomes: list[Outcome] = []
        written = False
        for work in works:
            changes = self._context.begin(now_us)
            outcome = self._run(work)
            outcomes.append(outcome)
            if outcome.error is None:
                written = written or self._view.wrote
                self._view.keep()
                group.absorb(changes)
        increments = group.increments()
        if not written and not increments:
            return outcomes, None
        counters.add(self._view, increments)
        if group.revised:
            self._view.put("state", "revision", {"value": self._context.revision})
        self._view.keep()
        revision = self._context.revision if group.revised else self._stands_at
        return outcomes, (group.commit(revision, now_us), self._view.entry())

    def _run(self, work: Work) -> Outcome:
        try:
            return Outcome(value=work(self))
        except _OF_ALL:
            raise
        except Exception as error:  # noqa: BLE001 - what a work raises is its caller's answer
            self._view.drop()
            return Outcome(error=error)
