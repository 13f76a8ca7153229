"""The two lines of a replay: its banner, and the line one can point at to go elsewhere."""

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from runwatch_console.replay.scrubline import Standing, banner_spans, moment_of, scrub_spans
from runwatch_console.state import ConsoleState
from runwatch_console.widgets.text_line import TextLine


class ScrubLine(TextLine):
    """Where it is pressed, and where it is dragged to, the replay goes."""

    class Pointed(Message):
        """At a cell of the line."""

        def __init__(self, cell: int, width: int) -> None:
            super().__init__()
            self.cell = cell
            self.width = width

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Go there, and follow the mouse."""
        event.stop()
        self.capture_mouse()
        self.post_message(self.Pointed(event.x, self.size.width))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Only while it is held."""
        if event.button:
            event.stop()
            self.post_message(self.Pointed(event.x, self.size.width))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let the mouse go."""
        event.stop()
        self.release_mouse()


class Scrubber(Vertical):
    """Says `Sought` when somebody points at the line."""

    DEFAULT_CSS = """
    Scrubber { height: 2; width: 100%; }
    Scrubber #replay-banner { background: $accent-darken-1; color: $text; }
    Scrubber #replay-line { background: $panel; }
    """

    class Sought(Message):
        """Go to this moment of the recording."""

        def __init__(self, at_s: float) -> None:
            super().__init__()
            self.at_s = at_s

    def __init__(self, name: str, marks: Sequence[tuple[float, str]], *, ascii_only: bool) -> None:
        super().__init__()
        self._file = name
        self._marks = marks
        self._ascii = ascii_only
        self._length_s = 0.0

    def compose(self) -> ComposeResult:
        """Banner and line."""
        yield TextLine(id="replay-banner", ascii=self._ascii)
        yield ScrubLine(id="replay-line", ascii=self._ascii)

    def show(self, standing: Standing, state: ConsoleState) -> None:
        """Say where the replay stands."""
        self._length_s = standing.length_s
        left, right = banner_spans(standing, state.words, name=self._file, ascii_only=self._ascii)
        self.query_one("#replay-banner", TextLine).show(left, right)
        width = self.size.width
        if width:
            self.query_one("#replay-line", ScrubLine).show(
                scrub_spans(standing, self._marks, width)
            )

    def on_scrub_line_pointed(self, event: ScrubLine.Pointed) -> None:
        """Tell the moment."""
        event.stop()
        self.post_message(self.Sought(moment_of(event.cell, self._length_s, event.width)))
