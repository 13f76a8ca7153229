"""From a line of a transcript to the events of the entries in it, each with its own time.

Counts every entry and loses none: what is no object becomes a message, what is of an unknown type
an ``x_…`` event.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from runwatch_nodemanager.agents.json_values import text_at
from runwatch_nodemanager.agents.protocol import Draft, Json
from runwatch_nodemanager.sessions.formats.protocol import EntryReader, text_of
from runwatch_shared.timestamps import parse_time

NAME_CHARS: Final = 40
_UNFIT: Final = re.compile(r"[^a-z0-9_]+")
_DECODER: Final = json.JSONDecoder()


class Moved(NamedTuple):
    """An event and when it happened."""

    draft: Draft
    moment_us: int


def read_line(
    reader: EntryReader, text: str, *, short: str, skip_us: int = 0, fallback_us: int = 0
) -> list[Moved]:
    """The events of a line.

    Args:
        short: The agent's name in ``x_<short>_…``.
        skip_us: Entries that are not newer were told before the file was written anew.
        fallback_us: The time of entries without one, while none had one yet.
    """
    return [
        moved
        for value in objects_of(text)
        for moved in read_entry(
            reader, value, text, short=short, skip_us=skip_us, fallback_us=fallback_us
        )
    ]


def read_entry(
    reader: EntryReader,
    value: Any,
    text: str,
    *,
    short: str,
    skip_us: int = 0,
    fallback_us: int = 0,
) -> list[Moved]:
    """The events of one entry; ``text`` is shown where it is no object."""
    state = reader.state
    state.tally.entries += 1
    moment_us = moment_of(value)
    if skip_us and (moment_us or state.moment_us or 0) <= skip_us:
        state.moment_us = max(state.moment_us, moment_us or 0)
        state.tally.quiet += 1
        return []
    state.moment_us = max(state.moment_us or fallback_us, moment_us or 0)
    at_us = moment_us or state.moment_us
    if not isinstance(value, dict):
        state.tally.damaged += 1
        content = text if isinstance(value, _Damage) else text_of(value)
        return [Moved(Draft("message", {"role": "system", "content": content}), at_us)]
    drafts = reader.entry(value)
    if drafts is None:
        state.tally.unknown += 1
        # Nested, as what it calls usage, cost or lane is not what a payload means by it.
        drafts = [Draft(f"x_{short}_{_name_of(value)}", {"entry": value})]
    elif drafts:
        state.tally.told += 1
    else:
        state.tally.quiet += 1
    return [Moved(draft, at_us) for draft in drafts]


class _Damage:
    """Stands for text that is no JSON."""


def objects_of(text: str) -> Iterator[Any]:
    """The JSON values of a line: one as a rule, several where two writers met on it."""
    try:
        yield msgspec.json.decode(text)
        return
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        pass
    at = 0
    found: list[Any] = []
    try:
        while at < len(text):
            value, at = _DECODER.raw_decode(text, at)
            msgspec.json.encode(value)  # what cannot be sent is no value
            found.append(value)
            while at < len(text) and text[at].isspace():
                at += 1
    except (ValueError, OverflowError, RecursionError):
        found.append(_Damage())
    yield from found


def moment_of(value: Any) -> int | None:
    """When an entry was written, in microseconds; ``None`` where it does not say."""
    text = text_at(value, "timestamp") or text_at(value, "startTime")
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError:
        return None


def _name_of(value: Json) -> str:
    parts = (
        text_at(value, "type"),
        text_at(value, "subtype") or text_at(value, "payload", "type"),
    )
    named = "_".join(part for part in parts if part) or "untyped"
    return _UNFIT.sub("_", named.lower()).strip("_")[:NAME_CHARS] or "untyped"
