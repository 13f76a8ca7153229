"""Rows of a table that came from the server as one list, as the virtual list wants them."""

from collections.abc import Callable, Sequence
from typing import Generic

from runwatch_console.columns import Column, Fitted, RowT, fit_columns
from runwatch_console.lens import Lens
from runwatch_console.widgets.virtual_list import Key, Paint, Piece


class TableRows(Generic[RowT]):
    """Rows in the order they were given; `key` names each."""

    def __init__(
        self, table: Sequence[Column[RowT]], key: Callable[[RowT], str], lens: Lens
    ) -> None:
        self.table = table
        self.key = key
        self.lens = lens
        self.rows: list[RowT] = []
        self._index: dict[Key, int] = {}

    def set_rows(self, rows: Sequence[RowT]) -> None:
        """Show these; of two with one key the later counts."""
        self.rows = list({self.key(row): row for row in rows}.values())
        self._index = {self.key(row): index for index, row in enumerate(self.rows)}

    def row_of(self, key: Key | None) -> RowT | None:
        """The row with this key."""
        index = self._index.get(key)
        return self.rows[index] if index is not None else None

    def columns(self, width: int) -> list[Fitted[RowT]]:
        """The columns at a width, with their own widths."""
        return fit_columns(self.table, width)

    def __len__(self) -> int:
        return len(self.rows)

    def key_at(self, index: int) -> Key:
        """The row's key."""
        return self.key(self.rows[index])

    def index_of(self, key: Key) -> int | None:
        """Where the row is."""
        return self._index.get(key)

    def selectable(self, index: int) -> bool:
        """Every row may have the cursor."""
        return True

    def paint(self, index: int, width: int) -> Paint:
        """One row of the table."""
        pieces = []
        for fitted in self.columns(width):
            text, tone = fitted.column.cell(self.rows[index], self.lens)
            pieces.append(Piece(text, fitted.width, tone, fitted.column.align))
            pieces.append(Piece(" ", 1))
        return Paint(tuple(pieces[:-1]), stale=self.lens.stale)
