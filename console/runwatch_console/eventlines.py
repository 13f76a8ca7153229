"""Events of a run as harmless text: one line each, and the whole body when unfolded; pure, no
widths.

What each type's payload holds: contract 9.3. A field that is missing or of another type is left
out, never guessed.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from runwatch_console.formats import format_amount, format_cost, format_duration, moment_s
from runwatch_console.told import PHASES
from runwatch_shared.models import Event, EventView
from runwatch_shared.text import clean, strip_sequences

LINE_LIMIT: Final = 2_000
"""Characters of a line's text; more is in the body."""
BODY_LIMIT: Final = 64 * 1024
"""Characters of an unfolded body."""
BODY_LINES: Final = 400

_decoder: Final = msgspec.json.Decoder(dict[str, Any])
Payload = Mapping[str, Any]


class EventLine(msgspec.Struct, frozen=True, kw_only=True):
    """One event, ready to be shown. `text`, `label`, `lane` and `type` are clean; `payload` is as
    it came.
    """

    seq: int
    time_s: float | None
    received_s: float | None
    type: str
    level: str
    glyph: str
    label: str
    text: str
    tone: str
    lane: str
    payload: bytes
    more: bool
    """Whether the body says more than the line."""

    @property
    def size(self) -> int:
        """Bytes it is taken to hold in memory, roughly."""
        return len(self.payload) + len(self.text) + 400

    @property
    def is_error(self) -> bool:
        """Whether `e` stops here."""
        return self.level == "error" or self.tone == "failed"


class _Shown(msgspec.Struct, frozen=True):
    glyph: str
    label: str
    text: str
    tone: str = ""
    body: bool = False


def event_line(event: Event | EventView) -> EventLine:
    """The line of an event."""
    raw = bytes(event.payload)
    payload = decode_payload(raw)
    show = _TYPES.get(event.type, _other)
    shown = show(payload, event.type)
    first, more = _first_line(shown.text)
    return EventLine(
        seq=event.seq,
        time_s=moment_s(event.timestamp),
        received_s=moment_s(event.received_at),
        type=clean(event.type),
        level=event.level,
        glyph=shown.glyph,
        label=clean(shown.label, limit=40, fold=True),
        text=first,
        tone=shown.tone or _LEVEL_TONES.get(event.level, ""),
        lane=clean(_text(payload, "lane"), limit=40, fold=True),
        payload=raw,
        more=more or shown.body,
    )


_LEVEL_TONES: Final = {"error": "failed", "warning": "waiting", "success": "done"}


def decode_payload(raw: bytes) -> Payload:
    """The payload as a mapping; empty when there is none or when it is none."""
    if not raw:
        return {}
    try:
        return _decoder.decode(raw)
    except msgspec.DecodeError:
        return {}


def body_lines(line: EventLine) -> list[str]:
    """The whole of an event as clean lines, bounded; ends in `…` where it was cut."""
    payload = decode_payload(line.payload)
    text = "\n".join(_body_parts(payload))
    plain = strip_sequences(text[: BODY_LIMIT * 4])
    lines = clean(plain, limit=BODY_LIMIT, newlines=True, tab_size=4).split("\n")
    return lines if len(lines) <= BODY_LINES else [*lines[:BODY_LINES], "…"]


_BODY_FIELDS: Final = (
    "content", "prompt", "action", "target", "reason", "message", "command", "stdout", "stderr",
    "output", "result", "error", "diff", "answer", "comment",
)  # fmt: skip


def _body_parts(payload: Payload) -> list[str]:
    parts = [
        value for name in _BODY_FIELDS if isinstance(value := payload.get(name), str) and value
    ]
    for name in ("input", "output", "result", "items", "artifacts", "options", "argv"):
        value = payload.get(name)
        if isinstance(value, dict | list) and value:
            parts.append(pretty_json(value))
    return parts or [pretty_json(dict(payload))]


def pretty_json(value: object) -> str:
    """Indented JSON, not cleaned."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _first_line(text: str) -> tuple[str, bool]:
    """First line with something on it, clean and bounded, and whether there is more."""
    # Colours of a program's output are no text; every other control is shown as a mark.
    head = strip_sequences(text[: LINE_LIMIT * 4]).lstrip("\r\n")
    line, newline, rest = head.partition("\n")
    more = bool(newline and rest.strip()) or len(text) > LINE_LIMIT * 4
    cleaned = clean(line.rstrip("\r"), limit=LINE_LIMIT, tab_size=4)
    return cleaned, more or cleaned.endswith("…")


def _text(payload: Payload, name: str) -> str:
    value = payload.get(name)
    return value if isinstance(value, str) else ""


def _number(payload: Payload, name: str) -> float | None:
    value = payload.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _duration(payload: Payload) -> str:
    duration_ms = _number(payload, "duration_ms")
    return "" if duration_ms is None else format_duration(duration_ms / 1000)


def _exit(payload: Payload) -> str:
    code = _number(payload, "exit_code")
    return "" if code is None else f"exit {code:.0f}"


def _compact(value: object) -> str:
    if value is None or value == {}:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


_INPUT_FIELDS: Final = (
    "command", "file_path", "path", "pattern", "query", "url", "description", "prompt", "content",
)  # fmt: skip


def input_text(payload: Payload) -> str:
    """The one field of a tool's input that says what it does, else the input as JSON."""
    value = payload.get("input", payload.get("arguments"))
    if not isinstance(value, dict):
        return _compact(value)
    for name in _INPUT_FIELDS:
        chosen = value.get(name)
        if isinstance(chosen, str) and chosen:
            return chosen
        if isinstance(chosen, list) and chosen and all(isinstance(part, str) for part in chosen):
            return " ".join(chosen)
    return _compact(value)


def _agent(payload: Payload) -> str:
    agent = payload.get("agent")
    if not isinstance(agent, dict):
        return _text(payload, "agent")
    return " ".join(part for part in (_text(agent, "type"), _text(agent, "version")) if part)


def _run_started(payload: Payload, _: str) -> _Shown:
    text = _joined(_agent(payload), _text(payload, "runtime"), _text(payload, "node_id"))
    return _Shown("▶", "start", text, "running")


def _run_ended(payload: Payload, event_type: str) -> _Shown:
    status = "failed" if event_type == "run_failed" else _text(payload, "status")
    glyph, tone = _ENDS.get(status, ("✓", ""))
    text = _joined(
        status,
        _exit(payload),
        _text(payload, "error_code"),
        _text(payload, "error"),
        _text(payload, "reason"),
        _duration(payload),
    )
    return _Shown(glyph, "end", text, tone)


_ENDS: Final = {
    "done": ("✓", "done"),
    "success": ("✓", "done"),
    "failed": ("✕", "failed"),
    "timeout": ("✕", "failed"),
    "cancelled": ("–", "cancelled"),
}


def _message(payload: Payload, _: str) -> _Shown:
    stream = _text(payload, "stream")
    if stream:
        return _Shown(" ", stream, _text(payload, "content"), "slow" if stream == "stderr" else "")
    role = _text(payload, "role") or "assistant"
    glyph = {"user": "«", "system": "·"}.get(role, "»")
    return _Shown(glyph, role, _text(payload, "content"), "" if role == "assistant" else "muted")


def _thinking(payload: Payload, _: str) -> _Shown:
    return _Shown("·", "thinking", _text(payload, "content"), "muted")


def _progress(payload: Payload, _: str) -> _Shown:
    share = _number(payload, "progress")
    percent = "" if share is None else f"{share * 100:.0f}%"
    items = payload.get("items")
    plan = ""
    if isinstance(items, list) and items:
        done = sum(1 for item in items if isinstance(item, dict) and item.get("done") is True)
        plan = f"{done}/{len(items)}"
    text = _joined(percent, plan, _text(payload, "message"))
    return _Shown("▸", "progress", text, body=bool(plan))


def _tool_start(payload: Payload, _: str) -> _Shown:
    tool = _text(payload, "tool") or _text(payload, "tool_name") or _text(payload, "name")
    return _Shown("▶", tool or "tool", input_text(payload), "tool", body=True)


def _tool_result(payload: Payload, _: str) -> _Shown:
    success = payload.get("success")
    failed = success is False
    output = payload.get("output", payload.get("result"))
    facts = _joined(_exit(payload), _text(payload, "error"), _duration(payload))
    told = _first_line(_compact(output))[0]
    glyph = "✕" if failed else "✓" if success is True else "·"
    tone = "failed" if failed else "muted"
    return _Shown(glyph, "result", _joined(facts, told), tone, body=bool(output))


def _command(payload: Payload, _: str) -> _Shown:
    argv = payload.get("argv")
    command = _text(payload, "command")
    if not command and isinstance(argv, list):
        command = " ".join(part for part in argv if isinstance(part, str))
    return _Shown("▶", "$", command, "tool")


def _command_output(payload: Payload, _: str) -> _Shown:
    stdout, stderr = _text(payload, "stdout"), _text(payload, "stderr")
    code = _number(payload, "exit_code")
    facts = _exit(payload) if code is not None else ""
    text = _joined(facts, stdout or stderr) if facts else stdout or stderr
    if code:
        return _Shown("✕", "exit", text, "failed")
    label = "stderr" if stderr and not stdout else "exit" if facts and not stdout else "stdout"
    return _Shown(" ", label, text, "slow" if label == "stderr" else "")


def _file(payload: Payload, event_type: str) -> _Shown:
    changed = _number(payload, "lines_changed")
    lines = "" if changed is None else f"{changed:.0f} lines"
    text = _joined(_text(payload, "path"), lines)
    return _Shown("▸", event_type.removeprefix("file_"), text, "tool", body="diff" in payload)


def _approval_request(payload: Payload, _: str) -> _Shown:
    asked = _text(payload, "prompt") or _joined(
        _text(payload, "action"), _text(payload, "target"), _text(payload, "reason")
    )
    return _Shown("◐", _text(payload, "kind") or "approval", asked, "waiting", body=True)


def _approval_response(payload: Payload, _: str) -> _Shown:
    approved = payload.get("approved")
    answer = "approved" if approved is True else "denied" if approved is False else ""
    by = _text(payload, "by")
    text = _joined(
        answer, _text(payload, "answer"), f"by {by}" if by else "", _text(payload, "comment")
    )
    return _Shown("✓" if approved is True else "✕", "answer", text, "waiting")


def _system(payload: Payload, _: str) -> _Shown:
    return _Shown(
        "·",
        "system",
        _joined(_agent(payload), _text(payload, "model"), _text(payload, "cwd")),
        "muted",
        body=True,
    )


def _result(payload: Payload, _: str) -> _Shown:
    usage = payload.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    cost = _number(usage, "cost_usd")
    tokens = [_number(usage, name) for name in ("input_tokens", "output_tokens")]
    known = [count for count in tokens if count is not None]
    facts = _joined(
        f"${format_cost(cost)}" if cost is not None else "",
        f"{format_amount(sum(known))} tok" if known else "",
        _duration(payload),
    )
    failed = payload.get("is_error") is True
    text = _joined(facts, _text(payload, "result"))
    return _Shown("✕" if failed else "✓", "result", text, "failed" if failed else "done", body=True)


def _problem(payload: Payload, event_type: str) -> _Shown:
    text = _joined(_text(payload, "code"), _text(payload, "message"))
    if event_type == "warning":
        return _Shown("▲", "warning", text, "waiting")
    recoverable = payload.get("recoverable") is True
    return _Shown("✕", "error", text, "waiting" if recoverable else "failed")


def _heartbeat(_: Payload, __: str) -> _Shown:
    return _Shown("·", "heartbeat", "", "muted")


def _phase(payload: Payload, event_type: str) -> _Shown:
    """Of a login (contract 10): the type is its phase, or how it ended."""
    text = _joined(event_type, _text(payload, "message"))
    return _Shown("·", "login", text, body=True)


def _other(payload: Payload, event_type: str) -> _Shown:
    text = _text(payload, "message") or _text(payload, "state") or _compact(dict(payload))
    return _Shown("·", event_type, text, "muted", body=bool(payload))


_TYPES: Final[dict[str, Callable[[Payload, str], _Shown]]] = {
    "run_started": _run_started,
    "run_completed": _run_ended,
    "run_failed": _run_ended,
    "message": _message,
    "thinking": _thinking,
    "progress": _progress,
    "tool_use_start": _tool_start,
    "tool_result": _tool_result,
    "command": _command,
    "command_output": _command_output,
    "file_read": _file,
    "file_write": _file,
    "file_delete": _file,
    "approval_request": _approval_request,
    "approval_response": _approval_response,
    "heartbeat": _heartbeat,
    "system_info": _system,
    "result": _result,
    "error": _problem,
    "warning": _problem,
    **dict.fromkeys((*PHASES, "assigned", "success", "failed", "timeout", "cancelled"), _phase),
}
