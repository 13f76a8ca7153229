"""What stands behind a row, worked out from its events: steps, tools and lanes (contract 5.6)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from runwatch_console.eventlines import input_text
from runwatch_console.formats import moment_s
from runwatch_console.held.pages import event_view
from runwatch_shared.models import (
    Event,
    Lane,
    QueueDetail,
    RelatedIds,
    StateData,
    Step,
    ToolTotal,
    WorkflowDetail,
    WorkflowSummary,
)
from runwatch_shared.wire import StepPage

LEAD: Final = "lead"
NEWEST_EVENTS: Final = 100
NEWEST_STEPS: Final = 200
MOST_LANES: Final = 50
READ_EVENTS: Final = 2_000
"""Events a detail is worked out from: with more it says of the newest only."""


def workflow_detail(
    row: WorkflowSummary,
    events: Iterable[Event],
    *,
    prompt: str | None = None,
    queue_detail: Iterable[QueueDetail] = (),
) -> WorkflowDetail:
    """The detail of a row; `events` are its newest, in rising order."""
    known = list(events)
    calls = _Calls()
    for event in known:
        calls.take(event)
    steps = [*_phases(row), *calls.steps(ended=row.end_time is not None)]
    return WorkflowDetail(
        **{name: getattr(row, name) for name in row.__struct_fields__},
        events=[event_view(event, row.node_id or "") for event in known[-NEWEST_EVENTS:]],
        events_truncated=row.event_count > NEWEST_EVENTS,
        steps=steps[-NEWEST_STEPS:],
        steps_total=len(steps),
        tools=calls.tools(),
        lanes=calls.lanes(ended=row.end_time is not None),
        queue_detail=list(queue_detail),
        prompt=prompt,
        state_data=StateData(state=row.state, progress=row.progress, error=row.error),
        related_ids=RelatedIds(task_id=row.task_id),
    )


def step_page(
    row: WorkflowSummary, events: Iterable[Event], *, after_seq: int, limit: int
) -> StepPage:
    """Tool calls that began after an event, as `GET …/steps` answers; `events` as above."""
    calls = _Calls()
    for event in events:
        calls.take(event)
    steps = calls.steps(ended=row.end_time is not None)
    later = [step for step in steps if (step.seq or 0) > after_seq]
    return StepPage(steps=later[:limit], total=len(steps))


def _phases(row: WorkflowSummary) -> list[Step]:
    begun = row.started_at
    queued = Step(
        id=f"{row.id}:queued",
        kind="phase",
        name="queued",
        status="open" if begun is None and row.end_time is None else "succeeded",
        started_at=row.start_time,
        ended_at=begun or row.end_time,
        duration_ms=_between_ms(row.start_time, begun or row.end_time),
    )
    if begun is None:
        return [queued]
    endings = {"done": "succeeded", "cancelled": "cancelled"}
    status = "open" if row.end_time is None else endings.get(row.status, "failed")
    running = Step(
        id=f"{row.id}:running",
        kind="phase",
        name="running",
        status=status,  # type: ignore[arg-type]  # of the words above
        started_at=begun,
        ended_at=row.end_time,
        duration_ms=_between_ms(begun, row.end_time),
    )
    return [queued, running]


def _between_ms(begin: str, end: str | None) -> int | None:
    first, last = moment_s(begin), moment_s(end)
    return None if first is None or last is None else max(0, round((last - first) * 1000))


class _Calls:
    """Tool calls as they open and close."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}
        self._lanes: dict[str, Lane] = {LEAD: _lane(LEAD, None)}

    def take(self, event: Event) -> None:
        payload = _payload(event)
        lane = str(payload.get("lane") or LEAD)
        if lane not in self._lanes and len(self._lanes) < MOST_LANES:
            self._lanes[lane] = _lane(lane, event.seq)
        if event.type == "tool_use_start":
            self._open(event, payload, lane)
        elif event.type == "tool_result":
            self._close(event, payload, lane)
        if (known := self._lanes.get(lane)) is not None:
            self._lanes[lane] = msgspec.structs.replace(known, last_seq=event.seq)

    def _open(self, event: Event, payload: Mapping[str, Any], lane: str) -> None:
        tool = str(payload.get("tool") or "tool")[:80]
        self._steps[str(payload.get("id") or event.seq)] = Step(
            id=f"{event.run_id}:{event.seq}",
            kind="tool",
            name=tool,
            status="open",
            started_at=event.timestamp,
            seq=event.seq,
            lane=lane,
            detail=input_text(payload)[:160],
        )
        self._count(lane, open_tool=tool, calls=1, failures=0)

    def _close(self, event: Event, payload: Mapping[str, Any], lane: str) -> None:
        call = str(payload.get("id") or "")
        failed = payload.get("success") is False
        self._count(lane, open_tool=None, calls=0, failures=int(failed))
        step = self._steps.get(call)
        if step is None:
            return
        self._steps[call] = msgspec.structs.replace(
            step,
            status="failed" if failed else "succeeded",
            ended_at=event.timestamp,
            end_seq=event.seq,
            duration_ms=_between_ms(step.started_at, event.timestamp),
        )

    def _count(self, lane: str, *, open_tool: str | None, calls: int, failures: int) -> None:
        if (known := self._lanes.get(lane)) is not None:
            self._lanes[lane] = msgspec.structs.replace(
                known,
                open_tool=open_tool,
                tool_calls=known.tool_calls + calls,
                tool_failures=known.tool_failures + failures,
            )

    def steps(self, *, ended: bool) -> list[Step]:
        """All calls; what is open when the run has ended is not known to have ended well."""
        if not ended:
            return list(self._steps.values())
        return [
            msgspec.structs.replace(step, status="unknown") if step.status == "open" else step
            for step in self._steps.values()
        ]

    def tools(self) -> list[ToolTotal]:
        """By time spent."""
        totals: dict[str, ToolTotal] = {}
        for step in self._steps.values():
            before = totals.get(step.name) or ToolTotal(
                tool=step.name, calls=0, failures=0, open=0, total_ms=0, last_seq=0
            )
            totals[step.name] = ToolTotal(
                tool=step.name,
                calls=before.calls + 1,
                failures=before.failures + (step.status == "failed"),
                open=before.open + (step.status == "open"),
                total_ms=before.total_ms + (step.duration_ms or 0),
                last_seq=max(before.last_seq, step.seq or 0),
            )
        return sorted(totals.values(), key=lambda total: -total.total_ms)[:50]

    def lanes(self, *, ended: bool) -> list[Lane]:
        """The lead first."""
        if not ended:
            return list(self._lanes.values())
        return [
            msgspec.structs.replace(lane, state="ended", open_tool=None)
            for lane in self._lanes.values()
        ]


def _lane(name: str, parent_seq: int | None) -> Lane:
    return Lane(
        lane=name,
        parent_seq=parent_seq,
        state="running",
        last_seq=0,
        tool_calls=0,
        tool_failures=0,
        usage=None,
    )


def _payload(event: Event) -> Mapping[str, Any]:
    try:
        decoded = msgspec.json.decode(event.payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return decoded if isinstance(decoded, dict) else {}
