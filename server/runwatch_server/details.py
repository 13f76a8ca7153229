"""One workflow with what stands behind it: events, steps, tools, lanes, queue (contract 5.6).

Reads through a `ReadTx`; changes nothing.
"""

from collections.abc import Sequence
from typing import Final, Literal

from runwatch_server import fitting, records, standing
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.instances.seats import seat_of
from runwatch_server.rows import LaneRow, RunFold, RunRow, StepRow
from runwatch_server.storage.protocols import EventQuery, ReadTx
from runwatch_shared.models import (
    Lane,
    QueueDetail,
    RelatedIds,
    RunId,
    StateData,
    Step,
    ToolTotal,
    WorkflowDetail,
)
from runwatch_shared.states import is_terminal
from runwatch_shared.text import clean
from runwatch_shared.timestamps import format_optional_time, format_time

DETAIL_EVENTS: Final = 100
DETAIL_STEPS: Final = 200
DETAIL_TOOLS: Final = 50
DETAIL_LANES: Final = 50
DETAIL_RETRIES: Final = 50
PROMPT_CHARS: Final = 4096


def detail(tx: ReadTx, row: RunRow) -> WorkflowDetail:
    """The detail of a run: its summary and everything that explains it."""
    fold = tx.runs.fold(row.id)
    spec = tx.runs.spec(row.id)
    events = tx.events.page(EventQuery(run_id=row.id, tail=True, limit=DETAIL_EVENTS)).events
    tool_steps = tx.runs.steps(row.id, after_n=None, before_n=None, limit=DETAIL_STEPS)
    phases = phases_of(row)
    steps = [*phases, *(tool_step(step) for step in tool_steps)]
    steps.sort(key=lambda step: step.started_at)
    queue_detail = _queue_detail(tx, row) if row.status == "queued" else []
    summary = records.summary(row)
    shown = {name: getattr(summary, name) for name in summary.__struct_fields__}
    return WorkflowDetail(
        **shown,
        events=[
            records.event_view(
                row.id, event, producer_id=records.producer_of(row, event), raw=False
            )
            for event in events
        ],
        events_truncated=row.event_count > len(events),
        steps=steps[-DETAIL_STEPS:],
        steps_total=len(phases) + fold.steps,
        tools=_tools(fold),
        lanes=_lanes(row, fold),
        queue_detail=queue_detail,
        prompt=None
        if spec is None
        else clean(spec.prompt, limit=PROMPT_CHARS, newlines=True, marks=False),
        state_data=StateData(
            state=standing.state_of(row),
            progress=standing.progress_of(row),
            current_step=next(
                (step.name for step in reversed(steps) if step.status == "open"), None
            ),
            error=row.error,
        ),
        related_ids=RelatedIds(
            task_id=row.task_id,
            parent_id=row.parent_id,
            retry_ids=[RunId(run) for run in tx.runs.retries_of(row.id, limit=DETAIL_RETRIES)]
            or None,
        ),
    )


def phases_of(row: RunRow) -> list[Step]:
    """``queued`` (created → assigned), ``assigned`` (→ begun) and ``running`` (→ finished)."""
    moments = (
        ("queued", row.created_us, row.assigned_us or row.started_us),
        ("assigned", row.assigned_us, row.started_us),
        ("running", row.started_us, None),
    )
    steps: list[Step] = []
    for name, begun_us, ended_us in moments:
        if begun_us is None:
            continue
        last = ended_us is None
        until_us = row.finished_us if last else ended_us
        steps.append(
            Step(
                id=f"phase-{name}",
                kind="phase",
                name=name,
                status=_phase_status(row, last=last),
                started_at=format_time(begun_us),
                ended_at=format_optional_time(until_us),
                duration_ms=None if until_us is None else max(0, until_us - begun_us) // 1000,
            )
        )
        if last:
            break
    return steps


def tool_step(row: StepRow) -> Step:
    """One tool call as a step."""
    return Step(
        id=f"tool-{row.n}",
        kind="tool",
        name=row.name,
        status=row.status,
        started_at=format_time(row.started_us),
        ended_at=format_optional_time(row.ended_us),
        duration_ms=None if row.ended_us is None else (row.ended_us - row.started_us) // 1000,
        seq=row.seq,
        end_seq=row.end_seq,
        lane=row.lane,
        detail=row.detail,
    )


StepStatus = Literal["open", "succeeded", "failed", "cancelled", "unknown"]
_END_STATUS: Final[dict[str, StepStatus]] = {
    "done": "succeeded",
    "failed": "failed",
    "timeout": "failed",
    "cancelled": "cancelled",
}


def _phase_status(row: RunRow, *, last: bool) -> StepStatus:
    if not last:
        return "succeeded"
    return _END_STATUS[row.status] if is_terminal(row.status) else "open"


def _queue_detail(tx: ReadTx, row: RunRow) -> list[QueueDetail]:
    seats = seat_of(tx.kept(InstanceRow), row.agent_instance_id)
    return fitting.queue_detail(row, tx.nodes.all(), seats)


def _tools(fold: RunFold) -> list[ToolTotal]:
    busiest = sorted(fold.tools.values(), key=lambda tool: (-tool.total_ms, tool.tool))
    return [
        ToolTotal(
            tool=tool.tool,
            calls=tool.calls,
            failures=tool.failures,
            open=tool.open,
            total_ms=tool.total_ms,
            last_seq=tool.last_seq,
        )
        for tool in busiest[:DETAIL_TOOLS]
    ]


def _lanes(row: RunRow, fold: RunFold) -> list[Lane]:
    """``lead`` first: what the run counts less what its sub-agents do."""
    others = list(fold.lanes.values())
    lead = LaneRow(
        lane="lead",
        last_seq=row.last_seq,
        tool_calls=row.tool_calls - sum(lane.tool_calls for lane in others),
        tool_failures=row.tool_failures - sum(lane.tool_failures for lane in others),
        usage=row.usage if all(lane.usage is None for lane in others) else None,
    )
    return [_lane(lane, row, fold) for lane in [lead, *others][:DETAIL_LANES]]


def _lane(lane: LaneRow, row: RunRow, fold: RunFold) -> Lane:
    open_tools = [call.tool for call in fold.open_calls if call.lane == lane.lane]
    waits = any(wait.lane == lane.lane for wait in fold.waits)
    if is_terminal(row.status):
        state = "ended"
    else:
        state = "waiting" if waits else "working" if open_tools or lane.lane == "lead" else "idle"
    return Lane(
        lane=lane.lane,
        parent_seq=lane.parent_seq,
        state=state,
        open_tool=open_tools[-1] if open_tools else None,
        last_seq=lane.last_seq,
        tool_calls=lane.tool_calls,
        tool_failures=lane.tool_failures,
        usage=records.usage_record(lane.usage),
    )


def step_page(row: RunRow, steps: Sequence[StepRow], *, with_phases: bool) -> list[Step]:
    """A page of steps in the order they began; the phases stand in the newest page."""
    page = [tool_step(step) for step in steps]
    if with_phases:
        page = [*phases_of(row), *page]
    return sorted(page, key=lambda step: step.started_at)
