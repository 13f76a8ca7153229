"""The delta feed of `/ws/monitor`: when commits become frames, snapshots are read and heartbeats
go out; what is in a frame is in `groups`, `changes` and `snapshots`.

Source: contract 7.2. Used in the event loop only.
"""

import asyncio
import logging
from functools import partial
from typing import Final, Protocol

import msgspec

from runwatch_server.fanout.changes import Change, Cursor, changes_of
from runwatch_server.fanout.frames import encode, frame_of
from runwatch_server.fanout.groups import Group, Moment, Viewer
from runwatch_server.fanout.observer import FeedObserver
from runwatch_server.fanout.snapshots import Catchup, ResyncReason, read_catchup, read_snapshot
from runwatch_server.fanout.sockets import SERVER_ERROR
from runwatch_server.fanout.subscriptions import Subscription
from runwatch_server.storage.protocols import Commit, Reader
from runwatch_shared.clock import Clock
from runwatch_shared.logs import log
from runwatch_shared.models import Stats
from runwatch_shared.settings import Limits
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time
from runwatch_shared.wire import HeartbeatFrame, ResyncFrame

logger: Final = logging.getLogger(__name__)

TICK_S: Final = 0.05
STATS_S: Final = 1.0
MOST_PRIVATE_FRAMES: Final = 64
"""Answers to a client that does not read them; more are dropped."""


class StatsSource(Protocol):
    """Where the numbers come from (`projection.Projection`)."""

    @property
    def revision(self) -> int: ...

    def stats(self, now_us: int) -> Stats: ...


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
        self._limits = limits
        self._store_id = store_id
        self._observer = observer
        self._owner = owner
        self._groups: dict[bytes, Group] = {}
        self._changes: list[Change] = []
        """Published, not flushed."""
        self._position = 0
        self._moment = Moment(0, "", 0, None)
        self._stats: Stats | None = None
        self._stats_due = False
        self._stats_at_s = float("-inf")
        self._flushed_at_s = float("-inf")
        self._timer: asyncio.Handle | None = None
        self._stats_timer: asyncio.TimerHandle | None = None

    def publish(self, commit: Commit) -> None:
        """Note a commit; its frames go out with the tick, the first after silence at once."""
        self.revision = max(self.revision, commit.revision)
        self._stats_due = True
        if not self._groups:
            self._moment = self._moment._replace(revision=self.revision)
            return
        changes = changes_of(commit, self._position)
        self._position += len(changes)
        self._changes += changes
        if self._timer is None:
            loop = asyncio.get_running_loop()
            wait_s = self._flushed_at_s + TICK_S - loop.time()
            # At once is after the commit's own answers, which wait in the same turn of the loop.
            self._timer = (
                loop.call_later(wait_s, self.flush) if wait_s > 0 else loop.call_soon(self.flush)
            )

    def flush(self) -> None:
        """Send what was published."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flushed_at_s = asyncio.get_running_loop().time()
        changes, self._changes = self._changes, []
        self._moment = self._moment._replace(revision=self.revision, server_time=self._time())
        self._renew_stats()
        for group in list(self._groups.values()):
            merged = sum(map(group.take, changes))
            if merged:
                self._observer.merged(merged)
            if taken := group.flush(self._moment):
                self._observer.sent("change", taken)
        if changes:
            lag_us = self._clock.now_us() - changes[0].at_us
            self._observer.lag("monitor", max(0, lag_us) / MICROSECONDS_PER_SECOND)

    def heartbeat(self) -> None:
        """Tell everybody how far they are; never ahead of what they were sent."""
        self._notice_windows()
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

    async def join(
        self,
        viewer: Viewer,
        subscription: Subscription,
        *,
        since: int | None,
        store: str | None,
    ) -> bool:
        """Let a client in; True if it goes on from ``since``, False if a snapshot follows.

        The client sees nothing before `begin`, which is called with its greeting.
        """
        self._enter(viewer, subscription)
        if since is None:
            return False
        reason: ResyncReason = "store_changed"
        if store == self._store_id:
            stats = self._current_stats(subscription)
            version = self._moment.stats_version
            work = partial(
                read_catchup,
                subscription=subscription,
                since=since,
                most_rows=self._limits.mailbox_rows,
                server_time=self._time(),
                stats=stats,
            )
            found = await self._reader.read(work)
            if isinstance(found, Catchup):
                viewer.outbox.extend(found.frames)
                self._loaded(viewer, found.revision, version)
                return True
            reason = found
        self._resync(viewer, reason)
        return False

    def begin(self, viewer: Viewer, hello: bytes) -> None:
        """Greet a client and send it what `join` found."""
        viewer.hello = hello
        viewer.outbox.appendleft(hello)
        if viewer.loading:
            self._load(viewer)
        viewer.wire.on_ready = partial(self.pump, viewer)
        self.pump(viewer)

    def subscribe(self, viewer: Viewer, subscription: Subscription) -> None:
        """Replace what a client looks at; a snapshot follows."""
        self.leave(viewer)
        viewer.outbox = type(viewer.outbox)(
            frame for frame in viewer.outbox if frame is viewer.hello
        )
        self._enter(viewer, subscription)
        self._load(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Forget a client."""
        group, viewer.group = viewer.group, None
        if group is None:
            return
        group.remove(viewer)
        if group.empty:
            self._groups.pop(group.subscription.key, None)

    def tell(self, viewer: Viewer, frame: bytes) -> None:
        """Answer one client."""
        if not viewer.outbox and viewer.wire.offer(frame):
            return
        if len(viewer.outbox) < MOST_PRIVATE_FRAMES:
            viewer.outbox.append(frame)
            group = viewer.group
            if group is not None and viewer in group.live:
                group.leave_behind(viewer, max(group.flushed, viewer.cursor.revision))

    def pump(self, viewer: Viewer) -> None:
        """Send one client what it lacks, as far as it takes it."""
        while viewer.outbox:
            if not viewer.wire.offer(viewer.outbox[0]):
                return
            viewer.outbox.popleft()
        group = viewer.group
        if group is None or viewer.loading or viewer in group.live:
            return
        if viewer.complete < group.floor:
            self._resync(viewer, "lagging")
            self._load(viewer)
            self.pump(viewer)
            return
        oldest = group.pending(viewer.cursor)[:1]
        if taken := group.catch_up(viewer, self._moment._replace(server_time=self._time())):
            self._observer.sent("change", taken)
        if oldest and taken:
            lag_us = self._clock.now_us() - oldest[0].change.at_us
            self._observer.lag("monitor", max(0, lag_us) / MICROSECONDS_PER_SECOND)

    def backlog(self) -> tuple[int, int]:
        """Rows not yet sent: all clients, and the worst one."""
        rows = [count for group in self._groups.values() for count in group.backlog()]
        return sum(rows), max(rows, default=0)

    def _enter(self, viewer: Viewer, subscription: Subscription) -> Group:
        if not self._groups:
            self.revision = max(self.revision, self._projection.revision)
            self._moment = self._moment._replace(revision=self.revision)
        group = self._groups.get(subscription.key)
        if group is None:
            group = Group(subscription, self._moment.revision, self._limits.mailbox_rows)
            self._groups[subscription.key] = group
        viewer.group = group
        viewer.loading = True
        viewer.cursor = Cursor(self._moment.revision, 0, 0)
        group.leave_behind(viewer, group.flushed)
        return group

    def _loaded(self, viewer: Viewer, revision: int, stats_version: int) -> None:
        viewer.cursor = Cursor(revision, 0, stats_version)
        viewer.complete = revision
        viewer.loading = False

    def _resync(self, viewer: Viewer, reason: ResyncReason) -> None:
        frame = ResyncFrame(reason=reason, revision=self._moment.revision, server_time=self._time())
        viewer.outbox.append(frame_of(frame))
        viewer.loading = True
        if viewer.group is not None:
            viewer.complete = viewer.group.flushed
        self._observer.resynced(reason)
        log(logger, logging.INFO, "ws", "A client starts over", event="resync", reason=reason)

    def _load(self, viewer: Viewer) -> None:
        """Read a snapshot for a client; those of one group that ask meanwhile share it."""
        group = viewer.group
        if group is None:
            return
        group.waiting.append(viewer)
        if not group.reading:
            group.reading = True
            self._owner.spawn(self._fill(group), name="monitor.snapshot")

    async def _fill(self, group: Group) -> None:
        try:
            stats = self._current_stats(group.subscription)
            version = self._moment.stats_version
            work = partial(
                read_snapshot,
                subscription=group.subscription,
                server_time=self._time(),
                stats=stats,
            )
            snapshot = await self._reader.read(work)
        except Exception:
            logger.exception("Could not read a snapshot")
            for viewer in group.waiting:
                viewer.close(SERVER_ERROR, "the store failed")
            return
        finally:
            group.reading = False
        waiting, group.waiting = group.waiting, []
        for viewer in waiting:
            viewer.outbox.extend(snapshot.frames)
            self._loaded(viewer, snapshot.revision, version)
            self._observer.sent("snapshot", len(snapshot.frames))
            self.pump(viewer)

    def _renew_stats(self) -> None:
        """New statistics if something changed, at most once a second; else later."""
        if not self._stats_due or not self._groups:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._stats_at_s + STATS_S - loop.time()
        if wait_s <= 0:
            self._stats_due = False
            self._stats_at_s = loop.time()
            self._stats = self._projection.stats(self._clock.now_us())
            self._moment = self._moment._replace(
                stats_version=self._moment.stats_version + 1,
                stats=msgspec.Raw(encode(self._stats)),
            )
        elif self._stats_timer is None:
            self._stats_timer = loop.call_later(wait_s, self._stats_tick)

    def _stats_tick(self) -> None:
        self._stats_timer = None
        self.flush()

    def _notice_windows(self) -> None:
        """Numbers over the last minutes and of today change without any commit."""
        if self._stats is None or not self._groups or self._stats_due:
            return
        now = self._projection.stats(self._clock.now_us())
        blank = msgspec.structs.replace(now, server_time=self._stats.server_time)
        self._stats_due = blank != self._stats

    def _current_stats(self, subscription: Subscription) -> msgspec.Raw | None:
        if "stats" not in subscription.topics:
            return None
        return msgspec.Raw(encode(self._projection.stats(self._clock.now_us())))

    def _time(self) -> str:
        return format_time(self._clock.now_us())


def _only_loading(viewer: Viewer) -> bool:
    """Whether a client that is behind waits for nothing but the store."""
    return viewer.loading and viewer.hello is not None and not viewer.outbox
