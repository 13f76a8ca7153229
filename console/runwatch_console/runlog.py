"""What a run's log view holds: its window of events and how it stands to the live end; pure.

The window shows; `paused` holds back. Nothing here waits or asks: pages come in by `load`, live
items by `take`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from runwatch_console.eventlines import EventLine, event_line
from runwatch_console.eventwindow import EventWindow, GapLine, Line, NoticeLine
from runwatch_console.ports import (
    Disconnected,
    EventBatch,
    Gap,
    Reconnected,
    RunGone,
    RunItem,
    RunStatus,
)
from runwatch_shared.text import clean
from runwatch_shared.wire import EventViewPage

MAX_HELD_BACK: Final = 2_000
"""Lines kept while paused; of what comes beyond only the number is kept, and resuming loads the
page.
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a call did to the window."""

    added: int = 0
    dropped_first: int = 0
    replaced: bool = False
    """Indices from before mean nothing any more."""


class RunLog:
    """See the module. `following`: the view stands at the live end and goes with it."""

    def __init__(self, *, max_events: int | None = None) -> None:
        self.window = EventWindow() if max_events is None else EventWindow(max_events=max_events)
        self.loaded = False
        self.following = True
        self.paused = False
        self.unseen = 0
        """Events that came since the view left the live end, or since the pause."""
        self.ended: RunStatus | None = None
        self.loss: Disconnected | None = None
        self.gone = ""
        """Why there is no such run; empty while there is."""
        self.reconnected_server_s: float | None = None
        self.caught_up = 0
        """Events received after the last reconnect that had happened before it."""
        self._held: list[Line] = []
        self._overflowed = False

    def load(self, page: EventViewPage) -> None:
        """Show a page instead of all that was: the tail at first, or a place jumped to."""
        self.window.replace(page_lines(page), has_before=page.has_before, has_after=page.has_after)
        self.loaded = True
        self._held.clear()
        self._overflowed = False
        if not page.has_after:
            self.unseen = 0

    def load_earlier(self, page: EventViewPage) -> Moved:
        """Add an earlier page."""
        added = self.window.prepend(page_lines(page), has_before=page.has_before)
        return Moved(added)

    def load_later(self, page: EventViewPage) -> Moved:
        """Add a later page."""
        dropped = self.window.extend(page_lines(page), has_after=page.has_after)
        return Moved(len(page.events), dropped)

    def take(self, item: RunItem, *, keep_from: int, server_now_s: float) -> Moved:
        """Take a live item. `keep_from`: index of the first line in view."""
        match item:
            case EventBatch():
                self._count_caught_up(item)
                return self._add([event_line(event) for event in item.events], keep_from)
            case Gap():
                gap = GapLine(
                    from_seq=item.from_seq, to_seq=item.to_seq, reason=clean(item.reason, limit=40)
                )
                return self._add([gap], keep_from)
            case RunStatus():
                self.ended, self.loss = item, None
            case Disconnected():
                self.loss = item
            case Reconnected():
                if self.loss is not None:
                    self.reconnected_server_s, self.caught_up = server_now_s, 0
                self.loss = None
            case RunGone():
                self.gone = clean(item.detail, limit=200, fold=True) or "404"
            case _:
                assert_never(item)
        return Moved()

    def pause(self) -> None:
        """Hold the view still; what comes is kept back and counted."""
        self.paused = True

    def resume(self, keep_from: int) -> Moved | None:
        """Show what was held back; None when too much came: load a page after `window.last_seq`."""
        self.paused = False
        held, self._held = self._held, []
        if self._overflowed:
            self._overflowed = False
            self.window.has_after = True
            return None
        if self.following:
            self.unseen = 0
        return self._append(held, keep_from)

    def _add(self, lines: list[Line], keep_from: int) -> Moved:
        events = sum(1 for line in lines if isinstance(line, EventLine))
        if self.paused:
            self.unseen += events
            self.window.newest_seq = max(self.window.newest_seq, lines[-1].seq if lines else 0)
            if len(self._held) + len(lines) > MAX_HELD_BACK:
                self._held.clear()
                self._overflowed = True
            elif not self._overflowed:
                self._held.extend(lines)
            return Moved()
        if not self.following:
            self.unseen += events
        return self._append(lines, keep_from)

    def _append(self, lines: Sequence[Line], keep_from: int) -> Moved:
        added, dropped = self.window.append(
            lines, keep_from=None if self.following else max(0, keep_from)
        )
        return Moved(added, dropped)

    def _count_caught_up(self, batch: EventBatch) -> None:
        since = self.reconnected_server_s
        if since is None:
            return
        lines = batch.events
        missed = [event for event in lines if _received_s(event_line(event)) <= since]
        self.caught_up += len(missed)
        if len(missed) < len(lines):
            self.reconnected_server_s = None


def _received_s(line: EventLine) -> float:
    return line.received_s if line.received_s is not None else 0.0


def page_lines(page: EventViewPage) -> list[Line]:
    """The lines of a page, with its gap where it begins."""
    lines: list[Line] = [event_line(event) for event in page.events]
    if page.gap is not None:
        gap = GapLine(
            from_seq=page.gap.from_seq,
            to_seq=page.gap.to_seq,
            reason=clean(page.gap.reason, limit=40),
        )
        lines.insert(0, gap)
    return lines


def notice(after: int, word: str, count: int = 0) -> NoticeLine:
    """Something to say after an event."""
    return NoticeLine(seq=after, word=word, count=count)
