"""What `monitor-tui auth` prints below its table: whole addresses, with `--qr` their QR codes."""

from itertools import groupby
from typing import Final

from runwatch_console.authrows import AuthRow
from runwatch_console.headless.session import Session
from runwatch_console.qr import (
    LEAST_QUIET,
    Cell,
    QrError,
    fitted_cells,
    glyphs,
    half_cells,
    host_of,
    modules_of,
    whole_cells,
)

DARK_ON_LIGHT: Final = "30;107"
PAPER: Final = {True: "40", False: "107"}
"""Select-graphic-rendition parameters: of the sixteen colours that every terminal has."""


def address_text(row: AuthRow, session: Session, *, qr: bool) -> str:
    """The lines of one login; empty where there is no address, or where the table has it whole."""
    printer = session.printer
    if not row.url or (printer.width is None and not qr):
        return ""
    who = row.account or row.agent
    lines = ["", f"{who}  {session.words('why.login', code=row.code)}" if row.code else who]
    lines.append(row.url)
    if qr:
        lines += _code(row.url, session)
    return "".join(f"{line}\n" for line in lines)


def _code(url: str, session: Session) -> list[str]:
    words, printer = session.words, session.printer
    try:
        modules = modules_of(url)
    except QrError as error:
        return [words(f"qr.{error.refusal}")]
    if printer.ascii and not printer.colour:
        return [words("headless.qr_no_signs")]
    # Only the width counts: what is printed may be scrolled.
    cells = fitted_cells(modules, printer.width, None, whole=printer.ascii)
    if cells is None:
        narrow = (whole_cells if printer.ascii else half_cells)(modules, LEAST_QUIET)
        return [words("qr.no_room", width=len(narrow[0]), height=len(narrow))]
    drawn = [_line(line, ascii_only=printer.ascii, coloured=printer.colour) for line in cells]
    return [words("qr.leads_to", host=host_of(url)), *drawn]


def _line(cells: list[Cell], *, ascii_only: bool, coloured: bool) -> str:
    if ascii_only:
        groups = ((dark, len(list(group))) for dark, group in groupby(cell.upper for cell in cells))
        return "".join(f"\x1b[{PAPER[dark]}m{' ' * count}" for dark, count in groups) + "\x1b[0m"
    if coloured:
        return f"\x1b[{DARK_ON_LIGHT}m{glyphs(cells, dark_ink=True)}\x1b[0m"
    # Most terminals write light on dark.
    return glyphs(cells, dark_ink=False)
