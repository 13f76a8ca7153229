"""A list that is asked of the server while it is looked at, in a box; what it lists is a
subclass's.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Generic

from textual import work
from textual.widget import Widget

from runwatch_console.columns import Column, RowT
from runwatch_console.dialogs.base import Dialog
from runwatch_console.ports import Api, ApiError
from runwatch_console.screens.base import Host
from runwatch_console.widgets.column_header import ColumnHeader
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.table_rows import TableRows
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.text import clean

ASKED_S: Final = 2.0
"""So often the server is asked while the list is looked at."""
MOST_ROWS: Final = 14


class ListDialog(Dialog[None], Generic[RowT]):
    """Asks again every two seconds, and at once after something was done."""

    def __init__(self, host: Host, columns: Sequence[Column[RowT]]) -> None:
        super().__init__(host.state)
        self.host = host
        self.source: TableRows[RowT] = TableRows(columns, self.key_of, self.state.lens)
        self._asked = False
        self._problem = ""

    def key_of(self, row: RowT) -> str:
        """What names a row."""
        raise NotImplementedError

    async def load(self, api: Api) -> Sequence[RowT]:
        """The rows.

        Raises:
            ApiError: They cannot be had.
        """
        raise NotImplementedError

    def note_text(self) -> str:
        """What the keys do; or that there is nothing, and which key changes that."""
        raise NotImplementedError

    def head_text(self) -> str:
        """What stands above the list."""
        return ""

    def compose_content(self) -> Iterable[Widget]:
        """Head, list, what the keys do."""
        yield QuietText(id="list-head")
        yield ColumnHeader(self.source.columns, self.state, id="list-columns")
        yield VirtualList(self.source, ascii=self.state.preferences.ascii, id="list-rows")
        yield QuietText(id="list-note")

    @property
    def rows(self) -> VirtualList:
        """The list."""
        return self.query_one("#list-rows", VirtualList)

    @property
    def row_here(self) -> RowT | None:
        """The row under the cursor."""
        return self.source.row_of(self.rows.cursor_key)

    def on_mount(self) -> None:
        """Ask at once, then again and again."""
        self.rows.styles.height = 1
        self.rows.focus()
        self.show_rows()
        self.ask()
        self.set_interval(ASKED_S, self.ask)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def ask(self) -> None:
        """The rows as they are now; what failed is said, and what was there stays."""
        connection = await self.host.connection()
        try:
            rows = await self.load(connection.api)
        except ApiError as error:
            self._problem = clean(error.error, limit=300, fold=True)
        else:
            self._asked, self._problem = True, ""
            if self.is_attached:
                self.source.set_rows(rows)
        self.show_rows()

    def show_rows(self) -> None:
        """What is known by now."""
        if not self.is_attached:
            return
        self.source.lens = self.host.state.lens
        rows = self.rows
        rows.styles.height = min(MOST_ROWS, max(1, len(self.source)))
        rows.move_rows()
        words = self.state.words
        if self._problem:
            note = words("api.refused", error=self._problem)
        else:
            note = self.note_text() if self._asked else words("task.asking")
        head = self.head_text() if self._asked else ""
        self.query_one("#list-head", QuietText).say(self.shown(head))
        self.query_one("#list-head").display = bool(head)
        self.query_one("#list-columns").display = bool(len(self.source))
        self.query_one("#list-note", QuietText).say(self.shown(note))
