"""The one widget for big lists: paints only visible lines, keeps strips by row, refreshes only what
changed.

What the rows are is the matter of a `RowSource`; the widget knows cursor, marks, scrolling and
styles.
"""

import re
from collections.abc import Awaitable, Callable, Hashable
from typing import ClassVar, Literal, NamedTuple, Protocol

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBarRender
from textual.strip import Strip

from runwatch_console.lens import as_ascii
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.cells import Align, fit, split_matches
from runwatch_console.widgets.toned import Toned

Key = Hashable


class PlainScrollBarRender(ScrollBarRender):
    """A scrollbar of background colours alone."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


class Piece(NamedTuple):
    """Some cells of a line: text cut or filled to `width`."""

    text: str
    width: int
    tone: str = ""
    align: Align = "left"


class Paint(NamedTuple):
    """One line. Compared by value: an equal paint is not drawn again."""

    pieces: tuple[Piece, ...]
    heading: bool = False
    stale: bool = False


class RowSource(Protocol):
    """The rows of a list. Keys stay the same while rows move."""

    def __len__(self) -> int: ...

    def key_at(self, index: int) -> Key:
        """The identity of the row at an index."""
        ...

    def index_of(self, key: Key) -> int | None:
        """Where a row is now; None when it is gone."""
        ...

    def selectable(self, index: int) -> bool:
        """Whether the cursor may stand there; headings are passed over."""
        ...

    def paint(self, index: int, width: int) -> Paint:
        """The row as text for `width` cells."""
        ...


class VirtualList(ScrollView, Toned, can_focus=True):
    """See the module. After a change of the source call `touch_rows` (contents) or `move_rows`
    (order, number).
    """

    DEFAULT_CSS = """
    VirtualList {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
    }
    """
    BINDINGS = bindings_for("list")

    class Moved(Message):
        """The cursor came to another row."""

        def __init__(self, sender: "VirtualList", key: Key) -> None:
            super().__init__()
            self.sender = sender
            self.key = key

        @property
        def control(self) -> "VirtualList":
            """The list."""
            return self.sender

    class Opened(Message):
        """The user asked to open the row under the cursor."""

        def __init__(self, sender: "VirtualList", key: Key) -> None:
            super().__init__()
            self.sender = sender
            self.key = key

        @property
        def control(self) -> "VirtualList":
            """The list."""
            return self.sender

    class Went(Message):
        """The cursor was sent to one end: the first or the last row of all is wished for."""

        def __init__(self, sender: "VirtualList", to: Literal["top", "bottom"]) -> None:
            super().__init__()
            self.sender = sender
            self.to = to

    class Scrolled(Message):
        """Other rows are in sight, the cursor stands where it stood."""

    def __init__(
        self,
        source: RowSource,
        *,
        ascii: bool = False,  # noqa: A002 - what it is
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self.source = source
        self.ascii = ascii
        self.cursor = 0
        self.cursor_key: Key | None = None
        self.marks: set[Key] = set()
        self.opener: Callable[[Key], Awaitable[None]] | None = None
        """Opens a row on Enter before the next key is looked at: of a burst that one is meant for
        what was opened. None: `Opened` tells of it in its turn."""
        self.needle: re.Pattern[str] | None = None
        """What is highlighted in every row."""
        self._paints: dict[Key, Paint] = {}
        self._strips: dict[Key, tuple[object, Strip]] = {}

    @property
    def row_width(self) -> int:
        """Cells a row has for its pieces; the gutter is not counted."""
        return max(0, self.scrollable_content_region.width - 1)

    @property
    def page_rows(self) -> int:
        """Rows that are visible."""
        return max(1, self.scrollable_content_region.height)

    @property
    def top_index(self) -> int:
        """Index of the first visible row."""
        return round(self.scroll_offset.y)

    # What the owner tells the list.

    def touch_rows(self) -> None:
        """Contents may have changed: look at the visible rows and draw those that did."""
        width = self.row_width
        top = self.top_index
        for index in range(top, min(top + self.page_rows + 1, len(self.source))):
            key = self.source.key_at(index)
            paint = self.source.paint(index, width)
            kept = self._paints.get(key)
            if kept is not paint and kept != paint:
                self._paints[key] = paint
                start, end = (0, self.size.width) if kept is None else differing(kept, paint)
                self.refresh(Region(start, index - top, end - start, 1))

    def move_rows(self) -> None:
        """Order or number changed: the cursor stays on its row and that row on its line of the
        screen.
        """
        line = self.cursor - self.top_index
        count = len(self.source)
        found = None if self.cursor_key is None else self.source.index_of(self.cursor_key)
        if found is not None and not self.source.selectable(found):
            found = None
        index = found if found is not None else self._nearest(min(self.cursor, count - 1))
        self._paints.clear()
        size = Size(self.scrollable_content_region.width, count)
        if self.virtual_size != size:
            self.virtual_size = size
        moved = found is None
        self.cursor = max(0, index)
        self.cursor_key = self.source.key_at(self.cursor) if count else None
        self._scroll_top(self.cursor - line if found is not None else self.top_index)
        if found is None:
            self._show_cursor()
        self.refresh()
        if moved:
            self.post_message(self.Moved(self, self.cursor_key))

    def repaint(self) -> None:
        """Draw everything again: width, search, language or style changed."""
        self._paints.clear()
        self._strips.clear()
        self.refresh()

    def go_to(self, index: int, *, center: bool = False) -> bool:
        """Put the cursor on a row, or the nearest one that may have it; returns whether it
        moved.
        """
        count = len(self.source)
        if not count:
            return False
        index = self._nearest(max(0, min(index, count - 1)))
        if center and not self.top_index <= index < self.top_index + self.page_rows:
            self._scroll_top(index - self.page_rows // 2)
        if index == self.cursor and self.cursor_key is not None:
            self._show_cursor()
            return False
        top = self.top_index
        self.refresh_line(self.cursor)
        self.cursor = index
        self.cursor_key = self.source.key_at(index)
        self.refresh_line(index)
        self._show_cursor()
        if self.top_index == top:
            self._paint_now()
        self.post_message(self.Moved(self, self.cursor_key))
        return True

    def _paint_now(self) -> None:
        """Put the changed lines on the terminal at once: a key does not wait for the next frame.

        Textual has no public way (ADR 0026). Where a layout or a batch is under way its own frame
        follows, and so it does where a Textual has other insides: the lines are marked already.
        """
        screen = self.screen
        try:
            if screen is not self.app.screen or self.app._batch_count or not self.is_attached:
                return
            if screen._layout_required or screen._scroll_required or screen._repaint_required:
                return
            screen._compositor.update_widgets({self})
            screen._compositor_refresh()
        except AttributeError:
            return

    def go_to_key(self, key: Key) -> bool:
        """Put the cursor on this row; False if it is not there."""
        index = self.source.index_of(key)
        if index is None:
            return False
        self.go_to(index)
        return True

    def _nearest(self, index: int) -> int:
        """The nearest row that may have the cursor, looking down first."""
        count = len(self.source)
        for candidate in range(max(0, index), count):
            if self.source.selectable(candidate):
                return candidate
        for candidate in range(min(index, count - 1), -1, -1):
            if self.source.selectable(candidate):
                return candidate
        return max(0, min(index, count - 1))

    def _show_cursor(self) -> None:
        top, height = self.top_index, self.page_rows
        # What stands above or below the cursor and cannot have it stays in sight with it: the
        # heading of a section, the line that says there is more.
        above = 1 if self.cursor > 0 and not self.source.selectable(self.cursor - 1) else 0
        last = self.cursor + 1
        below = 1 if last == len(self.source) - 1 and not self.source.selectable(last) else 0
        if self.cursor - above < top:
            self._scroll_top(self.cursor - above)
        elif self.cursor + below >= top + height:
            self._scroll_top(self.cursor + below - height + 1)

    def _scroll_top(self, top: int) -> None:
        top = max(0, min(top, len(self.source) - self.page_rows))
        if top != self.top_index:
            self.scroll_to(y=top, animate=False, force=True, immediate=True)

    # Painting.

    def render_line(self, y: int) -> Strip:
        """The strip of a visible line."""
        index = y + self.top_index
        width = self.scrollable_content_region.width
        base = self.base_style
        if index >= len(self.source):
            return Strip.blank(width, base)
        key = self.source.key_at(index)
        paint = self._paints.get(key)
        if paint is None:
            paint = self._paints[key] = self.source.paint(index, self.row_width)
        on_cursor = self.can_focus and index == self.cursor and self.source.selectable(index)
        state = (paint, on_cursor, key in self.marks, self.has_focus, width, base)
        kept = self._strips.get(key)
        if kept is not None and kept[0] == state:
            return kept[1]
        strip = self._strip(paint, on_cursor=on_cursor, marked=key in self.marks, width=width)
        most = 8 * self.size.height
        if len(self._strips) > most:
            self._strips.clear()
        if len(self._paints) > most:
            self._paints.clear()
        self._strips[key] = (state, strip)
        return strip

    def _strip(self, paint: Paint, *, on_cursor: bool, marked: bool, width: int) -> Strip:
        row = self.base_style
        if paint.heading:
            row += self.row_style("heading")
        if marked:
            row += self.row_style("marked")
        if on_cursor:
            row += self.row_style("cursor" if self.has_focus else "cursor-blurred")
        gutter = _GUTTERS[(on_cursor, marked)]
        ellipsis = "~" if self.ascii else "…"
        segments = [Segment(as_ascii(gutter) if self.ascii else gutter, row)]
        stale = self.row_style("stale") if paint.stale else None
        used = 1
        for piece in paint.pieces:
            text = as_ascii(piece.text) if self.ascii else piece.text
            text = fit(text, piece.width, piece.align, ellipsis=ellipsis)
            style = self.tone_in(row, piece.tone) if stale is None else row + stale
            used += max(0, piece.width)
            segments.extend(self._segments(text, style))
        if used < width:
            segments.append(Segment(" " * (width - used), row))
        # Fewer changes of style are fewer bytes: a gap looks as what stands before it.
        return Strip(segments, max(used, width)).crop_extend(0, width, row).simplify()

    def _segments(self, text: str, style: Style) -> list[Segment]:
        if self.needle is None:
            return [Segment(text, style)]
        match = self.tone("match")
        return [
            Segment(part, style + match if matches else style)
            for part, matches in split_matches(text, self.needle)
        ]

    # What Textual tells the list.

    def on_mount(self) -> None:
        """A terminal without UTF-8 has no eighths of a block for the ends of the scrollbar."""
        if self.ascii:
            self.vertical_scrollbar.renderer = PlainScrollBarRender  # type: ignore[misc]  # class variable

    def on_resize(self) -> None:
        """Rows are cut to the new width; the cursor stays in sight."""
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.source))
        self.repaint()
        self._show_cursor()

    def on_focus(self) -> None:
        """The cursor is shown brighter where keys go."""
        self.refresh()

    def on_blur(self) -> None:
        """See `on_focus`."""
        self.refresh()

    def notify_style_update(self) -> None:
        """Styles of kept strips are no longer right."""
        super().notify_style_update()
        self._strips.clear()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The mouse moves the view alone."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Scrolled())

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor; a second one opens."""
        index = event.y + self.top_index
        if index >= len(self.source) or not self.source.selectable(index):
            return
        self.go_to(index)
        if event.chain > 1 and self.cursor_key is not None:
            self.post_message(self.Opened(self, self.cursor_key))

    # Actions.

    def reach(self, index: int) -> int:
        """How far a step goes that would go to a row; a list may stop it before."""
        return index

    def action_move(self, step: int) -> None:
        """Move by one row that may have the cursor."""
        index = self.cursor + step
        while 0 <= index < len(self.source) and not self.source.selectable(index):
            index += step
        index = self.reach(index)
        if 0 <= index < len(self.source):
            self.go_to(index)
        elif step < 0:
            self._scroll_top(0)

    def action_half(self, step: int) -> None:
        """Move by half a page."""
        self.go_to(self.reach(self.cursor + step * max(1, self.page_rows // 2)))

    def action_page(self, step: int) -> None:
        """Move by a page less one row."""
        self.go_to(self.reach(self.cursor + step * max(1, self.page_rows - 1)))

    def action_top(self) -> None:
        """Go to the first row."""
        self.go_to(0)
        self._scroll_top(0)
        self.post_message(self.Went(self, "top"))

    def action_bottom(self) -> None:
        """Go to the last row."""
        self.go_to(len(self.source) - 1)
        self.post_message(self.Went(self, "bottom"))

    async def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.cursor_key is None or not len(self.source):
            return
        if self.opener is not None:
            await self.opener(self.cursor_key)
        else:
            self.post_message(self.Opened(self, self.cursor_key))

    def mark(self, key: Key) -> bool:
        """Turn a row's mark round; returns whether it is marked now."""
        if key in self.marks:
            self.marks.discard(key)
        else:
            self.marks.add(key)
        index = self.source.index_of(key)
        if index is not None:
            self.refresh_line(index)
        return key in self.marks


def differing(one: Paint, other: Paint) -> tuple[int, int]:
    """The cells of a line, from and to, in which two paints of it may differ."""
    widths = [piece.width for piece in other.pieces]
    end = _GUTTER_CELLS + sum(widths)
    if (one.heading, one.stale) != (other.heading, other.stale) or widths != [
        piece.width for piece in one.pieces
    ]:
        return 0, end
    differ = [n for n, piece in enumerate(other.pieces) if piece != one.pieces[n]]
    start = _GUTTER_CELLS + sum(widths[: differ[0]])
    return start, _GUTTER_CELLS + sum(widths[: differ[-1] + 1])


_GUTTER_CELLS = 1
_GUTTERS = {
    (False, False): " ",
    (True, False): ">",
    (False, True): "+",
    (True, True): "±",
}
