"""Reads ``codex exec --json``: every line becomes at least one event.

Line types: `agent-formats`, section 2.2. The stream tells no times, no model and no cost.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from runwatch_nodemanager.agents.codex_items import ITEMS, Item, Phase
from runwatch_nodemanager.agents.codex_state import CodexState
from runwatch_nodemanager.agents.codex_usage import thread_usage
from runwatch_nodemanager.agents.json_stream import Handler, JsonStream
from runwatch_nodemanager.agents.json_values import dict_at, present, text_at
from runwatch_nodemanager.agents.prices import NO_PRICES, Prices
from runwatch_nodemanager.agents.protocol import Draft, Json, Line
from runwatch_nodemanager.agents.words import error_code, failure_code

RETRY: Final = re.compile(r"(?:Reconnecting|Retrying)\b.*?\d+/\d+")


class CodexAdapter(JsonStream[CodexState]):
    """One run's reader.

    Args:
        resumed: The thread began before this run.
    """

    agent = "codex"
    code_of_exit: Mapping[int, str] = {2: "start_failed"}

    def __init__(
        self, saved: Json | None, *, resumed: bool = False, prices: Prices = NO_PRICES
    ) -> None:
        super().__init__(msgspec.convert(saved or {}, CodexState))
        self._resumed = resumed
        self._prices = prices

    def _handlers(self) -> Mapping[str, Handler]:
        return {
            "thread.started": self._thread_started,
            "turn.started": self._turn_started,
            "turn.completed": self._turn_completed,
            "turn.failed": self._turn_failed,
            "item.started": lambda value, line: self._item(value, line, "started"),
            "item.updated": lambda value, line: self._item(value, line, "updated"),
            "item.completed": lambda value, line: self._item(value, line, "completed"),
            "error": self._error,
        }

    def _thread_started(self, value: Json, line: Line) -> list[Draft]:
        state = self._state
        state.session_id = text_at(value, "thread_id")
        state.threads += 1
        state.calls.clear()
        info = present(agent="openai-codex", model=state.model, session_id=state.session_id)
        return [Draft("system_info", info)]

    def _turn_started(self, value: Json, line: Line) -> list[Draft]:
        # A turn that has begun and not ended is no success, whatever the one before it was.
        self._state.result = None
        return []

    def _item(self, value: Json, line: Line, phase: Phase) -> list[Draft]:
        told = dict_at(value, "item")
        kind = text_at(told, "type") or text_at(told, "item_type") or "untyped"
        reader = ITEMS.get(kind)
        if reader is None:
            return [self._forwarded(f"item_{kind}", value, known=False)]
        item_id = self._state.item_id(text_at(told, "id") or "item")
        return reader(self._state, Item(item_id, told, phase, line.moment_us))

    def _turn_completed(self, value: Json, line: Line) -> list[Draft]:
        state = self._state
        usage = self._usage(dict_at(value, "usage"))
        state.result = {"is_error": False}
        payload = present(result=state.answer or None, is_error=False, usage=usage)
        return [Draft("result", payload)]

    def _usage(self, told: Json) -> Json | None:
        """``None`` too where a resumed thread's earlier usage is not known."""
        state = self._state
        thread_id = state.session_id or ""
        first = state.threads <= 1
        if self._resumed and first and state.carried is None:
            return None
        carried = state.carried if self._resumed and first else None
        usage = thread_usage(told, carried or {}, session_id=thread_id or None, model=state.model)
        return None if usage is None else self._prices.priced(usage, state.model)

    def _turn_failed(self, value: Json, line: Line) -> list[Draft]:
        message = text_at(value, "error", "message") or "the turn failed"
        code = failure_code(message)
        self._state.result = {"is_error": True, "error": message[:2000], "code": code}
        return [Draft("error", {"code": error_code(code), "message": message})]

    def _error(self, value: Json, line: Line) -> list[Draft]:
        """Not the end: that is ``turn.failed`` (`agent-formats`, trap 9)."""
        message = text_at(value, "message") or "an error"
        if RETRY.match(message):
            return [Draft("warning", {"code": "api_retry", "message": message})]
        code = error_code(failure_code(message))
        return [Draft("error", {"code": code, "message": message, "recoverable": True})]
