"""The reader for agents that print a JSON object a line: every line becomes at least one event.

A line of a type not known is forwarded as ``x_<agent>_…`` with its whole content and counted; one
that is no JSON object becomes a ``message``.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

import msgspec

from runwatch_nodemanager.agents.endings import ending
from runwatch_nodemanager.agents.json_values import text_at
from runwatch_nodemanager.agents.protocol import Draft, End, Json, Line
from runwatch_nodemanager.agents.stream_state import StreamState
from runwatch_nodemanager.agents.words import LOGIN_MISSING, error_code

SHOWN_CHARS: Final = 300
TELLING: Final = re.compile(
    r"\b(error|fatal|fail\w*|please|invalid|missing|must|unknown|unexpected|cannot|could not"
    r"|reached|exceeded|denied|refused|abort\w*"
    r"|not (?:found|logged|allowed|configured|supported|trusted))\b",
    re.IGNORECASE,
)
"""Standard error is mostly noise (`agent-formats`, trap 10); a reason has one of these words."""
S = TypeVar("S", bound=StreamState)
Handler = Callable[[Json, Line], list[Draft]]


class JsonStream(ABC, Generic[S]):
    """One run's reader.

    Attributes:
        agent: Its short name, in the names of events of its own.
        silent: Types of lines that are known and change nothing a person would look for.
        code_of_exit: ``error_code`` of an end without a result, by exit status.
    """

    whole_lines = True
    agent: str
    silent: frozenset[str] = frozenset()
    code_of_exit: Mapping[int, str] = {}

    def __init__(self, state: S) -> None:
        self._state = state
        self._lines = self._handlers()

    @property
    def unknown_lines(self) -> int:
        """Lines of a type not known here; each was forwarded all the same."""
        return self._state.unknown_lines

    @abstractmethod
    def _handlers(self) -> Mapping[str, Handler]:
        """By type of line; one that gives no events has its line forwarded as known."""

    def save(self) -> Json:
        saved: Json = msgspec.to_builtins(self._state)
        return saved

    def started(self, argv: list[str], cwd: str) -> list[Draft]:
        return []

    def line(self, line: Line) -> list[Draft]:
        value = decode_object(line)
        return self._words(line) if value is None else self._object(value, line)

    def end(self, end: End) -> list[Draft]:
        result = self._state.result
        if result is None:
            last = self._state.telling_words or self._state.last_words
            told = f"the stream ended without a result{f': {last}' if last else ''}"
            code = self.code_of_exit.get(end.exit_code or 0)
            if code is None and end.exit_code == 0:
                code = "no_result"
            last_event = self._counted(ending(end, error=told, error_code=code))
            if last_event.payload.get("error_code") != LOGIN_MISSING:
                return [last_event]
            # Its exit status alone says so: the account must be known to be refused all the same.
            refused = {"code": error_code(LOGIN_MISSING), "message": told}
            return [Draft("error", refused), last_event]
        error, code = None, None
        if result.get("is_error") is True:
            error = str(result.get("error") or result.get("subtype") or "the agent failed")
            code = str(result.get("code") or "agent_error")
        return [self._counted(ending(end, error=error, error_code=code))]

    def _words(self, line: Line) -> list[Draft]:
        text = line.text.strip()[:SHOWN_CHARS]
        if text:
            self._state.last_words = text
            if TELLING.search(text):
                self._state.telling_words = text
        content = {"role": "system", "content": line.text, "stream": line.stream}
        return [Draft("message", content)]

    def _object(self, value: Json, line: Line) -> list[Draft]:
        kind = text_at(value, "type") or "untyped"
        handler = self._lines.get(kind)
        drafts = handler(value, line) if handler else []
        if not drafts:
            known = handler is not None or kind in self.silent
            drafts = [self._forwarded(kind, value, known=known)]
        lane = self._lane(value)
        told = [Draft(draft.type, {**lane, **draft.payload}, draft.raw) for draft in drafts]
        told[0] = Draft(told[0].type, told[0].payload, line.text)
        return told

    def _lane(self, value: Json) -> Json:
        """Who speaks: the lead, or the sub-agent that the named tool call began."""
        call_id = text_at(value, "parent_tool_use_id")
        if call_id is None:
            return {}
        return {
            "lane": self._state.lane(call_id, text_at(value, "subagent_type")),
            "parent_id": call_id,
        }

    def _forwarded(self, kind: str, value: Json, *, known: bool) -> Draft:
        if not known:
            self._state.unknown_lines += 1
        payload = {key: inner for key, inner in value.items() if key != "type"}
        if not (known or MEANT_BY_ALL.isdisjoint(payload)):
            # Nobody knows what an unknown line means by them.
            payload = {"entry": payload}
        return Draft(f"x_{self.agent}_{event_name(kind)}", payload)

    def _counted(self, draft: Draft) -> Draft:
        if not self._state.unknown_lines:
            return draft
        return Draft(draft.type, {**draft.payload, "unknown_lines": self._state.unknown_lines})


MEANT_BY_ALL: Final = frozenset({"usage", "total_cost_usd", "message", "lane"})
"""What an event of any type may carry (contract 9.3)."""


def event_name(kind: str) -> str:
    """A word of an agent's as part of an event type (contract 9.3)."""
    return re.sub(r"[^a-z0-9_]", "_", kind.lower())[:50]


def decode_object(line: Line) -> Json | None:
    """The JSON object that a whole line of standard output is, else ``None``."""
    if line.stream != "stdout" or line.piece:
        return None
    try:
        value = msgspec.json.decode(line.text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return value if isinstance(value, dict) else None
