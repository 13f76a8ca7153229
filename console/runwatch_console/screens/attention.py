"""Screen 1, the home: what needs somebody, what is unhealthy, what is short of room."""

from collections.abc import Iterable

from textual.widget import Widget

from runwatch_console.attention import attention_keys
from runwatch_console.messages import RunOpenRequested, RunsRequested
from runwatch_console.ordering import PACE_S, QUIET_S
from runwatch_console.rows import RunRow
from runwatch_console.screens.base import Host
from runwatch_console.screens.empty import attention_empty
from runwatch_console.screens.run_list import RunListScreen
from runwatch_console.statustext import Span
from runwatch_console.widgets.attention_rows import AttentionRows
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.virtual_list import Key, RowSource, VirtualList


class AttentionScreen(RunListScreen):
    """See the module."""

    COUNTS = True

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.source = AttentionRows(self.state.fleet, self.state.lens)
        self._ordered_mono_s = float("-inf")

    def compose_body(self) -> Iterable[Widget]:
        """The list, what to say when it is empty, and the preview."""
        empty = attention_empty(self.state, has_rows=False)
        self.set_class(bool(empty.plain), "-empty", update=False)
        yield from self.compose_panes()

    def make_source(self) -> RowSource:
        """Headings and items."""
        return self.source

    def title_spans(self) -> tuple[Span, ...]:
        """Named only where there is room beside the counts."""
        return ((self.state.words("screen.attention"), "title"),) if self.size.width >= 120 else ()

    def show_state(self) -> None:
        """Rows show the newest facts at once; they move only when nobody is at the keys."""
        state = self.state
        self.source.fleet, self.source.lens = state.fleet, state.lens
        quiet = state.now_mono_s - state.last_key_mono_s >= QUIET_S
        rested = state.now_mono_s - self._ordered_mono_s >= PACE_S
        nothing_yet = len(self.source) <= 1
        arrived = nothing_yet and state.fleet.changed is None
        if arrived or (rested and (quiet or nothing_yet)):
            self._order()
        else:
            self.rows.touch_rows()
        empty = attention_empty(state, has_rows=len(self.source) > 1)
        self.query_one("#empty", QuietText).say(empty)
        self.set_class(bool(empty.plain), "-empty")
        self.show_preview()

    def _order(self) -> None:
        keys = attention_keys(self.state.fleet, self.state.server_now_s)
        self._ordered_mono_s = self.state.now_mono_s
        if keys == self.source.keys:
            self.rows.touch_rows()
            return
        self.source.set_keys(keys)
        self.rows.move_rows()

    def run_of(self, key: Key | None) -> RunRow | None:
        """The run of `run:<id>`."""
        if not isinstance(key, str) or not key.startswith("run:"):
            return None
        return self.state.fleet.runs.get(key.removeprefix("run:"))

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """A run opens; a node or the queue shows its runs."""
        key = event.key
        run = self.run_of(key)
        if run is not None:
            self.post_message(RunOpenRequested(run.id))
        elif key == "queue":
            self.post_message(RunsRequested("s:queue"))
        elif isinstance(key, str) and key.startswith("node:"):
            self.post_message(RunsRequested(f"node:{key.removeprefix('node:')} s:active"))
