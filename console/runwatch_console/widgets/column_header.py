"""The names of a table's columns, above it."""

from collections.abc import Callable
from typing import Any

from rich.segment import Segment
from textual.strip import Strip

from runwatch_console.columns import Fitted
from runwatch_console.lens import as_ascii
from runwatch_console.state import ConsoleState
from runwatch_console.widgets.cells import fit
from runwatch_console.widgets.toned import Toned


class ColumnHeader(Toned):
    """One line; the columns come from the table's own function, so both always agree."""

    DEFAULT_CSS = "ColumnHeader { height: 1; }"

    def __init__(
        self,
        columns: Callable[[int], list[Fitted[Any]]],
        state: ConsoleState,
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.state = state

    def render_line(self, y: int) -> Strip:
        """The strip of the header; one cell of gutter, one for the scrollbar."""
        width = self.size.width
        style = self.rich_style + self.tone("muted")
        parts = []
        for fitted in self.columns(max(0, width - 2)):
            title = self.state.words(fitted.column.title)
            title = as_ascii(title) if self.state.preferences.ascii else title
            parts.append(fit(title, fitted.width, fitted.column.align))
        return Strip([Segment(" " + " ".join(parts), style)]).adjust_cell_length(width, style)
