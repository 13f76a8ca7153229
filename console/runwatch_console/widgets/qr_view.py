"""A QR code on the screen: dark on light whatever the theme, as a phone wants it."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from runwatch_console.qr import Cell, glyphs

DARK_ON_LIGHT: Final = Style(color="#000000", bgcolor="#ffffff")
DARK: Final = Style(bgcolor="#000000")
LIGHT: Final = Style(bgcolor="#ffffff")
"""In sixteen colours these are black and bright white."""
PLAIN: Final = Style()
INKED: Final = Style(reverse=True)


class QrView(Widget):
    """As large as its cells.

    Args:
        ascii: No block elements: cells are painted by their background alone.
        coloured: Whether colours are written. Without them the terminal's own decide what is dark:
            `dark_ink` says that it writes dark on light.
    """

    def __init__(
        self,
        *,
        ascii: bool,  # noqa: A002 - what it is
        coloured: bool,
        dark_ink: bool,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self.ascii = ascii
        self.coloured = coloured
        self.dark_ink = dark_ink
        self.cells: Sequence[Sequence[Cell]] = ()

    def show(self, cells: Sequence[Sequence[Cell]]) -> None:
        """Show these lines of cells; none: nothing is shown."""
        self.cells = cells
        self.display = bool(cells)
        if cells:
            self.styles.width, self.styles.height = len(cells[0]), len(cells)
        self.refresh()

    def invert(self) -> None:
        """Take the terminal for the other kind."""
        self.dark_ink = not self.dark_ink
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of cells."""
        if y >= len(self.cells):
            return Strip.blank(self.size.width, PLAIN)
        line = self.cells[y]
        if self.ascii:
            return Strip(
                [
                    Segment(" " * len(list(group)), self._back(dark))
                    for dark, group in groupby(cell.upper for cell in line)
                ]
            )
        if self.coloured:
            return Strip([Segment(glyphs(line, dark_ink=True), DARK_ON_LIGHT)])
        return Strip([Segment(glyphs(line, dark_ink=self.dark_ink), PLAIN)])

    def _back(self, dark: bool) -> Style:
        if self.coloured:
            return DARK if dark else LIGHT
        return INKED if dark is self.dark_ink else PLAIN
