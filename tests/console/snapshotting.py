"""A screen as a small text: its characters, and below them the style of each stretch of cells."""

from pathlib import Path
from string import ascii_letters
from typing import Final

from rich.segment import Segment
from rich.style import Style

from tests.console.driving import Driven

FOLDER: Final = Path(__file__).with_name("snapshots")
_FLAGS: Final = ("bold", "dim", "italic", "underline", "reverse", "strike")


def snapshot(driven: Driven) -> str:
    """Characters line by line; then for each line stretches of cells as a number and the letter of
    their style; then what each letter means.
    """
    letters: dict[str, str] = {}
    texts, stretches = [], []
    for strip in driven.app.screen._compositor.render_strips():
        texts.append(strip.text.rstrip())
        runs: list[tuple[str, int]] = []
        for segment in strip:
            letter = letters.setdefault(
                told(segment), ascii_letters[len(letters) % 52] * (len(letters) // 52 + 1)
            )
            if runs and runs[-1][0] == letter:
                runs[-1] = (letter, runs[-1][1] + segment.cell_length)
            elif segment.cell_length:
                runs.append((letter, segment.cell_length))
        stretches.append(" ".join(f"{cells}{letter}" for letter, cells in runs))
    meanings = [f"{letter} {style}" for style, letter in letters.items()]
    return "\n".join([*texts, "=== styles", *stretches, "=== letters", *meanings, ""])


def told(segment: Segment) -> str:
    """The style of a segment in words: no more than a terminal gets of it."""
    style = segment.style or Style.null()
    parts = [flag for flag in _FLAGS if getattr(style, flag)]
    if style.color is not None:
        parts.append(style.color.name)
    if style.bgcolor is not None:
        parts.append(f"on {style.bgcolor.name}")
    return " ".join(parts) or "plain"
