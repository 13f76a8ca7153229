"""The delta feed of `/ws/monitor`: when commits become frames, snapshots are read and heartbeats
go out; what is in a frame is in `groups`, `changes` and `snapshots`.

Source: contract 7.2. Used in the event loop only.
"""

import asyncio
import logging
from collections import deque
from functools import partial
from typing import Final

import msgspec

from runwatch_server.fanout.changes import Change, Cursor, changes_of
from runwatch_server.fanout.fleet_stats import FleetStats, StatsSource
from runwatch_server.fanout.frames import frame_of
from runwatch_server.fanout.groups import NO_CURSOR, Group, Moment, Viewer
from runwatch_server.fanout.observer import FeedObserver
from runwatch_server.fanout.pace import Pace
from runwatch_server.fanout.snapshots import Catchup, ResyncReason, read_catchup, read_snapshot
from runwatch_server.fanout.sockets import SERVER_ERROR
from runwatch_server.fanout.subscriptions import Subscription, View
from runwatch_server.storage.protocols import Commit, Reader
from runwatch_shared.clock import Clock
from runwatch_shared.logs import log
from runwatch_shared.settings import Limits
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time
from runwatch_shared.wire import HeartbeatFrame, ResyncFrame

logger: Final = logging.getLogger(__name__)

MOST_PRIVATE_FRAMES: Final = 64
"""Answers to a client that does not read them; more are dropped."""
KEPT: Final = frozenset({"hello", "pong", "error"})
"""What waits for a client and is not about its rows: a new subscription does not throw it away."""


class Monitor:
    """Groups of clients by subscription."""

    def __init__(
        self,
        *,
        reader: Reader,
        projection: StatsSource,
        clock: Clock,
        limits: Limits,
        store_id: str,
        observer: FeedObserver,
        owner: TaskOwner,
    ) -> None:
        self.revision = 0
        """Of the last commit that was published."""
        self._reader = reader
        self._projection = projection
        self._clock = clock
        self.limits = limits
        self._store_id = store_id
        self._observer = observer
        self._owner = owner
        self._groups: dict[bytes, Group] = {}
        self._changes: list[Change] = []
        """Published, not flushed."""
        self._commits = 0
        self._position = 0
        self._moment = Moment(0, "", 0, None)
        self._stats = FleetStats(projection, clock)
        self._pace = Pace()
        self._timer: asyncio.Handle | None = None
        self._stats_timer: asyncio.TimerHandle | None = None

    def publish(self, commit: Commit) -> None:
        """Note a commit; its frames go out with the tick, the first after silence at once."""
        self.revision = max(self.revision, commit.revision)
        self._stats.outdate()
        if not self._groups:
            self._moment = self._moment._replace(revision=self.revision)
            return
        changes = changes_of(commit, self._position)
        self._position += len(changes)
        self._changes += changes
        self._commits += 1
        if self._timer is None:
            self._tick()

    def _tick(self) -> None:
        """Send what was published if its time has come, else then."""
        loop = asyncio.get_running_loop()
        wait_s = self._pace.wait_s(loop.time(), self._commits)
        # At once is after the commit's own answers, which wait in the same turn of the loop.
        self._timer = (
            loop.call_later(wait_s, self._ticked) if wait_s > 0 else loop.call_soon(self.flush)
        )

    def _ticked(self) -> None:
        if self._pace.wait_s(asyncio.get_running_loop().time(), self._commits) > 0:
            self._tick()
        else:
            self.flush()

    def flush(self) -> None:
        """Send what was published."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        changes, self._changes, self._commits = self._changes, [], 0
        if changes:
            self._pace.went(asyncio.get_running_loop().time())
        self._renew_stats()
        self._moment = Moment(self.revision, self._time(), self._stats.version, self._stats.json)
        groups = list(self._groups.values())
        if merged := sum(sum(map(group.take, changes)) for group in groups):
            self._observer.merged(merged)
        for change in changes:
            change.judged()
        told = False
        for group in groups:
            news = group.news
            if taken := group.flush(self._moment):
                self._observer.sent("change", taken)
                told |= news
        if told:
            self._lagged(changes[0].at_us)

    def heartbeat(self) -> None:
        """Tell everybody how far they are; never ahead of what they were sent."""
        self._stats.notice_windows()
        self.flush()
        revision = self._moment.revision
        frame = frame_of(HeartbeatFrame(revision=revision, server_time=self._time()))
        sent = 0
        for group in self._groups.values():
            shared: dict[Cursor, Cursor] = {}
            for viewer in [*group.live, *group.behind]:
                cursor = viewer.cursor
                if viewer in group.behind and not _only_loading(viewer):
                    continue
                if viewer.loading or cursor.revision > revision:
                    own = HeartbeatFrame(revision=cursor.revision, server_time=self._time())
                    sent += viewer.wire.offer(frame_of(own))
                elif viewer.wire.offer(frame):
                    told = cursor._replace(revision=revision)
                    viewer.cursor = shared.setdefault(told, told)
                    sent += 1
        self._observer.sent("heartbeat", sent)

    async def join(self, viewer: Viewer, *, since: int | None, store: str | None) -> bool:
        """Let a client in; True if it goes on from ``since``, False if a snapshot follows.

        The client sees nothing before `begin`, which is called with its greeting.
        """
        subscription = viewer.subscription
        self._enter(viewer)
        if since is None:
            return False
        reason: ResyncReason = "store_changed"
        if store == self._store_id:
            stats = self._current_stats(subscription)
            version = self._stats.version
            work = partial(
                read_catchup,
                subscription=subscription,
                since=since,
                most_rows=self.limits.mailbox_rows,
                server_time=self._time(),
                stats=stats,
            )
            found = await self._reader.read(work)
            if isinstance(found, Catchup):
                viewer.put_all("change", found.frames)
                self._loaded(viewer, found.revision, version)
                return True
            reason = found
        self._resync(viewer, reason)
        return False

    def begin(self, viewer: Viewer, hello: bytes) -> None:
        """Greet a client and send it what `join` found."""
        viewer.greeted = True
        viewer.put("hello", hello)
        viewer.outbox.rotate(1)
        if viewer.loading:
            self._load(viewer)
        viewer.wire.on_ready = partial(self.pump, viewer)
        self.pump(viewer)

    def subscribe(self, viewer: Viewer, subscription: Subscription) -> None:
        """Replace what a client looks at; a snapshot follows."""
        self.leave(viewer)
        viewer.outbox = deque(letter for letter in viewer.outbox if letter.kind in KEPT)
        viewer.subscription = subscription
        self._enter(viewer)
        self._load(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Forget a client."""
        group, viewer.group = viewer.group, None
        if group is None:
            return
        group.remove(viewer)
        if group.empty:
            self._groups.pop(group.key, None)

    def tell(self, viewer: Viewer, kind: str, frame: bytes) -> None:
        """Answer one client."""
        if not viewer.outbox and viewer.wire.offer(frame):
            self._observer.sent(kind, 1)
            return
        if len(viewer.outbox) < MOST_PRIVATE_FRAMES:
            viewer.put(kind, frame)
            group = viewer.group
            if group is not None and viewer in group.live:
                group.leave_behind(viewer, max(group.flushed, viewer.cursor.revision))

    def pump(self, viewer: Viewer) -> None:
        """Send one client what it lacks, as far as it takes it."""
        while viewer.outbox:
            kind, frame = viewer.outbox[0]
            if not viewer.wire.offer(frame):
                return
            viewer.outbox.popleft()
            self._observer.sent(kind, 1)
        group = viewer.group
        if group is None or viewer.loading or viewer in group.live:
            return
        if viewer.complete < group.floor:
            self._resync(viewer, "lagging")
            self._load(viewer)
            self.pump(viewer)
            return
        given = group.catch_up(viewer, self._moment._replace(server_time=self._time()))
        if given.frames:
            self._observer.sent("change", given.frames)
            if given.oldest_us is not None:
                self._lagged(given.oldest_us)

    def backlog(self) -> tuple[int, int]:
        """Rows not yet sent: all clients, and the worst one."""
        rows = [count for group in self._groups.values() for count in group.backlog()]
        return sum(rows), max(rows, default=0)

    def _enter(self, viewer: Viewer) -> None:
        """Into the group of its subscription; what it was told so far stays what it knows."""
        if not self._groups:
            self.revision = max(self.revision, self._projection.revision)
            self._moment = self._moment._replace(revision=self.revision)
        key = viewer.subscription.key
        group = self._groups.get(key)
        if group is None:
            group = Group(viewer.subscription, self._moment.revision, self.limits.mailbox_rows)
            self._groups[key] = group
        if viewer.cursor is NO_CURSOR:
            viewer.cursor = Cursor(self._moment.revision, 0, 0)
        self._wait(viewer, group)

    def _wait(self, viewer: Viewer, group: Group) -> None:
        """Until the store was read: nothing that is flushed by now waits for it."""
        viewer.group = group
        viewer.loading = True
        # Told up to its revision, and needs nothing up to this position.
        viewer.cursor = Cursor(viewer.cursor.revision, self._position - len(self._changes), 0)
        group.leave_behind(viewer, group.flushed)

    def _loaded(self, viewer: Viewer, revision: int, stats_version: int) -> None:
        viewer.cursor = Cursor(revision, 0, stats_version)
        viewer.complete = revision
        viewer.loading = False

    def _resync(self, viewer: Viewer, reason: ResyncReason) -> None:
        frame = ResyncFrame(reason=reason, revision=self._moment.revision, server_time=self._time())
        viewer.put("resync", frame_of(frame))
        if viewer.group is not None:
            self._wait(viewer, viewer.group)
        self._observer.resynced(reason)
        log(logger, logging.INFO, "ws", "A client starts over", event="resync", reason=reason)

    def _load(self, viewer: Viewer) -> None:
        """Read a snapshot for a client; those of one group that ask meanwhile share it."""
        group = viewer.group
        if group is None:
            return
        view = viewer.subscription.view
        waiting = group.loads.get(view)
        if waiting is not None:
            waiting.append(viewer)
            return
        group.loads[view] = [viewer]
        work = self._fill(group, view, viewer.subscription)
        self._owner.spawn(work, name="monitor.snapshot")

    async def _fill(self, group: Group, view: View, subscription: Subscription) -> None:
        try:
            stats = self._current_stats(subscription)
            version = self._stats.version
            work = partial(
                read_snapshot, subscription=subscription, server_time=self._time(), stats=stats
            )
            snapshot = await self._reader.read(work)
        except Exception:
            logger.exception("Could not read a snapshot")
            for viewer in group.loads.pop(view):
                viewer.close(SERVER_ERROR, "the store failed")
            return
        for viewer in group.loads.pop(view):
            viewer.put_all("snapshot", snapshot.frames)
            self._loaded(viewer, snapshot.revision, version)
            self.pump(viewer)

    def _renew_stats(self) -> None:
        """New statistics if something changed; later if it is too soon for more."""
        if not self._groups:
            return
        wait_s = self._stats.renew()
        if wait_s is not None and self._stats_timer is None:
            loop = asyncio.get_running_loop()
            self._stats_timer = loop.call_later(wait_s, self._stats_tick)

    def _stats_tick(self) -> None:
        self._stats_timer = None
        self.flush()

    def _current_stats(self, subscription: Subscription) -> msgspec.Raw | None:
        if "stats" not in subscription.topics:
            return None
        return self._stats.now()

    def _lagged(self, committed_us: int) -> None:
        lag_us = self._clock.now_us() - committed_us
        self._observer.lag("monitor", max(0, lag_us) / MICROSECONDS_PER_SECOND)

    def _time(self) -> str:
        return format_time(self._clock.now_us())


def _only_loading(viewer: Viewer) -> bool:
    """Whether a client that is behind waits for nothing but the store."""
    return viewer.loading and viewer.greeted and not viewer.outbox
