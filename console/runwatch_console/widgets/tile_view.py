"""One tile of Pulse: title, number, note, and half an hour as bars."""

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from runwatch_console.formats import ASCII_BARS, BARS, UNKNOWN, format_bars
from runwatch_console.lens import as_ascii
from runwatch_console.state import ConsoleState
from runwatch_console.tiles import Tile
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.cells import fit
from runwatch_console.widgets.toned import Toned
from runwatch_shared.models import History


class TileView(Toned, can_focus=True):
    """Focus goes from tile to tile; Enter opens its list."""

    DEFAULT_CSS = "TileView { height: 4; }"
    BINDINGS = bindings_for("tile")

    class Opened(Message):
        """Show what is behind the number."""

        def __init__(self, tile: Tile) -> None:
            super().__init__()
            self.tile = tile

    def __init__(self, tile: Tile, state: ConsoleState) -> None:
        super().__init__(id=f"tile-{tile.id}")
        self.tile = tile
        self.state = state
        self.history: History | None = None
        self._drawn: tuple[object, ...] = ()

    def show(self, state: ConsoleState, history: History | None) -> None:
        """Bring it up to the state."""
        self.state, self.history = state, history
        drawn = (self._texts(), state.stale)
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    def _texts(self) -> tuple[str, str, str, list[str]]:
        state = self.state
        title = state.words(self.tile.title)
        stats = state.fleet.stats
        value, note = (UNKNOWN, "") if stats is None else self.tile.value(stats, state.lens)
        return title, value, note, self._bars(max(0, self.size.width - 2), self.size.height - 2)

    def _bars(self, width: int, height: int) -> list[str]:
        """As tall as there is room, and each bar as wide."""
        if self.history is None or height < 1 or width < 1:
            return []
        series = list(self.history.series.get(self.tile.series[0], []))
        stats = self.state.fleet.stats
        top = self.tile.ceiling(stats) if self.tile.ceiling and stats is not None else None
        bars = ASCII_BARS if self.state.preferences.ascii else BARS
        shown = min(width, len(series))
        lines = format_bars(series, shown, height, bars=bars, top=top)
        # All of the width: where it is no multiple, some minutes are a cell wider than others.
        return (
            ["".join(line[x * shown // width] for x in range(width)) for line in lines]
            if shown
            else []
        )

    def render_line(self, y: int) -> Strip:
        """Title, number with its note, and bars."""
        width = self.size.width
        base = row = self.rich_style
        if self.has_focus:
            row += self.row_style("cursor")
            if not row.reverse:
                base = row
        title, value, note, bars = self._texts()
        stale = self.row_style("stale") if self.state.stale else None
        loud = self.tone_in(row, self.tile.tone) if stale is None else row + stale
        quiet = self.tone_in(row, "muted")
        gutter = ">" if self.has_focus else " "
        half = max(8, width // 2)
        parts: list[tuple[str, Style]] = []
        if y == 0:
            parts = [(f"{gutter}{fit(title, width - 2)} ", quiet)]
        elif y == 1:
            said = fit(note, width - half - 2, "right")
            parts = [(f" {fit(value, half)}", loud + self.tone("title")), (f"{said} ", quiet)]
        elif y - 2 < len(bars):
            # Never reversed: what is not there would be drawn in place of what is.
            parts = [(f" {bars[y - 2]}", base + (stale or self.tone(self.tile.tone)))]
            row = base
        ascii_only = self.state.preferences.ascii
        segments = [Segment(as_ascii(t) if ascii_only else t, style) for t, style in parts]
        return Strip(segments).adjust_cell_length(width, row)

    def on_focus(self) -> None:
        """Brighter."""
        self.refresh()

    def on_blur(self) -> None:
        """As before."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """A second click opens."""
        if event.chain > 1:
            self.action_open()

    def action_open(self) -> None:
        """Open the list."""
        self.post_message(self.Opened(self.tile))
