"""Gives a draft its number and time, and cuts what is over an event's limits (contract 1.3)."""

from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.protocol import Draft, Json
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import EventInput

STRING_CAPS: Final = (65536, 16384, 4096, 1024, 256, 64)
"""Strings are cut to the first of these that makes the payload fit: the longest lose first."""
ENVELOPE_BYTES: Final = 160
"""More than number, type and time take in a batch."""
MARGIN_BYTES: Final = 1024
"""Kept free for what is added to a payload that was cut."""
ESCAPE_FACTOR: Final = 6
"""A character is at most this many bytes in JSON, or UTF-8 of as many."""


class SizedEvent(msgspec.Struct, frozen=True):
    """An event and the bytes it takes in a batch, at most."""

    event: EventInput
    size: int
    truncated: bool


def number_draft(draft: Draft, *, seq: int, moment_us: int, limit_bytes: int) -> SizedEvent:
    """The event as it is sent.

    Args:
        limit_bytes: Of payload and of raw, each, as JSON.
    """
    payload = draft.payload
    encoded = msgspec.json.encode(payload)
    raw, raw_size, dropped_bytes = _fitting_raw(draft.raw, limit_bytes)
    truncated = len(encoded) > limit_bytes
    if truncated or dropped_bytes:
        room = limit_bytes - MARGIN_BYTES
        notes: Json = {"raw_dropped_bytes": dropped_bytes} if dropped_bytes else {}
        if len(encoded) > room:
            notes |= {"truncated": True, "original_bytes": len(encoded)}
            payload = cut_payload(payload, room)
            raw, raw_size = None, 0
        encoded = msgspec.json.encode({**payload, **notes})
    event = EventInput(
        seq=seq,
        type=draft.type,
        timestamp=format_time(moment_us),
        payload=msgspec.Raw(encoded),
        raw=raw,
    )
    size = len(encoded) + raw_size + len(draft.type) + ENVELOPE_BYTES
    return SizedEvent(event=event, size=size, truncated=truncated or bool(dropped_bytes))


def cut_payload(payload: Json, limit_bytes: int) -> Json:
    """The payload with its longest strings cut so that it fits.

    One that is large without long strings loses all but its own numbers and short texts.
    """
    for cap in STRING_CAPS:
        cut = _capped(payload, cap)
        if len(msgspec.json.encode(cut)) <= limit_bytes:
            return dict(cut)
    kept: Json = {}
    size = 2
    for name, value in _capped(payload, STRING_CAPS[-1]).items():
        size += len(msgspec.json.encode({name: value}))
        if isinstance(value, dict | list) or size > limit_bytes:
            continue
        kept[name] = value
    return kept


def _capped(value: Any, cap: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= cap else value[:cap] + "…"
    if isinstance(value, dict):
        return {_capped(key, cap): _capped(inner, cap) for key, inner in value.items()}
    if isinstance(value, list):
        return [_capped(inner, cap) for inner in value]
    return value


def _fitting_raw(raw: str | None, limit_bytes: int) -> tuple[str | None, int, int]:
    """The raw line or ``None``, its size as JSON, and the bytes that were dropped."""
    if raw is None:
        return None, 0, 0
    if len(raw) * ESCAPE_FACTOR < limit_bytes // 4:
        return raw, len(raw) * ESCAPE_FACTOR, 0
    if len(raw) <= limit_bytes:
        size = len(msgspec.json.encode(raw))
        if size <= limit_bytes:
            return raw, size, 0
    return None, 0, len(raw.encode("utf-8", "surrogatepass"))
