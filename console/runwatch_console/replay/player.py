"""Plays a recording: its feed and its followed runs, each line when its time has come."""

import asyncio
import math
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

import msgspec

from runwatch_console.held.holdings import Holdings
from runwatch_console.held.minutes import Minutes
from runwatch_console.ports import (
    Connected,
    EventBatch,
    FeedItem,
    Frame,
    RunItem,
    RunStatus,
)
from runwatch_console.recording.format import (
    ConnectedLine,
    ConnectingLine,
    FrameLine,
    LostLine,
    LostRecord,
    OpenRecord,
    RunLine,
    disconnected,
    feed_item,
    run_item,
)
from runwatch_console.recording.reader import Moment, Recording
from runwatch_console.replay.playhead import Playhead
from runwatch_shared.wire import ChangeFrame, SnapshotFrame

FULL_SPEED_S: Final = 0.05
"""At the highest speed events of a run look so often how far the fleet came."""
READ_LINES: Final = 16
"""Lines read ahead in a thread at a time."""


class Player:
    """One replay. What it plays is `frames` (see `ports.Feed`) and `follow` (`ports.RunEvents`).

    `fleet` is what was played so far, for requests.
    """

    def __init__(self, recording: Recording, playhead: Playhead) -> None:
        self.recording = recording
        self.playhead = playhead
        self.fleet = Holdings()
        self.minutes = Minutes()
        """Numbers of the minutes that were played."""
        self._connected = False
        """Whether who reads the feed believes in a connection."""
        self.arrived = 0
        """How often the fleet of another place was given out, the first one included."""
        self.ahead = 0
        """At the highest speed so many rows go ahead of who folds them; 0: as many as are read."""
        self.unfolded = 0
        """Rows that were given out and of which nobody said that they are folded."""
        self.sought = 0
        """How often somebody went elsewhere: what was made before belongs to another place."""
        self._listeners: set[asyncio.Event] = set()

    # What the user does.

    def set_paused(self, paused: bool) -> None:
        """Stand, or go on; from the end it goes on from the begin."""
        if not paused and self.playhead.ended:
            self.seek(0.0)
        self.playhead.set_paused(paused)
        self._tell()

    def faster(self, step: int) -> None:
        """The next speed, up or down."""
        self.playhead.faster(step)
        self._tell()

    def seek(self, at_s: float) -> None:
        """Go to a moment of the recording."""
        self.playhead.go_to(at_s)
        self.sought += 1
        self._tell()

    def folded(self, items: Iterable[FeedItem]) -> None:
        """These are in the fleet that is shown: more may be read."""
        self.unfolded = max(0, self.unfolded - sum(map(_weight, items)))
        if self.ahead and self.unfolded < self.ahead:
            self._tell()

    def retry_now(self) -> None:
        """Nothing to try: losses play as they were."""

    def _tell(self) -> None:
        for listener in self._listeners:
            listener.set()

    # The feed.

    async def frames(self) -> AsyncGenerator[FeedItem, None]:
        """See `ports.Feed`."""
        changed = asyncio.Event()
        self._listeners.add(changed)
        sought = -1
        lines = self._lines(0)
        try:
            while True:
                if sought != self.sought:
                    sought = self.sought
                    moment = await asyncio.to_thread(
                        self.recording.moment, self.playhead.position_s
                    )
                    if sought != self.sought:
                        continue
                    for item in self._arrived(moment):
                        yield self._given(item)
                    lines = self._lines(moment.offset)
                async for line in lines:
                    if not await self._due(line, sought, changed):
                        break
                    yield self._given(self._played(line))
                else:
                    # The end of the recording; somebody may go back.
                    await self._wait(None, changed)
        finally:
            self._listeners.discard(changed)

    async def _lines(self, offset: int) -> AsyncGenerator["_FeedLine", None]:
        """The feed's lines from a place on, read in a thread."""
        lines = _feed_lines(self.recording, offset)
        while batch := await asyncio.to_thread(_take, lines):
            for line in batch:
                yield line

    async def _due(self, line: "_FeedLine", sought: int, changed: asyncio.Event) -> bool:
        """Wait until the line's time has come; False: somebody went elsewhere before."""
        while sought == self.sought:
            wait_s = self.playhead.wait_s(line.at_s)
            if wait_s == 0:
                held_back = math.isinf(self.playhead.speed) and 0 < self.ahead <= self.unfolded
                if not held_back:
                    return True
                wait_s = None
            await self._wait(wait_s, changed)
        return False

    async def _wait(self, wait_s: float | None, changed: asyncio.Event) -> None:
        changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await changed.wait()

    def _played(self, line: "_FeedLine") -> FeedItem:
        self.playhead.reach(line.at_s)
        if isinstance(line, ConnectedLine | LostLine):
            self._connected = isinstance(line, ConnectedLine)
        if isinstance(line, FrameLine):
            self.fleet.take(line.frame)
            if self.fleet.stats is not None:
                self.minutes.note(self.fleet.stats)
        return _watched(feed_item(line))

    def _given(self, item: FeedItem) -> FeedItem:
        self.unfolded += _weight(item)
        return item

    def _arrived(self, moment: Moment) -> Iterator[FeedItem]:
        """What brings a console to a moment, wherever it was."""
        self.fleet = moment.fleet
        self.arrived += 1
        self.minutes.clear()
        if moment.hello is not None and not self._connected:
            self._connected = True
            yield _watched(Connected(hello=moment.hello))
        for frame in moment.fleet.snapshots() or _nothing(moment):
            yield Frame(frame=frame)
        if moment.loss is not None:
            self._connected = False
            yield disconnected(moment.loss.loss)

    # Events of a run.

    async def follow(self, run_id: str, from_seq: int | None) -> AsyncGenerator[RunItem, None]:
        """See `ports.RunEvents`: what was recorded of the run, as its time comes."""
        changed = asyncio.Event()
        self._listeners.add(changed)
        try:
            sought, began_s = self.sought, self.playhead.position_s
            last_seq = from_seq
            for line in self.recording.run_lines(run_id, from_seq, began_s):
                while (wait_s := self._run_wait_s(line, sought)) != 0:
                    await self._wait(wait_s, changed)
                past = line.at_s <= began_s and isinstance(line.record, OpenRecord | LostRecord)
                item = None if past else _fresh(run_item(line.record), last_seq)
                if isinstance(item, EventBatch):
                    last_seq = item.events[-1].seq
                if item is not None:
                    yield item
                if isinstance(item, RunStatus):
                    return
            while True:
                await self._wait(None, changed)
        finally:
            self._listeners.discard(changed)

    def _run_wait_s(self, line: RunLine, sought: int) -> float | None:
        """None: somebody went elsewhere; who follows begins anew."""
        if sought != self.sought:
            return None
        if line.at_s <= self.playhead.position_s:
            return 0.0
        return self.playhead.wait_s(line.at_s) or FULL_SPEED_S


_FeedLine = ConnectingLine | ConnectedLine | FrameLine | LostLine


def _feed_lines(recording: Recording, offset: int) -> Iterator[_FeedLine]:
    for _, line in recording.lines(offset):
        if isinstance(line, _FeedLine):
            yield line


def _take(lines: Iterator[_FeedLine]) -> list[_FeedLine]:
    return list(islice(lines, READ_LINES))


def _weight(item: FeedItem) -> int:
    """Rows of an item, and one for itself."""
    frame = item.frame if isinstance(item, Frame) else None
    if isinstance(frame, ChangeFrame) and frame.workflows is not None:
        return 1 + len(frame.workflows.upsert)
    return 1


def _nothing(moment: Moment) -> list[SnapshotFrame]:
    """Before the first snapshot there were no rows; those of another moment must go."""
    hello = moment.hello
    if hello is None:
        return []
    nothing = SnapshotFrame(
        sub=1,
        revision=hello.revision,
        server_time=hello.server_time,
        part=1,
        last=True,
        workflows=[],
        nodes=[],
    )
    return [nothing]


def _watched(item: FeedItem) -> FeedItem:
    """A recording can be looked at only, whoever recorded it."""
    if isinstance(item, Connected):
        return Connected(hello=msgspec.structs.replace(item.hello, scope="viewer"))
    return item


def _fresh(item: RunItem, last_seq: int | None) -> RunItem | None:
    """What of an item is new to one who knows events up to `last_seq`."""
    if not isinstance(item, EventBatch) or last_seq is None:
        return item
    events = tuple(event for event in item.events if event.seq > last_seq)
    return EventBatch(events=events) if events else None
