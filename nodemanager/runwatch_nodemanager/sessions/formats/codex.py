"""Codex's rollouts: entries of ``~/.codex/sessions/**/rollout-*.jsonl`` as events.

What the model saw (``response_item``) and what the screen showed (``event_msg``) say the same
things; each is told once. Entry types: `agent-formats`, section 2.5.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import (
    dict_at,
    int_at,
    joined_text,
    list_at,
    number_at,
    present,
    text_at,
)
from runwatch_nodemanager.agents.protocol import Draft, Json
from runwatch_nodemanager.sessions.formats.calls import Calls
from runwatch_nodemanager.sessions.formats.codex_calls import (
    arguments_of,
    file_writes,
    outcome_of,
    plan_of,
)
from runwatch_nodemanager.sessions.formats.protocol import EntryState
from runwatch_nodemanager.sessions.formats.totals import Totals
from runwatch_nodemanager.sessions.formats.twins import Twins
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time

LATEST_RESETS_S: Final = 4_102_444_800
"""The year 2100; a larger number is no time in seconds."""
QUIET_ENTRIES: Final = frozenset(
    {"world_state", "token_usage_record", "inter_agent_communication_metadata"}
)
QUIET_EVENTS: Final = frozenset(
    {
        "thread_settings_applied",
        "thread_name_updated",
        "exec_command_begin",
        "exec_command_end",
        "patch_apply_begin",
        "mcp_tool_call_begin",
        "mcp_tool_call_end",
        "web_search_begin",
        "web_search_end",
        "agent_message_delta",
        "agent_reasoning_raw_content",
        "agent_reasoning_section_break",
        "context_compacted",
        "turn_diff",
    }
)
"""Said by a ``response_item`` too, or of no interest to a person."""
QUIET_ITEMS: Final = frozenset({"ghost_snapshot", "compaction"})
CALLS: Final = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "web_search_call",
        "tool_search_call",
        "image_generation_call",
    }
)
WHOLE_CALLS: Final = frozenset({"web_search_call", "image_generation_call"})
"""Their result is in the entry that names them."""
OWN_WORDS: Final = ("<environment_context", "<user_instructions", "<permissions", "# AGENTS.md")
"""How texts begin that the program itself gives to the model as the user's."""


class CodexSession(EntryState):
    calls: Calls = msgspec.field(default_factory=Calls)
    totals: Totals = msgspec.field(default_factory=Totals)
    twins: Twins = msgspec.field(default_factory=Twins)
    told_usage: dict[str, int] = {}
    unnamed: int = 0
    """Calls without an id so far."""


class CodexReader:
    """One rollout."""

    def __init__(self, saved: Any) -> None:
        self._state = msgspec.convert(saved or {}, CodexSession)
        self._entries: dict[str, Callable[[Json], list[Draft] | None]] = {
            "session_meta": self._meta,
            "turn_context": self._context,
            "response_item": self._item,
            "event_msg": self._event,
            "compacted": lambda payload: [_note("context compacted")],
        }
        self._events: dict[str, Callable[[Json], list[Draft] | None]] = {
            "user_message": lambda event: self._text("event", "user", text_at(event, "message")),
            "agent_message": self._agent_message,
            "agent_reasoning": lambda event: self._thought("event", text_at(event, "text")),
            "token_count": self._tokens,
            "task_started": self._turn_started,
            "turn_started": self._turn_started,
            "task_complete": self._turn_complete,
            "turn_complete": self._turn_complete,
            "turn_aborted": self._aborted,
            "error": self._failed,
            "stream_error": self._retried,
            "warning": lambda event: [_warning("notice", text_at(event, "message"))],
            "item_completed": self._completed,
            "patch_apply_end": lambda event: file_writes(event, "changes"),
            "entered_review_mode": lambda event: [_progress("review begun")],
            "exited_review_mode": lambda event: [_progress("review ended")],
        }

    @property
    def state(self) -> CodexSession:
        return self._state

    def begin_run(self) -> None:
        self._state.totals.begin_run()
        self._state.told_usage = {}

    def save(self) -> Any:
        return msgspec.to_builtins(self._state)

    def entry(self, value: Json) -> list[Draft] | None:
        kind = text_at(value, "type") or ""
        if kind in QUIET_ENTRIES:
            return []
        handler = self._entries.get(kind)
        return None if handler is None else handler(dict_at(value, "payload"))

    def _meta(self, meta: Json) -> list[Draft]:
        # A fork repeats its parent's; the first is its own.
        self._state.session_id = self._state.session_id or text_at(meta, "id")
        self._state.version = text_at(meta, "cli_version") or self._state.version
        return []

    def _context(self, context: Json) -> list[Draft]:
        model = text_at(context, "model")
        if model is None or model == self._state.model:
            return []
        self._state.model = model
        return [Draft("system_info", {"agent": "openai-codex", "model": model})]

    def _item(self, item: Json) -> list[Draft] | None:
        kind = text_at(item, "type") or ""
        if kind in QUIET_ITEMS:
            return []
        if kind == "message":
            return self._message(item)
        if kind == "reasoning":
            return self._thought("item", joined_text(item.get("summary")))
        if kind in CALLS:
            return self._call(kind, item)
        if kind.endswith("_output"):
            return self._output(item)
        return None

    def _message(self, item: Json) -> list[Draft]:
        role, text = text_at(item, "role") or "", joined_text(item.get("content"))
        if role in {"developer", "system"} or text.lstrip().startswith(OWN_WORDS):
            return []
        return self._text("item", role, text)

    def _text(self, channel: str, role: str, text: str | None) -> list[Draft]:
        if role == "assistant" and not self._state.calls.open and self._state.turn == "working":
            # Older versions do not say that a turn is complete; a call that follows opens it again.
            self._state.turn = "done"
        if not text or self._state.twins.is_second(channel, role, text):
            return []
        if role == "user":
            self._state.turn, self._state.error = "working", None
        known = role if role in {"assistant", "user"} else "system"
        return [Draft("message", {"role": known, "content": text})]

    def _agent_message(self, event: Json) -> list[Draft]:
        return self._text("event", "assistant", text_at(event, "message"))

    def _thought(self, channel: str, text: str | None) -> list[Draft]:
        if not text or self._state.twins.is_second(channel, "thinking", text):
            return []
        return [Draft("thinking", {"content": text})]

    def _call(self, kind: str, item: Json) -> list[Draft]:
        state = self._state
        tool = text_at(item, "name") or kind.removesuffix("_call")
        call_id = text_at(item, "call_id") or text_at(item, "id")
        if call_id is None:
            state.unnamed += 1
            call_id = f"{tool}-{state.unnamed}"
        if not state.calls.begin(call_id, tool, state.moment_us):
            return []
        state.turn = "working"
        arguments = arguments_of(item)
        started = {"id": call_id, "tool": tool, "input": arguments}
        drafts = [Draft("tool_use_start", started), *plan_of(tool, arguments)]
        if kind in WHOLE_CALLS:
            success = text_at(item, "status") not in {"failed", "incomplete"}
            drafts += state.calls.end(call_id, state.moment_us, success=success)
        return drafts

    def _output(self, item: Json) -> list[Draft]:
        call_id = text_at(item, "call_id") or text_at(item, "id")
        text, exit_code, success = outcome_of(item)
        facts = present(
            output=text if success is not False else None,
            error=text if success is False else None,
            exit_code=exit_code,
        )
        return self._state.calls.end(call_id, self._state.moment_us, success=success, **facts)

    def _event(self, event: Json) -> list[Draft] | None:
        kind = text_at(event, "type") or ""
        if kind in QUIET_EVENTS:
            return []
        handler = self._events.get(kind)
        return None if handler is None else handler(event)

    def _completed(self, event: Json) -> list[Draft] | None:
        """The newer form of what the screen showed."""
        item = dict_at(event, "item")
        kind = text_at(item, "type") or ""
        if kind == "UserMessage":
            return self._text("event", "user", joined_text(item.get("content")))
        if kind == "AgentMessage":
            return self._text("event", "assistant", joined_text(item.get("content")))
        if kind == "Reasoning":
            parts = [part for part in list_at(item, "summary_text") if isinstance(part, str)]
            return self._thought("event", "\n".join(parts))
        if kind == "FileChange":
            return file_writes(item, "changes")
        if kind in {"CommandExecution", "McpToolCall", "WebSearch", "ImageView"}:
            return []
        return None

    def _turn_started(self, event: Json) -> list[Draft]:
        self._state.turn, self._state.error = "working", None
        return []

    def _turn_complete(self, event: Json) -> list[Draft]:
        error = text_at(event, "error", "message")
        if error is None:
            if self._state.turn != "failed":
                self._state.turn = "done"
            return []
        code = text_at(event, "error", "codex_error_info") or "agent_error"
        return self._fail(code, error)

    def _aborted(self, event: Json) -> list[Draft]:
        self._state.turn = "done"
        return [_warning("turn_aborted", f"turn aborted: {text_at(event, 'reason') or 'unknown'}")]

    def _failed(self, event: Json) -> list[Draft]:
        code = text_at(event, "codex_error_info") or "agent_error"
        return self._fail(code, text_at(event, "message") or "the turn failed")

    def _fail(self, code: str, message: str) -> list[Draft]:
        again = self._state.turn == "failed" and self._state.error == message
        self._state.turn, self._state.error = "failed", message
        return [] if again else [Draft("error", {"code": code, "message": message})]

    def _retried(self, event: Json) -> list[Draft]:
        return [_warning("api_retry", text_at(event, "message"))]

    def _tokens(self, event: Json) -> list[Draft]:
        """Totals of the thread; the same ones come several times (`agent-formats` 2.5)."""
        total = dict_at(event, "info", "total_token_usage")
        drafts: list[Draft] = []
        if total and total != self._state.told_usage:
            counts = {name: int_at(total, name) for name in total}
            self._state.told_usage = present(**counts)
            last = dict_at(event, "info", "last_token_usage")
            facts = present(
                session_id=self._state.session_id,
                model=self._state.model,
                context_tokens=int_at(last, "total_tokens"),
                context_limit=int_at(event, "info", "model_context_window"),
            )
            own = self._state.totals.of_run(counts_of(total))
            drafts.append(Draft("x_codex_usage", {"usage": {"scope": "total", **own, **facts}}))
        return drafts + _limits(event)


def counts_of(told: Json) -> Json:
    """Codex's counts under the contract's names; its input has the cache's share in it."""
    read = int_at(told, "cached_input_tokens") or 0
    written = int_at(told, "cache_write_input_tokens") or 0
    return {
        "input_tokens": max(0, (int_at(told, "input_tokens") or 0) - read - written),
        "output_tokens": int_at(told, "output_tokens") or 0,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "reasoning_tokens": int_at(told, "reasoning_output_tokens") or 0,
    }


def _limits(event: Json) -> list[Draft]:
    """A warning where an account's limit is nearly used up."""
    drafts = []
    for name in ("primary", "secondary"):
        limit = dict_at(event, "rate_limits", name)
        used = number_at(limit, "used_percent")
        if used is None or used < 100:
            continue
        resets = number_at(limit, "resets_at")
        resets_at = None
        if resets is not None and 0 < resets < LATEST_RESETS_S:
            resets_at = format_time(int(resets * MICROSECONDS_PER_SECOND))
        facts = present(kind=name, status="rejected", utilization=used / 100, resets_at=resets_at)
        drafts.append(Draft("system_info", {"agent": "openai-codex", "rate_limit": facts}))
    return drafts


def _note(text: str) -> Draft:
    return Draft("message", {"role": "system", "content": text})


def _progress(text: str) -> Draft:
    return Draft("progress", {"message": text})


def _warning(code: str, message: str | None) -> Draft:
    return Draft("warning", {"code": code, "message": message or code.replace("_", " ")})
