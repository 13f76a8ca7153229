"""What Attention and Runs share: a list of runs with a preview, and the actions on the run under
the cursor.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widget import Widget

from runwatch_console.keymap import Owner
from runwatch_console.messages import (
    CancelRequested,
    DiffRequested,
    ExplainRequested,
    PeekRequested,
    RowOpenRequested,
    RunItemsArrived,
    RunsRequested,
    ViewsRequested,
)
from runwatch_console.screens.base import ConsoleScreen, Host
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.quiet_text import QuietText

if TYPE_CHECKING:
    from runwatch_console.rows import RunRow
    from runwatch_console.widgets.preview import Preview
    from runwatch_console.widgets.virtual_list import Key, RowSource, VirtualList

PREVIEW_AFTER_S = 0.2
"""The preview follows the cursor when it has stood still so long."""


class RunListScreen(ConsoleScreen):
    """Base. A subclass says which run a key of its list means."""

    BINDINGS = bindings_for("runs")
    OWNERS: ClassVar[tuple[Owner, ...]] = ("list", "runs", "browse", "app")

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._preview_timer: Timer | None = None
        self._preview_next = ""
        self._facts: object = None
        self._facts_run: RunRow | None = None
        self._facts_lens: object = None
        self._preview: Preview | None = None
        self._rows: VirtualList | None = None

    @property
    def rows(self) -> "VirtualList":
        """The list; there once the screen is whole."""
        assert self._rows is not None
        return self._rows

    @property
    def preview(self) -> "Preview":
        """The preview pane; hidden where there is no room, and there once the screen is whole."""
        assert self._preview is not None
        return self._preview

    @property
    def previewing(self) -> bool:
        """Whether there is room, and bandwidth, for the preview."""
        roomy = self.has_class("-medium") or self.has_class("-wide")
        return roomy and not self.has_class("-short") and not self.state.preferences.low_bandwidth

    def run_of(self, key: "Key | None") -> "RunRow | None":
        """The run a key of the list means; None for a heading or a node."""
        raise NotImplementedError

    @property
    def run_here(self) -> "RunRow | None":
        """The run under the cursor."""
        return self.run_of(self.rows.cursor_key)

    @property
    def run_id_here(self) -> str:
        """The run under the cursor."""
        return run.id if (run := self.run_here) is not None else ""

    def focus_body(self) -> None:
        """The list, now: a focus that waits for its turn would take it from an opened prompt."""
        self.set_focus(self.rows)

    def on_mount(self) -> None:
        """Keys go to the list."""
        if self._rows is not None:
            self.focus_body()

    def needle_changed(self) -> None:
        """Highlight in the list."""
        self.rows.needle = self.needle
        self.rows.repaint()

    def compose_panes(self, *above: Widget) -> Iterable[Widget]:
        """The list with what stands above it, the preview below, and at the right the run's
        facts.
        """
        with Horizontal(id="list-panes"), Vertical(id="list-main"):
            yield from above
            yield self.make_rows()
            yield QuietText(id="empty")

    def make_rows(self) -> "VirtualList":
        """The list itself."""
        from runwatch_console.widgets.paged_list import PagedList

        ascii_only = self.state.preferences.ascii
        self._rows = PagedList(self.make_source(), self.holes, ascii=ascii_only, id="rows")
        self._rows.opener = self.open_row
        return self._rows

    def holes(self) -> tuple[int, ...]:
        """Indices of lines that stand for rows on their way."""
        return ()

    async def mount_rest(self) -> None:
        """The preview below, and the facts at the right."""
        from runwatch_console.widgets.preview import Preview

        preview = Preview(self.state, id="preview")
        # Where the app ends meanwhile, the widgets go one by one.
        for main in self.query("#list-main"):
            await main.mount(preview)
        for panes in self.query("#list-panes"):
            await panes.mount(QuietText(id="side-facts", fixed=True))
        self._preview = preview

    def make_source(self) -> "RowSource":
        """The rows of the list."""
        raise NotImplementedError

    def show_facts(self) -> None:
        """All that is known of the run under the cursor, where there is room."""
        if not self.has_class("-wide") or self._preview is None:
            return
        from runwatch_console.facts import run_facts
        from runwatch_console.widgets.facts_text import facts_content

        run, lens = self.run_here, self.state.lens
        second = replace(lens, now_s=float(int(lens.now_s)))
        if run is self._facts_run and second == self._facts_lens:
            return
        self._facts_run, self._facts_lens = run, second
        facts = [] if run is None else run_facts(run, lens)
        if (facts, lens.stale) != self._facts:
            self._facts = (facts, lens.stale)
            self.query_one("#side-facts", QuietText).say(facts_content(facts, lens, stacked=True))

    # Preview.

    def on_virtual_list_moved(self, event: "VirtualList.Moved") -> None:
        """The preview follows, a moment later."""
        if event.sender is self.rows:
            self.preview_soon()
            self.show_facts()

    def show_preview(self) -> None:
        """Bring preview and facts up to the state, and begin a preview where there is none."""
        if self._preview is None:
            return
        self._preview.show_state(self.state)
        self.show_facts()
        spared = self.state.preferences.low_bandwidth
        if spared != self.has_class("-spared"):
            # What a slow link does not show is not read, and takes no room from the list.
            self.set_class(spared, "-spared")
            self.preview_soon()
        elif not self._preview.run_id:
            self.preview_soon()

    def preview_soon(self) -> None:
        """Show the run under the cursor when it has stood there for a moment.

        Asked again for the run that is awaited already, it begins no new wait: a fleet that changes
        all the time asks more often than the wait is long.
        """
        run_id = self._run_to_preview()
        if run_id is None:
            return
        if self._preview_timer is not None:
            if run_id == self._preview_next:
                return
            self._preview_timer.stop()
        self._preview_next = run_id
        self._preview_timer = self.set_timer(PREVIEW_AFTER_S, self._start_preview)

    def _run_to_preview(self) -> str | None:
        """The run the preview should show and does not yet, empty for none; None where it is right
        as it is.
        """
        if not self.is_whole or not self.in_sight:
            return None
        run = self.run_here
        run_id = run.id if run is not None and self.previewing else ""
        return None if run_id == self.preview.run_id else run_id

    def _start_preview(self) -> None:
        self._preview_timer = None
        run_id = self._run_to_preview()
        if run_id is None:
            return
        self.preview.start(run_id, self.state, self.run_here if run_id else None)
        self.workers.cancel_group(self, "follow")
        if run_id:
            self.follow_events(run_id)

    def on_run_items_arrived(self, event: RunItemsArrived) -> None:
        """Events of the previewed run; those of a run that was left are dropped."""
        event.stop()
        if self.is_whole and event.run_id == self.preview.run_id:
            self.preview.take(event.items)

    def left(self) -> None:
        """Nobody looks: no socket."""
        if self._preview_timer is not None:
            self._preview_timer.stop()
            self._preview_timer = None
        self.workers.cancel_group(self, "follow")
        if self._preview is not None:
            self._preview.run_id = ""

    def begin_again(self) -> None:
        """The preview anew."""
        self.left()
        self.preview_soon()

    def on_screen_resume(self) -> None:
        """Look again."""
        super().on_screen_resume()
        self.preview_soon()

    def on_resize(self) -> None:
        """The preview comes and goes with the room."""
        self.call_after_refresh(self.preview_soon)

    # Actions.

    async def open_row(self, key: "Key") -> None:
        """Open the run."""
        if (run := self.run_of(key)) is not None:
            await self.host.show_screen("run", run_id=run.id)

    def on_virtual_list_opened(self, event: "VirtualList.Opened") -> None:
        """A click opens too, in its turn."""
        self.post_message(RowOpenRequested(self.open_row, event.key))

    def action_search_next(self, step: int) -> None:
        """The next row that says what is searched."""
        if self.needle is None:
            return
        source = self.rows.source
        width = self.rows.row_width
        for offset in range(1, len(source) + 1):
            index = (self.rows.cursor + step * offset) % len(source)
            paint = source.paint(index, width)
            text = " ".join(piece.text for piece in paint.pieces)
            if source.selectable(index) and self.needle.search(text):
                if (index - self.rows.cursor) * step <= 0:
                    self.tell("search.wrapped")
                self.rows.go_to(index)
                return
        self.tell("search.none", text=self.needle_text)

    def _next_run(self, step: int, wanted: "Callable[[RunRow], bool]") -> bool:
        source = self.rows.source
        for offset in range(1, len(source) + 1):
            index = (self.rows.cursor + step * offset) % len(source)
            run = self.run_of(source.key_at(index))
            if run is not None and wanted(run):
                self.rows.go_to(index)
                return True
        return False

    def action_waiting(self, step: int) -> None:
        """The next run that waits for somebody."""
        if not self._next_run(step, lambda run: run.state == "waiting"):
            self.tell("none.waiting")

    def action_error(self, step: int) -> None:
        """The next run that failed or is unhealthy."""
        if not self._next_run(step, is_trouble):
            self.tell("none.error")

    def action_peek(self) -> None:
        """Show it without leaving."""
        if (run := self.run_here) is not None:
            self.post_message(PeekRequested(run.id))

    def action_explain(self) -> None:
        """Why it is as it is."""
        if (run := self.run_here) is not None:
            self.post_message(ExplainRequested(run.id))

    def action_diff(self) -> None:
        """Compare the two marked runs, or the one that is marked with the one here."""
        marked = [run.id for run in self.marked_runs()]
        if len(marked) == 1 and self.run_id_here:
            marked.append(self.run_id_here)
        if len(set(marked)) != 2 or len(marked) != 2:
            self.tell("diff.mark_two")
            return
        self.post_message(DiffRequested(*sorted(marked, key=self._row_number)))

    def _row_number(self, run_id: str) -> int:
        source = self.rows.source
        keys = (run_id, f"run:{run_id}")
        return next((n for key in keys if (n := source.index_of(key)) is not None), 0)

    def action_mark(self) -> None:
        """Mark for a bulk action, and go on to the next row."""
        key = self.rows.cursor_key
        if key is not None and self.run_of(key) is not None:
            self.rows.mark(key)
            self.rows.action_move(1)
            self.show_frame()

    def marked_runs(self) -> "list[RunRow]":
        """The marked runs that are still there."""
        runs = [self.run_of(key) for key in self.rows.marks]
        return [run for run in runs if run is not None]

    def action_cancel(self) -> None:
        """Cancel the marked runs, or else the one under the cursor; asks first."""
        marked = self.marked_runs()
        chosen = marked or ([self.run_here] if self.run_here is not None else [])
        if chosen:
            self.post_message(CancelRequested([run.id for run in chosen]))

    def clear_marks(self) -> None:
        """Nothing is marked any more."""
        self.rows.marks.clear()
        self.rows.refresh()
        self.show_frame()

    def action_escape(self) -> None:
        """The search, then the marks."""
        if self.needle is not None:
            super().action_escape()
        elif self.rows.marks:
            self.clear_marks()

    def action_copy_id(self) -> None:
        """Copy the run's id."""
        if (run := self.run_here) is not None:
            self.copy(run.id)

    def action_copy_line(self) -> None:
        """Copy the row as it reads."""
        if len(self.rows.source):
            paint = self.rows.source.paint(self.rows.cursor, self.rows.row_width)
            self.copy(" ".join(piece.text.strip() for piece in paint.pieces if piece.text.strip()))

    def action_views(self) -> None:
        """The list of saved views."""
        self.post_message(ViewsRequested())

    async def action_filter(self) -> None:
        """Filter the runs."""
        self.post_message(RunsRequested(""))

    def key_facts(self) -> tuple[tuple[str, str], ...]:
        """How many are marked."""
        marked = len(self.marked_runs()) if self.is_mounted else 0
        return ((self.state.words("marked", n=marked), "accent"), (" ", "")) if marked else ()


def is_trouble(run: "RunRow") -> bool:
    """Whether `e` stops here: failed, timed out or unhealthy."""
    return run.status in ("failed", "timeout") or (not run.ended and run.attention == 3)
