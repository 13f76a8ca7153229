"""Lives of runs, each played once through the server's own domain on a store in memory.

A story is one task with its run or runs. What the store then holds of it is what a server would
have written; `_stamps` makes many of one. Nothing here is measured.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from runwatch_server import appends, leases, nodes, runs, scheduler, sweeper, tasks
from runwatch_server.lifespan import rules_of
from runwatch_server.principals import Principal
from runwatch_server.rows import RunRow
from runwatch_server.storage.memory import MemoryStore
from runwatch_server.storage.protocols import Commit, WriteTx
from runwatch_shared.models import Labels
from runwatch_shared.settings import ServerSettings
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import (
    ClaimRequest,
    EventBatch,
    EventInput,
    Heartbeat,
    ReportedCapacity,
    RunRequest,
    TaskRequest,
)

T = TypeVar("T")
Line = tuple[str, dict[str, Any]]

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
PROCESS: Final = "process-1"
NODE: Final = "node-of-the-story"
AWAY: Final = "node-away"
NAME: Final = "Name of the Story"
LABELS: Final[Labels] = {"team": "team-of-it", "env": "env-of-it", "repo": "repo-of-it"}
TICKET: Final = "ticket-of-it"
"""What a stamp puts other words for."""

BY_NODES: Final = Principal(kind="node_token", scope="node", id="nodes", name="nodes")
_ENDS: Final[dict[str, Line]] = {
    "done": ("run_completed", {"status": "done", "exit_code": 0}),
    "failed": (
        "run_completed",
        {"status": "failed", "error": "2 tests fail", "error_code": "agent_error", "exit_code": 1},
    ),
    "timeout": ("run_completed", {"status": "timeout", "error_code": "timeout"}),
    "cancelled": ("run_completed", {"status": "cancelled"}),
}
_OPEN: Final[dict[str, list[Line]]] = {
    "waiting": [("approval_request", {"id": "w", "kind": "approval", "prompt": "push to main?"})],
    "working": [("tool_use_start", {"id": "t", "tool": "Bash", "input": {"command": "make"}})],
    "stalled": [("message", {"content": "let me think about this"})],
    "looping": [
        line
        for n in range(5)
        for line in (
            ("tool_use_start", {"id": f"l{n}", "tool": "Read", "input": {"path": "a.py"}}),
            ("tool_result", {"id": f"l{n}", "success": True}),
        )
    ],
}
"""How the events of a run that is under way end."""
_SILENT_S: Final = {"stalled": 400.0}


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """What happens in a story.

    Args:
        fates: Of each run of the task, one after the other: an end, or how it is under way:
            ``queued`` (for a node that is not there), ``withdrawn`` (cancelled while queued) or one
            of `_OPEN`.
        events: Of each run that begins, about; at least what its fate takes.
        phase_us: Where in a minute it begins.
    """

    agent_type: str
    events: int
    fates: tuple[str, ...] = ("done",)
    ticket: bool = False
    phase_us: int = 0


@dataclass(frozen=True, kw_only=True)
class Story:
    """What was played; close its store when it has been read."""

    store: MemoryStore
    commits: list[Commit]
    begun_us: int
    ended_us: int
    task_id: str
    run_ids: list[str]


def play(plot: Plot, settings: ServerSettings, now_us: int) -> Story:
    """Play a story that begins in the minute of ``now_us``."""
    stage = _Stage(settings, now_us - now_us % MINUTE_US + plot.phase_us)
    begun_us = stage.now_us
    stage.write(lambda tx: beat(tx, NODE, 8, stage.now_us, settings))
    stage.commits.clear()
    request = _request(plot)
    task = stage.write(lambda tx: tasks.create_task(tx, request, by_name="x", settings=settings))
    made: list[str] = []
    before: str | None = None
    for fate in plot.fates:
        row = stage.new_run(task.id, before)
        before = row.id
        made.append(row.id)
        stage.live(row, fate, plot)
    return Story(
        store=stage.store,
        commits=stage.commits,
        begun_us=begun_us,
        ended_us=stage.now_us,
        task_id=task.id,
        run_ids=made,
    )


def beat(tx: WriteTx, node_id: str, slots: int, now_us: int, settings: ServerSettings) -> None:
    """A node's heartbeat."""
    nodes.heartbeat(
        tx,
        Heartbeat(
            node_id=node_id,
            process_id=PROCESS,
            started_at=format_time(now_us),
            capacity=ReportedCapacity(max_concurrent=slots),
            hostname=f"{node_id}.example.org",
            labels={"zone": "a"},
        ),
        by=BY_NODES,
        settings=settings,
    )


class _Stage:
    """A store in memory and a clock that is moved by hand."""

    def __init__(self, settings: ServerSettings, now_us: int) -> None:
        self.settings = settings
        self.now_us = now_us
        self.commits: list[Commit] = []
        self.store = MemoryStore.make(rules_of(settings))

    def write(self, work: Callable[[WriteTx], T]) -> T:
        """One work in a commit of its own."""
        (outcome,), commit = self.store.write_group([work], self.now_us)
        if outcome.error is not None:
            raise outcome.error
        if commit is not None:
            self.commits.append(commit)
        return outcome.value  # type: ignore[return-value]  # the work's own value

    def wait(self, seconds: float) -> None:
        self.now_us += int(seconds * SECOND_US)

    def new_run(self, task_id: str, before: str | None) -> RunRow:
        """The next run of the task."""
        self.wait(0.3)
        request = RunRequest()
        if before is None:
            return self.write(
                lambda tx: runs.create_run(tx, task_id, request, settings=self.settings)
            )
        return self.write(lambda tx: runs.retry_run(tx, before, request, settings=self.settings))

    def live(self, row: RunRow, fate: str, plot: Plot) -> None:
        """All that happens to a run."""
        self.wait(0.02)
        self.write(lambda tx: scheduler.place(tx, self.settings))
        if fate == "queued":
            self.wait(5)
            return
        if fate == "withdrawn":
            self.wait(20)
            self._cancel(row.id)
            return
        self.wait(1.4)
        claim = ClaimRequest(node_id=NODE, process_id=PROCESS)
        self.write(lambda tx: leases.claim(tx, row.id, claim, by=BY_NODES, settings=self.settings))
        if fate == "cancelled":
            self._report(row.id, 1, [("run_started", {})])
            self.wait(9)
            self._cancel(row.id)
            self._report(row.id, 2, [*islice(_work(), max(0, plot.events - 2)), _ENDS[fate]])
            return
        last = _OPEN.get(fate) or [_ENDS[fate]]
        lines = [("run_started", {}), *islice(_work(), max(0, plot.events - 1 - len(last))), *last]
        for first in range(0, len(lines), 4):
            self.wait(11)
            self._report(row.id, first + 1, lines[first : first + 4])
        if fate in _SILENT_S:
            self.wait(_SILENT_S[fate])
            self.write(lambda tx: sweeper.sweep(tx, settings=self.settings, amnesty=True))

    def _cancel(self, run_id: str) -> None:
        self.write(
            lambda tx: runs.cancel_run(
                tx, run_id, reason="user", by_name="ops", note=None, settings=self.settings
            )
        )

    def _report(self, run_id: str, seq: int, lines: list[Line]) -> None:
        events = [
            EventInput(
                seq=number,
                type=kind,
                timestamp=format_time(self.now_us - 50_000),
                payload=msgspec.Raw(msgspec.json.encode(payload)),
            )
            for number, (kind, payload) in enumerate(lines, seq)
        ]
        batch = EventBatch(epoch=1, events=events)
        prepared = appends.prepare(batch, limits=self.settings.limits, now_us=self.now_us)
        self.write(
            lambda tx: appends.append(tx, run_id, prepared, by=BY_NODES, settings=self.settings)
        )


def _work() -> Iterator[Line]:
    """What an agent reports while it works, without end."""
    n = 0
    while True:
        n += 1
        call = f"call-{n}"
        tool = ("Bash", "Read", "Edit", "Grep")[n % 4]
        yield "thinking", {"content": f"Step {n}: look at the failing test before changing it."}
        yield (
            "message",
            {
                "content": f"I will run the tests of part {n} 并检查结果。 " + "x" * 120,
                "usage": {
                    "input_tokens": 900 + n,
                    "output_tokens": 150,
                    "cache_read_tokens": 4000,
                    "cost_usd": 0.0125,
                    "model": "sonnet",
                },
            },
        )
        argument = {"command": f"make test PART={n}"} if tool == "Bash" else {"path": f"src/{n}.py"}
        yield "tool_use_start", {"id": call, "tool": tool, "input": argument}
        success = n % 7 != 3
        yield "tool_result", {"id": call, "success": success, "output": "ok " * 30}


def _request(plot: Plot) -> TaskRequest:
    parameters = {"argv": ["make", "test"]} if plot.agent_type == "command" else {}
    wanted = {
        "name": NAME,
        "prompt": f"Please do this: {NAME}. Run the tests, mend what fails, and say what you did.",
        "agent": {"type": plot.agent_type, "parameters": parameters},
        "labels": {**LABELS, **({"ticket": TICKET} if plot.ticket else {})},
        "constraints": {"node_id": AWAY} if "queued" in plot.fates else None,
    }
    return msgspec.convert(wanted, TaskRequest)
