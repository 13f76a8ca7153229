"""What dialogs share: a box over the screen that Escape closes."""

from collections.abc import Iterable
from typing import TypeVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.lens import as_ascii
from runwatch_console.state import ConsoleState
from runwatch_console.widgets.bindings import bindings_for

AnswerT = TypeVar("AnswerT")


class Dialog(ModalScreen[AnswerT | None]):
    """A box with a title; closing it answers None."""

    BINDINGS = bindings_for("dialog")

    def __init__(self, state: ConsoleState) -> None:
        super().__init__()
        self.state = state
        self.set_class(state.preferences.ascii, "-ascii")

    @property
    def title_text(self) -> str:
        """What stands in the box's border; clean."""
        return ""

    def shown(self, text: str) -> str:
        """The text as the terminal can show it."""
        if not self.state.preferences.ascii:
            return text
        return "\n".join(map(as_ascii, text.split("\n")))

    def compose(self) -> ComposeResult:
        """The box around the content."""
        with VerticalScroll(id="box"):
            yield Static(self.shown(self.title_text), id="dialog-title", markup=False)
            yield from self.compose_content()

    def compose_content(self) -> Iterable[Widget]:
        """The content."""
        raise NotImplementedError

    def action_close(self) -> None:
        """Close without an answer."""
        self.dismiss(None)
