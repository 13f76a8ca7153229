"""A web address as a QR code: which addresses get one, and its modules as cells of a terminal; no
Textual, no colour.
"""

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import segno

MOST_CHARACTERS: Final = 1_000
"""Of an address: beyond it a code is larger than screens are and phones can read."""
QUIET: Final = 4
"""Light modules around the code, as ISO/IEC 18004 wants them."""
LEAST_QUIET: Final = 2
"""With so many phones still read it; it is what makes long addresses fit a small terminal."""
_SCHEMES: Final = ("http", "https")
_HOST_SIGNS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")


class Refusal(StrEnum):
    """Why an address gets no code; ids of the locale after `qr.`."""

    NONE = "none"
    NOT_WEB = "not_web"
    """Neither http nor https, or nothing that names a host: masked ones, too."""
    DISGUISED = "disguised"
    """A name or a password before the host (`https://known@elsewhere/`), or a sign that is none of
    an address: it would not lead where it seems to.
    """
    TOO_LONG = "too_long"


class QrError(ValueError):
    """The address gets no code."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Cell(NamedTuple):
    """One cell of the terminal: whether its upper and its lower half are dark."""

    upper: bool
    lower: bool


Modules = tuple[tuple[bool, ...], ...]
"""Rows of a code without its quiet zone; True is dark."""


def host_of(url: str) -> str:
    """The host an address leads to, in lower case.

    Raises:
        QrError: It is no address of the web that a person could check by its host.
    """
    if not url:
        raise QrError(Refusal.NONE)
    if len(url) > MOST_CHARACTERS:
        raise QrError(Refusal.TOO_LONG)
    if not (url.isascii() and url.isprintable()) or set(url) & set(' \\"<>^`{|}'):
        raise QrError(Refusal.DISGUISED)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise QrError(Refusal.NOT_WEB) from error
    if parts.scheme not in _SCHEMES or not _names_a_host(host):
        raise QrError(Refusal.NOT_WEB)
    if "@" in parts.netloc:
        raise QrError(Refusal.DISGUISED)
    return host


def _names_a_host(host: str) -> bool:
    if ":" not in host:
        return bool(host.strip(".-")) and set(host) <= _HOST_SIGNS
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def modules_of(url: str) -> Modules:
    """The code of an address, with the strongest correction its size has room for.

    Raises:
        QrError: The address gets none; see `host_of`.
    """
    host_of(url)
    # Micro codes are smaller, and most phones cannot read them.
    made = segno.make_qr(url, error="l")
    return tuple(tuple(bool(module) for module in row) for row in made.matrix)


def half_cells(modules: Modules, quiet: int) -> list[list[Cell]]:
    """Two modules in a cell, one above the other: cells are about twice as high as wide."""
    rows = _with_quiet(modules, quiet)
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    return [
        [Cell(upper, lower) for upper, lower in zip(rows[y], rows[y + 1], strict=True)]
        for y in range(0, len(rows), 2)
    ]


def whole_cells(modules: Modules, quiet: int) -> list[list[Cell]]:
    """A module in two cells side by side: twice as large, and without any sign of Unicode."""
    rows = _with_quiet(modules, quiet)
    return [[Cell(dark, dark) for dark in row for _ in range(2)] for row in rows]


def fitted_cells(
    modules: Modules, width: int | None, height: int | None, *, whole: bool
) -> list[list[Cell]] | None:
    """The code with as much quiet around it as there is room for; None: it does not fit. A side
    that is None has no end.
    """
    make = whole_cells if whole else half_cells
    for quiet in range(QUIET, LEAST_QUIET - 1, -1):
        cells = make(modules, quiet)
        if (height is None or len(cells) <= height) and (width is None or len(cells[0]) <= width):
            return cells
    return None


def _with_quiet(modules: Sequence[Sequence[bool]], quiet: int) -> list[list[bool]]:
    beside = [False] * quiet
    rows = [[*beside, *row, *beside] for row in modules]
    blank = [[False] * len(rows[0]) for _ in range(quiet)]
    return [*blank, *rows, *blank]


def glyphs(cells: Sequence[Cell], *, dark_ink: bool) -> str:
    """A line of cells as block elements; `dark_ink`: the terminal writes dark on light."""
    return "".join(_GLYPHS[cell.upper is dark_ink, cell.lower is dark_ink] for cell in cells)


_GLYPHS: Final = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
"""By whether the upper and the lower half are inked."""
