"""The rows of the Runs screen beyond those that are held: asked for page by page as the view comes
near their place, shown where they belong in the list's order, and let go when they are far away.
"""

from collections.abc import Mapping
from typing import Final

from textual import work
from textual.timer import Timer

from runwatch_console.keymap import key_text
from runwatch_console.ordering import RunOrder
from runwatch_console.ports import ApiError
from runwatch_console.rows import RunRow, run_row
from runwatch_console.screens.base import Host
from runwatch_console.screens.run_list import RunListScreen
from runwatch_console.serverquery import ServerOrder, order_at_server, server_query, turned
from runwatch_console.walk import MOST_BARREN, PAGE_ROWS, Ask, Side, Walk
from runwatch_console.widgets.run_rows import ABOVE, BELOW, RunRows
from runwatch_console.widgets.virtual_list import Key, VirtualList
from runwatch_shared.text import clean

ASK_AFTER_S: Final = 0.1
"""A filter that is being typed is not asked for at every letter."""
AHEAD_PAGES: Final = 2
"""Pages of the view before the end of what is held the next one is asked for."""


class PagedRunsScreen(RunListScreen):
    """Base of the Runs screen."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.order = RunOrder()
        self.source = RunRows(
            self.state.fleet, self.state.lens, self.state.preferences.columns.get("runs", ())
        )
        self.walk: Walk | None = None
        """None: all rows are held, or nothing is known of any."""
        self._walked: tuple[object, ...] = ()
        self._listed_past = False
        self._ask_timer: Timer | None = None
        self._to_bottom: Key | None = None
        """Where the cursor stands since the last row was wished for."""

    def run_of(self, key: Key | None) -> RunRow | None:
        """The run with this id, held or read page by page."""
        return self.source.run_of(key) if isinstance(key, str) else None

    def run_known(self, run_id: str) -> RunRow | None:
        """The same."""
        return self.source.run_of(run_id)

    @property
    def complete_list(self) -> bool:
        """Whether no row is missing that belongs to the list."""
        walk = self.walk
        if self.state.fleet.edge is None or self.state.past is not None:
            return True
        return walk is not None and not walk.more("above") and not walk.more("below")

    @property
    def of_another_time(self) -> bool:
        """Whether the list is still that of now and the state of the past, or the other way."""
        return self._listed_past != (self.state.past is not None)

    def show_rows(self) -> None:
        """What stands around the list follows it."""
        raise NotImplementedError

    # The list.

    def apply_order(self) -> None:
        """Filter and sort anew; the cursor stays on its run."""
        state = self.state
        self._listed_past = state.past is not None
        self._begin_if_another()
        runs: Mapping[str, RunRow] = state.fleet.runs
        if self._rows_beyond:
            runs = {**self._rows_beyond, **runs}
        self.order.apply(runs, state.server_now_s, state.hand_mono_s)
        self._list()

    @property
    def _rows_beyond(self) -> Mapping[str, RunRow]:
        walk = self.walk
        return {} if walk is None or self.state.past is not None else walk.rows

    @property
    def _at_server(self) -> ServerOrder:
        return order_at_server(self.order.sort.id, reversed_=self.order.reversed)

    def _begin_if_another(self) -> None:
        """Another filter, order or snapshot: what was read belongs to it no more."""
        order, edge = self.order, self.state.fleet.edge
        wanted = (order.filter.text, order.inverted, order.sort.id, order.reversed, edge)
        if self.state.past is None and wanted != self._walked:
            self._walked = wanted
            self.walk = None if edge is None else self._new_walk()

    def _new_walk(self, *, from_tail: bool = False) -> Walk:
        order, fleet = self.order, self.state.fleet
        assert fleet.edge is not None
        sort = self._at_server.sort
        query = server_query(
            order.filter,
            turned(sort) if from_tail else sort,
            fleet.edge,
            inverted=order.inverted,
            agents={run.agent for run in fleet.runs.values()},
            now_s=self.state.server_now_s,
        )
        return Walk(query, from_tail=from_tail)

    def _list(self) -> None:
        self.source.beyond = self._rows_beyond
        ids = self._with_places(self.order.ids)
        self._say_places()
        if ids == self.source.ids:
            self.rows.touch_rows()
        else:
            self.source.set_ids(ids)
            self.rows.move_rows()
        self.show_rows()
        self.ask_soon()

    def _with_places(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        """The ids, with a line where rows are missing."""
        walk = self.walk
        if walk is None or self.complete_list:
            return ids
        listed = list(ids)
        aligned = self._at_server.aligned and not self.order.locked
        if walk.more("below"):
            last = walk.edge_row("below")
            place = self.order.place_of(last, after=True) if last and aligned else len(ids)
            listed.insert(place, BELOW)
        if walk.more("above"):
            first = walk.edge_row("above")
            place = self.order.place_of(first, after=False) if first and aligned else 0
            listed.insert(place if walk.begun else len(listed), ABOVE)
        return tuple(listed)

    def _say_places(self) -> None:
        words, walk, total = self.state.words, self.walk, self.state.fleet.total
        key = key_text(self.host.keymap.get("app.retry", "r"))
        if walk is None:
            text = ""
        elif walk.problem:
            text = words("more.failed", error=walk.problem, key=key)
        elif walk.barren >= MOST_BARREN:
            text = words("more.barren", n=f"{walk.looked_at:,}", key=key)
        elif not self.state.link.connected:
            text = words("more.offline")
        elif self.order.filter or total is None:
            text = words("more.matching")
        else:
            text = words("more.runs", n=f"{max(0, total - len(self.order.ids)):,}")
        if text != self.source.place_text:
            self.source.place_text = text
            self.rows.touch_rows()

    # When a page is asked for.

    def holes(self) -> tuple[int, ...]:
        """Where rows are missing that will come of themselves."""
        if not self._goes_on:
            return ()
        found = (self.source.index_of(place) for place in (ABOVE, BELOW))
        return tuple(index for index in found if index is not None)

    @property
    def _goes_on(self) -> bool:
        """Whether a page can be asked for now."""
        walk, state = self.walk, self.state
        if walk is None or walk.problem or walk.barren >= MOST_BARREN:
            return False
        return state.past is None and state.link.connected

    def ask_soon(self) -> None:
        """Ask for a page where the view is near its place."""
        if self.walk is None:
            return
        self._say_places()
        if self._ask_timer is None and self._side_wanted() is not None:
            self._ask_timer = self.set_timer(ASK_AFTER_S, self._ask)

    def _side_wanted(self) -> Side | None:
        walk = self.walk
        if walk is None or walk.asking or not self._goes_on or not self.in_sight:
            return None
        if not walk.begun:
            # What is held is the head of one order only; of any other the first rows may be away.
            head = self.order.sort.id == "attention" and not self.order.reversed
            near = self._near(len(self.source) - 1) or walk.from_tail or not head
            return ("above" if walk.from_tail else "below") if near else None
        return next((side for side, key in _PLACES.items() if self._place_is_near(key)), None)

    def _place_is_near(self, key: str) -> bool:
        index = self.source.index_of(key)
        return index is not None and self._near(index)

    def _near(self, index: int) -> bool:
        rows = self.rows
        ahead = AHEAD_PAGES * rows.page_rows
        return rows.top_index - ahead <= index <= rows.top_index + rows.page_rows + ahead

    def _ask(self) -> None:
        self._ask_timer = None
        side = self._side_wanted()
        if side is None or self.walk is None:
            return
        if side == "above" and self.walk.begun and self._comes_from_above():
            self.walk = self._new_walk()
            self.apply_order()
            side = "below"
        if (ask := self.walk.ask(side)) is not None:
            self.read_page(self.walk, ask)

    def _comes_from_above(self) -> bool:
        place = self.source.index_of(ABOVE)
        return place is not None and self.rows.cursor < place

    @work(exclusive=True, group="pages", exit_on_error=False)
    async def read_page(self, walk: Walk, ask: Ask) -> None:
        """One page, into the walk and into the list."""
        connection = await self.host.connection()
        try:
            page = await connection.api.workflows(walk.query, limit=PAGE_ROWS, cursor=ask.cursor)
        except ApiError as error:
            problem = clean(error.error, limit=200, fold=True)
            walk.refused(problem, for_good=error.code == "invalid_cursor")
            if walk is self.walk and self.is_whole:
                self._say_places()
            return
        held = self.state.fleet.runs
        came, gone = walk.take(ask, [run_row(row) for row in page.workflows], page.next_cursor)
        if walk is not self.walk or self.state.past is not None or not self.is_whole:
            return
        before = len(self.order.ids)
        fresh = [row for row in came if row.id not in held]
        lost = [run_id for run_id in gone if run_id not in held]
        self.order.merge(fresh, lost, self.state.server_now_s)
        walk.barren = 0 if len(self.order.ids) + len(lost) > before else walk.barren + 1
        self._list()
        if self._to_bottom is not None and self._to_bottom == self.rows.cursor_key:
            self.rows.go_to(len(self.source) - 1)
        self._to_bottom = None

    def forget_removed(self) -> None:
        """Runs that the last fold removed are read no more."""
        if self.walk is None:
            return
        gone = [run_id for run_id in self.state.fleet.removed if self.walk.forget(run_id)]
        if gone:
            self.order.merge((), gone, self.state.server_now_s)
            self.order.note({}, None, 0.0)

    # Keys.

    def on_virtual_list_moved(self, event: VirtualList.Moved) -> None:
        """Near the end of what is held the next page is asked for."""
        super().on_virtual_list_moved(event)
        self.ask_soon()

    def on_virtual_list_scrolled(self) -> None:
        """The same for the mouse."""
        self.ask_soon()

    def on_virtual_list_went(self, event: VirtualList.Went) -> None:
        """To the first or the last of all, not of those that are held."""
        walk = self.walk
        if walk is None or self.complete_list or self.state.past is not None:
            return
        if event.to == "top" and walk.more("above"):
            self.walk = self._new_walk()
        elif event.to == "bottom" and walk.more("below") and self._at_server.turns:
            self.walk = self._new_walk(from_tail=True)
        else:
            return
        self.apply_order()
        self._to_bottom = self.rows.cursor_key if event.to == "bottom" else None

    def retry(self) -> None:
        """Ask again, or look further."""
        walk = self.walk
        if walk is None:
            return
        if walk.spoiled:
            self.walk = self._new_walk(from_tail=walk.from_tail)
            self.apply_order()
        walk.problem, walk.barren = "", 0
        self.ask_soon()


_PLACES: Final[Mapping[Side, str]] = {"below": BELOW, "above": ABOVE}
