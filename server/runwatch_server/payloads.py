"""Reading what a payload says, tolerantly: a field of another type is ignored, never refused.

Source: contract 9.3 for the names, contract 17 for the older spellings, contract 5.4 for levels.
Nothing here changes a run.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from runwatch_shared.models import Level
from runwatch_shared.text import clean

Payload = Mapping[str, Any]

NO_PAYLOAD: Final[Payload] = {}
ACTIVITY_CHARS: Final = 160
PROMPT_CHARS: Final = 300

_SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    "id": ("id", "tool_use_id", "tool_id"),
    "tool": ("tool", "tool_name", "name"),
    "input": ("input", "arguments"),
    "output": ("output", "result"),
    "command": ("command", "cmd"),
    "path": ("path", "file"),
    "content": ("content", "text"),
}
_TELLING_INPUT: Final = (
    "command",
    "cmd",
    "file_path",
    "path",
    "pattern",
    "query",
    "url",
    "description",
    "prompt",
)
"""Which part of a tool's input says most in one line, first found."""

_TERMINAL_STATUS: Final[dict[str, str]] = {
    "done": "done",
    "success": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "timeout": "timeout",
}


def decode(payload: bytes | None) -> Payload:
    """The object of a payload; empty where there is none."""
    if payload is None:
        return NO_PAYLOAD
    decoded = msgspec.json.decode(payload)
    return decoded if isinstance(decoded, dict) else NO_PAYLOAD


def mentions(payload: bytes | None, key: bytes) -> bool:
    """Whether the JSON can have this ASCII key at all; an escape could spell any key."""
    return payload is not None and (key in payload or b"\\u" in payload)


def text_of(payload: Payload, name: str) -> str | None:
    """The text under a name or one of its older spellings; None for anything else."""
    for spelling in _SPELLINGS.get(name, (name,)):
        value = payload.get(spelling)
        if isinstance(value, str):
            return value
    return None


def value_of(payload: Payload, name: str) -> object:
    """Whatever stands under a name or one of its older spellings; None when nothing does."""
    for spelling in _SPELLINGS.get(name, (name,)):
        if spelling in payload:
            return payload[spelling]
    return None


def bool_of(payload: Payload, name: str) -> bool | None:
    """True or false where the field is one."""
    value = payload.get(name)
    return value if isinstance(value, bool) else None


def int_of(payload: Payload, name: str) -> int | None:
    """A whole number that fits 64 bits, where the field is one."""
    value = payload.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    return None


def number_of(payload: Payload, name: str) -> float | None:
    """A number, where the field is one."""
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 2**63 else None


def object_of(payload: Payload, name: str) -> Payload:
    """The object under a name, else an empty one."""
    value = payload.get(name)
    return value if isinstance(value, dict) else NO_PAYLOAD


def lane_of(payload: Payload) -> str:
    """The sub-agent an event belongs to; ``lead`` where none is named."""
    lane = text_of(payload, "lane")
    return clean(lane, limit=128, fold=True, marks=False) or "lead" if lane else "lead"


def terminal_status(kind: str, payload: Payload) -> str | None:
    """The status an event ends its run with; None when it ends nothing (contract 9.3)."""
    if kind == "run_failed":
        return "failed"
    if kind == "run_completed":
        return _TERMINAL_STATUS.get(text_of(payload, "status") or "")
    return None


def level_of(kind: str, payload: Payload) -> Level:
    """Contract 5.4; ``payload`` matters only for the types `needs_payload_for_level` names."""
    match kind:
        case "run_failed":
            return "error"
        case "error":
            return "warning" if bool_of(payload, "recoverable") else "error"
        case "tool_result":
            return "error" if bool_of(payload, "success") is False else "info"
        case "run_completed":
            return _LEVEL_OF_END.get(terminal_status(kind, payload) or "", "info")
        case "warning" | "approval_request":
            return "warning"
        case "command_output":
            return "warning" if (int_of(payload, "exit_code") or 0) != 0 else "info"
        case _:
            return "info"


_LEVEL_OF_END: Final[dict[str, Level]] = {
    "done": "success",
    "failed": "error",
    "timeout": "error",
    "cancelled": "warning",
}
DECIDED_BY_PAYLOAD: Final = frozenset({"error", "tool_result", "run_completed"})
"""Types whose level needs the payload; ``command_output`` only when it mentions an exit code."""


def input_digest(payload: Payload) -> str:
    """A short name for a tool's input that is equal exactly for equal inputs."""
    return _digest(value_of(payload, "input"))


def command_digest(payload: Payload) -> str:
    """The same for a ``command`` event: what runs where, not what its line looks like."""
    return _digest([payload.get("argv"), value_of(payload, "command"), payload.get("cwd")])


def _digest(value: object) -> str:
    encoded = msgspec.json.encode(value, order="deterministic")
    return hashlib.blake2b(encoded, digest_size=8).hexdigest()


def call_of(kind: str, payload: Payload) -> str:
    """The tool a call uses; ``command`` events are calls of the tool ``command``."""
    if kind == "command":
        return "command"
    return clean(text_of(payload, "tool") or "tool", limit=80, fold=True, marks=False) or "tool"


def command_line(payload: Payload) -> str:
    """The command of a ``command`` event, for people; an argument list joined by blanks."""
    argv = payload.get("argv")
    if isinstance(argv, list):
        return " ".join(part for part in argv if isinstance(part, str))
    return text_of(payload, "command") or ""


def telling(payload: Payload) -> str:
    """The part of a tool's input that says most in one line; may be empty."""
    given = value_of(payload, "input")
    if isinstance(given, str):
        return given
    if not isinstance(given, dict):
        return ""
    for name in _TELLING_INPUT:
        if isinstance(given.get(name), str):
            return str(given[name])
    return next((value for value in given.values() if isinstance(value, str)), "")


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _last_line(text: str) -> str:
    return next((line for line in reversed(text[-4096:].splitlines()) if line.strip()), "")


def _tool_activity(payload: Payload) -> str:
    part = _first_line(telling(payload))
    tool = call_of("tool_use_start", payload)
    return f"{tool}: {part}" if part else tool


_ACTIVITY: Final[dict[str, Callable[[Payload], str]]] = {
    "run_started": lambda payload: "started",
    "message": lambda payload: _first_line(text_of(payload, "content") or ""),
    "thinking": lambda payload: "thinking",
    "progress": lambda payload: text_of(payload, "message") or "",
    "tool_use_start": _tool_activity,
    "command": lambda payload: f"$ {_first_line(command_line(payload))}",
    "command_output": lambda payload: _last_line(
        (text_of(payload, "stdout") or "") or (text_of(payload, "stderr") or "")
    ),
    "file_read": lambda payload: f"read {text_of(payload, 'path') or ''}",
    "file_write": lambda payload: f"write {text_of(payload, 'path') or ''}",
    "file_delete": lambda payload: f"delete {text_of(payload, 'path') or ''}",
    "approval_request": lambda payload: wait_prompt(payload),
    "checkpoint": lambda payload: "checkpoint",
    "error": lambda payload: f"error: {text_of(payload, 'message') or ''}",
    "warning": lambda payload: f"warning: {text_of(payload, 'message') or ''}",
}


_COMMAND_ACTIVITY: Final = frozenset(_ACTIVITY)
_AGENT_ACTIVITY: Final = _COMMAND_ACTIVITY - {"command_output"}


def activity_types(agent_type: str) -> frozenset[str]:
    """The event types that can set ``activity_text`` of a run of this agent.

    Output lines do for the agent ``command``, which has nothing else to tell.
    """
    return _COMMAND_ACTIVITY if agent_type == "command" else _AGENT_ACTIVITY


def activity_of(kind: str, payload: Payload) -> str:
    """What the run does now, one clean line of at most 160 characters; may be empty."""
    return clean(_ACTIVITY[kind](payload), limit=ACTIVITY_CHARS, fold=True, marks=False)


def wait_prompt(payload: Payload) -> str:
    """What an approval request asks, one clean line of at most 300 characters."""
    parts = (text_of(payload, name) for name in ("prompt", "action", "reason"))
    asked = next((part for part in parts if part), "")
    target = text_of(payload, "target")
    if target and not text_of(payload, "prompt"):
        asked = f"{asked}: {target}"
    return clean(asked, limit=PROMPT_CHARS, fold=True, marks=False)
