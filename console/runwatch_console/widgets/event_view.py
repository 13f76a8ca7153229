"""The view of a run's events: at the live end or anywhere in the log, folds, wraps, searches.

It never asks for pages itself: it says that it wants one, and is given it.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from textual import events
from textual.message import Message

from runwatch_console.eventlines import EventLine
from runwatch_console.eventwindow import Line
from runwatch_console.lens import Lens
from runwatch_console.ports import RunItem
from runwatch_console.runlog import Moved, RunLog
from runwatch_console.widgets.event_rows import EventRows
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.wire import EventViewPage

Direction = Literal[-2, -1, 0, 1]
"""The very first events, earlier, the live end, later."""


class EventView(VirtualList):
    """See the module."""

    class PageWanted(Message):
        """The view comes near the end of what it holds, or (0) wants the live end itself."""

        def __init__(self, direction: Direction) -> None:
            super().__init__()
            self.direction = direction

    class FollowChanged(Message):
        """The view left the live end or came back to it."""

    def __init__(self, lens: Lens, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        self.log_rows = EventRows(RunLog(), lens)
        super().__init__(self.log_rows, ascii=lens.ascii, id=id)
        self._page_asked: Direction | None = None

    @property
    def run_log(self) -> RunLog:
        """What it shows."""
        return self.log_rows.log

    @property
    def line(self) -> Line | None:
        """The line under the cursor."""
        rows = self.log_rows.rows
        return rows[self.cursor].line if 0 <= self.cursor < len(rows) else None

    def start(self, lens: Lens, *, max_events: int | None = None) -> None:
        """Forget what was shown: another run comes."""
        self.log_rows.log = RunLog(max_events=max_events)
        self.log_rows.lens = lens
        self.log_rows.open.clear()
        self._rebuild()
        self.cursor, self.cursor_key = 0, None
        self._page_asked = None
        self._strips.clear()
        self.move_rows()

    def set_lens(self, lens: Lens, *, stale: bool) -> None:
        """Time or its format went on."""
        self.log_rows.lens = lens
        self.log_rows.stale = stale
        self.touch_rows()

    def load(self, page: EventViewPage) -> None:
        """Show the tail, or a page jumped to."""
        self.run_log.load(page)
        self._rebuild()
        self._page_asked = None
        if self.run_log.following:
            self._to_end()
            self._ask_near_ends()
        else:
            if not page.has_before and len(self.log_rows.rows):
                self.cursor, self.cursor_key = 0, self.log_rows.key_at(0)
                self._scroll_top(0)
            self.move_rows()

    def add_page(self, page: EventViewPage, direction: Direction) -> None:
        """Add a page that was asked for."""
        log = self.run_log
        _ = log.load_earlier(page) if direction < 0 else log.load_later(page)
        self._page_asked = None
        self._rebuild()
        self.move_rows()

    def page_failed(self) -> None:
        """The page did not come; it may be asked for again."""
        self._page_asked = None

    def take(self, items: Sequence[RunItem], server_now_s: float) -> None:
        """Take live items."""
        log = self.run_log
        changed = False
        for item in items:
            moved = log.take(
                item, keep_from=self.log_rows.line_index(self.top_index), server_now_s=server_now_s
            )
            if moved.added or moved.dropped_first:
                changed = True
                self.log_rows.synchronize(moved)
        if changed and log.following and not log.paused:
            self._to_end()
        elif changed:
            self.move_rows()

    def follow(self) -> None:
        """Go to the live end and stay there; the owner loads the tail if the window left it."""
        log = self.run_log
        log.following = True
        if log.paused:
            self.resume()
        log.unseen = 0
        if log.window.has_after:
            self._want(0)
        self._to_end()
        self.post_message(self.FollowChanged())

    def resume(self) -> bool:
        """End a pause; False when too much was held back and the owner must load."""
        moved: Moved | None = self.run_log.resume(self.log_rows.line_index(self.top_index))
        if moved is None:
            return False
        self.log_rows.synchronize(moved)
        if self.run_log.following:
            self._to_end()
        else:
            self.move_rows()
        return True

    def unfollow(self) -> None:
        """Stay where the view is."""
        if self.run_log.following:
            self.run_log.following = False
            self.post_message(self.FollowChanged())

    def go_to_seq(self, seq: int) -> bool:
        """Put the cursor on an event; False when the window does not hold it."""
        if not self.run_log.window.holds(seq):
            return False
        index = self.log_rows.index_of((EventLine.__name__, seq, 0))
        if index is not None:
            self.unfollow()
            self.go_to(index, center=True)
        return index is not None

    def find(
        self, wanted: Callable[[EventLine], bool], step: Direction, *, wrapped: bool = False
    ) -> int | None:
        """The seq of the next wanted event from the cursor on, within the window; `wrapped`: from
        the window's other end on.
        """
        lines = self.run_log.window.lines
        if not lines or not self.log_rows.rows:
            return None
        index = self.log_rows.line_index(self.cursor) + step
        if wrapped:
            index = 0 if step > 0 else len(lines) - 1
        while 0 <= index < len(lines):
            line = lines[index]
            if isinstance(line, EventLine) and self.log_rows.shows(line) and wanted(line):
                return line.seq
            index += step
        return None

    def rebuild(self) -> None:
        """Fold, wrap or width changed: make the rows anew, the cursor stays on its event."""
        self.log_rows.rebuild()
        self._strips.clear()
        self.move_rows()
        self._show_cursor()

    def filter(self, keep: Callable[[EventLine], bool] | None) -> None:
        """Show only these events; None: all."""
        self.log_rows.keep = keep
        self.rebuild()
        if self.run_log.following:
            self._to_end()

    def fold(self) -> None:
        """Fold or unfold the event under the cursor."""
        line = self.line
        if isinstance(line, EventLine):
            self.log_rows.open.symmetric_difference_update({line.seq})
            self.rebuild()

    def fold_all(self) -> None:
        """Fold or unfold every event."""
        self.log_rows.all_open = not self.log_rows.all_open
        self.log_rows.open.clear()
        self.rebuild()

    def wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.log_rows.wrapped = not self.log_rows.wrapped
        self.rebuild()

    # Where the view stands.

    def go_to(self, index: int, *, center: bool = False) -> bool:
        """See `VirtualList.go_to`; the last row is the live end, which is left and come back to."""
        moved = super().go_to(index, center=center)
        if moved:
            self._stood()
        return moved

    def action_top(self) -> None:
        """Go to the run's first event, wherever the window stands."""
        if self.run_log.window.has_before:
            self.unfollow()
            self._page_asked = None  # the page it replaces is not waited for any more
            self._want(-2)
        else:
            super().action_top()

    def _rebuild(self) -> None:
        # Not on a resize alone: a view laid out before it runs is never told of its first size.
        self.log_rows.width = self.row_width or self.log_rows.width
        self.log_rows.rebuild()

    def action_bottom(self) -> None:
        """Go to the live end."""
        self.follow()

    def on_resize(self) -> None:
        """Rows depend on the width."""
        self._rebuild()
        super().on_resize()
        self.move_rows()
        if self.run_log.following:
            self._to_end()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel leaves the live end like a key does."""
        self.unfollow()
        self._ask_near_ends()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel asks for pages like a key does."""
        self._ask_near_ends()

    def _stood(self) -> None:
        log = self.run_log
        at_end = self.cursor >= len(self.log_rows.rows) - 1 and not log.window.has_after
        if at_end and not log.following:
            log.following = True
            if not log.paused:
                log.unseen = 0
            self.post_message(self.FollowChanged())
        elif not at_end:
            self.unfollow()
        self._ask_near_ends()

    def _ask_near_ends(self) -> None:
        window = self.run_log.window
        if window.has_before and self.top_index <= self.page_rows:
            self._want(-1)
        elif window.has_after and self.top_index + 2 * self.page_rows >= len(self.log_rows.rows):
            self._want(1)

    def _want(self, direction: Direction) -> None:
        if self._page_asked is None and self.run_log.loaded:
            self._page_asked = direction
            self.post_message(self.PageWanted(direction))

    def _to_end(self) -> None:
        """The cursor and the view at the last row, whatever was before."""
        count = len(self.log_rows.rows)
        self.cursor = max(0, count - 1)
        self.cursor_key = self.log_rows.key_at(self.cursor) if count else None
        self.move_rows()
        self._scroll_top(count - self.page_rows)
