"""Content blocks of Claude Code's ``assistant`` and ``user`` lines as events."""

import re
from typing import Any, Final

from runwatch_nodemanager.agents.claude_plan import task_result, todo_list
from runwatch_nodemanager.agents.claude_state import ClaudeState
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

CALL_BLOCKS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
ERROR_CODES: Final = {
    "authentication_failed": "auth_failed",
    "oauth_org_not_allowed": "auth_failed",
}
"""Contract 9.3 names the code that marks an account; other codes are the agent's own."""
WRITING_TOOLS: Final = frozenset({"Write", "Edit", "MultiEdit", "NotebookEdit"})
EXIT_CODE: Final = re.compile(r"(?:Error: )?Exit code (\d{1,3})\b")
MAX_DIFF_LINES: Final = 400


def assistant_block(
    state: ClaudeState, block: Any, moment_us: int, *, failure: str | None
) -> list[Draft]:
    """Events of one block the model wrote.

    Args:
        failure: The line's ``error``: the text then tells what went wrong.
    """
    kind = text_at(block, "type") or "untyped"
    if kind == "text":
        text = text_at(block, "text") or ""
        if failure is not None:
            code = ERROR_CODES.get(failure, failure)
            state.auth_failed = state.auth_failed or code == "auth_failed"
            return [Draft("error", {"code": code, "message": text})]
        return [Draft("message", {"role": "assistant", "content": text})]
    if kind == "thinking":
        return [Draft("thinking", {"content": text_at(block, "thinking") or ""})]
    if kind == "redacted_thinking":
        return [Draft("thinking", {"content": "", "redacted": True})]
    if kind in CALL_BLOCKS:
        return _call(state, block, moment_us)
    if kind.endswith("tool_result"):
        return _tool_result(state, block, None, moment_us)
    return [_other(block, kind)]


def user_block(state: ClaudeState, block: Any, structured: Any, moment_us: int) -> list[Draft]:
    """Events of one block given to the model; ``structured`` is the line's ``tool_use_result``."""
    kind = text_at(block, "type") or "untyped"
    if kind.endswith("tool_result"):
        return _tool_result(state, block, structured, moment_us)
    if isinstance(block, str) or kind in {"text", "image", "document"}:
        return [Draft("message", {"role": "user", "content": joined_text([block])})]
    return [_other(block, kind)]


def _call(state: ClaudeState, block: Json, moment_us: int) -> list[Draft]:
    call_id, tool = text_at(block, "id"), text_at(block, "name") or "tool"
    arguments = dict_at(block, "input")
    if call_id is not None:
        path = text_at(arguments, "file_path") or text_at(arguments, "notebook_path")
        subagent = text_at(arguments, "subagent_type")
        state.begin(call_id, Call(tool=tool, moment_us=moment_us, path=path, subagent=subagent))
    begun = Draft("tool_use_start", present(id=call_id, tool=tool, input=arguments))
    plan = todo_list(arguments) if tool == "TodoWrite" else None
    return [begun] if plan is None else [begun, plan]


def _tool_result(state: ClaudeState, block: Json, structured: Any, moment_us: int) -> list[Draft]:
    call_id = text_at(block, "tool_use_id")
    call, duration_ms = state.finish(call_id, moment_us)
    text = joined_text(block.get("content"))
    failed = block.get("is_error") is True
    exit_code = EXIT_CODE.match(text) if failed else None
    result = present(
        id=call_id,
        tool=call.tool if call else None,
        success=not failed,
        output=None if failed else text,
        error=text if failed else None,
        exit_code=int(exit_code[1]) if exit_code else None,
        duration_ms=duration_ms,
    )
    drafts = [Draft("tool_result", result)]
    if call is not None and not failed:
        drafts += _file_events(call, structured)
        planned = task_result(state, call.tool, structured, text)
        drafts += [planned] if planned else []
    return drafts


def _file_events(call: Call, structured: Any) -> list[Draft]:
    if call.tool in WRITING_TOOLS:
        path = text_at(structured, "filePath") or call.path
        if path is None:
            return []
        diff = _diff(structured)
        changed = sum(1 for line in diff if line[:1] in "+-") if diff else None
        shown = "\n".join(diff[:MAX_DIFF_LINES]) if diff else None
        return [Draft("file_write", present(path=path, diff=shown, lines_changed=changed))]
    if call.tool == "Read":
        path = text_at(structured, "file", "filePath") or call.path
        lines = int_at(structured, "file", "numLines")
        return [Draft("file_read", present(path=path, lines=lines))] if path else []
    return []


def _diff(structured: Any) -> list[str]:
    return [
        line
        for hunk in list_at(structured, "structuredPatch")
        for line in list_at(hunk, "lines")
        if isinstance(line, str)
    ]


def _other(block: Any, kind: str) -> Draft:
    name = re.sub(r"[^a-z0-9_]", "_", kind.lower())[:40]
    return Draft(f"x_claude_block_{name}", {"block": block})
