"""A login as a workflow: its row, its phases as events and as steps, its detail; pure.

Source: contract 5.6, 6.2, 10 and 13.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from runwatch_server.accounts import phases, showing
from runwatch_server.accounts.rows import ActionRow, PhaseRow
from runwatch_shared.logins import ActionStatus, LoginEnd, LoginEvent
from runwatch_shared.models import (
    EventView,
    Level,
    RelatedIds,
    RunId,
    StateData,
    StatusSource,
    Step,
    Waiting,
    WorkflowDetail,
    WorkflowSummary,
)
from runwatch_shared.states import STATE_OF_ACTION, attention
from runwatch_shared.text import clean
from runwatch_shared.timestamps import format_optional_time, format_time

ACTIVITY_CHARS: Final = 160
ERROR_CHARS: Final = 500
SHOWN: Final = ("verify_url", "user_code", "input_prompt", "expires_at")
"""Of the result, what a person needs."""
_LEVELS: Final[dict[ActionStatus, Level]] = {
    "assigned": "info",
    "running": "info",
    "waiting": "warning",
    "success": "success",
    "failed": "error",
    "timeout": "error",
    "cancelled": "warning",
}
_ENDS: Final[dict[ActionStatus, str]] = {
    "success": "succeeded",
    "failed": "failed",
    "timeout": "failed",
    "cancelled": "cancelled",
}


def summary(row: ActionRow) -> WorkflowSummary:
    """A login as a row of the monitor."""
    state = STATE_OF_ACTION[row.status]
    return WorkflowSummary(
        id=row.id,
        type="auth",
        name=row.name,
        state=state,
        progress=showing.progress_of(row),
        status=row.status,
        cancelling=False,
        event_count=row.phases_total,
        last_seq=row.phases_total,
        start_time=format_time(row.created_us),
        started_at=format_optional_time(row.started_us),
        end_time=format_optional_time(row.finished_us),
        update_time=format_time(row.updated_us),
        duration_ms=None
        if row.finished_us is None or row.started_us is None
        else (row.finished_us - row.started_us) // 1000,
        queue_wait_ms=None if row.started_us is None else (row.started_us - row.created_us) // 1000,
        last_activity_at=format_time(row.phases[-1].at_us) if row.phases else None,
        activity_text=clean(_activity(row), limit=ACTIVITY_CHARS, fold=True, marks=False),
        node_id=row.node_id,
        agent_type=row.agent_type,
        account_id=row.account_id,
        labels={},
        error=clean(row.error, limit=ERROR_CHARS) if row.error else None,
        health="ok",
        waiting=_waiting(row),
        usage=None,
        tool_calls=0,
        tool_failures=0,
        open_tools=0,
        revision=row.revision,
        status_source=StatusSource(
            kind=row.source.kind, at=format_time(row.source.at_us), note=row.source.note
        ),
        attention=attention(state, "ok"),
        metadata=_metadata(row),
    )


def detail(row: ActionRow) -> WorkflowDetail:
    """A login with everything it came through."""
    shown = summary(row)
    fields = {name: getattr(shown, name) for name in shown.__struct_fields__}
    passed = steps(row)
    return WorkflowDetail(
        **fields,
        events=list(event_views(row)),
        events_truncated=row.phases_total > len(row.phases),
        steps=passed,
        steps_total=len(passed),
        tools=[],
        lanes=[],
        queue_detail=[],
        state_data=StateData(
            state=shown.state,
            progress=shown.progress,
            current_step=passed[-1].name if passed and row.is_open else None,
            error=row.error,
        ),
        related_ids=RelatedIds(account_id=row.account_id),
    )


def steps(row: ActionRow) -> list[Step]:
    """A step a phase: from when it began to when the next did."""
    begun: list[PhaseRow] = []
    last: dict[int, PhaseRow] = {}
    for phase in row.phases:
        if not begun or begun[-1].name != phase.name:
            begun.append(phase)
        last[len(begun) - 1] = phase
    made: list[Step] = []
    for number, phase in enumerate(begun):
        following = begun[number + 1] if number + 1 < len(begun) else None
        ended_us = row.finished_us if following is None else following.at_us
        status = "open" if row.is_open else _ENDS[row.status]
        made.append(
            Step(
                id=f"phase-{phase.seq}",
                kind="phase",
                name=phase.name,
                status="succeeded" if following is not None else status,  # type: ignore[arg-type]  # of _ENDS
                started_at=format_time(phase.at_us),
                ended_at=format_optional_time(ended_us),
                duration_ms=None if ended_us is None else max(0, ended_us - phase.at_us) // 1000,
                seq=phase.seq,
                end_seq=last[number].seq,
                detail=clean(last[number].message or "", limit=ACTIVITY_CHARS) or None,
            )
        )
    return made


def event_views(row: ActionRow) -> Iterator[EventView]:
    """The phases that are kept as events of the monitor, rising."""
    for phase in row.phases:
        payload = payload_of(phase)
        at = format_time(phase.at_us)
        yield EventView(
            id=f"{row.id}:{phase.seq}",
            run_id=RunId(row.id),
            action_id=row.id,
            seq=phase.seq,
            epoch=1,
            type=phase.name,
            timestamp=at,
            received_at=at,
            level=_LEVELS[phase.status],
            payload=payload,
            data=payload,
            producer_id=row.node_id if phase.by == "node" else "server",
        )


def events_after(row: ActionRow, seq: int) -> list[LoginEvent]:
    """The phases after a number, as its socket sends them."""
    return [
        LoginEvent(
            id=phase.seq,
            action_id=row.id,
            seq=phase.seq,
            epoch=1,
            type=phase.name,
            timestamp=format_time(phase.at_us),
            received_at=format_time(phase.at_us),
            level=_LEVELS[phase.status],
            payload=payload_of(phase),
        )
        for phase in row.phases
        if phase.seq > seq
    ]


def end_of(row: ActionRow) -> LoginEnd | None:
    """What the closing status frame says; None while the login is not over."""
    if row.is_open:
        return None
    return LoginEnd(
        action_id=row.id,
        status=row.status,
        finished_at=format_optional_time(row.finished_us),
        last_seq=row.phases_total,
    )


def payload_of(phase: PhaseRow) -> msgspec.Raw:
    told = {
        "status": phase.status,
        "message": phase.message,
        "progress": phase.progress,
        "by": None if phase.by == "node" else phase.by,
    }
    present = {name: value for name, value in told.items() if value is not None}
    return msgspec.Raw(msgspec.json.encode(present))


def fitting(
    views: Sequence[EventView],
    *,
    types: Sequence[str] | None,
    levels: Sequence[str] | None,
    q: str | None,
) -> list[EventView]:
    """The events a filter admits."""
    tests: list[Callable[[EventView], bool]] = []
    if types is not None:
        tests.append(lambda view: view.type in types)
    if levels is not None:
        tests.append(lambda view: view.level in levels)
    if q is not None:
        sought = q.casefold()
        tests.append(lambda view: sought in bytes(view.payload).decode().casefold())
    return [view for view in views if all(test(view) for test in tests)]


def first_seq(row: ActionRow) -> int:
    return phases.first_seq(row)


def _activity(row: ActionRow) -> str:
    return row.message or (row.phase or row.status).replace("_", " ")


def _waiting(row: ActionRow) -> Waiting | None:
    wait = row.wait
    if wait is None:
        return None
    return Waiting(
        kind=wait.kind,
        since=format_time(wait.since_us),
        prompt=wait.prompt,
        deadline=format_optional_time(wait.deadline_us),
        on_expiry=wait.on_expiry,
        seq=wait.seq,
        open=1,
        holds_slot=False,
    )


def _metadata(row: ActionRow) -> dict[str, str]:
    known = {name: row.result.get(name) for name in SHOWN}
    told = {
        "account_id": row.account_id,
        "method": row.type,
        "operation_id": row.operation_id,
        "action_id": row.id,
        "phase": row.phase or "",
        "message": row.message or "",
        **{name: value for name, value in known.items() if isinstance(value, str)},
    }
    if row.is_open:
        told.setdefault("expires_at", format_time(row.expires_us))
    return told
