"""Why a run is as it is: the server's own facts, and nothing guessed."""

from collections.abc import Iterable

from textual import work
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.dialogs.base import Dialog
from runwatch_console.facts import explanation, run_facts
from runwatch_console.ports import ApiError
from runwatch_console.rows import RunRow
from runwatch_console.screens.base import Host
from runwatch_console.widgets.facts_text import facts_content
from runwatch_shared.text import clean


class ExplainDialog(Dialog[None]):
    """Shows what the row says at once, and what the server adds when it answers."""

    def __init__(self, host: Host, run: RunRow) -> None:
        super().__init__(host.state)
        self.host = host
        self.run_row = run

    @property
    def title_text(self) -> str:
        """The run."""
        return self.state.words("explain.title", run=self.run_row.id)

    def compose_content(self) -> Iterable[Widget]:
        """The reason, the facts, and a line on how the asking went."""
        lens = self.state.lens
        yield Static(facts_content(explanation(self.run_row, None, lens), lens), id="explain-why")
        yield Static(facts_content(run_facts(self.run_row, lens), lens), id="explain-facts")
        yield Static(self.state.words("explain.asking"), id="explain-asked", markup=False)

    def on_mount(self) -> None:
        """Ask for what only the server knows."""
        self.ask()

    @work(exclusive=True, exit_on_error=False)
    async def ask(self) -> None:
        """The queue's reasons node by node, among others."""
        asked = self.query_one("#explain-asked", Static)
        connection = await self.host.connection()
        try:
            detail = await connection.api.workflow(self.run_row.id)
        except ApiError as error:
            asked.update(Content(clean(error.error, limit=200, fold=True)))
            return
        lens = self.state.lens
        content = facts_content(explanation(self.run_row, detail, lens), lens)
        self.query_one("#explain-why", Static).update(content)
        asked.update(Content(self.state.words("explain.asked")))
