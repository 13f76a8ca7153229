"""A question that one key answers; only `y` is yes."""

from collections.abc import Iterable

from textual import events
from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.dialogs.base import Dialog
from runwatch_console.state import ConsoleState


class ConfirmDialog(Dialog[bool]):
    """Answers True to `y` alone. Its texts are clean."""

    def __init__(self, state: ConsoleState, *, title: str, effect: str, ask: str) -> None:
        super().__init__(state)
        self._title = title
        self._effect = effect
        self._ask = ask

    @property
    def title_text(self) -> str:
        """What is asked."""
        return self._title

    def compose_content(self) -> Iterable[Widget]:
        """What will happen, and how to answer."""
        yield Static(self._effect, id="confirm-effect", markup=False)
        yield Static(self._ask, id="confirm-ask", markup=False)

    def on_key(self, event: events.Key) -> None:
        """One key answers."""
        if event.key in ("y", "n", "enter"):
            event.stop()
            self.dismiss(event.key == "y")
