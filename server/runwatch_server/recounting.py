"""What the numbers kept of runs and tasks must be, told anew from the rows and events themselves.

Pure. What can be told only of what is still stored is a floor: what was deleted counts for what
happened, and no longer for what is there.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import msgspec

from runwatch_server import fold, standing, tally
from runwatch_server.rows import NO_FOLD, EventRow, NodeRow, RunFold, RunRow, TaskRow, UsageRow
from runwatch_shared.settings import HealthThresholds

PRESENT: Final = ("run:", "task:status:", tally.KEPT_EVENTS)
"""Beginnings of the counters that say what is there; they are equal to a recount."""
EXACT: Final = ("tokens:", "cost_usd:", "tool_calls:", "tool_failures:", "usage_known", "events")
"""Of those that say what happened: equal to a recount as long as no run was ever deleted. The
others count again what happens to one run twice, and are never below a recount.
"""
UNTOLD: Final = ("queue_wait:",)
"""Cannot be told from a run: a wait that was counted was perhaps not its last."""
_TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)
_CLOSE: Final = 1e-6
_EXACT_BELOW: Final = 2**53
_FIRST: Final[dict[str, object]] = {
    "status": "queued",
    "usage": None,
    "burn": None,
    "wait": None,
    "looping": None,
    "finished_us": None,
    "last_seq": 0,
    "event_count": 0,
    "seq_holes": 0,
    "open_waits": 0,
    "waited_us": 0,
    "tool_calls": 0,
    "tool_failures": 0,
    "open_tools": 0,
}
"""What folding events changes and goes on from, as it is before the first."""


class Recount:
    """Counters of all time, from one row after another."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, float] = defaultdict(float)
        self._load: Counter[tuple[str, str]] = Counter()
        self._active: Counter[str] = Counter()
        self._held: defaultdict[str, set[str]] = defaultdict(set)

    def run(self, row: RunRow) -> None:
        """A run as if it had happened in one change."""
        nothing = msgspec.structs.replace(
            row,
            status="queued",
            usage=None,
            tool_calls=0,
            tool_failures=0,
            claimed_us=None,
            wait=None,
        )
        moment = row.updated_us
        for before, after in ((None, row), (nothing, row)):
            for span, _, name, value in tally.of_run(
                before, after, moment, day_start_us=lambda moment_us: moment_us
            ):
                is_present = name.startswith(PRESENT)
                if span == "all" and is_present == (before is None) and not name.startswith(UNTOLD):
                    self._add(name, value)
        self._add("events", row.event_count)
        if row.status in {"assigned", "running"} and row.node_id is not None:
            self._load[row.node_id, "active_runs"] += 1
            self._load[row.node_id, "allocated"] += standing.holds_slot(row)
            if standing.holds_slot(row):
                self._held[row.node_id].add(row.id)
        if not standing.ended(row):
            self._active[row.task_id] += 1

    def task(self, row: TaskRow) -> None:
        self._add(f"task:status:{row.status}", 1)

    def counters_wrong(self, kept: dict[str, float], *, whole: bool) -> Iterator[str]:
        """What is wrong with counters of all time.

        Args:
            kept: By name, as stored.
            whole: Whether it is known that no run was ever deleted.
        """
        for name in sorted(kept.keys() | self.counts.keys()):
            stored, counted = kept.get(name, 0.0), self.counts.get(name, 0.0)
            if _same(name, stored, counted):
                continue
            exact = name.startswith(PRESENT) or (whole and name.startswith(EXACT))
            if exact or stored < counted:
                yield f"counter {name} is {_said(stored)}, a recount gives {_said(counted)}"

    def node_wrong(self, node: NodeRow) -> Iterator[str]:
        for name in ("allocated", "active_runs"):
            counted = self._load[node.id, name]
            if getattr(node, name) != counted:
                yield f"node {node.id}: {name} is {getattr(node, name)}, a recount gives {counted}"
        listed, held = {slot.run_id for slot in node.slots}, self._held[node.id]
        # A row of before slots were listed has none until its node beats.
        if listed and listed != held:
            yield f"node {node.id}: {len(listed ^ held)} of its slots are not those of its runs"

    def task_wrong(self, task: TaskRow) -> Iterator[str]:
        counted = self._active[task.id]
        if task.runs_active != counted:
            yield f"task {task.id}: runs_active is {task.runs_active}, a recount gives {counted}"

    def _add(self, name: str, value: float) -> None:
        self.counts[name] += value


class Refold:
    """A run folded anew from all its events, page by page."""

    def __init__(self, row: RunRow) -> None:
        self._stored = row
        self._row = msgspec.structs.replace(row, **_FIRST)
        self._fold = NO_FOLD
        self._epoch: int | None = None

    def take(self, events: list[EventRow]) -> None:
        """The next events."""
        for epoch, group in groupby(events, key=lambda event: event.epoch):
            if epoch != self._epoch:
                self._pass_on(epoch)
            self._add(list(group))

    def _pass_on(self, epoch: int) -> None:
        """Another holder: what a run that was put back had open was over (`leases.requeue`)."""
        self._epoch = epoch
        if self._row.origin != "found":
            self._fold = msgspec.structs.replace(
                self._fold, open_calls=[], recent_calls=[], waits=[], spent=[]
            )

    def _add(self, events: list[EventRow]) -> None:
        folded = fold.fold_events(
            self._row,
            self._fold,
            events,
            now_us=events[-1].received_us,
            thresholds=HealthThresholds(),
        )
        self._row, self._fold = folded.row, folded.fold

    def wrong(self, kept: RunFold, steps: int) -> Iterator[str]:
        """What is kept of the run and is not what its events come to.

        Args:
            kept: The fold beside it.
            steps: How many steps are stored.
        """
        stored, told = self._stored, self._row
        for name in ("tool_calls", "tool_failures", "event_count", "last_seq"):
            if getattr(stored, name) != getattr(told, name):
                yield f"{name} is {getattr(stored, name)}, its events give {getattr(told, name)}"
        for name in _TOKENS:
            yield from self._usage_wrong(name)
        yield from self._usage_wrong("cost_usd")
        made = self._fold.steps
        if steps != made or kept.steps != made:
            yield f"it has {steps} steps and counts {kept.steps}, its events give {made}"
        if _calls(kept) != _calls(self._fold):
            yield "its calls by tool are not those of its events"
        if _lanes(kept) != _lanes(self._fold):
            yield "its calls by lane are not those of its events"

    def _usage_wrong(self, name: str) -> Iterator[str]:
        stored, told = _used(self._stored.usage, name), _used(self._row.usage, name)
        if _same(name, stored, told):
            return
        # Telemetry gives an ended run what its reporter did not tell (`otlp.filling`).
        if not told and standing.ended(self._stored) and self._stored.agent_session_id:
            return
        yield f"usage.{name} is {_said(stored)}, its events give {_said(told)}"


def _same(name: str, stored: float, counted: float) -> bool:
    """Whole numbers are equal; sums of cost depend on the order of adding, as do those of whole
    numbers that are beyond what a counter holds exactly.
    """
    if name.startswith("cost_usd") or max(stored, counted) >= _EXACT_BELOW:
        return math.isclose(stored, counted, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return stored == counted


def _said(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else f"{number:.15g}"


def _used(usage: UsageRow | None, name: str) -> float:
    return 0.0 if usage is None else float(getattr(usage, name) or 0)


def _calls(kept: RunFold) -> dict[str, tuple[int, int]]:
    return {name: (tool.calls, tool.failures) for name, tool in kept.tools.items()}


def _lanes(kept: RunFold) -> dict[str, tuple[int, int]]:
    return {name: (lane.tool_calls, lane.tool_failures) for name, lane in kept.lanes.items()}
