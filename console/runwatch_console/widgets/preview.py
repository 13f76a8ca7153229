"""One run at a glance: its facts in two lines and the live tail of its events."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical

from runwatch_console.facts import head_spans, why_text
from runwatch_console.following import FollowItem, Tail, TailProblem
from runwatch_console.formats import format_age, format_clock, format_count, zone_of
from runwatch_console.locale.words import counted
from runwatch_console.ports import RunItem
from runwatch_console.rows import RunRow
from runwatch_console.runlog import RunLog
from runwatch_console.state import ConsoleState
from runwatch_console.widgets.event_view import EventView
from runwatch_console.widgets.text_line import Span, TextLine

PREVIEW_EVENTS = 300


class Preview(Vertical):
    """Shows the run it is told; its events are given to it."""

    def __init__(self, state: ConsoleState, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.state = state
        self.run_id = ""
        self.row: RunRow | None = None
        """As it was when it was chosen, for a run that the fleet does not hold."""

    def compose(self) -> ComposeResult:
        """A rule with the run's name, its head, what matters, and events."""
        ascii_only = self.state.preferences.ascii
        yield TextLine(id="preview-rule", ascii=ascii_only, classes="rule")
        yield TextLine(id="preview-head", ascii=ascii_only)
        yield TextLine(id="preview-why", ascii=ascii_only)
        events = EventView(self.state.lens, id="preview-events")
        events.can_focus = False
        yield events

    @property
    def events(self) -> EventView:
        """The events."""
        return self.query_one("#preview-events", EventView)

    def start(self, run_id: str, state: ConsoleState, row: RunRow | None) -> None:
        """Another run: what was shown goes."""
        self.run_id, self.row = run_id, row
        self.events.start(state.lens, max_events=PREVIEW_EVENTS)
        self.show_state(state)

    def take(self, items: Sequence[FollowItem]) -> None:
        """Events arrived."""
        show_items(self.events, items, self.state.server_now_s)
        self.show_state(self.state)

    def show_state(self, state: ConsoleState) -> None:
        """Bring the lines up to the state."""
        self.state = state
        run = state.fleet.runs.get(self.run_id) or self.row
        rule: tuple[Span, ...] = (("─" * 400, "muted"),)
        note = log_note(self.events.run_log, state, short=True) if self.run_id else ()
        self.query_one("#preview-rule", TextLine).show(rule, note)
        head, why = self._lines(run)
        self.query_one("#preview-head", TextLine).show(head)
        self.query_one("#preview-why", TextLine).show(why)
        self.events.set_lens(state.lens, stale=state.stale)

    def _lines(self, run: RunRow | None) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
        if run is None:
            text = self.state.words("preview.none") if not self.run_id else self.run_id
            return ((f" {text}", "muted"),), ()
        lens = self.state.lens
        head = tuple(
            (text, "muted" if lens.stale else tone) for text, tone in head_spans(run, lens)
        )
        why, tone = why_text(run, lens)
        return ((" ", ""), *head), ((f" {why}", "muted" if lens.stale else tone),)


def show_items(view: EventView, items: Sequence[FollowItem], server_now_s: float) -> list[str]:
    """Give a view what arrived; returns what is to be said about it, clean."""
    live: list[RunItem] = []
    problems = []
    for item in items:
        if isinstance(item, Tail):
            view.load(item.page)
        elif isinstance(item, TailProblem):
            problems.append(item.error)
        else:
            live.append(item)
    if live:
        view.take(live, server_now_s)
    return problems


def log_note(log: RunLog, state: ConsoleState, *, short: bool = False) -> tuple[Span, ...]:
    """Where a log stands: its last seq and whether it follows, is paused, has ended or lost its
    feed.
    """
    words = state.words
    if log.gone:
        return ((f" {words('log.no_run')} ", "failed"),)
    if not log.loaded:
        return ((f" {words('log.loading')} ", "muted"),)
    spans: list[Span] = [(f" seq {format_count(log.window.newest_seq)}", "muted")]
    if log.loss is not None:
        retry = format_age(log.loss.retry_in_s)
        spans.append((f" · {words('log.lost', s=retry)}", "failed"))
    elif log.paused:
        spans.append((f" · {words('log.paused')}", "waiting"))
    elif log.ended is not None:
        spans.append((f" · {words('log.ended')}", "muted"))
    elif state.stale:
        # What follows a feed that brings nothing follows nothing.
        zone = zone_of(state.preferences.time_format)
        as_of = format_clock(state.link.server_s, zone)
        spans.append((f" · {words('log.as_of', time=as_of)}", "waiting"))
    elif log.following:
        spans.append((f" · {words('log.following')}", "running"))
    if log.unseen and not short:
        spans.append((f" · {words('log.new', n=format_count(log.unseen))}", "accent"))
    if log.caught_up:
        spans.append((f" · {counted(words, 'link.caught_up', log.caught_up)}", "done"))
    return (*spans, (" ", ""))
