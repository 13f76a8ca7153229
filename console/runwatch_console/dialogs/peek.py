"""A look at one run without leaving the list: its facts and its newest events."""

from collections.abc import Iterable

from textual import work
from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.dialogs.base import Dialog
from runwatch_console.facts import run_facts
from runwatch_console.following import Tail
from runwatch_console.messages import RunOpenRequested
from runwatch_console.ports import ApiError, EventQuery
from runwatch_console.rows import RunRow
from runwatch_console.screens.base import Host
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.event_view import EventView
from runwatch_console.widgets.facts_text import facts_content
from runwatch_console.widgets.preview import show_items
from runwatch_shared.text import clean

EVENTS = 50


class PeekDialog(Dialog[None]):
    """Space again, or Escape, closes; Enter opens the run."""

    BINDINGS = bindings_for("peek")

    def __init__(self, host: Host, run: RunRow) -> None:
        super().__init__(host.state)
        self.host = host
        self.run_row = run

    @property
    def title_text(self) -> str:
        """The run."""
        return f"{self.run_row.id}  {self.run_row.name}"

    def compose_content(self) -> Iterable[Widget]:
        """Facts, then events."""
        lens = self.state.lens
        yield Static(facts_content(run_facts(self.run_row, lens), lens), id="peek-facts")
        yield Static(self.state.words("log.loading"), id="peek-note", markup=False)
        yield EventView(lens, id="peek-events")

    def on_mount(self) -> None:
        """Ask for the newest events."""
        self.query_one(EventView).focus()
        self.ask()

    @work(exclusive=True, exit_on_error=False)
    async def ask(self) -> None:
        """One page of the tail."""
        note = self.query_one("#peek-note", Static)
        connection = await self.host.connection()
        try:
            page = await connection.api.events(self.run_row.id, EventQuery(tail=True, limit=EVENTS))
        except ApiError as error:
            note.update(clean(error.error, limit=200, fold=True))
            return
        show_items(self.query_one(EventView), [Tail(page)], self.state.server_now_s)
        note.update(self.state.words("peek.note", n=f"{self.run_row.event_count:,}"))

    def action_open_run(self) -> None:
        """Open it in screen 3."""
        self.dismiss(None)
        self.app.post_message(RunOpenRequested(self.run_row.id))

    def on_virtual_list_opened(self) -> None:
        """Enter on an event opens the run."""
        self.action_open_run()
