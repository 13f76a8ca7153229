"""A list as lines of text: columns that fit a terminal, or as wide as their content in a pipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from runwatch_console.columns import Column, Fitted, RowT, fit_columns
from runwatch_console.headless.session import Printer
from runwatch_console.headless.texts import cells, coloured, pad
from runwatch_console.lens import Lens

GAP = "  "
Line = list[tuple[str, str]]
"""Text and tone of each column."""


@dataclass(frozen=True, slots=True)
class Table(Generic[RowT]):
    """Columns whose widths are settled, so that later lines stand below the first ones."""

    fitted: tuple[Fitted[RowT], ...]
    printer: Printer

    def header(self, lens: Lens) -> str:
        """The titles."""
        return self._text([(lens.words(fit.column.title), "muted") for fit in self.fitted])

    def line(self, row: RowT, lens: Lens) -> str:
        """One row."""
        return self._text([fit.column.cell(row, lens) for fit in self.fitted])

    def _text(self, line: Line) -> str:
        parts = []
        for fit, (text, tone) in zip(self.fitted, line, strict=True):
            shown = pad(text, fit.width, fit.column.align)
            parts.append(coloured(shown, tone) if self.printer.colour else shown)
        return GAP.join(parts).rstrip() + "\n"


def settle(
    columns: Sequence[Column[RowT]], rows: Sequence[RowT], lens: Lens, printer: Printer
) -> Table[RowT]:
    """A table for these rows and later ones like them."""
    if printer.width is not None:
        fitted = fit_columns(columns, printer.width, gap=len(GAP))
        return Table(tuple(fitted), printer)
    widths = [
        max(
            cells(lens.words(column.title)),
            *(cells(column.cell(row, lens)[0]) for row in rows),
            0 if rows else column.width,
        )
        for column in columns
    ]
    return Table(tuple(map(Fitted, columns, widths)), printer)
