"""Codex' telemetry: its events as facts. Its metrics name no session.

Source: agent-formats 2.6 (events of 0.169).
"""

import re
from typing import Final

from runwatch_server.otlp.facts import CallBegan, CallEnded, Failed, Said, Told, TurnUsed
from runwatch_server.otlp.reading import Reading, prompt_of, some

ROOT_AGENT: Final = "/root"
_EXIT: Final = re.compile(r"^(?:Process exited with code|Exit code:) (-?[0-9]{1,9})$", re.MULTILINE)
_HEAD_CHARS: Final = 400
"""The exit code stands before the output itself."""


def _began(reading: Reading) -> list[Told]:
    payload = some(
        model=reading.text("model"),
        provider=reading.text("provider_name"),
        permission_mode=reading.text("approval_policy"),
        sandbox=reading.text("sandbox_policy"),
    )
    return [Said(type="system_info", payload=payload)]


def _prompt(reading: Reading) -> list[Told]:
    return [Said(type="message", payload=prompt_of(reading))]


def _request(reading: Reading) -> list[Told]:
    status = reading.whole("http.response.status_code")
    message = reading.text("error.message")
    if message is None and (status is None or status < 400):
        return []
    code = "api_error" if status is None else f"http_{status}"
    return [Failed(code=code, message=message or f"the model's server answered {status}")]


def _stream_event(reading: Reading) -> list[Told]:
    message = reading.text("error.message")
    if message is not None:
        return [Failed(code="stream_error", message=message)]
    if reading.text("event.kind") != "response.completed":
        return []
    if reading.whole("input_token_count") is None:
        return []  # the other one of its two records
    cached, written = reading.count("cached_token_count"), reading.count("cache_write_token_count")
    used = TurnUsed(
        model=reading.text("model"),
        tokens={
            "input_tokens": max(0, reading.count("input_token_count") - cached - written),
            "output_tokens": reading.count("output_token_count"),
            "cache_read_tokens": cached,
            "cache_write_tokens": written,
            "reasoning_tokens": reading.count("reasoning_token_count"),
        },
        details=some(ttft_ms=reading.whole("ttft_ms")),
        lane=_lane(reading),
    )
    return [used]


def _decision(reading: Reading) -> list[Told]:
    tool = reading.text("tool_name") or "tool"
    call_id = reading.text("call_id")
    decision = reading.text("decision") or ""
    if not decision.startswith("approved"):
        payload = {"code": "permission_denied", "message": f"{tool} was not allowed ({decision})"}
        return [Said(type="warning", payload=payload)]
    return [] if call_id is None else [CallBegan(id=call_id, tool=tool, lane=_lane(reading))]


def _result(reading: Reading) -> list[Told]:
    output = reading.unkept("output") or ""
    told = _EXIT.search(output[:_HEAD_CHARS])
    exit_code = int(told[1]) if told else None
    success = reading.truth("success")
    if exit_code:
        success = False
    ended = CallEnded(
        id=reading.text("call_id"),
        tool=reading.text("tool_name") or "tool",
        input=reading.given("arguments"),
        success=success,
        duration_ms=reading.whole("duration_ms"),
        exit_code=exit_code,
        output=reading.content("output"),
        lane=_lane(reading),
    )
    return [ended]


def _lane(reading: Reading) -> str | None:
    name = reading.text("agent_name")
    return None if name == ROOT_AGENT else name


EVENTS: Final = {
    "codex.conversation_starts": _began,
    "codex.user_prompt": _prompt,
    "codex.api_request": _request,
    "codex.websocket_request": _request,
    "codex.sse_event": _stream_event,
    "codex.websocket_event": _stream_event,
    "codex.tool_decision": _decision,
    "codex.tool_result": _result,
}
