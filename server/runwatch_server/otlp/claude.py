"""Claude Code's telemetry: its events and metrics as facts.

Source: agent-formats 1.6 (events of 2.1.330).
"""

from collections.abc import Mapping
from typing import Final

from runwatch_server.otlp.facts import CallBegan, CallEnded, Failed, Said, Told, TurnUsed
from runwatch_server.otlp.reading import Reading, prompt_of, some

SUBAGENT: Final = "subagent"


def _prompt(reading: Reading) -> list[Told]:
    return [Said(type="message", payload=prompt_of(reading))]


def _response(reading: Reading) -> list[Told]:
    text = reading.content("response")
    if text is None:
        return []
    payload = some(role="assistant", content=text, lane=_lane(reading))
    return [Said(type="message", payload=payload)]


def _turn(reading: Reading) -> list[Told]:
    cost = reading.number("cost_usd")
    micros = reading.number("cost_usd_micros")
    if cost is None and micros is not None:
        cost = micros / 1_000_000
    used = TurnUsed(
        model=reading.text("model"),
        tokens={
            "input_tokens": reading.count("input_tokens"),
            "output_tokens": reading.count("output_tokens"),
            "cache_read_tokens": reading.count("cache_read_tokens"),
            "cache_write_tokens": reading.count("cache_creation_tokens"),
        },
        cost_usd=cost,
        details=some(
            duration_ms=reading.whole("duration_ms"),
            ttft_ms=reading.whole("ttft_ms"),
            request_id=reading.text("request_id"),
            source=reading.text("query_source"),
        ),
        lane=_lane(reading),
    )
    return [used]


def _decision(reading: Reading) -> list[Told]:
    tool = reading.text("tool_name") or "tool"
    call_id = reading.text("tool_use_id")
    if reading.text("decision") != "accept":
        message = f"{tool} was not allowed ({reading.text('source') or 'unknown'})"
        return [Said(type="warning", payload={"code": "permission_denied", "message": message})]
    if call_id is None:
        return []
    given = reading.given("tool_input", "tool_parameters")
    return [CallBegan(id=call_id, tool=tool, input=given, lane=_lane(reading))]


def _result(reading: Reading) -> list[Told]:
    ended = CallEnded(
        id=reading.text("tool_use_id"),
        tool=reading.text("tool_name") or "tool",
        input=reading.given("tool_input", "tool_parameters"),
        success=reading.truth("success"),
        duration_ms=reading.whole("duration_ms"),
        error=reading.content("error") or reading.text("error_type"),
        lane=_lane(reading),
    )
    return [ended]


def _error(reading: Reading) -> list[Told]:
    code = reading.whole("status_code")
    message = reading.text("error") or "a call of the model failed"
    return [Failed(code="api_error" if code is None else f"http_{code}", message=message)]


def _gave_up(reading: Reading) -> list[Told]:
    message = reading.text("error") or "no attempt to call the model succeeded"
    return [Failed(code="api_retries_exhausted", message=message, final=True)]


def _refusal(reading: Reading) -> list[Told]:
    payload = {"code": "api_refusal", "message": "the model refused to answer"}
    return [Said(type="warning", payload=payload)]


def _mode(reading: Reading) -> list[Told]:
    mode = reading.text("to_mode") or reading.text("permission_mode")
    return [Said(type="system_info", payload={"permission_mode": mode})] if mode else []


def _compaction(reading: Reading) -> list[Told]:
    payload = some(
        message="context compacted",
        pre_tokens=reading.whole("pre_tokens"),
        post_tokens=reading.whole("post_tokens"),
    )
    return [Said(type="progress", payload=payload)]


def _lane(reading: Reading) -> str | None:
    named = reading.text("agent.name")
    if named is None and reading.text("query_source") == SUBAGENT:
        return SUBAGENT
    return named


EVENTS: Final = {
    "user_prompt": _prompt,
    "assistant_response": _response,
    "api_request": _turn,
    "tool_decision": _decision,
    "tool_result": _result,
    "api_error": _error,
    "api_retries_exhausted": _gave_up,
    "api_refusal": _refusal,
    "permission_mode_changed": _mode,
    "compaction": _compaction,
}
METRICS: Final = {"claude_code.token.usage": "type", "claude_code.cost.usage": ""}
_FIELDS: Final = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cacheRead": "cache_read_tokens",
    "cacheCreation": "cache_write_tokens",
    "claude_code.cost.usage": "cost_usd",
}


def usage_of(sums: Mapping[str, float]) -> dict[str, float]:
    """What its metrics' sums mean."""
    return {field: sums[kind] for kind, field in _FIELDS.items() if kind in sums}
