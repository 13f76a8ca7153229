"""One run's followers: they share its frames and the ring of its newest events; when what happens
is in `streams`.
"""

from collections import deque
from typing import NamedTuple

from runwatch_server.fanout.observer import FeedObserver
from runwatch_server.fanout.pages import Burst, Encoded, bursts_of, encode_events
from runwatch_server.fanout.replays import Replays
from runwatch_server.fanout.ring import Ring
from runwatch_server.fanout.sockets import Socket
from runwatch_server.fanout.wires import Wire
from runwatch_server.principals import Principal
from runwatch_server.rows import EventRow
from runwatch_shared.wire import RunEnd


class Follower(Socket):
    """One socket of a run; ``seq`` is the number of the last event it got."""

    __slots__ = ("batch", "page", "raw", "reading", "run_id", "seq", "synced")

    def __init__(
        self, wire: Wire, principal: Principal, *, run_id: str, seq: int, raw: bool, batch: bool
    ) -> None:
        super().__init__("run", wire, principal)
        self.run_id = run_id
        self.seq = seq
        self.raw = raw
        self.batch = batch
        self.reading = False
        """A page is being read for it."""
        self.synced = False
        """It read the store to its end since it joined, or since it fell off the ring."""
        self.page: deque[Burst] = deque()
        """What was read and not taken yet."""


class Flushed(NamedTuple):
    """Who did not take all, and who has now all there will ever be."""

    late: list[Follower]
    finished: list[Follower]


class Stream:
    """Those who follow one run in one form (with or without ``raw``)."""

    def __init__(self, run_id: str, observer: FeedObserver, *, raw: bool) -> None:
        self.run_id = run_id
        self.ring = Ring()
        self.live: dict[bool, set[Follower]] = {False: set(), True: set()}
        """By ``batch``; they have everything up to the last flush."""
        self.behind: set[Follower] = set()
        self.fresh: list[EventRow] = []
        """Published, not flushed."""
        self.fresh_end: RunEnd | None = None
        """Published, not flushed."""
        self.end: RunEnd | None = None
        self.gone = False
        self.raw = raw
        self.replays: Replays[Follower] = Replays()
        self._observer = observer

    def followers(self) -> list[Follower]:
        """Everybody."""
        return [*self.live[False], *self.live[True], *self.behind]

    def flush(self) -> Flushed:
        """Give what was published to the live; whoever is named is in `behind` from now on."""
        events = encode_events(self.run_id, self.fresh, raw=self.raw)
        self.fresh = []
        self.end = self.fresh_end or self.end
        if events:
            self.ring.extend(events)
        result = Flushed([], [])
        for batch, followers in self.live.items():
            if followers:
                self._give_all(followers, events, batch, result)
        for follower in (*result.late, *result.finished):
            self.live[follower.batch].discard(follower)
            self.behind.add(follower)
        return result

    def has_all(self, follower: Follower) -> bool:
        """Whether the run is over and this one has its last event."""
        return self.end is not None and follower.seq >= self.end.last_seq

    def _give_all(
        self, followers: set[Follower], events: list[Encoded], batch: bool, result: Flushed
    ) -> None:
        bursts = bursts_of(events, batch=batch)
        only = bursts[0] if len(bursts) == 1 else None
        late = 0
        for follower in followers:
            if only is not None and follower.seq < only.first_seq:
                taken = follower.wire.offer(only.frames)
                if taken:
                    follower.seq = only.last_seq
            else:
                taken = _give(follower, bursts, events)
            if not taken:
                late += 1
                result.late.append(follower)
            elif self.end is not None and self.has_all(follower):
                result.finished.append(follower)
        frames = sum(burst.events for burst in bursts)
        self._observer.sent("events" if batch else "event", (len(followers) - late) * frames)


def _give(follower: Follower, bursts: list[Burst], events: list[Encoded]) -> bool:
    """Whether a live client took all of the new events that it has not."""
    for burst in bursts:
        if follower.seq >= burst.last_seq:
            continue
        given = burst
        if follower.seq >= burst.first_seq:
            newer = [event for event in events if follower.seq < event.seq <= burst.last_seq]
            given = bursts_of(newer, batch=follower.batch)[0]
        if not follower.wire.offer(given.frames):
            return False
        follower.seq = given.last_seq
    return True
