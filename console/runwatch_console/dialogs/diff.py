"""Two runs beside each other, step by step, over the whole screen; the first difference is gone
to.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from textual import work
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.comparing import Comparison, compare
from runwatch_console.comparison_text import head_lines, summary_text
from runwatch_console.dialogs.base import Dialog
from runwatch_console.messages import EventOpenRequested
from runwatch_console.ports import ApiError
from runwatch_console.screens.base import Host
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.cells import fit
from runwatch_console.widgets.diff_rows import DiffRow, DiffRows
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.text import clean

SIDE_BY_SIDE = 100
"""From this width on both sides have room on one line."""
SHORT = 30
"""Below this height the head is cut to what decides."""
LABEL_WIDTH = 10
DELTA_WIDTH = 14


class DiffDialog(Dialog[None]):
    """See the module."""

    BINDINGS = bindings_for("diff")

    def __init__(self, host: Host, left: str, right: str) -> None:
        super().__init__(host.state)
        self.host = host
        self.left, self.right = left, right
        self.source = DiffRows(self.state.lens)
        self.comparison: Comparison | None = None

    @property
    def title_text(self) -> str:
        """Both runs."""
        return self.state.words("diff.title", left=self.left, right=self.right)

    def compose_content(self) -> Iterable[Widget]:
        """Head, how they compare, the lines, and the keys."""
        words = self.state.words
        yield Static(id="diff-head")
        yield Static(self.shown(words("diff.asking")), id="diff-note", markup=False)
        yield VirtualList(self.source, ascii=self.state.preferences.ascii, id="diff-rows")
        yield Static(self.shown(words("diff.keys")), id="diff-keys", markup=False)

    @property
    def rows(self) -> VirtualList:
        """The lines."""
        return self.query_one("#diff-rows", VirtualList)

    def on_mount(self) -> None:
        """Ask for both."""
        self.rows.focus()
        self.ask()

    @work(exclusive=True, exit_on_error=False)
    async def ask(self) -> None:
        """Both runs with their steps."""
        connection = await self.host.connection()
        try:
            comparison = await compare(connection.api, self.left, self.right)
        except ApiError as error:
            self._note(clean(error.error, limit=200, fold=True))
            return
        if self.is_attached:
            self._show(comparison)

    def _note(self, text: str) -> None:
        if self.is_attached:
            self.query_one("#diff-note", Static).update(Content(self.shown(text)))

    def _show(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.source.pairs = comparison.pairs
        self.source.stack(self.app.size.width < SIDE_BY_SIDE)
        self._show_head()
        self.rows.move_rows()
        self._note(summary_text(comparison, self.state.lens))
        if comparison.differences:
            self.call_after_refresh(self._go_to_pair, comparison.differences[0])

    def _show_head(self) -> None:
        if self.comparison is None:
            return
        lens = self.state.lens
        width = self.app.size.width - 6
        column = max(12, (width - LABEL_WIDTH - DELTA_WIDTH - 3) // 2)
        lines = head_lines(self.comparison, lens)
        if self.app.size.height < SHORT:
            lines = [line for line in lines if line.label not in _LESS_NEEDED]
        shown = []
        for line in lines:
            label = fit(lens.words(line.label), LABEL_WIDTH)
            text = " ".join((fit(line.left, column), fit(line.right, column), line.delta))
            shown.append(
                Content.assemble((f"{label} ", "$foreground-muted"), Content(self.shown(text)))
            )
        self.query_one("#diff-head", Static).update(Content("\n").join(shown))

    def on_resize(self) -> None:
        """Side by side or below each other, as there is room; the cursor stays on its pair."""
        if self.comparison is None:
            return
        here = self._pair_here
        stacked = self.app.size.width < SIDE_BY_SIDE
        if stacked != self.source.stacked:
            self.source.stack(stacked)
            self.rows.move_rows()
            self.call_after_refresh(self._go_to_pair, here)
        self._show_head()

    # Where the cursor is.

    @property
    def _row_here(self) -> DiffRow | None:
        key = self.rows.cursor_key
        return key if isinstance(key, DiffRow) else None

    @property
    def _pair_here(self) -> int:
        row = self._row_here
        return row.pair if row is not None else 0

    def _go_to_pair(self, pair: int) -> None:
        """The cursor on the pair, and what stands around it in sight."""
        rows = self.rows
        index = self.source.index_of_pair(pair)
        rows.go_to(index)
        top = max(0, index - rows.page_rows // 3)
        rows.scroll_to(y=top, animate=False, force=True, immediate=True)

    def action_difference(self, step: int) -> None:
        """The next or the previous difference; round the end it goes on from the other."""
        found = self.comparison.differences if self.comparison is not None else ()
        if not found:
            return
        here = self._pair_here
        at = bisect_right(found, here) if step > 0 else bisect_left(found, here) - 1
        self._go_to_pair(found[at % len(found)])

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """Enter opens the run of this line there: the first where the line has both."""
        row = self._row_here
        self._open("right" if row is not None and row.side == "right" else "left")

    def action_open_second(self) -> None:
        """Open the second run there."""
        self._open("right")

    def _open(self, wanted: str) -> None:
        if self.comparison is None or self._row_here is None:
            return
        pair = self.comparison.pairs[self._pair_here]
        sides = {"left": (self.left, pair.left), "right": (self.right, pair.right)}
        run_id, call = sides[wanted]
        if call is None:
            run_id, call = sides["right" if wanted == "left" else "left"]
        if call is not None:
            self.dismiss(None)
            self.app.post_message(EventOpenRequested(run_id, call.seq))


_LESS_NEEDED = frozenset({"diff.run", "diff.name", "diff.queued", "diff.prompt"})
