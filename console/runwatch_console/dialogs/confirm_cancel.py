"""The question before runs are cancelled; for many, their number must be typed."""

from collections.abc import Iterable, Sequence

from textual import events
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from runwatch_console.columns import short_id
from runwatch_console.dialogs.base import Dialog
from runwatch_console.looks import look_of_run
from runwatch_console.rows import RunRow
from runwatch_console.state import ConsoleState

SHOWN = 8


class ConfirmCancelDialog(Dialog[bool]):
    """Answers True only to `y`, or for several runs to their number and Enter."""

    AUTO_FOCUS = "Input"

    def __init__(
        self, state: ConsoleState, runs: Sequence[RunRow], others: Sequence[str] = ()
    ) -> None:
        """`others`: ids of further runs, of which no more is known here."""
        super().__init__(state)
        self.runs = runs
        self.others = others
        self.count = len(runs) + len(others)

    @property
    def title_text(self) -> str:
        """How many."""
        words = self.state.words
        if self.count == 1:
            return words("cancel.title_one")
        return words("cancel.title_many", n=self.count)

    def compose_content(self) -> Iterable[Widget]:
        """The runs, what will happen, and how to answer."""
        words = self.state.words
        lens = self.state.lens
        lines = []
        for run in self.runs[:SHOWN]:
            look = look_of_run(run)
            lines.append(
                Content(f" {lens.look(look)}  {short_id(run.id)}  {run.name}  @ {run.node or '–'}")
            )
        lines += [Content(f" {run_id}") for run_id in self.others[: SHOWN - len(lines)]]
        if self.count > SHOWN:
            lines.append(Content(words("cancel.more", n=self.count - SHOWN)))
        yield Static(Content("\n").join(lines), id="cancel-runs", markup=False)
        yield Static(words("cancel.effect"), id="cancel-effect", markup=False)
        if self.count == 1:
            yield Static(words("cancel.ask_one"), id="cancel-ask", markup=False)
        else:
            ask = words("cancel.ask_many", n=self.count)
            yield Static(ask, id="cancel-ask", markup=False)
            yield Input(id="cancel-count", restrict=r"[0-9]*", max_length=6, compact=True)

    def on_key(self, event: events.Key) -> None:
        """For one run a single key answers."""
        if self.count > 1:
            return
        if event.key == "y":
            event.stop()
            self.dismiss(True)
        elif event.key in ("n", "enter"):
            event.stop()
            self.dismiss(False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The number must be right."""
        event.stop()
        if event.value == str(self.count):
            self.dismiss(True)
        else:
            ask = self.state.words("cancel.wrong_count", n=self.count)
            self.query_one("#cancel-ask", Static).update(ask)
            event.input.value = ""
