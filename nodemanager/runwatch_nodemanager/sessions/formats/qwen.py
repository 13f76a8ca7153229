"""Qwen Code's sessions: entries of ``~/.qwen/projects/*/chats/*.jsonl`` as events.

Entry types: `agent-formats`, section 4.5. Its telemetry repeats tokens and calls and is left out.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import dict_at, int_at, list_at, present, text_at
from runwatch_nodemanager.agents.protocol import Draft, Json
from runwatch_nodemanager.sessions.formats.calls import Calls
from runwatch_nodemanager.sessions.formats.gemini_calls import (
    EXIT_CODE,
    file_events,
    outcome_of,
    result_text,
)
from runwatch_nodemanager.sessions.formats.protocol import EntryState

QUIET_SYSTEM: Final = frozenset(
    {
        "attribution_snapshot",
        "slash_command",
        "custom_title",
        "session_artifact_snapshot",
        "file_history_snapshot",
    }
)
KEPT_ENTRIES: Final = 64


class QwenSession(EntryState):
    calls: Calls = msgspec.field(default_factory=Calls)
    told: dict[str, list[int]] = {}
    """Input, output, cached and thought tokens told of the newest answers, by entry."""


class QwenReader:
    """One session."""

    def __init__(self, saved: Any) -> None:
        self._state = msgspec.convert(saved or {}, QwenSession)
        self._of_type: dict[str, Callable[[Json], list[Draft] | None]] = {
            "user": self._user,
            "assistant": self._assistant,
            "tool_result": self._result,
            "system": self._system,
        }

    @property
    def state(self) -> QwenSession:
        return self._state

    def begin_run(self) -> None:
        """Tokens are told an answer at a time, so nothing carries over."""

    def save(self) -> Any:
        return msgspec.to_builtins(self._state)

    def entry(self, value: Json) -> list[Draft] | None:
        self._state.session_id = text_at(value, "sessionId") or self._state.session_id
        self._state.version = text_at(value, "version") or self._state.version
        handler = self._of_type.get(text_at(value, "type") or "")
        return None if handler is None else handler(value)

    def _user(self, value: Json) -> list[Draft]:
        text = "\n".join(_texts(value))
        if not text:
            return []
        if text_at(value, "subtype") == "notification":
            return [_note(text)]
        self._state.turn, self._state.error = "working", None
        return [Draft("message", {"role": "user", "content": text})]

    def _assistant(self, value: Json) -> list[Draft]:
        state = self._state
        state.model = text_at(value, "model") or state.model
        drafts: list[Draft] = []
        calls = False
        for part in list_at(value, "message", "parts"):
            call = dict_at(part, "functionCall")
            text = text_at(part, "text")
            if call:
                calls = True
                drafts += self._call(call)
            elif text and dict_at({"part": part}, "part").get("thought") is True:
                drafts.append(Draft("thinking", {"content": text}))
            elif text:
                drafts.append(Draft("message", {"role": "assistant", "content": text}))
        spoke = any(draft.type == "message" for draft in drafts)
        state.turn = "done" if spoke and not calls else "working"
        usage = self._usage(value)
        if usage is not None:
            carrier = drafts[0] if drafts else Draft("x_qwen_usage", {})
            drafts[:1] = [Draft(carrier.type, {**carrier.payload, "usage": usage})]
        return drafts

    def _call(self, call: Json) -> list[Draft]:
        tool = text_at(call, "name") or "tool"
        call_id = text_at(call, "id") or tool
        arguments = dict_at(call, "args")
        paths = {"path": path} if (path := _path_of(arguments)) else {}
        if not self._state.calls.begin(call_id, tool, self._state.moment_us, **paths):
            return []
        return [Draft("tool_use_start", {"id": call_id, "tool": tool, "input": arguments})]

    def _result(self, value: Json) -> list[Draft]:
        parts = list_at(value, "message", "parts")
        told = dict_at(value, "toolCallResult")
        names = (text_at(part, "functionResponse", "id") for part in parts)
        call_id = text_at(told, "callId") or next((name for name in names if name), None)
        display = told.get("resultDisplay")
        text, exit_code = result_text({"result": parts, "resultDisplay": display})
        if exit_code is None and (found := EXIT_CODE.search(text)):
            exit_code = int(found[1])
        success = outcome_of(text_at(told, "status") or "", exit_code)
        call = self._state.calls.open.get(call_id or "")
        drafts = self._state.calls.end(
            call_id,
            self._state.moment_us,
            success=success,
            **present(
                output=text if success is not False else None,
                error=text if success is False else None,
                exit_code=exit_code,
            ),
        )
        if drafts and call is not None and success is not False and "path" in call.facts:
            drafts += file_events(call.tool, {"path": call.facts["path"]}, told)
        return drafts

    def _system(self, value: Json) -> list[Draft] | None:
        kind = text_at(value, "subtype") or ""
        payload = dict_at(value, "systemPayload")
        if kind == "ui_telemetry":
            return self._telemetry(dict_at(payload, "uiEvent"))
        if kind in QUIET_SYSTEM:
            return []
        if kind == "rewind":
            return [_note("rewound to an earlier message")]
        if kind == "chat_compression":
            return [_note("context compacted")]
        return None

    def _telemetry(self, event: Json) -> list[Draft]:
        if text_at(event, "event.name") != "qwen-code.api_error":
            return []
        status = int_at(event, "status_code")
        told = text_at(event, "error_message") or text_at(event, "error") or "the request failed"
        message = f"{status} {told}" if status is not None else told
        self._state.turn, self._state.error = "failed", message
        return [Draft("error", {"code": "api_error", "message": message, "recoverable": True})]

    def _usage(self, value: Json) -> Json | None:
        """Tokens of a model call; the prompt's count has the cache's share in it."""
        counts = dict_at(value, "usageMetadata")
        if not counts:
            return None
        cached = int_at(counts, "cachedContentTokenCount") or 0
        prompt = int_at(counts, "promptTokenCount") or 0
        output = int_at(counts, "candidatesTokenCount") or 0
        thoughts = int_at(counts, "thoughtsTokenCount") or 0
        total = int_at(counts, "totalTokenCount")
        if total is not None and total - prompt >= output + thoughts:
            # Some models count thoughts beside the answer, others within it.
            output += thoughts
        now = [max(0, prompt - cached), output, cached, thoughts]
        entry = text_at(value, "uuid") or ""
        before = self._state.told.pop(entry, [0, 0, 0, 0])
        new = [max(0, count - old) for count, old in zip(now, before, strict=True)]
        self._state.told[entry] = [max(pair) for pair in zip(now, before, strict=True)]
        while len(self._state.told) > KEPT_ENTRIES:
            del self._state.told[next(iter(self._state.told))]
        if not any(new):
            return None
        facts = present(
            model=text_at(value, "model"),
            session_id=self._state.session_id,
            context_tokens=total,
            context_limit=int_at(value, "contextWindowSize"),
        )
        return {
            "scope": "turn",
            "input_tokens": new[0],
            "output_tokens": new[1],
            "cache_read_tokens": new[2],
            "cache_write_tokens": 0,
            "reasoning_tokens": new[3],
            **facts,
        }


def _texts(value: Json) -> list[str]:
    parts = list_at(value, "message", "parts")
    return [text for part in parts if (text := text_at(part, "text"))]


def _path_of(arguments: Json) -> str | None:
    paths = (text_at(arguments, key) for key in ("file_path", "absolute_path", "path"))
    return next((path for path in paths if path), None)


def _note(text: str) -> Draft:
    return Draft("message", {"role": "system", "content": text})
