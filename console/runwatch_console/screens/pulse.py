"""Screen 6: the fleet in eight numbers with their last half hour; each opens its list."""

from collections.abc import Iterable

from textual import work
from textual.containers import Grid
from textual.timer import Timer
from textual.widget import Widget

from runwatch_console.messages import RunsRequested, ScreenRequested
from runwatch_console.ports import ApiError
from runwatch_console.screens.base import ConsoleScreen, Host
from runwatch_console.statustext import Span
from runwatch_console.tiles import TILES
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.tile_view import TileView
from runwatch_shared.models import History
from runwatch_shared.text import clean

HISTORY_MINUTES = 30
HISTORY_EVERY_S = 30.0
"""History has one value a minute; asking twice a minute is soon enough."""


class PulseScreen(ConsoleScreen):
    """See the module."""

    BINDINGS = bindings_for("pulse")
    OWNERS = ("tile", "pulse", "app")
    COUNTS = True

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.history: History | None = None
        self.problem = ""
        self._timer: Timer | None = None

    def compose_body(self) -> Iterable[Widget]:
        """The tiles, and a line on what the bars are."""
        with Grid(id="tiles"):
            for tile in TILES:
                yield TileView(tile, self.state)
        yield QuietText(id="pulse-note")

    def title_spans(self) -> tuple[Span, ...]:
        """The screen's name."""
        return ((self.state.words("screen.pulse"), "title"),)

    def on_mount(self) -> None:
        """Keys go to the first tile."""
        self.focus_body()

    def focus_body(self) -> None:
        """The tile that had the focus, or the first."""
        if not isinstance(self.focused, TileView):
            self.set_focus(self.query(TileView).first())

    def on_screen_resume(self) -> None:
        """Look at the half hour, now and again."""
        super().on_screen_resume()
        self.load_history()
        if self._timer is None:
            self._timer = self.set_interval(HISTORY_EVERY_S, self.load_history)
        self._timer.resume()

    def left(self) -> None:
        """Nobody looks."""
        if self._timer is not None:
            self._timer.pause()

    def show_state(self) -> None:
        """Numbers follow the feed; bars follow the history."""
        for view in self.query(TileView):
            view.show(self.state, self.history)
        words = self.state.words
        if self.problem:
            text = words("pulse.problem", error=self.problem)
        elif self.history is None:
            text = words("pulse.loading")
        else:
            text = words("pulse.note", minutes=HISTORY_MINUTES)
        self.query_one("#pulse-note", QuietText).say(text)

    @work(exclusive=True, group="history", exit_on_error=False)
    async def load_history(self) -> None:
        """Ask for the half hour; what failed is said, and what was known stays."""
        connection = await self.host.connection()
        try:
            self.history = await connection.api.history(HISTORY_MINUTES)
            self.problem = ""
        except ApiError as error:
            self.problem = clean(error.error, limit=200, fold=True)
        self.show_state()

    def on_tile_view_opened(self, event: TileView.Opened) -> None:
        """Show what is behind the number."""
        opens = event.tile.opens
        if opens.startswith("screen:"):
            self.post_message(ScreenRequested(opens.removeprefix("screen:")))
        else:
            self.post_message(RunsRequested(opens))

    def action_tile(self, step: int) -> None:
        """The next tile."""
        views = list(self.query(TileView))
        here = next((i for i, view in enumerate(views) if view is self.focused), 0)
        # Neither `focus()` nor `has_focus`: the next key of a burst is there before these.
        self.set_focus(views[(here + step) % len(views)])

    def action_tile_row(self, step: int) -> None:
        """The tile below or above."""
        views = list(self.query(TileView))
        columns = max(1, sum(1 for view in views if view.region.y == views[0].region.y))
        here = next((i for i, view in enumerate(views) if view is self.focused), 0)
        target = here + step * columns
        if 0 <= target < len(views):
            self.set_focus(views[target])
