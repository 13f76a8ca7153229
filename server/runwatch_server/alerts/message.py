"""What an alert says: one sentence for people and fields for programs; nothing quoted by default.

Prompts and errors are an agent's words: they are in it only where the settings ask for them, cut
and cleaned as in the monitor.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from runwatch_server import records
from runwatch_server.alerts.expiry import NO_WORKFLOW
from runwatch_server.alerts.kinds import AlertKind, alerts_of, is_history
from runwatch_server.alerts.row import AlertRow
from runwatch_server.ids import new_id
from runwatch_server.rows import RunRow
from runwatch_shared.models import WorkflowSummary
from runwatch_shared.text import clean
from runwatch_shared.timestamps import format_time

SHOWN: Final = (
    "id",
    "type",
    "name",
    "state",
    "status",
    "node_id",
    "agent_type",
    "task_id",
    "labels",
    "start_time",
    "started_at",
    "end_time",
    "duration_ms",
    "health",
    "health_reason",
    "health_since",
    "error_code",
    "exit_code",
    "attention",
    "revision",
)
"""Fields of the workflow's summary (contract 5.6) that an alert has, where they have a value."""
WAITING_SHOWN: Final = ("kind", "since", "deadline", "on_expiry", "open", "holds_slot")
NAME_CHARS: Final = 80
_WAITS_FOR: Final = {
    "approval": "an approval",
    "question": "an answer",
    "input": "input",
    "login": "a login",
}
_BEGINS: Final[dict[AlertKind, str]] = {
    "failed": "failed",
    "timeout": "passed its deadline",
    "stalled": "is stalled",
    "looping": "is looping",
    "slow": "is slow",
    "stuck_queued": "is stuck in the queue",
    "waiting_long": "is still waiting for a person",
}

AlertRule = Callable[[RunRow | None, RunRow, int], list[AlertRow]]


def alert_rule(kinds: frozenset[str], *, include_text: bool) -> AlertRule:
    """What the store applies to every run it saves (`storage.protocols.Rules`)."""

    def rule(before: RunRow | None, after: RunRow, now_us: int) -> list[AlertRow]:
        begun = alerts_of(before, after, kinds)
        if begun and is_history(after, now_us):
            return []
        return [alert_row(kind, after, now_us, include_text=include_text) for kind in begun]

    return rule


def alert_row(kind: AlertKind, row: RunRow, at_us: int, *, include_text: bool) -> AlertRow:
    """A new alert about a run as it is after the change."""
    summary = records.summary(row)
    return AlertRow(
        id=new_id("alert"),
        run_id=row.id,
        kind=kind,
        at_us=at_us,
        revision=row.revision,
        text=_sentence(kind, summary),
        workflow=msgspec.json.encode(_workflow(summary, include_text=include_text)),
    )


def test_alert(at_us: int) -> AlertRow:
    """An alert about nothing, to try the receiver."""
    return AlertRow(
        id=new_id("alert"),
        run_id="",
        kind="test",
        at_us=at_us,
        revision=0,
        text="This is a test alert of Runwatch.",
        workflow=b"null",
    )


def body_of(alert: AlertRow, store_id: str) -> bytes:
    """The body of an alert's request, the same bytes at every try."""
    prefix = "run" if alert.workflow != NO_WORKFLOW else "account"
    if alert.kind == "test":
        prefix = "alert"
    return msgspec.json.encode(
        {
            "id": alert.id,
            "type": f"{prefix}.{alert.kind}",
            "at": format_time(alert.at_us),
            "store": store_id,
            "revision": alert.revision,
            "text": alert.text,
            "workflow": msgspec.Raw(alert.workflow),
        }
    )


def _workflow(summary: WorkflowSummary, *, include_text: bool) -> dict[str, Any]:
    shown = {name: getattr(summary, name) for name in SHOWN}
    if summary.waiting is not None:
        names = (*WAITING_SHOWN, "prompt") if include_text else WAITING_SHOWN
        asked = {name: getattr(summary.waiting, name) for name in names}
        shown["waiting"] = {name: value for name, value in asked.items() if value is not None}
    if summary.usage is not None:
        shown["usage"] = summary.usage
    if include_text:
        shown["error"] = summary.error
    return {name: value for name, value in shown.items() if value is not None}


def _sentence(kind: AlertKind, summary: WorkflowSummary) -> str:
    name = clean(summary.name, limit=NAME_CHARS, fold=True, marks=False)
    who = f"{name} ({summary.id})"
    if kind == "waiting":
        asked = "approval" if summary.waiting is None else summary.waiting.kind
        return f"{who} waits for {_WAITS_FOR[asked]}"
    if kind == "recovered" and summary.health == "ok":
        return f"{who} has recovered: {summary.status}"
    if kind == "recovered":  # from what was told; what is the matter now was not asked for
        return f"{who} is {summary.health} now: {summary.health_reason}"
    said = f"{who} {_BEGINS[kind]}"
    if kind == "failed":
        return f"{said}{_why(summary)}"
    if kind != "timeout" and summary.health_reason:
        return f"{said}: {summary.health_reason}"
    return said


def _why(summary: WorkflowSummary) -> str:
    facts = [] if summary.error_code is None else [summary.error_code]
    if summary.exit_code is not None:
        facts.append(f"exit code {summary.exit_code}")
    return f": {', '.join(facts)}" if facts else ""
