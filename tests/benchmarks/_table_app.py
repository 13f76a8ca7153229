"""The same table as a Textual `DataTable`: what the console would cost with Textual's own list.

`python -m tests.benchmarks._table_app ROWS CHANGES_PER_S`: a SIGUSR1 begins or ends the changes, as
in `_scripted_console`, each put in when it comes; Textual paints no oftener than it does of itself.
`f` filters, `F` shows all.
"""

import asyncio
import random
import signal
import sys

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.widgets import DataTable, Static

IN_SIGHT = 40
COLUMNS = ("ST", "AGE", "RUN", "TASK", "AGENT", "NODE", "TOK", "$", "TOOLS", "NOW")
SEED = 20261123


class TableApp(App[None]):
    """A table, and a line that says how many rows there are and where the cursor is."""

    CSS = "DataTable { height: 1fr; }"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [
        Binding("j", "down"),
        Binding("k", "up"),
        Binding("f", "filter('9')"),
        Binding("F", "filter('')"),
    ]

    def __init__(self, rows: int, changes_per_s: float) -> None:
        super().__init__()
        self.names = [f"load-{rows - 1 - index}" for index in range(rows)]
        self.pause_s = 1 / changes_per_s
        self.chance = random.Random(SEED)
        self.wanted = False
        self.revision = 0

    def compose(self) -> ComposeResult:
        yield Static("", id="said", markup=False)
        yield DataTable(cursor_type="row")

    def on_mount(self) -> None:
        """All rows, then changes when they are wanted."""
        self.query_one(DataTable).add_columns(*((name, name) for name in COLUMNS))
        self.action_filter("")
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._turn)
        self.change()

    def action_filter(self, text: str) -> None:
        """Only the rows with this in their name."""
        table = self.query_one(DataTable)
        table.clear()
        for name in self.names:
            if text in name:
                table.add_row(
                    "● run", "12m", f"run-{name}", name, "claude", "n1", "210k", "0.31", "22",
                    "Edit src/metrics.py", key=name,
                )  # fmt: skip
        self._say()

    def action_down(self) -> None:
        """One row down."""
        self.query_one(DataTable).action_cursor_down()

    def action_up(self) -> None:
        """One row up."""
        self.query_one(DataTable).action_cursor_up()

    def on_data_table_row_highlighted(self) -> None:
        """Say where the cursor is."""
        self._say()

    def _say(self) -> None:
        table = self.query_one(DataTable)
        said = f"{table.row_count:,} of {len(self.names):,}, cursor {table.cursor_row:05d}"
        self.query_one("#said", Static).update(said)

    def _turn(self) -> None:
        self.wanted = not self.wanted

    @work
    async def change(self) -> None:
        """One change after the other, at an even pace while they are wanted."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            due_s += self.pause_s
            await asyncio.sleep(due_s - loop.time())
            if not self.wanted:
                continue
            self.revision += 1
            top = IN_SIGHT if self.revision % 2 else len(self.names)
            name = self.names[self.chance.randrange(top)]
            table = self.query_one(DataTable)
            table.update_cell(name, "TOOLS", str(self.revision))
            table.update_cell(name, "NOW", f"Edit src/part_{self.revision}.py")


if __name__ == "__main__":
    TableApp(int(sys.argv[1]), float(sys.argv[2])).run()
