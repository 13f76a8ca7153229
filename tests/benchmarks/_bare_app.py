"""The least Textual app there is: what any console on Textual must pay before its first frame."""

from textual.app import App, ComposeResult
from textual.widgets import Static


class BareApp(App[None]):
    """One line of text."""

    ENABLE_COMMAND_PALETTE = False

    def compose(self) -> ComposeResult:
        yield Static("bare and ready", markup=False)


if __name__ == "__main__":
    BareApp().run()
