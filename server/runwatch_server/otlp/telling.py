"""Facts of a session as events of its run (contract 9.3), and what they change of the session.

Which run that is, is in `placing`; numbers of metrics are in `measuring`.
"""

from typing import Any, Final, NamedTuple, assert_never

import msgspec

from runwatch_server.otlp.facts import (
    CallBegan,
    CallEnded,
    Failed,
    Said,
    SessionEnded,
    TurnUsed,
)
from runwatch_server.otlp.intake import Item, digest_of
from runwatch_server.otlp.memory import Memory
from runwatch_server.otlp.reading import some
from runwatch_server.otlp.row import TelemetryRow

MODEL_CALL: Final = "model_call"
"""Subtype of the ``result`` that tells what a call of the model took."""


class Draft(NamedTuple):
    """An event without a number yet."""

    type: str
    at_us: int
    payload: dict[str, Any]


def told(item: Item, memory: Memory, session_id: str, now_us: int) -> list[Draft]:
    """The events a record makes. A call whose end comes first, or alone, begins with it."""
    at_us = now_us if item.at_us is None else item.at_us
    drafts: list[Draft] = []
    for fact in item.facts:
        match fact:
            case Said():
                drafts.append(Draft(fact.type, at_us, fact.payload))
            case Failed():
                payload = {"code": fact.code, "message": fact.message}
                drafts.append(Draft("error", at_us, {**payload, "recoverable": not fact.final}))
            case CallBegan():
                if memory.fresh(_call(fact.id)):
                    drafts.append(_start(fact, fact.id, at_us))
            case CallEnded():
                call_id = fact.id or f"{item.digest:x}"
                if memory.fresh(_call(call_id)):
                    begun_us = at_us - max(0, fact.duration_ms or 0) * 1000
                    drafts.append(_start(fact, call_id, max(0, begun_us)))
                drafts.append(_end(fact, call_id, at_us))
            case TurnUsed():
                drafts.append(Draft("result", at_us, _turn(fact, session_id)))
            case SessionEnded():
                pass
            case _:
                assert_never(fact)
    return drafts


def noted(row: TelemetryRow, item: Item, now_us: int) -> TelemetryRow:
    """The session after a record: usage told by logs, its model, whether it fails, its end."""
    at_us = now_us if item.at_us is None else item.at_us
    if row.ends_us is not None and at_us > row.ends_us:
        row = msgspec.structs.replace(row, ends_us=None)  # it went on
    for fact in item.facts:
        match fact:
            case TurnUsed():
                sums = dict(row.told)
                numbers: dict[str, float] = {**fact.tokens, **some(cost_usd=fact.cost_usd)}
                for name, value in numbers.items():
                    sums[name] = sums.get(name, 0) + value
                model = fact.model or row.model
                row = msgspec.structs.replace(
                    row, told=sums, by_logs=True, model=model, failing=None
                )
            case Failed():
                row = msgspec.structs.replace(row, failing=fact.message)
            case SessionEnded():
                row = msgspec.structs.replace(row, ends_us=at_us)
            case Said() | CallBegan() | CallEnded():
                pass
            case _:
                assert_never(fact)
    return row


def _call(call_id: str) -> int:
    return digest_of(["call", call_id])


def _start(fact: CallBegan | CallEnded, call_id: str, at_us: int) -> Draft:
    payload = some(id=call_id, tool=fact.tool, input=fact.input, lane=fact.lane)
    if fact.input is None:
        payload["redacted"] = True
    return Draft("tool_use_start", at_us, payload)


def _end(fact: CallEnded, call_id: str, at_us: int) -> Draft:
    payload = some(
        id=call_id,
        tool=fact.tool,
        success=fact.success,
        duration_ms=fact.duration_ms,
        exit_code=fact.exit_code,
        error=fact.error if fact.success is False else None,
        output=fact.output,
        lane=fact.lane,
    )
    return Draft("tool_result", at_us, payload)


def _turn(fact: TurnUsed, session_id: str) -> dict[str, Any]:
    usage = {
        "scope": "turn",
        "session_id": session_id,
        **fact.tokens,
        **some(cost_usd=fact.cost_usd, model=fact.model),
    }
    if fact.cost_usd is not None:
        usage["cost_source"] = "agent"
    named = some(model=fact.model, lane=fact.lane)
    return {"subtype": MODEL_CALL, **named, **fact.details, "usage": usage}
