"""Text for a terminal or a pipe without Textual: cells, cutting, padding, colours; pure."""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

ELLIPSIS: Final = "…"

SGR: Final[Mapping[str, str]] = {
    "running": "32",
    "done": "32",
    "waiting": "1;33",
    "stalled": "1;35",
    "looping": "1;35",
    "slow": "33",
    "queued": "36",
    "failed": "1;31",
    "unknown": "35",
    "cancelled": "2",
    "muted": "2",
    "tool": "36",
    "id": "1",
}
"""Select-graphic-rendition parameters by tone; a tone that is not here stays plain."""


@lru_cache(maxsize=4096)
def _character_cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cells(text: str) -> int:
    """How many cells a terminal gives the text; it is taken to be clean."""
    return len(text) if text.isascii() else sum(map(_character_cells, text))


def cut(text: str, width: int) -> str:
    """The text in at most `width` cells, ending in `…` where something is left out."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    used, kept = 0, []
    for character in text:
        used += _character_cells(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + ELLIPSIS


def pad(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    """The text in exactly `width` cells."""
    shown = cut(text, width)
    space = " " * (width - cells(shown))
    return space + shown if align == "right" else shown + space


def coloured(text: str, tone: str) -> str:
    """The text between the tone's colour and its end."""
    parameters = SGR.get(tone)
    return f"\x1b[{parameters}m{text}\x1b[0m" if parameters and text.strip() else text
