"""Why a run is as it is: the server's own facts and the events that show it; nothing is guessed."""

from collections.abc import Iterable
from typing import Final

from textual import work
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.dialogs.base import Dialog
from runwatch_console.explanation import explanation
from runwatch_console.facts import run_facts
from runwatch_console.inquiry import Inquiry, inquire
from runwatch_console.messages import EventOpenRequested
from runwatch_console.ports import ApiError
from runwatch_console.rows import RunRow
from runwatch_console.screens.base import Host
from runwatch_console.widgets.evidence_rows import EvidenceRows
from runwatch_console.widgets.facts_text import facts_content
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.text import clean

SAID_ABOVE: Final = frozenset({"fact.now", "fact.source", "fact.error"})
"""Facts that the explanation has said."""


class ExplainDialog(Dialog[None]):
    """Shows what the row says at once, and what the server adds when it answers.

    Args:
        run: The row, where the console has it; a run beyond its window is asked for.
    """

    def __init__(self, host: Host, run_id: str, run: RunRow | None) -> None:
        super().__init__(host.state)
        self.host = host
        self.run_id = run_id
        self.run_row = run
        self.source = EvidenceRows(self.state.lens)

    @property
    def title_text(self) -> str:
        """The run."""
        name = f"  {self.run_row.name}" if self.run_row is not None else ""
        return self.state.words("explain.title", run=self.run_id) + name

    def compose_content(self) -> Iterable[Widget]:
        """The reason, the events that show it, all facts, and a line on how the asking went."""
        yield Static(id="explain-why")
        yield Static(id="explain-shown", markup=False)
        yield VirtualList(self.source, ascii=self.state.preferences.ascii, id="evidence")
        yield Static(id="explain-facts")
        yield Static(
            self.shown(self.state.words("explain.asking")), id="explain-asked", markup=False
        )

    def on_mount(self) -> None:
        """Show what is known, and ask for what only the server knows."""
        self.query_one("#evidence").display = False
        self.query_one("#explain-shown").display = False
        self._show(self.run_row, None)
        self.ask()

    def _show(self, run: RunRow | None, inquiry: Inquiry | None) -> None:
        if run is None:
            return
        lens = self.state.lens
        detail = inquiry.detail if inquiry is not None else None
        thresholds = inquiry.thresholds if inquiry is not None else {}
        why = explanation(run, detail, lens, thresholds)
        self.query_one("#explain-why", Static).update(facts_content(why, lens))
        facts = [fact for fact in run_facts(run, lens) if fact.label not in SAID_ABOVE]
        self.query_one("#explain-facts", Static).update(facts_content(facts, lens))

    @work(exclusive=True, exit_on_error=False)
    async def ask(self) -> None:
        """The queue's reasons node by node, the thresholds, the events."""
        connection = await self.host.connection()
        try:
            inquiry = await inquire(connection.api, self.run_id)
        except ApiError as error:
            self._say(clean(error.error, limit=200, fold=True))
            return
        if not self.is_attached:
            return
        self._show(inquiry.run, inquiry)
        self._show_evidence(inquiry)
        words = self.state.words
        self._say(
            words("explain.asked")
            if not inquiry.problem
            else words("explain.partly", error=inquiry.problem)
        )

    def _say(self, text: str) -> None:
        if self.is_attached:
            self.query_one("#explain-asked", Static).update(Content(self.shown(text)))

    def _show_evidence(self, inquiry: Inquiry) -> None:
        self.source.evidence = inquiry.evidence
        if not inquiry.evidence:
            return
        shown = self.query_one("#explain-shown", Static)
        text = self.state.words("explain.shown", n=len(inquiry.evidence))
        shown.update(Content(self.shown(text)))
        shown.display = True
        rows = self.query_one("#evidence", VirtualList)
        rows.styles.height = len(inquiry.evidence)
        rows.display = True
        rows.move_rows()
        rows.focus()

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """Enter opens the run at this event."""
        if isinstance(event.key, int):
            self.dismiss(None)
            self.app.post_message(EventOpenRequested(self.run_id, event.key))
