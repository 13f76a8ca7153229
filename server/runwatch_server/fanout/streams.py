"""The live events of runs, given to the sockets that follow them; stored ones come from `pages`.

A client is the number of the last event it got. It subscribes first, reads the store from its
number, then goes live, and drops what it already has: every event once, in order (contract 10).
Who lags is served from the ring, and from the store where the ring has moved on. Nothing is merged
or skipped, and nobody waits for anybody.
"""

import asyncio
import logging
from functools import partial
from typing import Final

from runwatch_server.fanout.frames import frame_of
from runwatch_server.fanout.observer import FeedObserver
from runwatch_server.fanout.pages import Burst, bursts_of, end_of, read_page
from runwatch_server.fanout.replays import Place
from runwatch_server.fanout.ring import TOTAL_BYTES
from runwatch_server.fanout.sockets import GONE, SERVER_ERROR
from runwatch_server.fanout.stream import Follower, Stream
from runwatch_server.storage.protocols import Commit, Reader
from runwatch_shared.clock import Clock
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time
from runwatch_shared.wire import RunHeartbeat, RunHeartbeatFrame, StatusFrame

logger: Final = logging.getLogger(__name__)

FINISHED: Final = 1000
MOST_REST_S: Final = 0.05
"""Sending to many rests as long as it took, so that it never takes more than half of the event
loop: what is committed meanwhile goes out together. With few clients the rest is nothing.
"""


class RunStreams:
    """Every run somebody follows. Used in the event loop only."""

    def __init__(
        self, *, reader: Reader, clock: Clock, observer: FeedObserver, owner: TaskOwner
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._observer = observer
        self._owner = owner
        self._streams: dict[tuple[str, bool], Stream] = {}
        self._touched: set[Stream] = set()
        self.ring_bytes = 0
        self._timer: asyncio.Handle | None = None
        self._rest_until_s = float("-inf")

    def publish(self, commit: Commit) -> None:
        """Note a commit; what is new goes out after the answers of this turn of the event loop."""
        if not self._streams:
            return
        for run_id, events in commit.events.items():
            for stream in self._of(run_id):
                stream.fresh += events
                self._touched.add(stream)
        for change in commit.runs:
            row = change.after
            run = row if row is not None else change.before
            if run is None:
                continue
            for stream in self._of(run.id):
                stream.gone = stream.gone or row is None
                stream.fresh_end = None if row is None else end_of(row)
                self._touched.add(stream)
        if self._touched and self._timer is None:
            loop = asyncio.get_running_loop()
            wait_s = self._rest_until_s - self._clock.monotonic()
            self._timer = (
                loop.call_later(wait_s, self.flush) if wait_s > 0 else loop.call_soon(self.flush)
            )

    def flush(self) -> None:
        """Send what was published."""
        self._timer = None
        begun_s = self._clock.monotonic()
        self._send()
        ended_s = self._clock.monotonic()
        self._rest_until_s = ended_s + min(ended_s - begun_s, MOST_REST_S)

    def _send(self) -> None:
        touched, self._touched = self._touched, set()
        for stream in touched:
            if stream.gone:
                for follower in stream.followers():
                    follower.close(GONE, "the run was deleted")
                continue
            self._flush(stream)
        self._bound()

    def _flush(self, stream: Stream) -> None:
        oldest_us = stream.fresh[0].received_us if stream.fresh else None
        before = stream.ring.bytes
        flushed = stream.flush()
        self.ring_bytes += stream.ring.bytes - before
        for follower in flushed.finished:
            self.advance(follower)
        self._settle(stream)
        if oldest_us is not None:
            lag_us = self._clock.now_us() - oldest_us
            self._observer.lag("run", max(0, lag_us) / MICROSECONDS_PER_SECOND)

    def join(self, follower: Follower) -> None:
        """Let a client in; it reads the store from its number first."""
        key = (follower.run_id, follower.raw)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Stream(follower.run_id, self._observer, raw=follower.raw)
        stream.behind.add(follower)
        follower.wire.on_ready = partial(self.advance, follower)
        self.advance(follower)

    def leave(self, follower: Follower) -> None:
        """Forget a client."""
        key = (follower.run_id, follower.raw)
        stream = self._streams.get(key)
        if stream is None:
            return
        stream.behind.discard(follower)
        stream.live[follower.batch].discard(follower)
        if not stream.followers():
            self.ring_bytes -= stream.ring.bytes
            del self._streams[key]

    def advance(self, follower: Follower) -> None:
        """Send one client what it lacks, as far as it takes it; it is live when it has all."""
        stream = self._streams.get((follower.run_id, follower.raw))
        if stream is None or follower not in stream.behind or follower.reading:
            return
        ring = stream.ring
        while self._send_page(follower):
            if not follower.synced or follower.seq < min(ring.floor, ring.head):
                if not self._read(stream, follower):
                    return
                continue
            if follower.seq >= ring.head:
                self._caught_up(stream, follower)
                return
            burst = bursts_of(ring.after(follower.seq), batch=follower.batch)[0]
            if not follower.wire.offer(burst.frames):
                return
            self._given(follower, burst)

    def heartbeat(self) -> None:
        """Tell those in batch mode that all up to a number was delivered."""
        now = format_time(self._clock.now_us())
        sent = 0
        for stream in self._streams.values():
            frames: dict[int, bytes] = {}
            for follower in [*stream.live[True], *(f for f in stream.behind if f.batch)]:
                if follower.page or follower.code is not None:
                    continue
                frame = frames.get(follower.seq)
                if frame is None:
                    data = RunHeartbeat(server_time=now, last_seq=follower.seq)
                    frame = frames[follower.seq] = frame_of(RunHeartbeatFrame(data=data))
                sent += follower.wire.offer(frame)
        self._observer.sent("heartbeat", sent)

    def backlog(self) -> tuple[int, int]:
        """Events in rings not yet sent: all clients, and the worst one."""
        counts = [
            stream.ring.count_after(follower.seq)
            for stream in self._streams.values()
            for follower in stream.behind
        ]
        return sum(counts), max(counts, default=0)

    def _of(self, run_id: str) -> list[Stream]:
        found = (self._streams.get((run_id, raw)) for raw in (False, True))
        return [stream for stream in found if stream is not None]

    def _send_page(self, follower: Follower) -> bool:
        while follower.page:
            if not follower.wire.offer(follower.page[0].frames):
                return False
            self._given(follower, follower.page.popleft())
        return True

    def _given(self, follower: Follower, burst: Burst) -> None:
        follower.seq = max(follower.seq, burst.last_seq)
        self._observer.sent("events" if follower.batch else "event", burst.events)

    def _caught_up(self, stream: Stream, follower: Follower) -> None:
        end = stream.end
        if end is None or not stream.has_all(follower):
            stream.behind.discard(follower)
            stream.live[follower.batch].add(follower)
            self._settle(stream)
        elif follower.code is None and follower.wire.offer(frame_of(StatusFrame(data=end))):
            self._observer.sent("status", 1)
            follower.close(FINISHED, "the run is over")

    def _read(self, stream: Stream, follower: Follower) -> bool:
        """Give a follower its next page of the store; False: it must wait for it.

        Waiting for a read that began earlier is as good as one of its own: whoever began it was
        behind before its snapshot was taken, and since then the ring keeps what is committed.
        """
        follower.synced = False
        place = (follower.seq, follower.batch)
        page = stream.replays.kept(place)
        if page is not None:
            follower.page.extend(page.bursts)
            return True
        follower.reading = True
        if stream.replays.wait(place, follower):
            self._owner.spawn(self._fill(stream, place), name="run.page")
        return False

    async def _fill(self, stream: Stream, place: Place) -> None:
        seq, batch = place
        work = partial(read_page, run_id=stream.run_id, after_seq=seq, raw=stream.raw, batch=batch)
        try:
            page = await self._reader.read(work)
        except Exception:
            logger.exception("Could not read a run's events")
            for follower in stream.replays.read(place, None):
                follower.close(SERVER_ERROR, "the store failed")
            return
        waited = stream.replays.read(place, page)
        if page is not None:
            stream.end = stream.end or page.end
        for follower in waited:
            follower.reading = False
            if follower not in stream.behind:
                continue
            if page is None:
                follower.close(GONE, "the run was deleted")
                continue
            follower.page.extend(page.bursts)
            follower.synced = page.reached_end
            self.advance(follower)

    def _settle(self, stream: Stream) -> None:
        """Keep no event that nobody needs."""
        if not stream.behind:
            self.ring_bytes -= stream.ring.bytes
            stream.ring.clear()

    def _bound(self) -> None:
        """Keep all rings together within their limit; the longest is cut first."""
        while self.ring_bytes > TOTAL_BYTES:
            ring = max((stream.ring for stream in self._streams.values()), key=lambda r: r.bytes)
            before = ring.bytes
            while ring.bytes > before // 2:
                ring.drop_oldest()
            self.ring_bytes -= before - ring.bytes
