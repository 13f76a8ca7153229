"""A screen painted cell by cell as PNG, the way a terminal does it: Chinese and signs line up."""

import io
import subprocess
from functools import cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont
from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from rich.terminal_theme import DEFAULT_TERMINAL_THEME

from tests.console.driving import Driven

SIZE: Final = 20
CELL: Final = (12, 25)
NARROW: Final = "DejaVu Sans Mono"
WIDE: Final = "Noto Sans Mono CJK SC"
INK: Final = (224, 224, 224)
PAPER: Final = (18, 18, 18)
COLOURS: Final = 64
EMOJI: Final = 0x1F000
"""From here on signs are emoji, which these fonts do not have; their cells stay blank."""


@cache
def font(family: str, *, bold: bool) -> ImageFont.FreeTypeFont:
    """The file that the system has for this family."""
    pattern = f"{family}:bold" if bold else family
    found = subprocess.run(
        ["fc-match", "-f", "%{file}\n%{index}", pattern], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    return ImageFont.truetype(found[0], SIZE, index=int(found[1] or 0))


def paint(driven: Driven) -> bytes:
    """The screen as it stands, as PNG with no more colours than it needs."""
    strips = driven.app.screen._compositor.render_strips()
    width, height = driven.app.size
    image = Image.new("RGB", (width * CELL[0], height * CELL[1]), PAPER)
    draw = ImageDraw.Draw(image)
    for line, strip in enumerate(strips):
        column = 0
        for segment in strip:
            ink, paper = colours(segment.style or Style.null())
            bold = bool(segment.style and segment.style.bold)
            for character in segment.text:
                cells = cell_len(character)
                left, top = column * CELL[0], line * CELL[1]
                right, bottom = left + cells * CELL[0] - 1, top + CELL[1] - 1
                if cells:
                    draw.rectangle((left, top, right, bottom), fill=paper)
                if character != " " and ord(character) < EMOJI:
                    family = WIDE if cells == 2 else NARROW
                    base = top + round(CELL[1] * 0.78)
                    draw.text(
                        (left, base), character, fill=ink, font=font(family, bold=bold), anchor="ls"
                    )
                column += cells
    small = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


Triplet = tuple[int, int, int]


def colours(style: Style) -> tuple[Triplet, Triplet]:
    """Ink and paper of a style."""
    ink, paper = told(style.color, INK, ink=True), told(style.bgcolor, PAPER, ink=False)
    if style.reverse:
        ink, paper = paper, ink
    if style.dim:
        ink = (
            (ink[0] + paper[0]) // 2,
            (ink[1] + paper[1]) // 2,
            (ink[2] + paper[2]) // 2,
        )
    return ink, paper


def told(colour: Color | None, otherwise: Triplet, *, ink: bool) -> Triplet:
    """A colour in red, green and blue; the terminal's own is `otherwise`."""
    if colour is None or colour.is_default:
        return otherwise
    found = colour.get_truecolor(DEFAULT_TERMINAL_THEME, foreground=ink)
    return found.red, found.green, found.blue
