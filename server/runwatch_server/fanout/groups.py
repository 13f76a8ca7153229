"""The clients of one subscription: they share its matching, its frames and its recent changes.

A client is a `Cursor`. Who cannot take a frame is left behind and gets the newest state of what it
missed, merged, when it can (contract 7.2). Nobody waits for anybody, and there is no task or queue
a client. When what happens is in `monitor`.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from runwatch_server.fanout.changes import (
    Change,
    Cursor,
    Key,
    Listed,
    Outline,
    Part,
    Totals,
    parts_of,
)
from runwatch_server.fanout.sockets import Socket
from runwatch_server.fanout.subscriptions import Subscription
from runwatch_server.fanout.wires import Wire
from runwatch_server.matching import conditions_of, matches
from runwatch_server.principals import Principal
from runwatch_server.rows import RunRow

NO_CURSOR: Final = Cursor(0, 0, 0)


class Moment(NamedTuple):
    """What a flush knows: how far the commits are, and the newest statistics."""

    revision: int
    server_time: str
    stats_version: int
    stats: msgspec.Raw | None


class Viewer(Socket):
    """One socket of the delta feed."""

    __slots__ = ("complete", "cursor", "group", "hello", "loading", "outbox")

    def __init__(self, wire: Wire, principal: Principal) -> None:
        super().__init__("monitor", wire, principal)
        self.group: Group | None = None
        self.cursor = NO_CURSOR
        self.complete = 0
        """While behind: every change up to here it has, or does not need."""
        self.loading = False
        """A snapshot is being read for it."""
        self.outbox: deque[bytes] = deque()
        """Frames for it alone or of a snapshot, before any change."""
        self.hello: bytes | None = None
        """Among the outbox, what a new subscription must not throw away."""


class Group:
    """See the module. ``live`` have everything up to the last flush; ``behind`` do not."""

    def __init__(self, subscription: Subscription, revision: int, most_rows: int) -> None:
        self.subscription = subscription
        self.live: set[Viewer] = set()
        self.behind: set[Viewer] = set()
        self.waiting: list[Viewer] = []
        """Those of `behind` that the snapshot being read is for."""
        self.reading = False
        self.floor = revision
        """Changes up to this revision may be gone from the table."""
        self.flushed = revision
        self._most_rows = most_rows
        self._tests = conditions_of(subscription.query)
        self._table: dict[Key, Listed] = {}
        """The newest change of each row, rising in position."""
        self._news = False
        """A change was noted since the last flush."""
        self._stats_version = 0
        self._base = Totals(0, 0)
        self._marks: list[int] = []
        self._totals: list[Totals] = []
        """At `_marks[i]`, a revision, the totals since the group began are `_totals[i]`."""

    @property
    def empty(self) -> bool:
        """Whether nobody is left."""
        return not self.live and not self.behind

    def take(self, change: Change) -> bool:
        """Note a change if it concerns the subscription; True if it replaced one that somebody who
        is behind had not seen.
        """
        if change.kind not in self.subscription.topics:
            return False
        if change.kind == "workflows":
            was, present = self._matches(change.before), self._matches(change.after)
            if not was and not present:
                return False
            if was != present:
                self._count(change.revision, entered=int(present), left=int(was))
        else:
            present = change.after is not None
        merged = self._table.pop(change.key, None) is not None
        self._table[change.key] = Listed(change, present)
        self._news = True
        return merged and bool(self.behind)

    def flush(self, moment: Moment) -> int:
        """Give everybody in `live` what is new; gives the number of frames that were taken."""
        before = self.flushed
        self.flushed = max(before, moment.revision)
        if not self._news and moment.stats_version == self._stats_version:
            self._trim()
            return 0
        self._news = False
        self._stats_version = moment.stats_version
        frames: dict[Cursor, list[Part]] = {}
        late: list[Viewer] = []
        known: Cursor | None = None
        parts: list[Part] = []
        taken = 0
        for viewer in self.live:
            cursor = viewer.cursor
            if cursor is not known:
                found = frames.get(cursor)
                if found is None:
                    found = frames[cursor] = list(self._parts(cursor, moment))
                known, parts = cursor, found
            for part in parts:
                if not viewer.wire.offer(part.frame):
                    late.append(viewer)
                    break
                viewer.cursor = part.cursor
                taken += 1
        for viewer in late:
            self.leave_behind(viewer, max(before, viewer.cursor.revision))
        self._trim()
        return taken

    def catch_up(self, viewer: Viewer, moment: Moment) -> int:
        """Give one that is behind what it misses, as far as it takes it; it is live when it has
        all. Gives the number of frames that were taken.
        """
        taken = 0
        for part in self._parts(viewer.cursor, moment):
            if not viewer.wire.offer(part.frame):
                viewer.complete = max(viewer.complete, viewer.cursor.revision)
                return taken
            viewer.cursor = part.cursor
            taken += 1
        self.behind.discard(viewer)
        self.live.add(viewer)
        return taken

    def leave_behind(self, viewer: Viewer, complete: int) -> None:
        """Stop offering frames to one that takes none; ``complete``: see `Viewer`."""
        viewer.complete = complete
        self.live.discard(viewer)
        self.behind.add(viewer)

    def remove(self, viewer: Viewer) -> None:
        """Forget one whose socket is closed, or that now looks at something else."""
        self.live.discard(viewer)
        self.behind.discard(viewer)
        if viewer in self.waiting:
            self.waiting.remove(viewer)

    def pending(self, cursor: Cursor) -> list[Listed]:
        """What changed beyond a cursor, rising."""
        found: list[Listed] = []
        for listed in reversed(self._table.values()):
            change = listed.change
            if change.revision <= cursor.revision or change.position <= cursor.position:
                break
            found.append(listed)
        found.reverse()
        return found

    def backlog(self) -> Sequence[int]:
        """Rows not yet sent, for each that is behind."""
        return [len(self.pending(viewer.cursor)) for viewer in self.behind]

    def _parts(self, cursor: Cursor, moment: Moment) -> Iterator[Part]:
        pending = self.pending(cursor)
        stats = None
        if "stats" in self.subscription.topics and moment.stats is not None:
            stats = (moment.stats_version, moment.stats)
        fresh = stats is not None and cursor.stats < stats[0]
        if not pending and not fresh:
            return iter(())
        outline = Outline(
            sub=self.subscription.sub,
            topics=self.subscription.topics,
            revision=max(cursor.revision, self.flushed),
            server_time=moment.server_time,
            stats=stats if fresh else None,
        )
        return parts_of(pending, cursor, outline, self._totals_at)

    def _matches(self, row: object) -> bool:
        return isinstance(row, RunRow) and matches(self._tests, row)

    def _count(self, revision: int, *, entered: int, left: int) -> None:
        last = self._totals[-1] if self._totals else self._base
        totals = Totals(last.entered + entered, last.left + left)
        if self._marks and self._marks[-1] == revision:
            self._totals[-1] = totals
        else:
            self._marks.append(revision)
            self._totals.append(totals)

    def _totals_at(self, revision: int) -> Totals:
        at = bisect_right(self._marks, revision)
        return self._totals[at - 1] if at else self._base

    def _trim(self) -> None:
        """Drop what everybody has, and what is too much for those who have not."""
        had_by_all = min((viewer.complete for viewer in self.behind), default=self.flushed)
        if not self.behind:
            self._table.clear()
            self.floor = max(self.floor, self.flushed)
        else:
            while self._table:
                key, oldest = next(iter(self._table.items()))
                revision = oldest.change.revision
                if revision > had_by_all and len(self._table) <= self._most_rows:
                    break
                del self._table[key]
                self.floor = max(self.floor, revision)
        at = bisect_right(self._marks, had_by_all)
        if at:
            self._base = self._totals[at - 1]
            del self._marks[:at]
            del self._totals[:at]
