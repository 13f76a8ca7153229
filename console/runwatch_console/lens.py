"""How values become text at this moment: clock, staleness, language, glyphs and time format; no
Textual.
"""

from dataclasses import dataclass, field
from typing import Final

from runwatch_console.formats import (
    ASCII_BARS,
    BARS,
    UNKNOWN,
    TimeFormat,
    format_age,
    format_clock,
    format_moment,
    zone_of,
)
from runwatch_console.locale.words import Words
from runwatch_console.looks import Look

_ASCII: Final = str.maketrans(
    {
        "–": "-",
        "—": "-",
        "≥": ">",
        "…": "~",
        "─": "-",
        "│": "|",
        "·": ".",
        "×": "x",
        "✕": "x",
        "✓": "+",
        "▸": ">",
        "▾": "v",
        "▶": ">",
        "◀": "<",
        "⏎": "=",
        "⇵": "^",
        "●": "*",
        "◐": "?",
        "▲": "!",
        "↻": "@",
        "◔": "%",
        "○": "o",
        "∅": "~",
        "▌": "|",
        "↑": "^",
        "↓": "v",
        "␛": "^",
        "±": "#",
        "»": ">",
        "«": "<",
        **dict(zip(BARS, ASCII_BARS, strict=True)),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lens:
    """What every painter needs beside the row itself."""

    words: Words
    now_s: float = 0.0
    """The server's clock, seconds since the epoch."""
    stale: bool = False
    """The feed is late or gone: ages are lower bounds and rows are dimmed."""
    ascii: bool = False
    time_format: TimeFormat = field(default=TimeFormat.RELATIVE)

    def age(self, age_s: float | None) -> str:
        """An age; `≥41m` while nobody can know better."""
        text = format_age(age_s)
        return f"≥{text}" if self.stale and age_s is not None else text

    def since(self, moment_s: float | None) -> str:
        """The age of a moment, in the time format the user chose."""
        if moment_s is None:
            return UNKNOWN
        if self.time_format is TimeFormat.RELATIVE:
            return self.age(self.now_s - moment_s)
        return format_moment(moment_s, self.now_s, self.time_format)

    def until(self, moment_s: float | None) -> str:
        """How long until a moment; once past, how long ago with a minus before it."""
        if moment_s is None:
            return UNKNOWN
        left_s = moment_s - self.now_s
        return format_age(left_s) if left_s >= 0 else f"-{format_age(-left_s)}"

    def due(self, moment_s: float) -> str:
        """How long until a deadline; while the feed is late or gone its time of day: nobody knows
        whether it is still waited for, and a countdown would say so.
        """
        if self.stale:
            at = format_clock(moment_s, zone_of(self.time_format))
            return self.words("due.at", time=at[: len("10:31")])
        left_s = moment_s - self.now_s
        if left_s < 0:
            return self.words("due.over", age=format_age(-left_s))
        return self.words("due.in", age=format_age(left_s))

    def look(self, look: Look) -> str:
        """Glyph and word."""
        return f"{look.ascii if self.ascii else look.glyph} {self.words(look.word)}"


def as_ascii(text: str) -> str:
    """Our signs by their ASCII twins, anything else by `?`; one character each."""
    if text.isascii():
        return text
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
