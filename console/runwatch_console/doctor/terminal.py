"""What the terminal can do: kind, size, colours, encoding, and how wide it draws; it is asked only
where it is one.
"""

import os
import re
import select
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from runwatch_console.doctor.findings import Finding, fail, ok, warn
from runwatch_console.themes import theme_of_terminal
from runwatch_shared.text import clean

LEAST_COLUMNS: Final = 60
LEAST_LINES: Final = 15
ANSWER_S: Final = 1.0
GLYPHS: Final[Mapping[str, int]] = {"中": 2, "🚀": 2, "●": 1, "│": 1, "✕": 1}
"""Cells that the console counts for a sign."""
_POSITION: Final = re.compile(rb"\x1b\[(\d+);(\d+)R")

Ask = Callable[[bytes], bytes]
"""Writes to the terminal and gives what it sends back; empty if nothing comes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """What is known of it without asking."""

    environment: Mapping[str, str]
    encoding: str
    size: tuple[int, int] | None
    """Columns and lines; None: standard output is no terminal."""


def look_at_terminal(terminal: Terminal) -> Iterator[Finding]:
    """Everything that can be known without asking it."""
    environment = terminal.environment
    term = _shown(environment.get("TERM", ""))
    if terminal.size is None:
        yield warn("terminal.kind", "doctor.no_terminal", "doctor.no_terminal.mend")
    elif term in ("", "dumb"):
        yield fail("terminal.kind", "doctor.dumb", "doctor.dumb.mend", term=term or "–")
    else:
        yield ok("terminal.kind", "doctor.term", term=term)
    if terminal.size is not None:
        columns, lines = terminal.size
        facts = {"columns": columns, "lines": lines, "most": LEAST_COLUMNS, "least": LEAST_LINES}
        if columns < LEAST_COLUMNS or lines < LEAST_LINES:
            yield warn("terminal.size", "doctor.small", "doctor.small.mend", **facts)
        else:
            yield ok("terminal.size", "doctor.size", **facts)
    yield _colours(environment)
    yield _encoding(terminal)


def _colours(environment: Mapping[str, str]) -> Finding:
    theme = theme_of_terminal(environment)
    facts = {
        "term": _shown(environment.get("TERM", "")) or "–",
        "colorterm": _shown(environment.get("COLORTERM", "")) or "–",
        "theme": theme,
    }
    if environment.get("NO_COLOR"):
        return ok("terminal.colours", "doctor.no_color", **facts)
    if theme == "16":
        return warn("terminal.colours", "doctor.sixteen", "doctor.sixteen.mend", **facts)
    if environment.get("COLORTERM", "").casefold() in ("truecolor", "24bit"):
        return ok("terminal.colours", "doctor.truecolor", **facts)
    return ok("terminal.colours", "doctor.many_colours", **facts)


def _encoding(terminal: Terminal) -> Finding:
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    environment = terminal.environment
    locale = next((f"{name}={environment[name]}" for name in names if environment.get(name)), "–")
    facts = {"encoding": _shown(terminal.encoding) or "–", "locale": _shown(locale)}
    if terminal.encoding.lower().replace("-", "").replace("_", "") == "utf8":
        return ok("terminal.unicode", "doctor.unicode", **facts)
    return warn("terminal.unicode", "doctor.ascii", "doctor.ascii.mend", **facts)


def look_at_widths(ask: Ask) -> Finding:
    """Draws each glyph at the start of a line and asks where the cursor is then."""
    wrong = []
    for glyph, cells in GLYPHS.items():
        answer = _POSITION.search(ask(f"\r{glyph}\x1b[6n".encode()))
        ask(b"\r\x1b[2K")
        if answer is None:
            return warn("terminal.widths", "doctor.silent", "doctor.silent.mend")
        drawn = int(answer[2]) - 1
        if drawn != cells:
            wrong.append(f"{glyph} {drawn}≠{cells}")
    if wrong:
        return warn(
            "terminal.widths", "doctor.widths", "doctor.widths.mend", wrong=", ".join(wrong)
        )
    return ok("terminal.widths", "doctor.widths_right", glyphs=" ".join(GLYPHS))


@contextmanager
def asking(source: int, target: int) -> Iterator[Ask]:
    """A way to ask the terminal of two descriptors; keys typed meanwhile are not echoed."""
    before = termios.tcgetattr(source)

    def ask(question: bytes) -> bytes:
        os.write(target, question)
        answer = b""
        if b"\x1b[6n" not in question:
            return answer
        deadline = time.monotonic() + ANSWER_S
        while not _POSITION.search(answer):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([source], [], [], left)[0]:
                break
            answer += os.read(source, 256)
        return answer

    try:
        tty.setcbreak(source)
        yield ask
    finally:
        termios.tcsetattr(source, termios.TCSAFLUSH, before)


def _shown(text: str) -> str:
    return clean(text, limit=60, fold=True)
