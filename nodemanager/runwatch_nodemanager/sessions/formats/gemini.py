"""Gemini CLI's sessions as events: a log of updates (JSONL), or one document written anew.

The same message comes again with more in it, so what was told of each is remembered by its id and
only what is new is told. Entry types: `agent-formats`, section 3.5.
"""

import hashlib
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import (
    dict_at,
    int_at,
    joined_text,
    list_at,
    present,
    text_at,
)
from runwatch_nodemanager.agents.protocol import Draft, Json
from runwatch_nodemanager.sessions.formats.calls import Calls
from runwatch_nodemanager.sessions.formats.gemini_calls import (
    file_events,
    outcome_of,
    result_text,
)
from runwatch_nodemanager.sessions.formats.protocol import EntryState, text_of

KEPT_MESSAGES: Final = 4096
"""A session with more of them tells an update of an older one again."""
ID_CHARS: Final = 40
OWN_WORDS: Final = ("<session_context", "This is the Gemini CLI. We are setting up")
"""How texts begin that the program itself gives to the model as the user's."""
OPEN_STATUSES: Final = frozenset({"scheduled", "validating", "executing", "awaiting_approval"})
TOLD_ELSEWHERE: Final = frozenset({"functionCall", "functionResponse", "thought"})
NOTES: Final = {"info": "message", "warning": "warning", "error": "error"}


class GeminiSession(EntryState):
    calls: Calls = msgspec.field(default_factory=Calls)
    told: dict[str, list[int]] = {}
    """By message: characters of content, thoughts, and input, output, cached tokens told."""


class GeminiReader:
    """One session, its main file or a sub-agent's."""

    def __init__(self, saved: Any) -> None:
        self._state = msgspec.convert(saved or {}, GeminiSession)

    @property
    def state(self) -> GeminiSession:
        return self._state

    def begin_run(self) -> None:
        """Tokens are told a message at a time, so nothing carries over."""

    def save(self) -> Any:
        return msgspec.to_builtins(self._state)

    def entry(self, value: Json) -> list[Draft] | None:
        if "$set" in value:
            return self._messages(list_at(value, "$set", "messages"))
        if "$rewindTo" in value:
            return [_note("rewound to an earlier message")]
        if "sessionId" in value:
            self._state.session_id = text_at(value, "sessionId") or self._state.session_id
            return self._messages(list_at(value, "messages"))
        if text_at(value, "type") is None:
            return None
        return self._message(value)

    def _messages(self, messages: list[Any]) -> list[Draft]:
        drafts: list[Draft] = []
        for message in messages:
            if isinstance(message, dict):
                told = self._message(message)
                drafts += [Draft("x_gemini_message", message)] if told is None else told
        return drafts

    def _message(self, message: Json) -> list[Draft] | None:
        kind = text_at(message, "type") or ""
        identity = (text_at(message, "id") or "")[:ID_CHARS] or _nameless(message)
        text = _text_of(message.get("content"))
        if kind == "gemini":
            return self._answer(identity, message, text)
        if kind not in NOTES and kind != "user":
            return None
        told = self._told(identity)
        new, told[0] = text[told[0] :], max(told[0], len(text))
        if not new or (kind == "user" and text.lstrip().startswith(OWN_WORDS)):
            return []
        if kind == "user":
            self._state.turn, self._state.error = "working", None
            return [Draft("message", {"role": "user", "content": new})]
        if kind == "error":
            self._state.turn, self._state.error = "failed", new
        if NOTES[kind] == "message":
            return [_note(new)]
        return [Draft(NOTES[kind], {"code": f"gemini_{kind}", "message": new})]

    def _answer(self, identity: str, message: Json, text: str) -> list[Draft]:
        state, told = self._state, self._told(identity)
        state.model = text_at(message, "model") or state.model
        drafts: list[Draft] = []
        thoughts = list_at(message, "thoughts")
        for thought in thoughts[told[1] :]:
            parts = (text_at(thought, "subject"), text_at(thought, "description"))
            drafts.append(Draft("thinking", {"content": ": ".join(p for p in parts if p)}))
        told[1] = max(told[1], len(thoughts))
        if text[told[0] :]:
            content = text[told[0] :]
            drafts.append(Draft("message", {"role": "assistant", "content": content}))
            told[0] = len(text)
        calls = [call for call in list_at(message, "toolCalls") if isinstance(call, dict)]
        for call in calls:
            drafts += self._call(call)
        state.turn = "working" if calls or not text else "done"
        usage = self._usage(told, message)
        if usage is not None:
            carrier = drafts[0] if drafts else Draft("x_gemini_usage", {})
            drafts[:1] = [Draft(carrier.type, {**carrier.payload, "usage": usage})]
        return drafts

    def _call(self, call: Json) -> list[Draft]:
        calls, at_us = self._state.calls, self._state.moment_us
        tool = text_at(call, "name") or "tool"
        call_id = text_at(call, "id") or tool
        arguments = dict_at(call, "args")
        drafts: list[Draft] = []
        if calls.begin(call_id, tool, at_us):
            drafts.append(
                Draft("tool_use_start", {"id": call_id, "tool": tool, "input": arguments})
            )
        status = text_at(call, "status") or ""
        if status in OPEN_STATUSES or (not status and call.get("result") is None):
            return drafts
        text, exit_code = result_text(call)
        success = outcome_of(status, exit_code)
        ended = calls.end(
            call_id,
            at_us,
            success=success,
            **present(
                output=text if success is not False else None,
                error=text if success is False else None,
                exit_code=exit_code,
            ),
        )
        if ended and success is not False:
            ended += file_events(tool, arguments, call)
        return drafts + ended

    def _usage(self, told: list[int], message: Json) -> Json | None:
        """What is new of a message's tokens; its input has the cache's share in it."""
        tokens = dict_at(message, "tokens")
        if not tokens:
            return None
        cached = int_at(tokens, "cached") or 0
        thoughts = int_at(tokens, "thoughts") or 0
        counts = [
            max(0, (int_at(tokens, "input") or 0) - cached) + (int_at(tokens, "tool") or 0),
            (int_at(tokens, "output") or 0) + thoughts,
            cached,
            thoughts,
        ]
        new = [max(0, count - before) for count, before in zip(counts, told[2:], strict=True)]
        told[2:] = [max(count, before) for count, before in zip(counts, told[2:], strict=True)]
        if not any(new):
            return None
        facts = present(
            model=text_at(message, "model"),
            session_id=self._state.session_id,
            context_tokens=int_at(tokens, "total"),
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

    def _told(self, identity: str) -> list[int]:
        told = self._state.told
        found = told.pop(identity, None) or [0, 0, 0, 0, 0, 0]
        told[identity] = found
        while len(told) > KEPT_MESSAGES:
            del told[next(iter(told))]
        return found


def _text_of(content: Any) -> str:
    """Text of a message; thoughts, calls and results have places of their own."""
    if isinstance(content, list):
        content = [part for part in content if not _is_elsewhere(part)]
    return joined_text(content)


def _is_elsewhere(part: Any) -> bool:
    return isinstance(part, dict) and not part.keys().isdisjoint(TOLD_ELSEWHERE)


def _nameless(message: Json) -> str:
    told = (text_at(message, "timestamp") or "") + text_of(message.get("content"))
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:ID_CHARS]


def _note(text: str) -> Draft:
    return Draft("message", {"role": "system", "content": text})
