"""Reads ``claude -p --output-format stream-json --verbose``: every line becomes at least one event.

Line types: `agent-formats`, section 1.2. A line of a type not known here is forwarded as
``x_claude_…`` with its whole content and counted; one that is no JSON becomes a ``message``.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.claude_blocks import assistant_block, user_block
from runwatch_nodemanager.agents.claude_state import ClaudeState
from runwatch_nodemanager.agents.claude_system import SYSTEM_LINES
from runwatch_nodemanager.agents.claude_usage import total_usage, turn_usage
from runwatch_nodemanager.agents.json_stream import Handler, JsonStream
from runwatch_nodemanager.agents.json_values import (
    dict_at,
    int_at,
    joined_text,
    list_at,
    number_at,
    present,
    text_at,
)
from runwatch_nodemanager.agents.prices import NO_PRICES, Prices
from runwatch_nodemanager.agents.protocol import Draft, Json, Line
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time

SILENT_TYPES: Final = frozenset(
    {
        "stream_event",
        "tool_progress",
        "tool_use_summary",
        "auth_status",
        "prompt_suggestion",
        "conversation_reset",
        "active_goal",
        "keep_alive",
        "control_response",
        "control_cancel_request",
    }
)
"""Known lines that change nothing a person would look for; forwarded, not counted as unknown."""
SYNTHETIC: Final = "<synthetic>"
AUTH_FAILED: Final = "authentication_failed"
LIMIT_SUBTYPES: Final = frozenset({"error_max_turns", "error_max_budget_usd"})
LATEST_RESETS_S: Final = 4_102_444_800
"""The year 2100; a larger number is no time in seconds."""


class ClaudeAdapter(JsonStream[ClaudeState]):
    """One run's reader; ``resumed``: the session began before this run."""

    agent = "claude"
    silent = SILENT_TYPES

    def __init__(
        self, saved: Json | None, *, resumed: bool = False, prices: Prices = NO_PRICES
    ) -> None:
        super().__init__(msgspec.convert(saved or {}, ClaudeState))
        self._resumed = resumed
        self._prices = prices

    def _handlers(self) -> Mapping[str, Handler]:
        return {
            "system": self._system,
            "assistant": self._assistant,
            "user": self._user,
            "result": self._result,
            "stream_event": self._stream_event,
            "rate_limit_event": self._rate_limit,
            "control_request": self._control_request,
        }

    def _system(self, value: Json, line: Line) -> list[Draft]:
        subtype = text_at(value, "subtype") or "untyped"
        handler = SYSTEM_LINES.get(subtype)
        if handler is None:
            return [self._forwarded(subtype, value, known=False)]
        drafts = handler(self._state, value)
        return drafts or [self._forwarded(subtype, value, known=True)]

    def _assistant(self, value: Json, line: Line) -> list[Draft]:
        message = dict_at(value, "message")
        content = message.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        failure = text_at(value, "error")
        drafts = [
            draft
            for block in blocks
            for draft in assistant_block(self._state, block, line.moment_us, failure=failure)
        ]
        usage = self._turn(value, message)
        if drafts and usage is not None:
            drafts[0] = Draft(drafts[0].type, {**drafts[0].payload, "usage": usage})
        return drafts

    def _turn(self, value: Json, message: Json) -> Json | None:
        model = text_at(message, "model")
        message_id = text_at(message, "id")
        usage = dict_at(message, "usage")
        if not usage or message_id is None or model == SYNTHETIC:
            return None
        session_id = text_at(value, "session_id") or self._state.session_id
        told = turn_usage(self._state.usage, message_id, usage, model=model, session_id=session_id)
        return None if told is None else self._prices.priced(told, model)

    def _user(self, value: Json, line: Line) -> list[Draft]:
        content = dict_at(value, "message").get("content")
        if isinstance(content, str):
            return [Draft("message", {"role": "user", "content": content})]
        structured = value.get("tool_use_result")
        return [
            draft
            for block in (content if isinstance(content, list) else [])
            for draft in user_block(self._state, block, structured, line.moment_us)
        ]

    def _stream_event(self, value: Json, line: Line) -> list[Draft]:
        event = dict_at(value, "event")
        kind = text_at(event, "type")
        lane = text_at(value, "parent_tool_use_id") or ""
        usage: Json | None = None
        if kind == "message_start":
            message = dict_at(event, "message")
            self._state.usage.open_message[lane] = text_at(message, "id") or ""
            usage = self._turn(value, message)
        elif kind == "message_delta":
            message_id = self._state.usage.open_message.pop(lane, "")
            message = {"id": message_id, "usage": event.get("usage")}
            usage = self._turn(value, message) if message_id else None
        payload = {"event": event, **present(usage=usage)}
        return [Draft("x_claude_stream_event", payload)]

    def _rate_limit(self, value: Json, line: Line) -> list[Draft]:
        info = dict_at(value, "rate_limit_info")
        status = text_at(info, "status")
        kind = text_at(info, "rateLimitType")
        resets = number_at(info, "resetsAt")
        resets_at = None
        if resets is not None and 0 < resets < LATEST_RESETS_S:
            resets_at = format_time(int(resets * MICROSECONDS_PER_SECOND))
        limit = present(
            kind=kind,
            status=status,
            utilization=number_at(info, "utilization"),
            resets_at=resets_at,
        )
        drafts = [Draft("system_info", {"agent": "claude-code", "rate_limit": limit})]
        if status not in (None, "allowed"):
            text = f"rate limit {kind or ''} {status}".replace("  ", " ")
            drafts.append(Draft("warning", {"code": "rate_limit", "message": text}))
        return drafts

    def _control_request(self, value: Json, line: Line) -> list[Draft]:
        request = dict_at(value, "request")
        if text_at(request, "subtype") != "can_use_tool":
            return [self._forwarded("control_request", value, known=True)]
        tool = text_at(request, "tool_name") or "a tool"
        asked = present(
            id=text_at(value, "request_id"),
            kind="approval",
            action=tool,
            target=text_at(request, "input", "command") or text_at(request, "input", "file_path"),
            prompt=f"Allow {tool}?",
        )
        return [Draft("approval_request", asked)]

    def _result(self, value: Json, line: Line) -> list[Draft]:
        subtype = text_at(value, "subtype")
        errors = [text for text in list_at(value, "errors") if isinstance(text, str)]
        text = joined_text(value.get("result"))
        denials = [denial for denial in list_at(value, "permission_denials") if denial]
        usage = total_usage(
            self._state.usage, value, resumed=self._resumed, carried=self._state.carried
        )
        session_id = text_at(value, "session_id") or self._state.session_id
        if usage is not None:
            usage |= present(session_id=session_id, model=self._state.model)
            usage = self._prices.priced(usage, self._state.model)
        payload = present(
            result=text,
            subtype=subtype,
            is_error=value.get("is_error") is True,
            num_turns=int_at(value, "num_turns"),
            duration_ms=int_at(value, "duration_ms"),
            terminal_reason=text_at(value, "terminal_reason"),
            api_error_status=int_at(value, "api_error_status"),
            errors=errors or None,
            permission_denials=denials or None,
            usage=usage,
        )
        self._state.result = present(
            subtype=subtype,
            is_error=payload["is_error"] or (subtype or "").startswith("error"),
            error=(errors[0] if errors else text)[:2000] or None,
            code=self._failure_code(subtype, int_at(value, "api_error_status")),
        )
        return [Draft("result", payload), *self._denied(denials)]

    def _failure_code(self, subtype: str | None, status: int | None) -> str:
        if subtype in LIMIT_SUBTYPES:
            return "limit_reached"
        if status == 401 or self._state.auth_failed:
            return "login_missing"
        return "agent_error"

    def _denied(self, denials: list[Any]) -> list[Draft]:
        """Denials that no line of their own told before, as older versions have it."""
        drafts = []
        for denial in denials:
            call_id = text_at(denial, "tool_use_id") or ""
            if call_id not in self._state.denied:
                tool = text_at(denial, "tool_name") or "a tool"
                message = f"{tool}: permission denied"
                facts = {"code": "permission_denied", "message": message, "tool": tool}
                drafts.append(Draft("warning", {**facts, "id": call_id}))
                self._state.denied.append(call_id)
        return drafts
