"""What the two lines of a replay say, as (text, tone); no Textual."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runwatch_console.formats import format_clock
from runwatch_console.locale.words import Words
from runwatch_console.recording.index import FAILED
from runwatch_console.statustext import Span

KNOB = "●"
FAILED_SIGN = "✕"
WAITING_SIGN = "◐"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a replay stands."""

    position_s: float
    length_s: float
    began_s: float
    speed: float
    paused: bool


def banner_spans(
    standing: Standing, words: Words, *, name: str, ascii_only: bool
) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """`REPLAY 10:31:22 ×4 ▮▮`, and at the right how far it is and of what."""
    clock = format_clock(standing.began_s + standing.position_s, None)
    ended = standing.position_s >= standing.length_s
    if standing.paused or ended:
        sign = "||" if ascii_only else "▮▮"
    else:
        sign = ">" if ascii_only else "▶"
    text = f" {words('replay.banner')} {clock} {speed_text(standing.speed, words)} {sign} "
    left: list[Span] = [(text, "title")]
    if ended:
        left.append((f" {words('replay.end')} ", ""))
    far = f"{span_text(standing.position_s)} / {span_text(standing.length_s)}"
    return tuple(left), ((f"{name}  ", ""), (f"{far} ", "title"))


def speed_text(speed: float, words: Words) -> str:
    """`×4`, `×0.25`."""
    return f"×{words('replay.most')}" if math.isinf(speed) else f"×{speed:g}"


def span_text(seconds: float) -> str:
    """`1:32`, `2:14:07`."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes = rest // 60
    return f"{hours}:{minutes:02d}:{rest % 60:02d}" if hours else f"{minutes}:{rest % 60:02d}"


def scrub_spans(
    standing: Standing, marks: Sequence[tuple[float, str]], width: int
) -> tuple[Span, ...]:
    """The line from begin to end: where it stands, and where runs failed or began to wait."""
    room = max(1, width - 2)
    cells: list[Span] = [("─", "muted")] * room
    for at_s, kind in marks:
        cell = cell_of(at_s, standing.length_s, room)
        if kind == FAILED:
            cells[cell] = (FAILED_SIGN, "failed")
        elif cells[cell][0] != FAILED_SIGN:
            cells[cell] = (WAITING_SIGN, "waiting")
    knob = cell_of(standing.position_s, standing.length_s, room)
    for cell in range(knob):
        if cells[cell][0] == "─":
            cells[cell] = ("─", "accent")
    cells[knob] = (KNOB, "key")
    return ((" ", ""), *_joined(cells), (" ", ""))


def _joined(cells: Sequence[Span]) -> list[Span]:
    spans: list[Span] = []
    for text, tone in cells:
        if spans and spans[-1][1] == tone:
            spans[-1] = (spans[-1][0] + text, tone)
        else:
            spans.append((text, tone))
    return spans


def cell_of(at_s: float, length_s: float, room: int) -> int:
    """The cell of a moment."""
    share = at_s / length_s if length_s > 0 else 0.0
    return min(room - 1, max(0, round(share * (room - 1))))


def moment_of(cell: int, length_s: float, width: int) -> float:
    """The moment of a cell of the whole line, counted from its left edge."""
    room = max(1, width - 2)
    share = (cell - 1) / (room - 1) if room > 1 else 0.0
    return min(1.0, max(0.0, share)) * length_s
