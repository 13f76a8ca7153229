"""Screen 3: one run, with its live events, its JSON, its lanes and tools, and its steps in time."""

from collections.abc import Iterable

from textual import work
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widget import Widget

from runwatch_console.eventlines import EventLine, decode_payload
from runwatch_console.facts import head_spans, why_text
from runwatch_console.messages import (
    CancelRequested,
    ExplainRequested,
    RunItemsArrived,
    RunOpenRequested,
)
from runwatch_console.ports import ApiError
from runwatch_console.rows import RunRow, run_row
from runwatch_console.screens.base import Host
from runwatch_console.screens.run_jump import RunJumpScreen
from runwatch_console.statustext import Span
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.event_view import EventView
from runwatch_console.widgets.json_view import NOTHING, JsonView
from runwatch_console.widgets.preview import show_items
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.run_sides import RunSides
from runwatch_console.widgets.text_line import TextLine
from runwatch_console.widgets.timeline import Timeline
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.models import WorkflowDetail
from runwatch_shared.text import clean

DETAIL_EVERY_S = 2.0
"""Lanes, tools and steps are asked for at most so often, and only after the run changed."""


class RunScreen(RunJumpScreen):
    """See the module."""

    BINDINGS = bindings_for("events")
    OWNERS = ("events", "list", "browse", "app")

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.detail: WorkflowDetail | None = None
        self._asked_revision = -1
        self._detail_timer: Timer | None = None
        self._problem = ""
        self._left = False

    def compose_body(self) -> Iterable[Widget]:
        """Head, why, then sides, log and JSON beside each other, and the steps below."""
        state = self.state
        ascii_only = state.preferences.ascii
        yield TextLine(id="run-head", ascii=ascii_only)
        yield TextLine(id="run-why", ascii=ascii_only)
        yield TextLine(id="run-rule", ascii=ascii_only, classes="rule")
        with Horizontal(id="panes"):
            yield RunSides(state, id="sides")
            yield EventView(state.lens, id="events")
            with Vertical(id="json-pane"):
                yield TextLine(id="json-rule", ascii=ascii_only)
                yield JsonView(ascii=ascii_only, id="json")
        yield Timeline(state, id="timeline")
        yield QuietText(id="empty")

    @property
    def run(self) -> RunRow | None:
        """The run, from the feed, or from the detail when the feed does not have it."""
        row = self.state.fleet.runs.get(self.run_id)
        if row is None and self.detail is not None:
            return run_row(self.detail)
        return row

    def on_mount(self) -> None:
        """Keys go to the log."""
        self.focus_body()

    def title_spans(self) -> tuple[Span, ...]:
        """The run's id and name."""
        run = self.run
        if run is None:
            return ((self.run_id or self.state.words("screen.run"), "title"),)
        return ((f"{run.id} {run.name}", "title"),)

    # State.

    def show_state(self) -> None:
        """Another run begins anew; the same one goes on."""
        state = self.state
        if state.run_id != self.run_id:
            self._begin(state.run_id)
        run = self.run
        lens = state.lens
        tone = "muted" if lens.stale else None
        head = head_spans(run, lens) if run is not None else ()
        self.query_one("#run-head", TextLine).show(
            ((" ", ""), *((text, tone or own) for text, own in head))
        )
        why, why_tone = why_text(run, lens) if run is not None else (self._problem, "failed")
        self.query_one("#run-why", TextLine).show(((f" {why}", tone or why_tone),))
        self.events.set_lens(lens, stale=state.stale)
        self.show_note()
        self.query_one(RunSides).show(state, self.detail)
        self.query_one(Timeline).show(state, self.detail)
        self.set_class(not self.run_id, "-empty")
        self.query_one("#empty", QuietText).say(state.words("empty.no_run_open"))
        self._detail_soon(run)
        self.go_to_wanted()

    def _begin(self, run_id: str) -> None:
        self.run_id = run_id
        self.detail, self._asked_revision, self._problem = None, -1, ""
        self.drop_filter()
        self.events.start(self.state.lens)
        self._show_json()
        self.workers.cancel_group(self, "follow")
        self.workers.cancel_group(self, "page")
        if run_id:
            self.follow_events(run_id)

    def begin_again(self) -> None:
        """The log and the detail anew: now, or when it is shown again."""
        self.run_id = ""
        if self.in_sight:
            self.show_state()

    def left(self) -> None:
        """Nobody looks: no socket."""
        self.workers.cancel_group(self, "follow")
        self._left = True

    def on_screen_resume(self) -> None:
        """The live end is shown anew; a place in the log that was being read is kept."""
        super().on_screen_resume()
        if not self._left:
            return
        self._left = False
        if self.run_id != self.state.run_id or not self.run_id:
            return
        log = self.events.run_log
        if log.following or not log.loaded:
            self._begin(self.run_id)
        else:
            log.window.has_after = True
            self.follow_events(self.run_id, tail=False)

    # Events.

    def on_run_items_arrived(self, event: RunItemsArrived) -> None:
        """Events of this run; those of a run that was left are dropped."""
        event.stop()
        if event.run_id != self.run_id or not self.is_whole:
            return
        problems = show_items(self.events, event.items, self.state.server_now_s)
        if problems:
            self._problem = problems[-1]
        self.show_note()
        self._show_json()
        self.go_to_wanted()

    def on_virtual_list_moved(self, event: VirtualList.Moved) -> None:
        """The JSON follows the cursor."""
        if event.sender is self.events:
            self._show_json()

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """Enter shows the event's JSON; in the JSON it folds."""
        if event.sender is self.events:
            self.action_json()

    # JSON.

    @property
    def json_shown(self) -> bool:
        """Whether the JSON pane is in sight."""
        return self.has_class("-wide") or self.has_class("-json")

    def _show_json(self) -> None:
        line = self.events.line
        if not self.json_shown:
            return
        view = self.query_one(JsonView)
        if not isinstance(line, EventLine):
            view.show(NOTHING)
            self.query_one("#json-rule", TextLine).show(())
            return
        payload = dict(decode_payload(line.payload))
        view.show({"seq": line.seq, "type": line.type, "level": line.level, "payload": payload})
        title = f" {line.type} · {line.seq:,} "
        self.query_one("#json-rule", TextLine).show(((title, "heading"),))

    def action_json(self) -> None:
        """Show the event's JSON and go there; again: back to the log."""
        view = self.query_one(JsonView)
        if view.has_focus:
            self.action_escape()
            return
        self.add_class("-json")
        self._show_json()
        view.focus()

    def action_escape(self) -> None:
        """The JSON, then the search, then back to where one came from."""
        if self.query_one(JsonView).has_focus or self.has_class("-json"):
            self.remove_class("-json")
            self.events.focus()
        elif self.needle is not None:
            super().action_escape()
        elif self.filtered:
            self.drop_filter()
        else:
            self.run_app_back()

    def run_app_back(self) -> None:
        """Go back in the history of screens."""
        self.app.call_later(self.app.run_action, "history(-1)")

    def action_timeline(self) -> None:
        """Show the steps in time, or hide them; from here on the size does not decide."""
        timeline = self.query_one(Timeline)
        timeline.display = not timeline.display
        if timeline.display:
            self.call_after_refresh(timeline.show, self.state, self.detail)

    # Detail.

    def _detail_soon(self, run: RunRow | None) -> None:
        """Ask for lanes, tools and steps when the run has changed, not too often."""
        if not self.run_id or self._detail_timer is not None:
            return
        revision = run.revision if run is not None else 0
        if revision == self._asked_revision:
            return
        first = self._asked_revision < 0
        self._asked_revision = revision
        if first:
            self.load_detail(self.run_id)
        self._detail_timer = self.set_timer(DETAIL_EVERY_S, self._detail_due)

    def _detail_due(self) -> None:
        self._detail_timer = None
        if self.run_id:
            self.load_detail(self.run_id)

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def load_detail(self, run_id: str) -> None:
        """Ask for the detail; without it the log alone is shown."""
        connection = await self.host.connection()
        try:
            detail = await connection.api.workflow(run_id)
        except ApiError as error:
            if run_id == self.run_id:
                self._problem = clean(error.error, limit=200, fold=True)
            return
        if run_id == self.run_id:
            self.detail = detail
            self._show()

    # Actions.

    def action_explain(self) -> None:
        """Why the run is as it is."""
        if self.run_id:
            self.post_message(ExplainRequested(self.run_id))

    def action_cancel(self) -> None:
        """Cancel the run; asks first."""
        if self.run_id:
            self.post_message(CancelRequested([self.run_id]))

    def action_waiting(self, step: int) -> None:
        """Open the next run that waits for somebody."""
        waiting = sorted(
            (run for run in self.state.fleet.runs.values() if run.state == "waiting"),
            key=lambda run: (run.wait.since_s or 0.0 if run.wait else 0.0, run.id),
        )
        if not waiting:
            self.tell("none.waiting")
            return
        ids = [run.id for run in waiting]
        here = ids.index(self.run_id) if self.run_id in ids else (-1 if step > 0 else 0)
        self.post_message(RunOpenRequested(ids[(here + step) % len(ids)]))

    def action_copy_id(self) -> None:
        """Copy the run's id."""
        self.copy(self.run_id)

    def action_copy_line(self) -> None:
        """Copy the event's payload as JSON, or the text of a line that has none."""
        line = self.events.line
        if isinstance(line, EventLine):
            self.copy(clean(line.payload.decode("utf-8", "replace")) or line.text)
