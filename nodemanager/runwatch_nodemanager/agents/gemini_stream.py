"""Reads ``gemini --output-format stream-json``: every line is told by an event.

Line types: `agent-formats`, section 3.2. Pieces of an answer are held until it ends or is long: the
event they become carries all of their lines.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from runwatch_nodemanager.agents.calls import denied, plan
from runwatch_nodemanager.agents.gemini_usage import GeminiUsage
from runwatch_nodemanager.agents.json_stream import Handler, JsonStream
from runwatch_nodemanager.agents.json_values import (
    dict_at,
    int_at,
    list_at,
    present,
    text_at,
)
from runwatch_nodemanager.agents.prices import NO_PRICES, Prices
from runwatch_nodemanager.agents.protocol import Draft, End, Json, Line
from runwatch_nodemanager.agents.stream_state import Call, StreamState
from runwatch_nodemanager.agents.words import error_code, failure_code
from runwatch_shared.timestamps import parse_time

SHELL: Final = "run_shell_command"
PLAN: Final = "write_todos"
FILE_EVENTS: Final = {
    "write_file": "file_write",
    "replace": "file_write",
    "read_file": "file_read",
}
"""What a tool that succeeded did to the file its call names."""
DENIALS: Final = frozenset({"policy_violation", "permission_denied"})
HELD_CHARS: Final = 16 * 1024
MAX_ANSWER_CHARS: Final = 16 * 1024


class GeminiState(StreamState):
    usage: GeminiUsage = msgspec.field(default_factory=GeminiUsage)
    held: str = ""
    """The beginning of an answer that has not ended."""
    held_raw: str = ""
    """Its lines."""
    answer: str = ""
    """The newest answer."""


class GeminiAdapter(JsonStream[GeminiState]):
    """One run's reader."""

    agent = "gemini"
    code_of_exit: Mapping[int, str] = {
        41: "login_missing",
        42: "start_failed",
        44: "start_failed",
        52: "start_failed",
        53: "limit_reached",
        55: "start_failed",
        130: "interrupted",
        145: "login_missing",
    }

    def __init__(self, saved: Json | None, *, prices: Prices = NO_PRICES) -> None:
        super().__init__(msgspec.convert(saved or {}, GeminiState))
        self._prices = prices

    def _handlers(self) -> Mapping[str, Handler]:
        return {
            "init": self._init,
            "message": self._message,
            "tool_use": self._tool_use,
            "tool_result": self._tool_result,
            "error": self._error,
            "result": self._result,
        }

    def end(self, end: End) -> list[Draft]:
        return [*self._released(), *super().end(end)]

    def _words(self, line: Line) -> list[Draft]:
        # Another stream's line may come between two pieces of an answer.
        released = self._released() if line.stream == "stdout" else []
        return [*released, *super()._words(line)]

    def _object(self, value: Json, line: Line) -> list[Draft]:
        if _is_piece(value):
            state = self._state
            state.held += text_at(value, "content") or ""
            state.held_raw += f"\n{line.text}" if state.held_raw else line.text
            return self._released() if len(state.held_raw) >= HELD_CHARS else []
        return [*self._released(), *super()._object(value, line)]

    def _released(self) -> list[Draft]:
        state = self._state
        if not state.held_raw:
            return []
        text, raw = state.held, state.held_raw
        state.answer = text[:MAX_ANSWER_CHARS]
        state.held = state.held_raw = ""
        return [Draft("message", {"role": "assistant", "content": text}, raw)]

    def _init(self, value: Json, line: Line) -> list[Draft]:
        state = self._state
        state.usage.next_process()
        state.result = None
        state.session_id = text_at(value, "session_id") or state.session_id
        state.model = text_at(value, "model") or state.model
        info = present(agent="gemini-cli", model=state.model, session_id=state.session_id)
        return [Draft("system_info", info)]

    def _message(self, value: Json, line: Line) -> list[Draft]:
        role, text = text_at(value, "role") or "assistant", text_at(value, "content") or ""
        if role not in {"assistant", "user"}:
            role = "system"
        if role == "assistant":
            self._state.answer = text[:MAX_ANSWER_CHARS]
        return [Draft("message", {"role": role, "content": text})]

    def _tool_use(self, value: Json, line: Line) -> list[Draft]:
        call_id, tool = text_at(value, "tool_id"), text_at(value, "tool_name") or "tool"
        given = dict_at(value, "parameters")
        command = text_at(given, "command") if tool == SHELL else None
        if call_id is not None:
            path = text_at(given, "file_path") or text_at(given, "absolute_path")
            moment_us = _moment(value, line)
            call = Call(tool=tool, moment_us=moment_us, path=path, shell=command is not None)
            self._state.begin(call_id, call)
        if command is not None:
            about = text_at(given, "description")
            return [Draft("command", present(id=call_id, command=command, description=about))]
        begun = Draft("tool_use_start", present(id=call_id, tool=tool, input=given))
        drafted = _plan(given) if tool == PLAN else None
        return [begun, drafted] if drafted else [begun]

    def _tool_result(self, value: Json, line: Line) -> list[Draft]:
        call_id = text_at(value, "tool_id")
        call, duration_ms = self._state.finish(call_id, _moment(value, line))
        good = text_at(value, "status") != "error"
        output = text_at(value, "output")
        kind = text_at(value, "error", "type")
        reason = text_at(value, "error", "message") or output or kind
        result = present(
            id=call_id,
            tool=None if call is None else "command" if call.shell else call.tool,
            # A command that failed is told as a success (`agent-formats`, trap 8).
            success=None if good and call is not None and call.shell else good,
            output=output if good and output else None,
            error=None if good else reason or "failed",
            duration_ms=duration_ms,
        )
        drafts = [Draft("tool_result", result)]
        if kind in DENIALS:
            drafts.append(denied(call.tool if call else "a tool", call_id, reason or "denied"))
        event = FILE_EVENTS.get(call.tool) if call else None
        if good and call is not None and call.path and event is not None:
            drafts.append(Draft(event, {"path": call.path}))
        return drafts

    def _error(self, value: Json, line: Line) -> list[Draft]:
        """Not the end: that is ``result`` (`agent-formats` 3.2)."""
        message = text_at(value, "message") or "an error"
        if text_at(value, "severity") == "warning":
            return [Draft("warning", {"code": "notice", "message": message})]
        code = error_code(failure_code(message))
        return [Draft("error", {"code": code, "message": message, "recoverable": True})]

    def _result(self, value: Json, line: Line) -> list[Draft]:
        state, stats = self._state, dict_at(value, "stats")
        state.usage.take(stats, state.model)
        model = state.usage.busiest() or state.model
        usage = state.usage.total(self._prices, **present(session_id=state.session_id, model=model))
        status = text_at(value, "status")
        kind, message = text_at(value, "error", "type"), text_at(value, "error", "message")
        failed = status != "success"
        code = failure_code(f"{kind} {message}") if failed else None
        error = message or kind or f"the result is {status or 'unknown'}"
        state.result = present(is_error=failed, error=error[:2000] if failed else None, code=code)
        payload = present(
            result=state.answer or None,
            subtype=status,
            is_error=failed,
            duration_ms=int_at(stats, "duration_ms"),
            error=error if failed else None,
            usage=usage,
        )
        drafts = [Draft("result", payload)]
        if code is not None:
            drafts.append(Draft("error", {"code": error_code(code), "message": error}))
        return drafts


def _is_piece(value: Json) -> bool:
    assistant = text_at(value, "role") == "assistant"
    return assistant and text_at(value, "type") == "message" and value.get("delta") is True


def _plan(given: Json) -> Draft | None:
    todos = list_at(given, "todos")
    items = [
        (text_at(todo, "description") or "", text_at(todo, "status") == "completed")
        for todo in todos
    ]
    now = [text_at(todo, "description") for todo in todos if _under_way(todo)]
    return plan(items, now[0] if now else None)


def _under_way(todo: object) -> bool:
    return text_at(todo, "status") == "in_progress"


def _moment(value: Json, line: Line) -> int:
    """When the agent wrote the line, by its own clock; else when it came."""
    try:
        return parse_time(text_at(value, "timestamp") or "")
    except ValueError:
        return line.moment_us
