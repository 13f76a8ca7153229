"""What a tool call is: its tool, and a key that two calls share exactly when tool and input are the
same; pure.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from runwatch_console.eventlines import decode_payload
from runwatch_shared.models import Event, EventView
from runwatch_shared.text import clean

CALL_TYPES: Final = ("tool_use_start", "command")
"""Events that open a call (contract 9.3)."""

_encoder: Final = msgspec.json.Encoder(order="sorted")


class CallKey(NamedTuple):
    """The tool as it is shown, and the digest of the input."""

    tool: str
    digest: str


def call_key(event: Event | EventView) -> CallKey:
    """The key of a call's first event. The order of the input's fields makes no difference."""
    payload = decode_payload(bytes(event.payload))
    if event.type == "command":
        return CallKey("command", _digest(payload.get("command") or payload.get("argv")))
    tool = _first_text(payload, "tool", "tool_name", "name") or "tool"
    given = payload.get("input", payload.get("arguments"))
    return CallKey(clean(tool, limit=80, fold=True), _digest(given))


def _first_text(payload: Mapping[str, Any], *names: str) -> str:
    return next((v for name in names if isinstance(v := payload.get(name), str) and v), "")


def _digest(value: object) -> str:
    return hashlib.sha256(_encoder.encode(value)).hexdigest()[:16]
