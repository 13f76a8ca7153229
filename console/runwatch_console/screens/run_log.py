"""The log of one run on a screen: its pages, and the keys that follow, hold, fold and wrap it.

What stands around the log is in `run_detail`, finding something in it in `run_search`.
"""

from typing import Final

from textual import work

from runwatch_console.ports import ApiError, EventQuery
from runwatch_console.screens.base import ConsoleScreen, Host
from runwatch_console.statustext import Span
from runwatch_console.widgets.event_view import Direction, EventView
from runwatch_console.widgets.preview import log_note
from runwatch_console.widgets.text_line import TextLine
from runwatch_shared.text import clean

PAGE: Final = 500
"""Events of a page asked for while scrolling."""


class RunLogScreen(ConsoleScreen):
    """Base. A subclass composes an `EventView` with the id `events`, and `run-rule` above it."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.run_id = ""

    @property
    def events(self) -> EventView:
        """The log."""
        return self.query_one("#events", EventView)

    @property
    def run_id_here(self) -> str:
        """This run."""
        return self.run_id

    def focus_body(self) -> None:
        """The log, now: a focus that waits for its turn would take it from an opened prompt."""
        self.set_focus(self.events)

    def show_note(self) -> None:
        """Say where the log stands."""
        note = log_note(self.events.run_log, self.state) if self.run_id else ()
        note = (*self.filter_spans(), *note)
        self.query_one("#run-rule", TextLine).show((("─" * 400, "muted"),), note)

    def filter_spans(self) -> tuple[Span, ...]:
        """What is filtered away."""
        return ()

    def on_event_view_follow_changed(self, event: EventView.FollowChanged) -> None:
        """Say where the view stands."""
        self.show_note()

    def on_event_view_page_wanted(self, event: EventView.PageWanted) -> None:
        """The view comes near an end of what it holds."""
        window = self.events.run_log.window
        match event.direction:
            case -2:
                query = EventQuery(after_seq=0, limit=PAGE)
            case -1:
                query = EventQuery(before_seq=window.first_seq, limit=PAGE)
            case 1:
                query = EventQuery(after_seq=window.last_seq, limit=PAGE)
            case _:
                query = EventQuery(tail=True, limit=PAGE)
        self.load_page(self.run_id, query, event.direction)

    @work(exclusive=True, group="page", exit_on_error=False)
    async def load_page(self, run_id: str, query: EventQuery, direction: Direction) -> None:
        """Ask for a page; what failed is said and may be asked for again."""
        connection = await self.host.connection()
        try:
            page = await connection.api.events(run_id, query)
        except ApiError as error:
            if self.is_whole:
                self.events.page_failed()
                self.say_failed(error)
            return
        if run_id != self.run_id or not self.is_whole:
            return
        if direction in {0, -2}:
            self.events.load(page)
        else:
            self.events.add_page(page, direction)
        self.show_note()

    def say_failed(self, error: ApiError) -> None:
        """The server did not give what was asked."""
        text = self.state.words("api.failed", error=clean(error.error, limit=200, fold=True))
        self.notify(text, severity="warning", markup=False)

    # Keys of the log.

    def action_follow(self) -> None:
        """Go to the live end and stay; again: stay here."""
        log = self.events.run_log
        if log.following and not log.paused:
            self.events.unfollow()
        else:
            self.events.follow()
        self.show_note()

    def action_pause(self) -> None:
        """Hold the view still; again: go on."""
        log = self.events.run_log
        if log.paused:
            if not self.events.resume():
                self.load_page(self.run_id, EventQuery(tail=True, limit=PAGE), 0)
        else:
            log.pause()
        self.show_note()

    def action_fold(self) -> None:
        """Unfold the event under the cursor."""
        self.events.fold()

    def action_fold_all(self) -> None:
        """Unfold all."""
        self.events.fold_all()

    def action_wrap(self) -> None:
        """Wrap long lines."""
        self.events.wrap()
