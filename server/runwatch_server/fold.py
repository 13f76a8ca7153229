"""Folding a batch of events into a run: counters, calls, waits, usage, lanes and the end.

Pure: it reads rows and gives rows. What each type changes is contract 9.3; who may append is
`appends`, and which health flag follows is `health`.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from runwatch_server import accounting, payloads
from runwatch_server.calls import CallBook, Outcome
from runwatch_server.payloads import Payload, bool_of, int_of, object_of, text_of
from runwatch_server.rows import (
    EventRow,
    LaneRow,
    RunFold,
    RunRow,
    SourceRow,
    StepRow,
    UsageRow,
)
from runwatch_server.waits import WaitBook
from runwatch_shared.settings import HealthThresholds
from runwatch_shared.states import is_terminal
from runwatch_shared.text import clean

MOST_LANES: Final = 50
ERROR_CHARS: Final = 2000
SECOND_US: Final = 1_000_000
NAME_CHARS: Final = 128

_CLOSES_WAITS: Final = frozenset({"message", "tool_use_start", "tool_result", "command"})

_TELLING_KEY: Final = re.compile(rb'"(?:usage|lane|total_cost_usd)"').search
_BACKSLASH: Final = ord("\\")


class Folded(NamedTuple):
    """A run after a batch. ``fold`` is the very object given when nothing in it changed."""

    row: RunRow
    fold: RunFold
    steps: list[StepRow]
    """Made or closed, each the newest state of its number."""


def begin(row: RunRow, event: EventRow) -> RunRow:
    """A run that was not running, at its holder's first event (contract 8.2).

    It began at the event's own time, not later than its receipt and never before it was claimed.
    """
    if row.status == "running" or is_terminal(row.status):
        return row
    floor_us = max(row.claimed_us or 0, row.assigned_us or 0, row.created_us)
    return msgspec.structs.replace(
        row,
        status="running",
        started_us=max(min(event.at_us, event.received_us), floor_us),
        updated_us=event.received_us,
        queue_reason=None,
        queue_reason_code=None,
        source=SourceRow(kind="event", at_us=event.at_us),
    )


def is_end(event: EventRow) -> bool:
    """Whether an event ends its run."""
    if event.type not in {"run_completed", "run_failed"}:
        return False
    return payloads.terminal_status(event.type, payloads.decode(event.payload)) is not None


def fold_events(
    row: RunRow,
    fold: RunFold,
    events: list[EventRow],
    *,
    now_us: int,
    thresholds: HealthThresholds,
) -> Folded:
    """The run after ``events``, at least one, which are new, in order, and come from its holder.

    Nothing may follow a terminal event; the caller has seen to that.
    """
    folding = _Folding(row, fold, now_us, thresholds)
    shown: list[EventRow] = []
    shows = payloads.activity_types(row.agent_type)
    for event in events:
        kind, payload = event.type, event.payload
        if kind == "heartbeat":
            continue
        folding.at_us = event.at_us if event.at_us < event.received_us else event.received_us
        folding.active = True
        if kind in shows:
            shown.append(event)
        effect = _EFFECTS.get(kind)
        if kind == "command_output" and not payloads.mentions(payload, b'"exit_code"'):
            effect = None
        if (
            effect is not None
            or (payload is not None and _is_telling(payload))
            or (folding.waits.waits and kind in _CLOSES_WAITS)
        ):
            folding.apply(event, payloads.decode(payload), effect)
    for event in reversed(shown):
        text = payloads.activity_of(event.type, payloads.decode(event.payload))
        if text:
            folding.set(activity_text=text)
            break
    return folding.result(events)


def _is_telling(payload: bytes) -> bool:
    """Whether a payload of a type without an effect of its own may have to be read all the same.

    It runs for every event, so the search is one, and an escape is looked for byte first.
    """
    if _TELLING_KEY(payload) is not None:
        return True
    return _BACKSLASH in payload and b"\\u" in payload


class _Folding:
    """One batch being folded; changed fields gather here and become rows once, at the end."""

    def __init__(
        self, row: RunRow, fold: RunFold, now_us: int, thresholds: HealthThresholds
    ) -> None:
        self.row = row
        self.fold = fold
        self.now_us = now_us
        self.at_us = now_us
        self.active = False
        self.deep = False
        """Whether anything beside the row may have changed."""
        self.changes: dict[str, Any] = {}
        self.calls = CallBook(
            fold, window=thresholds.looping_window, repeats=thresholds.looping_calls
        )
        self.waits = WaitBook(fold.waits)
        self.sessions = dict(fold.sessions)
        self.lanes = dict(fold.lanes)
        self.spent = fold.spent

    def set(self, **changes: Any) -> None:
        self.changes.update(changes)

    def get(self, name: str) -> Any:
        return self.changes[name] if name in self.changes else getattr(self.row, name)

    def apply(self, event: EventRow, payload: Payload, effect: "Effect | None") -> None:
        self.deep = True
        lane = payloads.lane_of(payload)
        if lane != "lead":
            self._touch_lane(lane, event.seq, text_of(payload, "parent_id"))
        report = accounting.report_of(event.type, payload)
        if report is not None:
            self._use(report, lane)
        if event.type in _CLOSES_WAITS:
            self.waits.close(lambda wait: wait.id is None and wait.lane == lane, at_us=self.at_us)
        if effect is not None:
            effect(self, event, payload)

    def result(self, events: list[EventRow]) -> Folded:
        row = self.row
        self.set(
            last_seq=events[-1].seq,
            event_count=row.event_count + len(events),
            seq_holes=row.seq_holes + (events[-1].seq - row.last_seq) - len(events),
        )
        if self.active:
            self.set(last_activity_us=self.at_us)
        if not self.deep:
            return Folded(msgspec.structs.replace(row, **self.changes), self.fold, [])
        waits = self.waits
        self.set(
            open_tools=len(self.calls.open_calls),
            wait=waits.waits[0] if waits.waits else None,
            open_waits=len(waits.waits),
        )
        if waits.changed:
            self.set(waited_us=row.waited_us + waits.waited_us, updated_us=self.now_us)
        fold = RunFold(
            open_calls=self.calls.open_calls,
            recent_calls=self.calls.recent,
            waits=waits.waits,
            sessions=self.sessions,
            tools=self.calls.tools,
            lanes=self.lanes,
            spent=self.spent,
            steps=self.calls.made,
        )
        steps = list(self.calls.steps.values())
        return Folded(msgspec.structs.replace(row, **self.changes), fold, steps)

    def start_call(self, event: EventRow, payload: Payload, tool: str, detail: str) -> None:
        digest: str | None = None  # an input that was not kept is like no other
        if bool_of(payload, "redacted") is not True:
            of_command = event.type == "command"
            digest = (payloads.command_digest if of_command else payloads.input_digest)(payload)
        lane = payloads.lane_of(payload)
        self.calls.open(
            tool,
            call_id=text_of(payload, "id"),
            seq=event.seq,
            lane=lane,
            at_us=self.at_us,
            detail=detail,
            digest=digest,
        )
        self._count_call(lane, calls=1)
        self.set(looping=self.calls.looping())

    def end_call(self, event: EventRow, payload: Payload, tool: str, success: bool | None) -> None:
        call_id = text_of(payload, "id")
        call = self.calls.find(call_id, tool)
        if call is None:
            call = self.calls.open(
                tool,
                call_id=call_id,
                seq=event.seq,
                lane=payloads.lane_of(payload),
                at_us=self.at_us,
                detail="",
                digest=None,
            )
            self._count_call(call.lane, calls=1)
            self.set(looping=self.calls.looping())
        self.calls.close(
            call,
            _OUTCOME[success],
            at_us=self.at_us,
            end_seq=event.seq,
            duration_ms=int_of(payload, "duration_ms"),
        )
        if success is False:
            self._count_call(call.lane, failures=1)

    def end_run(self, payload: Payload, status: str) -> None:
        if status == "cancelled" and self.row.cancel and self.row.cancel.reason == "timeout":
            status = "timeout"
        for call in list(self.calls.open_calls):
            outcome: Outcome = "cancelled" if status == "cancelled" else "unknown"
            self.calls.close(call, outcome, at_us=self.at_us)
        self.waits.close(lambda wait: True, at_us=self.at_us)
        error = text_of(payload, "error") or self.get("error")
        begun_us = self.get("started_us") or self.row.claimed_us or self.row.created_us
        inferred = _short(text_of(payload, "inferred_from"))
        by_server = text_of(payload, "by") == "server"
        self.set(
            status=status,
            finished_us=max(self.at_us, begun_us),
            updated_us=self.now_us,
            lease_kind=None,
            exit_code=int_of(payload, "exit_code"),
            error=None
            if status == "done" or error is None
            else clean(error, limit=ERROR_CHARS, fold=True, marks=False),
            error_code=_short(text_of(payload, "error_code")),
            burn=None,
            looping=None,
            node_silent=False,
            lease_ended_us=None,
            queue_reason=None,
            queue_reason_code=None,
            source=SourceRow(
                kind="inferred" if inferred else "server" if by_server else "event",
                at_us=self.at_us,
                note=inferred,
            ),
        )

    def _touch_lane(self, name: str, seq: int, parent_id: str | None) -> None:
        lane = self.lanes.get(name)
        if lane is None:
            if len(self.lanes) >= MOST_LANES:
                return
            spawned_by = [call.seq for call in self.calls.open_calls if call.id == parent_id]
            lane = LaneRow(
                lane=name, parent_seq=spawned_by[0] if parent_id and spawned_by else None
            )
        self.lanes[name] = msgspec.structs.replace(lane, last_seq=seq)

    def _count_call(self, lane_name: str, *, calls: int = 0, failures: int = 0) -> None:
        self.set(
            tool_calls=self.get("tool_calls") + calls,
            tool_failures=self.get("tool_failures") + failures,
        )
        lane = self.lanes.get(lane_name)
        if lane is not None:
            self.lanes[lane_name] = msgspec.structs.replace(
                lane,
                tool_calls=lane.tool_calls + calls,
                tool_failures=lane.tool_failures + failures,
            )

    def _use(self, report: accounting.Report, lane_name: str) -> None:
        known = self.sessions.get(report.session)
        if known is None and len(self.sessions) >= accounting.MOST_SESSIONS:
            return
        self.sessions[report.session] = accounting.add(known, report, self.at_us)
        before: UsageRow | None = self.get("usage")
        after = accounting.total(self.sessions.values())
        if after is None:
            return
        if not self._is_history():
            self.spent = accounting.spend(self.spent, before, after, self.now_us)
        cost_known = after.cost_usd is not None
        self.set(
            usage=after,
            model=after.model or self.get("model"),
            burn=accounting.burn(self.spent, cost_known=cost_known, now_us=self.now_us),
        )
        lane = self.lanes.get(lane_name)
        if lane is not None and report.scope == "turn":
            self.lanes[lane_name] = msgspec.structs.replace(
                lane, usage=accounting.add(lane.usage, report, self.at_us)
            )

    def _is_history(self) -> bool:
        """Whether a found session tells what was spent before the burn rate's window."""
        late_us = self.now_us - self.at_us
        return self.row.origin == "found" and late_us > accounting.BURN_WINDOW_S * SECOND_US


Effect = Callable[[_Folding, EventRow, Payload], None]
_OUTCOME: Final[dict[bool | None, Outcome]] = {
    True: "succeeded",
    False: "failed",
    None: "unknown",
}


def _started(folding: _Folding, event: EventRow, payload: Payload) -> None:
    model = _short(text_of(object_of(payload, "agent"), "model"))
    if model:
        folding.set(model=model)


def _completed(folding: _Folding, event: EventRow, payload: Payload) -> None:
    status = payloads.terminal_status(event.type, payload)
    if status is not None:
        folding.end_run(payload, status)


def _tool_started(folding: _Folding, event: EventRow, payload: Payload) -> None:
    tool = payloads.call_of(event.type, payload)
    folding.start_call(event, payload, tool, payloads.telling(payload))


def _tool_ended(folding: _Folding, event: EventRow, payload: Payload) -> None:
    tool = payloads.call_of(event.type, payload)
    folding.end_call(event, payload, tool, bool_of(payload, "success"))


def _command(folding: _Folding, event: EventRow, payload: Payload) -> None:
    if not folding.calls.is_open(text_of(payload, "id")):
        folding.start_call(event, payload, "command", payloads.command_line(payload))


def _command_output(folding: _Folding, event: EventRow, payload: Payload) -> None:
    exit_code = int_of(payload, "exit_code")
    if exit_code is not None:
        folding.end_call(event, payload, "command", exit_code == 0)


def _progress(folding: _Folding, event: EventRow, payload: Payload) -> None:
    share = payloads.number_of(payload, "progress")
    if share is not None:
        folding.set(progress=min(99, max(1, round(share * 100))))


def _asked(folding: _Folding, event: EventRow, payload: Payload) -> None:
    folding.waits.open(payload, seq=event.seq, at_us=folding.at_us)


def _answered(folding: _Folding, event: EventRow, payload: Payload) -> None:
    folding.waits.answer(text_of(payload, "id"), at_us=folding.at_us)


def _system_info(folding: _Folding, event: EventRow, payload: Payload) -> None:
    for name, field in (("model", "model"), ("session_id", "agent_session_id")):
        text = _short(text_of(payload, name))
        if text:
            folding.set(**{field: text})


def _error(folding: _Folding, event: EventRow, payload: Payload) -> None:
    if not bool_of(payload, "recoverable"):
        message = text_of(payload, "message") or text_of(payload, "code") or "error"
        folding.set(error=clean(message, limit=ERROR_CHARS, fold=True, marks=False))


_EFFECTS: Final[dict[str, Effect]] = {
    "run_started": _started,
    "run_completed": _completed,
    "run_failed": _completed,
    "tool_use_start": _tool_started,
    "tool_result": _tool_ended,
    "command": _command,
    "command_output": _command_output,
    "progress": _progress,
    "approval_request": _asked,
    "approval_response": _answered,
    "system_info": _system_info,
    "error": _error,
}
"""Types with an effect beside usage, lanes and waits, which are read from every payload."""


def _short(text: str | None) -> str | None:
    return clean(text, limit=NAME_CHARS, fold=True, marks=False) if text else None
