"""Arguments, outcomes and file changes of Codex's tool calls."""

import re
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import dict_at, int_at, joined_text, list_at, text_at
from runwatch_nodemanager.agents.protocol import Draft, Json

EXIT_CODE: Final = re.compile(r"^(?:Process exited with code|Exit code:) (-?\d{1,4})$", re.M)
HEAD_CHARS: Final = 400
"""Of an output: where its exit code stands."""
MAX_DIFF_CHARS: Final = 20_000


def arguments_of(item: Json) -> Json:
    """What a call was given: JSON in a string, free text, or an action."""
    told = item.get("arguments", item.get("input", item.get("action")))
    if isinstance(told, str):
        value = _decoded(told)
        return value if isinstance(value, dict) else {"input": told}
    return told if isinstance(told, dict) else {}


def outcome_of(item: Json) -> tuple[str, int | None, bool | None]:
    """Text, exit code and success of a result; success is not known where nothing says it."""
    told = item.get("output", item.get("tools"))
    if isinstance(told, dict):
        text = joined_text(told.get("content")) or text_at(told, "output") or ""
        success = told.get("success")
        return text, None, success if isinstance(success, bool) else None
    if isinstance(told, list):
        return joined_text(told), None, None
    text = told if isinstance(told, str) else ""
    value = _decoded(text) if text.startswith("{") else None
    exit_code = int_at(value, "metadata", "exit_code")
    if exit_code is not None:
        return text_at(value, "output") or "", exit_code, exit_code == 0
    found = EXIT_CODE.search(text[:HEAD_CHARS])
    if found is not None:
        return text, int(found[1]), int(found[1]) == 0
    return text, None, None


def plan_of(tool: str, arguments: Json) -> list[Draft]:
    """The agent's plan as progress."""
    items = [
        {"text": text_at(step, "step") or "", "done": text_at(step, "status") == "completed"}
        for step in list_at(arguments, "plan")
    ]
    if tool != "update_plan" or not items:
        return []
    done = sum(1 for item in items if item["done"])
    return [Draft("progress", {"progress": done / len(items), "items": items})]


def file_writes(value: Json, key: str) -> list[Draft]:
    """An event for each file that a patch changed."""
    if value.get("success") is False or text_at(value, "status") in {"failed", "declined"}:
        return []
    drafts = []
    for path, change in dict_at(value, key).items():
        kind = text_at(change, "type") or next(iter(change), "") if isinstance(change, dict) else ""
        if kind == "delete":
            drafts.append(Draft("file_delete", {"path": path}))
            continue
        diff = text_at(change, "unified_diff") or text_at(change, kind, "unified_diff")
        payload: dict[str, Any] = {"path": path}
        if diff is not None:
            lines = diff.splitlines()
            changed = sum(1 for line in lines if line[:1] in {"+", "-"})
            payload |= {"diff": diff[:MAX_DIFF_CHARS], "lines_changed": changed}
        drafts.append(Draft("file_write", payload))
    return drafts


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
