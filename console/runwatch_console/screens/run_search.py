"""Finding something in the log of a run: `/`, `n`, `N` and `e`, `E`, in the window and beyond it,
round the end of the log and on from its other end.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from textual import work

from runwatch_console.eventlines import EventLine, body_lines
from runwatch_console.ports import ApiError, EventQuery
from runwatch_console.screens.base import Host
from runwatch_console.screens.run_log import PAGE, RunLogScreen
from runwatch_console.statustext import Span
from runwatch_console.widgets.event_view import Direction


class RunSearchScreen(RunLogScreen):
    """Base; see the module."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._answered = True
        self.filter_text = ""
        self.inverted = False
        self._matches: Callable[[EventLine], bool] | None = None

    def filter_spans(self) -> tuple[Span, ...]:
        """`filter: !text 12 of 500 │`: of the events that are loaded."""
        if self._matches is None:
            return ()
        lines = [line for line in self.events.run_log.window.lines if isinstance(line, EventLine)]
        shown = sum(1 for row in self.events.log_rows.rows if row.part == 0)
        words = self.state.words
        count = words("log.filtered", n=f"{min(shown, len(lines)):,}", total=f"{len(lines):,}")
        sign = "!" if self.inverted else ""
        return ((f" {sign}{self.filter_text}", "accent"), (f" {count} ", "muted"))

    def action_search_to_filter(self) -> None:
        """Show only what says what is searched; without a search: everything again."""
        if self.needle is not None:
            self.filter_text = self.needle_text
            self._matches = matcher(self.needle)
            self.inverted = False
            self.set_needle("")
        elif self._matches is not None:
            self._matches = None
        else:
            self.tell("log.filter_needs_search")
            return
        self.apply_filter()

    def action_invert(self) -> None:
        """Show exactly what the filter hides."""
        if self._matches is not None:
            self.inverted = not self.inverted
            self.apply_filter()

    @property
    def filtered(self) -> bool:
        """Whether some events are hidden."""
        return self._matches is not None

    def drop_filter(self) -> None:
        """Show everything again."""
        if self._matches is not None:
            self._matches = None
            self.apply_filter()

    def apply_filter(self) -> None:
        """Hide what the filter says; the server is asked for nothing."""
        matches, inverted = self._matches, self.inverted
        keep = None if matches is None else lambda line: matches(line) is not inverted
        self.events.filter(keep)
        self.show_note()

    def needle_changed(self) -> None:
        """Highlight in the log."""
        self.events.needle = self.needle
        self.events.repaint()

    def action_search_next(self, step: int) -> None:
        """The next match: in the window, else the server is asked."""
        if self.needle is not None:
            direction: Direction = 1 if step > 0 else -1
            query = EventQuery(q=self.needle_text, limit=1)
            self._go_to_next(matcher(self.needle), direction, query, "search.none")

    def action_error(self, step: int) -> None:
        """The next error: in the window, else the server is asked."""
        direction: Direction = 1 if step > 0 else -1
        query = EventQuery(levels=("error",), limit=1)
        self._go_to_next(lambda line: line.is_error, direction, query, "none.error")

    def _go_to_next(
        self,
        wanted: Callable[[EventLine], bool],
        direction: Direction,
        query: EventQuery,
        none: str,
    ) -> None:
        """The next in the window; else beyond it; else on from the other end of the log."""
        window = self.events.run_log.window
        if (seq := self.events.find(wanted, direction)) is not None:
            self.events.go_to_seq(seq)
            return
        here, there = window.has_before, window.has_after
        if direction > 0:
            here, there = there, here
        if here or there:
            # Beyond this end, then the whole log from its other end: the window lacks a part of it.
            edge = window.first_seq if direction < 0 else window.last_seq
            if self._answered:
                start = edge if here else None
                self.ask_beyond(self.run_id, query, direction, start, none)
            return
        if (seq := self.events.find(wanted, direction, wrapped=True)) is not None:
            self.tell("search.wrapped")
            self.events.go_to_seq(seq)
        else:
            self.tell(none, text=self.needle_text)

    @work(exclusive=True, group="beyond", exit_on_error=False)
    async def ask_beyond(
        self, run_id: str, query: EventQuery, direction: Direction, edge: int | None, none: str
    ) -> None:
        """Find the next match beyond `edge` (None: nothing is there), else from the other end, and
        move the window to it.
        """
        connection = await self.host.connection()
        self._answered = False
        wrapped = False
        try:
            seq = None
            if edge is not None:
                seq = await self._match(run_id, query, direction, edge)
            if seq is None:
                wrapped = True
                newest = self.events.run_log.window.newest_seq
                seq = await self._match(
                    run_id, query, direction, 0 if direction > 0 else newest + 1
                )
            if seq is None:
                self.tell(none, text=self.needle_text)
                return
            page = await connection.api.events(
                run_id, EventQuery(after_seq=max(0, seq - PAGE // 2), limit=PAGE)
            )
        except ApiError as error:
            self.say_failed(error)
            return
        finally:
            self._answered = True
        if run_id == self.run_id and self.is_whole:
            if wrapped:
                self.tell("search.wrapped")
            self.events.unfollow()
            self.events.load(page)
            self.events.go_to_seq(seq)

    async def _match(
        self, run_id: str, query: EventQuery, direction: Direction, edge: int
    ) -> int | None:
        connection = await self.host.connection()
        if direction < 0:
            placed = replace(query, before_seq=edge)
        else:
            placed = replace(query, after_seq=edge)
        found = (await connection.api.events(run_id, placed)).events
        if not found:
            return None
        return found[-1].seq if direction < 0 else found[0].seq


def matcher(needle: re.Pattern[str]) -> Callable[[EventLine], bool]:
    """Whether an event says this anywhere: in its line, or in its body."""

    def matches(line: EventLine) -> bool:
        if needle.search(f"{line.label} {line.text}"):
            return True
        return line.more and any(needle.search(text) for text in body_lines(line))

    return matches
