"""Screen 2: the table of runs, filtered and sorted, with the live tail of the one under the
cursor.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from textual.widget import Widget

from runwatch_console.filters import ANY, FilterError, filter_problem, parse_filter
from runwatch_console.ordering import SORTS, Sort, sort_named
from runwatch_console.screens.base import Host
from runwatch_console.screens.empty import runs_empty
from runwatch_console.screens.paged_runs import PagedRunsScreen
from runwatch_console.statustext import Span
from runwatch_console.views import View, find_view, views_of
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.column_header import ColumnHeader
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.virtual_list import RowSource
from runwatch_shared.settings import SavedView
from runwatch_shared.text import clean


class RunsScreen(PagedRunsScreen):
    """See the module."""

    BINDINGS = bindings_for("table")
    OWNERS = ("list", "runs", "table", "browse", "app")

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.columns: list[str] = []
        """Of the view that is shown; none: those of the settings."""
        self._view: View | None = None
        self.filter_refused = ""
        self._changed_fleet = self.state.fleet
        self._begin_with(self.state.preferences.view)

    def _own_columns(self) -> Sequence[str]:
        return self.state.preferences.columns.get("runs", ())

    def _begin_with(self, name: str) -> None:
        preferences = self.state.preferences
        view = find_view(views_of(preferences.views, preferences.user), name) if name else None
        if view is not None:
            with suppress(FilterError):
                self._choose(view)

    def compose_body(self) -> Iterable[Widget]:
        """Header, table, what to say when it is empty, and the preview."""
        yield from self.compose_panes(ColumnHeader(self.source.columns, self.state, id="header"))

    def make_source(self) -> RowSource:
        """Runs in the table's order."""
        return self.source

    def title_spans(self) -> tuple[Span, ...]:
        """`Runs 312 of 5,140 │ filter: … │ sort: attention ⇵ locked`."""
        state = self.state
        words = state.words
        shown = self.source.run_count
        total = state.fleet.total if state.fleet.total is not None else len(state.fleet.runs)
        more = "+" if self.order.filter and not self.complete_list else ""
        counts = words("runs.count", n=f"{shown:,}{more}", total=f"{max(total, shown):,}")
        spans: list[Span] = [(counts, "title" if not state.stale else "muted")]
        if self._view is not None and self._view.saved == self.present_view():
            name = clean(self._view.name, limit=40, fold=True)
            spans += [(" │ ", "muted"), (f"{words('view.shown')}: ", "muted"), (name, "title")]
        if self.order.filter:
            sign = "!" if self.order.inverted else ""
            text = f"{sign}({self.order.filter.text})" if sign else self.order.filter.text
            spans += [(" │ ", "muted"), (f"{words('runs.filter')}: ", "muted"), (text, "accent")]
        spans += [(" │ ", "muted"), (f"{words('runs.sort')}: ", "muted")]
        spans.append((words(f"sort.{self.order.sort.id}"), ""))
        if self.order.reversed:
            spans.append((" ↑", ""))
        if self.order.locked:
            spans.append((f" ⇵ {words('runs.locked')}", "waiting"))
        return tuple(spans)

    def show_state(self) -> None:
        """Rows show the newest facts at once; they move only when nobody is at the keys."""
        state = self.state
        fleet = state.fleet
        self.source.fleet, self.source.lens = fleet, state.lens
        if fleet is not self._changed_fleet:
            self._changed_fleet = fleet
            self.forget_removed()
            self.order.note(fleet.runs, fleet.changed, state.server_now_s)
        if self.of_another_time or self.order.due(state.hand_mono_s, state.last_key_mono_s):
            self.apply_order()
        else:
            self.rows.touch_rows()
            self._show_empty()
        self.ask_soon()
        self.show_preview()

    def on_screen_resume(self) -> None:
        """While hidden, changes were not noted: look at all of them."""
        self.order.note(self.state.fleet.runs, None, self.state.server_now_s)
        super().on_screen_resume()

    def show_rows(self) -> None:
        """Counts, and what stands below."""
        self._show_empty()
        self.show_frame()
        self.show_preview()

    def _show_empty(self) -> None:
        text = self.order.filter.text
        empty = runs_empty(self.state, shown=len(self.source), filter_text=text)
        self.query_one("#empty", QuietText).say(empty)
        self.set_class(bool(empty.plain), "-empty")

    # Filter and order.

    def set_filter(self, text: str, *, typing: bool = False) -> bool:
        """Show only what matches; False when the text means nothing, and the old filter stays."""
        try:
            chosen = parse_filter(clean(text), typing=typing)
        except FilterError as error:
            self.filter_refused = filter_problem(error, self.state.words)
            self.prompt.show_problem(self.filter_refused)
            return False
        self.prompt.show_problem("")
        self.order.filter = chosen
        self.apply_order()
        return True

    def filter_typed(self, text: str) -> None:
        """The table narrows while one types."""
        self.set_filter(text, typing=True)

    def filter_submitted(self, text: str) -> None:
        """A filter that means nothing is said, and does not count."""
        if not self.set_filter(text):
            text = self.state.words("filter.kept", problem=self.filter_refused)
            self.notify(text, severity="warning", markup=False, timeout=8)

    async def take_filter(self, text: str) -> None:
        """From a command or another screen."""
        if text:
            self.filter_submitted(text)
        else:
            await self.action_filter()

    def take_view(self, view: View) -> None:
        """All of it at once: filter, order, columns, lock."""
        try:
            self._choose(view)
        except FilterError as error:
            self.filter_refused = filter_problem(error, self.state.words)
            text = self.state.words("filter.kept", problem=self.filter_refused)
            self.notify(text, severity="warning", markup=False, timeout=8)
            return
        self.order.locked = False
        self.apply_order()
        self.order.locked = view.saved.locked
        self.show_frame()
        self._show_columns()

    def _choose(self, view: View) -> None:
        saved = view.saved
        self.order.filter = parse_filter(clean(saved.filter))
        self.order.inverted = saved.inverted
        self.order.sort = sort_named(saved.sort) or SORTS[0]
        self.order.reversed = saved.reversed
        self.order.locked = saved.locked
        self._choose_columns(saved.columns)
        self._view = view

    def present_view(self) -> SavedView:
        """What is shown."""
        return SavedView(
            filter=self.order.filter.text,
            inverted=self.order.inverted and bool(self.order.filter),
            sort=self.order.sort.id,
            reversed=self.order.reversed,
            locked=self.order.locked,
            columns=list(self.columns),
        )

    def take_columns(self, names: Sequence[str]) -> None:
        """From a command."""
        self._choose_columns(names)
        self._show_columns()

    def _choose_columns(self, names: Sequence[str]) -> None:
        self.columns = list(names)
        self.source.choose_columns(names or self._own_columns())

    def _show_columns(self) -> None:
        self.rows.repaint()
        self.query_one("#header").refresh()
        self.show_frame()

    def take_sort(self, name: str) -> None:
        """From a command."""
        if (sort := sort_named(name)) is not None:
            self.set_sort(sort)

    def set_sort(self, sort: Sort) -> None:
        """Another order."""
        self.order.sort = sort
        self.order.reversed = False
        self.apply_order()

    async def action_filter(self) -> None:
        """Type a filter."""
        await self.open_prompt("filter", self.order.filter.text)

    async def action_search_to_filter(self) -> None:
        """Filter by what was searched."""
        if self.needle_text:
            text = self.needle_text
            self.set_needle("")
            self.set_filter(f'"{text}"' if " " in text else text)
        else:
            await self.action_filter()

    def action_invert(self) -> None:
        """Show exactly what the filter hides."""
        if self.order.filter:
            self.order.inverted = not self.order.inverted
            self.apply_order()

    def action_sort(self) -> None:
        """The next order."""
        index = next((i for i, sort in enumerate(SORTS) if sort is self.order.sort), 0)
        self.set_sort(SORTS[(index + 1) % len(SORTS)])

    def action_reverse(self) -> None:
        """The other way round."""
        self.order.reversed = not self.order.reversed
        self.apply_order()

    def action_lock(self) -> None:
        """Keep the order as it is, or let it go again."""
        self.order.locked = not self.order.locked
        if not self.order.locked:
            self.apply_order()
        self.show_frame()

    def action_escape(self) -> None:
        """The search, the marks, then the filter."""
        if self.needle is None and not self.rows.marks and self.order.filter:
            self.order.filter, self.order.inverted = ANY, False
            self.apply_order()
        else:
            super().action_escape()
