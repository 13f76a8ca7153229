"""The clients of one subscription: they share its matching, its frames and its recent changes.

A client is a `Cursor`. Who cannot take a frame is left behind and gets the newest state of what it
missed, merged, when it can (contract 7.2). Nobody waits for anybody, and there is no task or queue
a client. When what happens is in `monitor`.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from runwatch_server.accounts.rows import ActionRow
from runwatch_server.fanout.changes import (
    TOPICS,
    Change,
    Cursor,
    Key,
    Listed,
    Outline,
    Part,
    Totals,
    parts_of,
)
from runwatch_server.fanout.frames import Addressed
from runwatch_server.fanout.sockets import Socket
from runwatch_server.fanout.subscriptions import Subscription, View
from runwatch_server.fanout.wires import Wire
from runwatch_server.matching import conditions_of, matches
from runwatch_server.principals import Principal
from runwatch_server.rows import RunRow

NO_CURSOR: Final = Cursor(0, 0, 0)


class Letter(NamedTuple):
    """A frame and its type."""

    kind: str
    frame: bytes


class Moment(NamedTuple):
    """What a flush knows: how far the commits are, and the newest statistics."""

    revision: int
    server_time: str
    stats_version: int
    stats: msgspec.Raw | None


class Viewer(Socket):
    """One socket of the delta feed."""

    __slots__ = ("complete", "cursor", "greeted", "group", "loading", "outbox", "subscription")

    def __init__(self, wire: Wire, principal: Principal, subscription: Subscription) -> None:
        super().__init__("monitor", wire, principal)
        self.subscription = subscription
        self.group: Group | None = None
        self.cursor = NO_CURSOR
        self.complete = 0
        """While behind: every change up to here it has, or does not need."""
        self.loading = False
        """A snapshot is being read for it."""
        self.greeted = False
        """Its `hello` is in the outbox or was sent."""
        self.outbox: deque[Letter] = deque()
        """Frames for it alone or of a snapshot, before any change."""

    @property
    def sub(self) -> int:
        """The id its frames carry."""
        return self.subscription.sub

    def put(self, kind: str, frame: bytes) -> None:
        """Add a frame for it alone."""
        self.outbox.append(Letter(kind, frame))

    def put_all(self, kind: str, frames: Iterable[Addressed]) -> None:
        """Add frames others may get too."""
        self.outbox.extend(Letter(kind, frame.to(self.sub)) for frame in frames)


class Given(NamedTuple):
    """What one that was behind took: how many frames, and when the oldest change was committed."""

    frames: int
    oldest_us: int | None


class Group:
    """See the module. ``live`` have everything up to the last flush; ``behind`` do not.

    Members have ``topics`` and the filter in common; their ids, sorts and limits may differ, since
    those concern the snapshot alone.
    """

    def __init__(self, subscription: Subscription, revision: int, most_rows: int) -> None:
        self.key = subscription.key
        self.live: set[Viewer] = set()
        self.behind: set[Viewer] = set()
        self.loads: dict[View, list[Viewer]] = {}
        """The snapshots being read, and those of `behind` they are for."""
        self.floor = revision
        """Changes up to this revision may be gone from the table."""
        self.flushed = revision
        self.news = False
        """A change was noted since the last flush."""
        self._topics = subscription.topics
        self._most_rows = most_rows
        self._tests = conditions_of(subscription.query)
        self._table: dict[Key, Listed] = {}
        """The newest change of each row, rising in position."""
        self._stats_version = 0
        self._base = Totals(0, 0)
        self._marks: list[int] = []
        self._totals: list[Totals] = []
        """At `_marks[i]`, a revision, the totals since the group began are `_totals[i]`."""

    @property
    def rows(self) -> int:
        """How many rows are kept for those who are behind."""
        return len(self._table)

    @property
    def empty(self) -> bool:
        """Whether nobody is left."""
        return not self.live and not self.behind

    def take(self, change: Change) -> bool:
        """Note a change if it concerns the subscription; True if it replaced one that somebody who
        is behind had not seen.
        """
        topic = TOPICS[change.kind]
        if topic not in self._topics:
            return False
        if topic == "workflows":
            was, present = self._matches(change.before), self._matches(change.after)
            if not was and not present:
                return False
            if was != present:
                self._count(change.revision, entered=int(present), left=int(was))
        else:
            present = change.after is not None
        merged = self._table.pop(change.key, None) is not None
        self._table[change.key] = Listed(change, present)
        self.news = True
        return merged and bool(self.behind)

    def flush(self, moment: Moment) -> int:
        """Give everybody in `live` what is new; gives the number of frames that were taken."""
        before = self.flushed
        self.flushed = max(before, moment.revision)
        if not self.news and moment.stats_version == self._stats_version:
            self._trim()
            return 0
        self.news = False
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
                    found = frames[cursor] = list(
                        self._parts(cursor, moment, self._pending(cursor))
                    )
                known, parts = cursor, found
            for part in parts:
                if not viewer.wire.offer(part.frame.to(viewer.sub)):
                    late.append(viewer)
                    break
                viewer.cursor = part.cursor
                taken += 1
        for viewer in late:
            self.leave_behind(viewer, max(before, viewer.cursor.revision))
        self._trim()
        return taken

    def catch_up(self, viewer: Viewer, moment: Moment) -> Given:
        """Give one that is behind what it misses, as far as it takes it; it is live when it has
        all.
        """
        pending = self._pending(viewer.cursor)
        oldest_us = pending[0].change.at_us if pending else None
        taken = 0
        for part in self._parts(viewer.cursor, moment, pending):
            if not viewer.wire.offer(part.frame.to(viewer.sub)):
                viewer.complete = max(viewer.complete, viewer.cursor.revision)
                return Given(taken, oldest_us)
            viewer.cursor = part.cursor
            taken += 1
        self.behind.discard(viewer)
        self.live.add(viewer)
        if not self.behind:
            self._trim()
        return Given(taken, oldest_us)

    def leave_behind(self, viewer: Viewer, complete: int) -> None:
        """Stop offering frames to one that takes none; ``complete``: see `Viewer`."""
        viewer.complete = complete
        self.live.discard(viewer)
        self.behind.add(viewer)

    def remove(self, viewer: Viewer) -> None:
        """Forget one whose socket is closed, or that now looks at something else."""
        self.live.discard(viewer)
        self.behind.discard(viewer)
        for waiting in self.loads.values():
            if viewer in waiting:
                waiting.remove(viewer)

    def _pending(self, cursor: Cursor) -> list[Listed]:
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
        changes = [listed.change for listed in self._table.values()] if self.behind else []
        revisions = [change.revision for change in changes]
        positions = [change.position for change in changes]
        return [
            len(changes)
            - max(
                bisect_right(revisions, viewer.cursor.revision),
                bisect_right(positions, viewer.cursor.position),
            )
            for viewer in self.behind
        ]

    def _parts(self, cursor: Cursor, moment: Moment, pending: Sequence[Listed]) -> Iterator[Part]:
        stats = None
        if "stats" in self._topics and moment.stats is not None:
            stats = (moment.stats_version, moment.stats)
        fresh = stats is not None and cursor.stats < stats[0]
        if not pending and not fresh:
            return iter(())
        outline = Outline(
            topics=self._topics,
            revision=max(cursor.revision, self.flushed),
            server_time=moment.server_time,
            stats=stats if fresh else None,
        )
        return parts_of(pending, cursor, outline, self._totals_at)

    def _matches(self, row: object) -> bool:
        return isinstance(row, RunRow | ActionRow) and matches(self._tests, row)

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
        if len(self._marks) > self._most_rows:
            # One row that comes and goes would let the marks of a reader that crawls grow for ever.
            self.floor = max(self.floor, self._marks[-self._most_rows - 1])
        at = bisect_right(self._marks, max(had_by_all, self.floor))
        if at:
            self._base = self._totals[at - 1]
            del self._marks[:at]
            del self._totals[:at]
