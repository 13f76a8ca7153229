"""Screen 1, the home: what needs somebody, what is unhealthy, what is short of room."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from runwatch_console.messages import LoginOpenRequested
from runwatch_console.screens.base import Host
from runwatch_console.screens.empty import attention_empty
from runwatch_console.screens.run_list import RunListScreen
from runwatch_console.statustext import Span
from runwatch_console.widgets.quiet_text import QuietText

if TYPE_CHECKING:
    from runwatch_console.rows import RunRow
    from runwatch_console.widgets.attention_rows import AttentionRows
    from runwatch_console.widgets.virtual_list import Key, RowSource


class AttentionScreen(RunListScreen):
    """See the module. The first frame is this screen's: until something came there is no list."""

    COUNTS = True

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._source: AttentionRows | None = None

    def compose_body(self) -> Iterable[Widget]:
        """What to say while there is nothing to list."""
        yield QuietText(id="empty")

    async def mount_rest(self) -> None:
        """The list, and the panes beside it."""
        panes = Horizontal(Vertical(self.make_rows(), id="list-main"), id="list-panes")
        await self.query_one("#body").mount(panes, before="#empty")
        self.focus_body()
        await super().mount_rest()

    def make_source(self) -> "RowSource":
        """Headings and items."""
        from runwatch_console.widgets.attention_rows import AttentionRows

        self._source = AttentionRows(self.state.fleet, self.state.lens)
        return self._source

    def title_spans(self) -> tuple[Span, ...]:
        """Named only where there is room beside the counts."""
        return ((self.state.words("screen.attention"), "title"),) if self.width >= 120 else ()

    def show_state(self) -> None:
        """Rows show the newest facts at once; they move only when nobody is at the keys."""
        state, source = self.state, self._source
        if source is not None:
            source.fleet, source.lens = state.fleet, state.lens
            if source.due(state.hand_mono_s, state.last_key_mono_s) and source.order(
                state.server_now_s, state.hand_mono_s
            ):
                self.rows.move_rows()
            else:
                self.rows.touch_rows()
        empty = attention_empty(state, has_rows=source is not None and len(source) > 1)
        self.query_one("#empty", QuietText).say(empty)
        self.set_class(bool(empty.plain), "-empty")
        self.show_preview()

    def run_of(self, key: "Key | None") -> "RunRow | None":
        """The run of `run:<id>`."""
        if not isinstance(key, str) or not key.startswith("run:"):
            return None
        return self.state.fleet.runs.get(key.removeprefix("run:"))

    async def open_row(self, key: "Key") -> None:
        """A run or a login opens; a node or the queue shows its runs."""
        run = self.run_of(key)
        if run is not None and run.login is not None and not run.ended:
            self.post_message(LoginOpenRequested(f"run:{run.id}"))
        elif run is not None:
            await super().open_row(key)
        elif key == "queue":
            await self.host.show_runs("s:queue")
        elif isinstance(key, str) and key.startswith("node:"):
            await self.host.show_runs(f"node:{key.removeprefix('node:')} s:active")
