"""What a phone would read from the screen: cells painted as squares of ink and paper, decoded."""

from collections.abc import Iterable
from typing import Final

import zxingcpp
from PIL import Image
from rich.color_triplet import ColorTriplet
from rich.console import Console
from rich.style import Style
from rich.text import Text

from tests.console.driving import Driven

MODULE: Final = 4
"""Pixels of a module; a cell is two modules high and one wide, as terminals are."""
DARK_TERMINAL: Final = ((229, 229, 229), (0, 0, 0))
LIGHT_TERMINAL: Final = ((0, 0, 0), (255, 255, 255))
"""Ink and paper where a program writes no colour."""
_INKED: Final = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
Colour = tuple[int, int, int]


def codes_on(
    driven: Driven, terminal: tuple[Colour, Colour] = DARK_TERMINAL, *, inverted: bool = False
) -> list[str]:
    """What is read from the whole screen; `inverted`: also light on dark."""
    strips = driven.app.screen._compositor.render_strips()
    rows = [
        [(sign, segment.style or Style.null()) for segment in strip for sign in segment.text]
        for strip in strips
    ]
    return read(rows, terminal, inverted=inverted)


def styled_lines(lines: Iterable[str]) -> list[list[tuple[str, Style]]]:
    """Lines with select-graphic-rendition sequences as signs with styles."""
    console = Console()
    texts = [Text.from_ansi(line) if line else Text() for line in lines]
    return [
        [(sign, text.get_style_at_offset(console, at)) for at, sign in enumerate(text.plain)]
        for text in texts
    ]


def read(
    rows: Iterable[Iterable[tuple[str, Style]]],
    terminal: tuple[Colour, Colour] = DARK_TERMINAL,
    *,
    inverted: bool = False,
) -> list[str]:
    """The texts of the QR codes in lines of signs with their styles; other signs are paper."""
    lines = [list(row) for row in rows]
    width = max(map(len, lines))
    image = Image.new("RGB", (width * MODULE, len(lines) * 2 * MODULE), terminal[1])
    for y, line in enumerate(lines):
        for x, (sign, style) in enumerate(line):
            ink, paper = _colours(style, terminal)
            for half, inked in enumerate(_INKED.get(sign, (0, 0))):
                top = (y * 2 + half) * MODULE
                box = (x * MODULE, top, (x + 1) * MODULE, top + MODULE)
                image.paste(ink if inked else paper, box)
    return [
        code.text
        for code in zxingcpp.read_barcodes(
            image,
            formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode),
            try_invert=inverted,
        )
    ]


def _colours(style: Style, terminal: tuple[Colour, Colour]) -> tuple[Colour, Colour]:
    ink, paper = terminal
    if style.color is not None and not style.color.is_default:
        ink = _triplet(style.color.get_truecolor())
    if style.bgcolor is not None and not style.bgcolor.is_default:
        paper = _triplet(style.bgcolor.get_truecolor(foreground=False))
    return (paper, ink) if style.reverse else (ink, paper)


def _triplet(colour: ColorTriplet) -> Colour:
    return colour.red, colour.green, colour.blue
