"""Items of Codex's stream by type, as events (`agent-formats` 2.2); a table, for there are many."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from runwatch_nodemanager.agents.calls import denied, inner_command, plan
from runwatch_nodemanager.agents.codex_state import MAX_ANSWER_CHARS, CodexState
from runwatch_nodemanager.agents.json_values import (
    dict_at,
    int_at,
    joined_text,
    list_at,
    present,
    text_at,
)
from runwatch_nodemanager.agents.protocol import Draft, Json
from runwatch_nodemanager.agents.stream_state import Call

Phase = Literal["started", "updated", "completed"]
FILE_TOOL: Final = "apply_patch"
COMMAND_TOOL: Final = "command"


@dataclass(frozen=True, slots=True)
class Item:
    """One line about an item."""

    id: str
    value: Json
    phase: Phase
    moment_us: int

    @property
    def ended(self) -> bool:
        return self.phase == "completed"

    @property
    def status(self) -> str:
        return text_at(self.value, "status") or ""


Reader = Callable[[CodexState, Item], list[Draft]]


def _message(state: CodexState, item: Item) -> list[Draft]:
    if not item.ended:
        return []
    text = text_at(item.value, "text") or ""
    state.answer = text[:MAX_ANSWER_CHARS]
    return [Draft("message", {"role": "assistant", "content": text})]


def _reasoning(state: CodexState, item: Item) -> list[Draft]:
    if not item.ended:
        return []
    return [Draft("thinking", {"content": text_at(item.value, "text") or ""})]


def _notice(state: CodexState, item: Item) -> list[Draft]:
    message = text_at(item.value, "message") or "something is not as it should be"
    return [Draft("warning", {"code": "notice", "message": message})]


def _todo(state: CodexState, item: Item) -> list[Draft]:
    entries = list_at(item.value, "items")
    drafted = plan([(text_at(e, "text") or "", _true_at(e, "completed")) for e in entries])
    return [drafted] if drafted else []


def _command(state: CodexState, item: Item) -> list[Draft]:
    line = inner_command(text_at(item.value, "command") or "")
    begun = _begin(state, item, COMMAND_TOOL, Draft("command", {"id": item.id, "command": line}))
    if not item.ended:
        return begun
    _, duration_ms = state.finish(item.id, item.moment_us)
    output, code = text_at(item.value, "aggregated_output") or "", int_at(item.value, "exit_code")
    if code is not None:
        facts = present(id=item.id, stdout=output, exit_code=code, duration_ms=duration_ms)
        return [*begun, Draft("command_output", facts)]
    good = item.status == "completed"
    reason = output or item.status or "it did not end"
    facts = present(
        id=item.id,
        tool=COMMAND_TOOL,
        success=good,
        output=output if good else None,
        error=None if good else reason,
        duration_ms=duration_ms,
    )
    return [*begun, Draft("tool_result", facts), *_declined(item, f"$ {line}")]


def _file_change(state: CodexState, item: Item) -> list[Draft]:
    changes = [change for change in list_at(item.value, "changes") if isinstance(change, dict)]
    # The first path stands by itself too, so that the call can be told in a line.
    first = next((path for change in changes if (path := text_at(change, "path"))), None)
    begun = _begin_tool(state, item, FILE_TOOL, present(path=first, changes=changes))
    if not item.ended:
        return begun
    drafts = [*begun, _tool_result(state, item, FILE_TOOL, "", error="the change was not made")]
    if item.status == "completed":
        drafts += [_changed(change) for change in changes if text_at(change, "path")]
    return [*drafts, *_declined(item, FILE_TOOL)]


def _changed(change: Json) -> Draft:
    kind = text_at(change, "kind") or "update"
    path = text_at(change, "path") or ""
    if kind == "delete":
        return Draft("file_delete", {"path": path})
    return Draft("file_write", {"path": path, "kind": kind})


def _mcp_call(state: CodexState, item: Item) -> list[Draft]:
    server, name = text_at(item.value, "server") or "mcp", text_at(item.value, "tool") or "tool"
    tool = f"mcp__{server}__{name}"
    begun = _begin_tool(state, item, tool, item.value.get("arguments"))
    if not item.ended:
        return begun
    output = joined_text(dict_at(item.value, "result").get("content"))
    error = text_at(item.value, "error", "message") or output
    return [*begun, _tool_result(state, item, tool, output, error=error), *_declined(item, tool)]


def _web_search(state: CodexState, item: Item) -> list[Draft]:
    asked = present(query=text_at(item.value, "query"), action=item.value.get("action"))
    begun = _begin_tool(state, item, "web_search", asked)
    if not item.ended:
        return begun
    _, duration_ms = state.finish(item.id, item.moment_us)
    facts = present(id=item.id, tool="web_search", success=True, duration_ms=duration_ms)
    return [*begun, Draft("tool_result", facts)]


def _collab_call(state: CodexState, item: Item) -> list[Draft]:
    tool = text_at(item.value, "tool") or "collab"
    receivers = [one for one in list_at(item.value, "receiver_thread_ids") if isinstance(one, str)]
    asked = present(prompt=text_at(item.value, "prompt"), receivers=receivers or None)
    begun = _begin_tool(state, item, tool, asked)
    if not item.ended:
        return begun
    result = _tool_result(state, item, tool, "", error=item.status or "failed")
    states = dict_at(item.value, "agents_states").items()
    return [*begun, result, *(_of_subagent(item, thread, told) for thread, told in states)]


def _of_subagent(item: Item, thread_id: str, told: Any) -> Draft:
    words = (text_at(told, "status"), text_at(told, "message"))
    message = ": ".join(word for word in words if word) or "at work"
    lane = f"agent-{thread_id[-6:]}"
    return Draft("progress", {"lane": lane, "parent_id": item.id, "message": message})


def _begin_tool(state: CodexState, item: Item, tool: str, given: Any) -> list[Draft]:
    facts = present(id=item.id, tool=tool, input=given)
    return _begin(state, item, tool, Draft("tool_use_start", facts))


def _begin(state: CodexState, item: Item, tool: str, draft: Draft) -> list[Draft]:
    """Older versions tell some calls only when they have ended (`agent-formats` 2.7)."""
    if item.id in state.calls:
        return []
    state.begin(item.id, Call(tool=tool, moment_us=item.moment_us))
    return [draft]


def _tool_result(state: CodexState, item: Item, tool: str, output: str, *, error: str) -> Draft:
    _, duration_ms = state.finish(item.id, item.moment_us)
    good = item.status in {"completed", ""} and not dict_at(item.value, "error")
    facts = present(
        id=item.id,
        tool=tool,
        success=good,
        output=output if good and output else None,
        error=None if good else error or item.status,
        duration_ms=duration_ms,
    )
    return Draft("tool_result", facts)


def _declined(item: Item, what: str) -> list[Draft]:
    return [denied(what, item.id, "declined")] if item.status == "declined" else []


def _true_at(value: Any, key: str) -> bool:
    return isinstance(value, dict) and value.get(key) is True


ITEMS: Final[dict[str, Reader]] = {
    "agent_message": _message,
    "assistant_message": _message,
    "reasoning": _reasoning,
    "error": _notice,
    "todo_list": _todo,
    "command_execution": _command,
    "file_change": _file_change,
    "mcp_tool_call": _mcp_call,
    "web_search": _web_search,
    "collab_tool_call": _collab_call,
}
