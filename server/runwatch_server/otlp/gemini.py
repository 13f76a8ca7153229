"""The telemetry of Gemini CLI, and of Qwen Code, which began as its copy: events and metrics as
facts.

Source: agent-formats 3.6 and 4.6 (events of 0.61 and 0.24).
"""

from collections.abc import Callable, Mapping
from typing import Final

from runwatch_server.otlp.facts import CallEnded, Failed, Said, SessionEnded, Told, TurnUsed
from runwatch_server.otlp.reading import Reading, number, prompt_of, some

Facts = Callable[[Reading], list[Told]]


def _config(reading: Reading) -> list[Told]:
    payload = some(model=reading.text("model"), permission_mode=reading.text("approval_mode"))
    return [Said(type="system_info", payload=payload)]


def _prompt(reading: Reading) -> list[Told]:
    return [Said(type="message", payload=prompt_of(reading))]


def _turn(reading: Reading) -> list[Told]:
    """A model's answer. The input counts what came from the cache; thoughts are beside the output
    where only so the total is right, and so is what tools brought as input.
    """
    given, out = reading.count("input_token_count"), reading.count("output_token_count")
    cached, thoughts = (
        reading.count("cached_content_token_count"),
        reading.count("thoughts_token_count"),
    )
    tools = reading.count("tool_token_count")
    beside = max(0, reading.count("total_token_count") - given - out)
    if beside >= thoughts:
        out += thoughts
        given += tools if beside >= thoughts + tools else 0
    used = TurnUsed(
        model=reading.text("model"),
        tokens={
            "input_tokens": max(0, given - cached),
            "output_tokens": out,
            "cache_read_tokens": cached,
            "cache_write_tokens": 0,
            "reasoning_tokens": thoughts,
        },
        details=some(
            duration_ms=reading.whole("duration_ms"),
            ttft_ms=reading.whole("ttft_ms"),
            request_id=reading.text("response_id"),
            source=reading.text("role"),
        ),
        lane=reading.text("subagent_name"),
    )
    return [used]


def _error(reading: Reading) -> list[Told]:
    status = reading.whole("status_code")
    message = reading.text("error.message") or reading.text("error") or "a call of the model failed"
    return [Failed(code="api_error" if status is None else f"http_{status}", message=message)]


def _tool_call(reading: Reading) -> list[Told]:
    metadata = reading.nested("metadata")
    told = number(metadata.get("exitCode"))
    exit_code = None if told is None else int(told)
    success = False if exit_code else reading.truth("success")
    ended = CallEnded(
        id=reading.text("call_id"),
        tool=reading.text("function_name") or "tool",
        input=reading.given("function_args"),
        success=success,
        duration_ms=reading.whole("duration_ms"),
        exit_code=exit_code,
        error=reading.content("error", "error.message") or reading.text("error_type"),
        lane=reading.text("subagent_name"),
    )
    return [ended]


def _compression(reading: Reading) -> list[Told]:
    return [Said(type="progress", payload={"message": "context compacted"})]


def _started(reading: Reading) -> list[Told]:
    return [Said(type="progress", payload={"message": "session started"})]


def _ended(reading: Reading) -> list[Told]:
    return [SessionEnded()]


def _events(prefix: str) -> dict[str, Facts]:
    return {
        f"{prefix}.config": _config,
        f"{prefix}.user_prompt": _prompt,
        f"{prefix}.api_response": _turn,
        f"{prefix}.api_error": _error,
        f"{prefix}.tool_call": _tool_call,
        f"{prefix}.chat_compression": _compression,
    }


GEMINI_EVENTS: Final = _events("gemini_cli")
QWEN_EVENTS: Final = {
    **_events("qwen-code"),
    "session.start": _started,
    "session.end": _ended,
}
GEMINI_METRICS: Final = {"gemini_cli.token.usage": "type"}
QWEN_METRICS: Final = {"qwen-code.token.usage": "type"}


def gemini_usage_of(sums: Mapping[str, float]) -> dict[str, float]:
    """What Gemini's sums mean: thoughts are beside the output, cached ones within the input."""
    return _usage_of(sums, thoughts_beside=True)


def qwen_usage_of(sums: Mapping[str, float]) -> dict[str, float]:
    """What Qwen's sums mean: thoughts are within the output."""
    return _usage_of(sums, thoughts_beside=False)


def _usage_of(sums: Mapping[str, float], *, thoughts_beside: bool) -> dict[str, float]:
    if not sums:
        return {}
    cached, thoughts = sums.get("cache", 0), sums.get("thought", 0)
    return {
        "input_tokens": max(0, sums.get("input", 0) + sums.get("tool", 0) - cached),
        "output_tokens": sums.get("output", 0) + (thoughts if thoughts_beside else 0),
        "cache_read_tokens": cached,
        "cache_write_tokens": 0,
        "reasoning_tokens": thoughts,
    }
