"""Going to one event of a run's log by its number, from an explanation or a comparison."""

from textual import work

from runwatch_console.ports import ApiError, EventQuery
from runwatch_console.screens.base import Host
from runwatch_console.screens.run_log import PAGE
from runwatch_console.screens.run_search import RunSearchScreen


class RunJumpScreen(RunSearchScreen):
    """Base; see the module. A subclass calls `go_to_wanted` whenever the log went on."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._wanted: tuple[str, int] | None = None

    def show_event(self, run_id: str, seq: int) -> None:
        """The cursor on this event, as soon as the run's log is there."""
        self._wanted = (run_id, seq)
        self.go_to_wanted()

    def go_to_wanted(self) -> None:
        """Go where `show_event` said, once the tail has come: it would replace what was shown."""
        if self._wanted is None or not self.is_whole:
            return
        run_id, seq = self._wanted
        if run_id != self.run_id or not self.events.run_log.loaded:
            return
        self._wanted = None
        self.drop_filter()
        if not self.events.go_to_seq(seq):
            self.load_around(run_id, seq)

    @work(exclusive=True, group="beyond", exit_on_error=False)
    async def load_around(self, run_id: str, seq: int) -> None:
        """Ask for the events around this one, and go to it; it may be gone by now."""
        connection = await self.host.connection()
        query = EventQuery(after_seq=max(0, seq - PAGE // 2), limit=PAGE)
        try:
            page = await connection.api.events(run_id, query)
        except ApiError as error:
            self.say_failed(error)
            return
        if run_id != self.run_id or not self.is_whole:
            return
        self.events.unfollow()
        self.events.load(page)
        if not self.events.go_to_seq(seq):
            self.tell("event.gone", seq=f"{seq:,}")
        self.show_note()
