"""Results and file changes of the tool calls of Gemini CLI and Qwen Code, which are of one kin."""

import re
from typing import Final

from runwatch_nodemanager.agents.json_values import int_at, joined_text, list_at, present, text_at
from runwatch_nodemanager.agents.protocol import Draft, Json

EXIT_CODE: Final = re.compile(r"^Exit Code: (-?\d{1,4})\s*$", re.M)
WRITING_TOOLS: Final = frozenset({"write_file", "replace", "edit", "notebook_edit"})
PATH_KEYS: Final = ("file_path", "absolute_path", "path", "notebook_path")
MAX_DIFF_CHARS: Final = 20_000
GOOD: Final = frozenset({"success", "completed", "ok"})


def result_text(call: Json) -> tuple[str, int | None]:
    """What the tool gave back, and a shell's exit code where it is told."""
    parts = [
        text_at(part, "functionResponse", "response", "output")
        or text_at(part, "functionResponse", "response", "error")
        or text_at(part, "text")
        for part in list_at(call, "result")
    ]
    text = "\n".join(part for part in parts if part) or joined_text(call.get("resultDisplay"))
    found = EXIT_CODE.search(text)
    return text, int(found[1]) if found else None


def outcome_of(status: str, exit_code: int | None) -> bool | None:
    """Whether it went well: a shell that fails is ``success`` to the agent (trap 8)."""
    if exit_code not in (None, 0):
        return False
    return status in GOOD if status else None


def file_events(tool: str, arguments: Json, call: Json) -> list[Draft]:
    """The file that a call read or wrote."""
    paths = (text_at(arguments, key) for key in PATH_KEYS)
    path = next((path for path in paths if path), None)
    if path is None:
        return []
    if tool == "read_file":
        return [Draft("file_read", {"path": path})]
    if tool not in WRITING_TOOLS:
        return []
    diff = text_at(call, "resultDisplay", "fileDiff")
    added = int_at(call, "resultDisplay", "diffStat", "model_added_lines")
    removed = int_at(call, "resultDisplay", "diffStat", "model_removed_lines")
    changed = None if added is None else added + (removed or 0)
    shown = diff[:MAX_DIFF_CHARS] if diff else None
    return [Draft("file_write", present(path=path, diff=shown, lines_changed=changed))]
