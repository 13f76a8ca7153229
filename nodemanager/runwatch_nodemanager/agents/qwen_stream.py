"""Reads ``qwen --output-format stream-json``: every line becomes at least one event.

Line types: `agent-formats`, section 4.2: those of Claude Code with fewer fields, other tools and
other counts.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.calls import denied, plan
from runwatch_nodemanager.agents.json_stream import Handler, JsonStream, event_name
from runwatch_nodemanager.agents.json_values import (
    dict_at,
    int_at,
    joined_text,
    list_at,
    present,
    text_at,
)
from runwatch_nodemanager.agents.prices import NO_PRICES, Prices
from runwatch_nodemanager.agents.protocol import Draft, Json, Line
from runwatch_nodemanager.agents.qwen_usage import QwenUsage
from runwatch_nodemanager.agents.stream_state import Call, StreamState
from runwatch_nodemanager.agents.words import error_code, failure_code

SHELL: Final = "run_shell_command"
PLAN: Final = "todo_write"
FILE_EVENTS: Final = {
    "write_file": "file_write",
    "edit": "file_write",
    "notebook_edit": "file_write",
    "read_file": "file_read",
}
"""What a tool that succeeded did to the file its call names."""
PATHS: Final = ("file_path", "absolute_path", "notebook_path")
EXIT_CODE: Final = re.compile(r"^Exit Code: (\d{1,3})$", re.MULTILINE)
API_ERROR: Final = "[API Error:"
TELLS_FAILURES: Final = (0, 24)
"""Recordings of 0.10 and 0.15 call a command that failed a success, those of 0.24 do not."""


class QwenState(StreamState):
    usage: QwenUsage = msgspec.field(default_factory=QwenUsage)
    tells_failures: bool = True
    """Whether a command that failed is told as an error."""


class QwenAdapter(JsonStream[QwenState]):
    """One run's reader; ``resumed``: the session began before this run."""

    agent = "qwen"
    silent = frozenset({"stream_event"})
    code_of_exit: Mapping[int, str] = {
        42: "start_failed",
        44: "start_failed",
        52: "start_failed",
        53: "limit_reached",
        55: "limit_reached",
        130: "interrupted",
    }

    def __init__(
        self, saved: Json | None, *, resumed: bool = False, prices: Prices = NO_PRICES
    ) -> None:
        super().__init__(msgspec.convert(saved or {}, QwenState))
        self._resumed = resumed
        self._prices = prices

    def _handlers(self) -> Mapping[str, Handler]:
        return {
            "system": self._system,
            "assistant": self._assistant,
            "user": self._user,
            "result": self._result,
        }

    def _system(self, value: Json, line: Line) -> list[Draft]:
        subtype = text_at(value, "subtype") or "untyped"
        if subtype != "init":
            return [self._forwarded(subtype, value, known=False)]
        state = self._state
        state.result = None
        state.session_id = text_at(value, "session_id") or state.session_id
        state.model = text_at(value, "model") or state.model
        version = text_at(value, "qwen_code_version")
        state.tells_failures = _version(version) >= TELLS_FAILURES
        info = present(
            agent="qwen-code",
            version=version,
            model=state.model,
            tools=list_at(value, "tools"),
            cwd=text_at(value, "cwd"),
            permission_mode=text_at(value, "permission_mode"),
            session_id=state.session_id,
            mcp_servers=list_at(value, "mcp_servers") or None,
        )
        return [Draft("system_info", info)]

    def _assistant(self, value: Json, line: Line) -> list[Draft]:
        message = dict_at(value, "message")
        content = message.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        drafts = [draft for block in blocks for draft in self._said(block, line.moment_us)]
        model = text_at(message, "model") or self._state.model
        session_id = text_at(value, "session_id") or self._state.session_id
        facts = present(session_id=session_id, model=model)
        usage = self._state.usage.turn(dict_at(message, "usage"), **facts)
        if drafts and usage is not None:
            priced = self._prices.priced(usage, model)
            drafts[0] = Draft(drafts[0].type, {**drafts[0].payload, "usage": priced})
        return drafts

    def _said(self, block: Any, moment_us: int) -> list[Draft]:
        kind = text_at(block, "type") or "untyped"
        match kind:
            case "text":
                text = text_at(block, "text") or ""
                if text.startswith(API_ERROR):
                    code = error_code(failure_code(text))
                    return [Draft("error", {"code": code, "message": text, "recoverable": True})]
                return [Draft("message", {"role": "assistant", "content": text})]
            case "thinking":
                return [Draft("thinking", {"content": text_at(block, "thinking") or ""})]
            case "tool_use":
                return self._call(block, moment_us)
            case _:
                return [_other(block, kind)]

    def _call(self, block: Json, moment_us: int) -> list[Draft]:
        call_id, tool = text_at(block, "id"), text_at(block, "name") or "tool"
        given = dict_at(block, "input")
        command = text_at(given, "command") if tool == SHELL else None
        if call_id is not None:
            path = next((path for name in PATHS if (path := text_at(given, name))), None)
            call = Call(
                tool=tool,
                moment_us=moment_us,
                path=path,
                subagent=text_at(given, "subagent_type"),
                shell=command is not None,
            )
            self._state.begin(call_id, call)
        if command is not None:
            about = text_at(given, "description")
            return [Draft("command", present(id=call_id, command=command, description=about))]
        begun = Draft("tool_use_start", present(id=call_id, tool=tool, input=given))
        drafted = _plan(given) if tool == PLAN else None
        return [begun, drafted] if drafted else [begun]

    def _user(self, value: Json, line: Line) -> list[Draft]:
        content = dict_at(value, "message").get("content")
        if isinstance(content, str):
            return [Draft("message", {"role": "user", "content": content})]
        blocks = content if isinstance(content, list) else []
        return [draft for block in blocks for draft in self._given(block, line.moment_us)]

    def _given(self, block: Any, moment_us: int) -> list[Draft]:
        kind = text_at(block, "type") or "untyped"
        if kind == "tool_result":
            return self._tool_result(block, moment_us)
        if isinstance(block, str) or kind in {"text", "image", "document"}:
            return [Draft("message", {"role": "user", "content": joined_text([block])})]
        return [_other(block, kind)]

    def _tool_result(self, block: Json, moment_us: int) -> list[Draft]:
        call_id = text_at(block, "tool_use_id")
        call, duration_ms = self._state.finish(call_id, moment_us)
        text = joined_text(block.get("content"))
        failed = block.get("is_error") is True
        shell = call is not None and call.shell
        unsure = shell and not self._state.tells_failures
        exit_code = EXIT_CODE.search(text) if failed and shell else None
        result = present(
            id=call_id,
            tool=None if call is None else "command" if call.shell else call.tool,
            success=None if unsure and not failed else not failed,
            output=None if failed else text,
            error=text if failed else None,
            exit_code=int(exit_code[1]) if exit_code else None,
            duration_ms=duration_ms,
        )
        drafts = [Draft("tool_result", result)]
        event = FILE_EVENTS.get(call.tool) if call else None
        if not failed and call is not None and call.path and event is not None:
            drafts.append(Draft(event, {"path": call.path}))
        return drafts

    def _result(self, value: Json, line: Line) -> list[Draft]:
        state = self._state
        subtype = text_at(value, "subtype")
        failed = value.get("is_error") is True or (subtype or "").startswith("error")
        error = text_at(value, "error", "message") or joined_text(value.get("result")) or subtype
        denials = [denial for denial in list_at(value, "permission_denials") if denial]
        session_id = text_at(value, "session_id") or state.session_id
        facts = present(session_id=session_id, model=state.model)
        usage = state.usage.total(dict_at(value, "usage"), resumed=self._resumed, **facts)
        code = failure_code(error or "") if failed else None
        payload = present(
            result=joined_text(value.get("result")) or None,
            subtype=subtype,
            is_error=failed,
            num_turns=int_at(value, "num_turns"),
            duration_ms=int_at(value, "duration_ms"),
            error=error if failed else None,
            permission_denials=denials or None,
            usage=None if usage is None else self._prices.priced(usage, state.model),
        )
        state.result = present(
            is_error=failed, error=(error or "")[:2000] if failed else None, code=code
        )
        drafts = [Draft("result", payload), *self._denied(denials)]
        if code is not None:
            told = {"code": error_code(code), "message": error or "the agent failed"}
            drafts.append(Draft("error", told))
        return drafts

    def _denied(self, denials: list[Any]) -> list[Draft]:
        drafts = []
        for denial in denials:
            call_id = text_at(denial, "tool_use_id") or ""
            if call_id not in self._state.denied:
                tool = text_at(denial, "tool_name") or "a tool"
                drafts.append(denied(tool, call_id, "permission denied"))
                self._state.denied.append(call_id)
        return drafts


def _plan(given: Json) -> Draft | None:
    todos = list_at(given, "todos")
    items = [
        (text_at(todo, "content") or "", text_at(todo, "status") == "completed") for todo in todos
    ]
    now = [text_at(todo, "content") for todo in todos if text_at(todo, "status") == "in_progress"]
    return plan(items, now[0] if now else None)


def _version(text: str | None) -> tuple[int, ...]:
    """Its first two numbers; one that cannot be read is the newest."""
    numbers = re.match(r"(\d{1,6})\.(\d{1,6})", text or "")
    return (int(numbers[1]), int(numbers[2])) if numbers else TELLS_FAILURES


def _other(block: Any, kind: str) -> Draft:
    return Draft(f"x_qwen_block_{event_name(kind)[:40]}", {"block": block})
