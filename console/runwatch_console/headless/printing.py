"""A list and its changes in each of the four outputs."""

from collections.abc import Sequence
from typing import Generic

from runwatch_console.columns import RowT
from runwatch_console.headless.formats import Output, csv_text, json_text
from runwatch_console.headless.listings import Listing, RecordT
from runwatch_console.headless.session import Session
from runwatch_console.headless.tables import Table, settle
from runwatch_shared.text import clean


class ListPrinter(Generic[RecordT, RowT]):
    """Prints one list: first `whole`, then what changed."""

    def __init__(self, listing: Listing[RecordT, RowT], output: Output, session: Session) -> None:
        self._listing = listing
        self._output = output
        self._session = session
        self._printer = session.printer
        self._table: Table[RowT] | None = None

    def whole(self, records: Sequence[RecordT], now_s: float) -> None:
        """The list as it is at this moment of the server's clock."""
        match self._output:
            case Output.TABLE:
                self._print_table(records, now_s)
            case Output.JSON:
                self._printer.write(f"{json_text(records, indent=2)}\n")
            case Output.NDJSON:
                self._printer.write("".join(f"{json_text(record)}\n" for record in records))
            case Output.CSV:
                names = [name for name, _ in self._listing.fields]
                self._printer.write(csv_text([names, *map(self._csv_line, records)]))

    def changed(self, record: RecordT, now_s: float) -> None:
        """A record that is new or different."""
        match self._output:
            case Output.TABLE:
                if self._table is None:
                    self._print_table([record], now_s)
                else:
                    row = self._listing.row(record)
                    self._printer.write(self._table.line(row, self._session.lens(now_s)))
            case Output.CSV:
                self._printer.write(csv_text([self._csv_line(record)]))
            case _:
                self._printer.write(f"{json_text(record)}\n")

    def removed(self, key: str) -> None:
        """A record that is deleted or no longer fits the filter. CSV has no line for that."""
        match self._output:
            case Output.TABLE:
                shown = clean(key, limit=128, fold=True)
                self._printer.write(f"{self._session.words('headless.removed', id=shown)}\n")
            case Output.JSON | Output.NDJSON:
                self._printer.write(f"{json_text({'id': key, 'removed': True})}\n")
            case Output.CSV:
                pass

    def _print_table(self, records: Sequence[RecordT], now_s: float) -> None:
        if not records:
            return
        lens = self._session.lens(now_s)
        rows = [self._listing.row(record) for record in records]
        self._table = settle(self._listing.columns, rows, lens, self._printer)
        lines = [self._table.header(lens), *(self._table.line(row, lens) for row in rows)]
        self._printer.write("".join(lines))

    def _csv_line(self, record: RecordT) -> list[str | int | float | bool | None]:
        return [value(record) for _, value in self._listing.fields]
