"""Claude Code's ``system`` lines by subtype, as events; a table, for there are many."""

from collections.abc import Callable
from typing import Final

from runwatch_nodemanager.agents.claude_state import ClaudeState
from runwatch_nodemanager.agents.json_values import Json, dict_at, int_at, list_at, present, text_at
from runwatch_nodemanager.agents.protocol import Draft

Reader = Callable[[ClaudeState, Json], list[Draft]]


def _init(state: ClaudeState, value: Json) -> list[Draft]:
    state.session_id = text_at(value, "session_id") or state.session_id
    state.model = text_at(value, "model") or state.model
    info = present(
        agent="claude-code",
        version=text_at(value, "claude_code_version"),
        model=text_at(value, "model"),
        tools=list_at(value, "tools"),
        cwd=text_at(value, "cwd"),
        permission_mode=text_at(value, "permissionMode"),
        session_id=text_at(value, "session_id"),
        mcp_servers=list_at(value, "mcp_servers") or None,
    )
    return [Draft("system_info", info)]


def _api_retry(state: ClaudeState, value: Json) -> list[Draft]:
    attempt, most = int_at(value, "attempt"), int_at(value, "max_retries")
    cause = " ".join(
        str(part)
        for part in (int_at(value, "error_status"), text_at(value, "error"))
        if part is not None
    )
    wait_ms = int_at(value, "retry_delay_ms") or 0
    text = f"retry {attempt} of {most} in {wait_ms / 1000:.1f} s after {cause or 'an error'}"
    return [Draft("warning", {"code": "api_retry", "message": text})]


def _status(state: ClaudeState, value: Json) -> list[Draft]:
    if text_at(value, "status") == "compacting":
        return [Draft("progress", {"message": "compacting the context"})]
    return []


def _compacted(state: ClaudeState, value: Json) -> list[Draft]:
    before = int_at(value, "compact_metadata", "pre_tokens")
    trigger = text_at(value, "compact_metadata", "trigger") or "auto"
    size = f", {before} tokens before" if before is not None else ""
    return [Draft("message", {"role": "system", "content": f"context compacted ({trigger}{size})"})]


def _permission_denied(state: ClaudeState, value: Json) -> list[Draft]:
    tool = text_at(value, "tool_name") or "a tool"
    call_id = text_at(value, "tool_use_id") or ""
    state.denied.append(call_id)
    reason = text_at(value, "message") or "permission denied"
    facts = {"code": "permission_denied", "message": f"{tool}: {reason}", "tool": tool}
    return [Draft("warning", {**facts, "id": call_id})]


def _task(state: ClaudeState, value: Json) -> Json:
    """The lane of the sub-agent a task line is about."""
    call_id = text_at(value, "tool_use_id")
    if call_id is None:
        return {}
    return {"lane": state.lane(call_id, text_at(value, "subagent_type")), "parent_id": call_id}


def _task_started(state: ClaudeState, value: Json) -> list[Draft]:
    message = text_at(value, "description") or "sub-agent started"
    return [Draft("progress", {**_task(state, value), "message": message})]


def _task_progress(state: ClaudeState, value: Json) -> list[Draft]:
    parts = [text_at(value, "description"), text_at(value, "last_tool_name")]
    message = ": ".join(part for part in parts if part) or "sub-agent at work"
    return [Draft("progress", {**_task(state, value), "message": message})]


def _task_notification(state: ClaudeState, value: Json) -> list[Draft]:
    status = text_at(value, "status") or "ended"
    summary = text_at(value, "summary") or f"sub-agent {status}"
    return [Draft("message", {**_task(state, value), "role": "system", "content": summary})]


def _hook_response(state: ClaudeState, value: Json) -> list[Draft]:
    code = int_at(value, "exit_code")
    if code in (None, 0):
        return []
    name = text_at(value, "hook_name") or text_at(value, "hook_event") or "hook"
    return [Draft("warning", {"code": "hook_failed", "message": f"{name} exited with code {code}"})]


def _notice(state: ClaudeState, value: Json) -> list[Draft]:
    content = text_at(value, "content") or text_at(value, "message") or text_at(value, "text")
    if content is None:
        return []
    if text_at(value, "level") in {"warning", "error"}:
        return [Draft("warning", {"code": "notice", "message": content})]
    return [Draft("message", {"role": "system", "content": content})]


def _trouble(state: ClaudeState, value: Json) -> list[Draft]:
    code = text_at(value, "subtype") or "trouble"
    message = text_at(value, "message") or text_at(value, "error") or code.replace("_", " ")
    return [Draft("warning", {"code": code, "message": message, **_detail(value)})]


def _detail(value: Json) -> Json:
    detail = dict_at(value, "details")
    return {"details": detail} if detail else {}


def _silent(state: ClaudeState, value: Json) -> list[Draft]:
    """Known, and nothing to tell: the line is forwarded as it is."""
    return []


SYSTEM_LINES: Final[dict[str, Reader]] = {
    "init": _init,
    "api_retry": _api_retry,
    "status": _status,
    "compact_boundary": _compacted,
    "permission_denied": _permission_denied,
    "task_started": _task_started,
    "task_progress": _task_progress,
    "task_notification": _task_notification,
    "hook_response": _hook_response,
    "informational": _notice,
    "notification": _notice,
    "local_command_output": _notice,
    **dict.fromkeys(
        (
            "mirror_error",
            "session_writes_lost",
            "model_refusal_fallback",
            "model_refusal_no_fallback",
        ),
        _trouble,
    ),
    **dict.fromkeys(
        (
            "thinking_tokens",
            "task_updated",
            "background_tasks_changed",
            "hook_started",
            "hook_progress",
            "memory_recall",
            "plugin_install",
            "session_state_changed",
            "commands_changed",
            "files_persisted",
            "worker_shutting_down",
            "elicitation_complete",
        ),
        _silent,
    ),
}
