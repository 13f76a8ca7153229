"""What tables that fill a screen of their own share: keys go to the list, `/` finds a row, `c` and
`C` copy it.
"""

from runwatch_console.screens.base import ConsoleScreen
from runwatch_console.widgets.virtual_list import VirtualList


class TableScreen(ConsoleScreen):
    """Base. A subclass composes a `VirtualList` with the id `rows`."""

    @property
    def rows(self) -> VirtualList:
        """The table."""
        return self.query_one("#rows", VirtualList)

    def on_mount(self) -> None:
        """Keys go to the table."""
        self.focus_body()

    def focus_body(self) -> None:
        """The table, now: a focus that waits for its turn would take it from an opened prompt."""
        self.set_focus(self.rows)

    def needle_changed(self) -> None:
        """Highlight in the table."""
        self.rows.needle = self.needle
        self.rows.repaint()

    def _text_at(self, index: int) -> str:
        paint = self.rows.source.paint(index, self.rows.row_width)
        return " ".join(piece.text.strip() for piece in paint.pieces if piece.text.strip())

    def action_search_next(self, step: int) -> None:
        """The next row that says what is searched."""
        if self.needle is None:
            return
        rows = self.rows
        count = len(rows.source)
        for offset in range(1, count + 1):
            index = (rows.cursor + step * offset) % count
            if self.needle.search(self._text_at(index)):
                if (index - rows.cursor) * step <= 0:
                    self.tell("search.wrapped")
                rows.go_to(index)
                return
        self.tell("search.none", text=self.needle_text)

    def action_copy_line(self) -> None:
        """Copy the row as it reads."""
        if len(self.rows.source):
            self.copy(self._text_at(self.rows.cursor))
