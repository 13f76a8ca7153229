"""Collecting what works change until it becomes one `Commit`; knows no database."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

from runwatch_server.alerts.row import AlertRow
from runwatch_server.kept import KeptRow
from runwatch_server.rows import EventRow, NodeRow, RunRow, TaskRow
from runwatch_server.storage.kept import KeptChange
from runwatch_server.storage.protocols import (
    Commit,
    NodeChange,
    RunChange,
    Span,
    TaskChange,
)


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


K = TypeVar("K", bound=_Keyed)

Pair = tuple[K | None, K | None]
"""A row before and after."""

NOTHING: Final = (None, None)
"""A row created and deleted by the same commit."""


class Changes:
    """What one work changed so far; what a whole group changed once works are merged into it."""

    def __init__(self) -> None:
        self.runs: dict[str, Pair[RunRow]] = {}
        self.nodes: dict[str, Pair[NodeRow]] = {}
        self.tasks: dict[str, Pair[TaskRow]] = {}
        self.kept: dict[str, Pair[KeptRow]] = {}
        self.events: dict[str, list[EventRow]] = {}
        self.counts: dict[tuple[Span, int, str], float] = {}
        self.deleted: set[str] = set()
        """Runs that were deleted, even if they are there again: earlier events went with them."""
        self.alerts: list[AlertRow] = []
        self.revised = False
        """Whether a row with a revision was touched."""

    def run(self, before: RunRow | None, after: RunRow | None) -> None:
        _note(self.runs, before, after)
        self.revised = True
        if before is not None and after is None:
            self.deleted.add(before.id)
            self.events.pop(before.id, None)

    def node(self, before: NodeRow | None, after: NodeRow | None) -> None:
        _note(self.nodes, before, after)
        self.revised = True

    def task(self, before: TaskRow | None, after: TaskRow | None) -> None:
        _note(self.tasks, before, after)
        self.revised = True

    def kept_row(self, before: KeptRow | None, after: KeptRow | None) -> None:
        _note(self.kept, before, after)
        self.revised = True

    def appended(self, run_id: str, events: Sequence[EventRow]) -> None:
        known = self.events.get(run_id)
        if known is None:
            self.events[run_id] = list(events)
        else:
            known.extend(events)

    def alerted(self, alert: AlertRow) -> None:
        self.alerts.append(alert)

    def counted(self, counts: Iterable[tuple[Span, int, str, float]]) -> None:
        totals = self.counts
        for span, start_us, name, value in counts:
            key = (span, start_us, name)
            totals[key] = totals.get(key, 0) + value

    def absorb(self, later: "Changes") -> None:
        """Take over what a later work changed."""
        _merge(self.runs, later.runs)
        _merge(self.nodes, later.nodes)
        _merge(self.tasks, later.tasks)
        _merge(self.kept, later.kept)
        self.deleted |= later.deleted
        for run_id in later.deleted:
            self.events.pop(run_id, None)
        for run_id, events in later.events.items():
            self.appended(run_id, events)
        self.counted((*key, value) for key, value in later.counts.items())
        self.alerts += later.alerts
        self.revised = self.revised or later.revised

    def increments(self) -> list[tuple[Span, int, str, float]]:
        """The counters that moved, each once."""
        return [(*key, value) for key, value in self.counts.items() if value]

    def commit(self, revision: int, at_us: int) -> Commit:
        """Everything as one commit; rows created and deleted in it are left out."""
        return Commit(
            revision=revision,
            at_us=at_us,
            runs=[RunChange(*pair) for pair in self.runs.values() if pair != NOTHING],
            nodes=[NodeChange(*pair) for pair in self.nodes.values() if pair != NOTHING],
            tasks=[TaskChange(*pair) for pair in self.tasks.values() if pair != NOTHING],
            kept=[KeptChange(*pair) for pair in self.kept.values() if pair != NOTHING],
            events=self.events,
            counts=self.increments(),
            alerts=self.alerts,
        )


def _note(known: dict[str, Pair[K]], before: K | None, after: K | None) -> None:
    """The first ``before`` and the last ``after`` of a row count."""
    row = after if after is not None else before
    if row is not None:
        earlier = known.get(row.key)
        known[row.key] = (before if earlier is None else earlier[0], after)


def _merge(known: dict[str, Pair[K]], later: dict[str, Pair[K]]) -> None:
    for key, (before, after) in later.items():
        earlier = known.get(key)
        known[key] = (before if earlier is None else earlier[0], after)
