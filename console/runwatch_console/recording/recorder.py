"""Recording a live feed, and the events of runs beside it; how it is written is `writer`'s."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Final

from runwatch_console.following import Tail, TailProblem, follow_run
from runwatch_console.ports import (
    Connection,
    EventBatch,
    FeedItem,
    Frame,
    RunItem,
)
from runwatch_console.recording.format import RunLine, feed_line, run_record
from runwatch_console.recording.writer import RecordingWriter
from runwatch_shared.models import Event, EventView
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.wire import ChangeFrame, SnapshotFrame

FLUSH_S: Final = 0.5
MOST_FOLLOWED: Final = 50
"""Runs whose events are read at one time: each takes a socket."""
FOLLOWED_STATES: Final = frozenset({"running", "waiting", "unknown"})


class Recorder:
    """Records until it is cancelled or the feed ends.

    Args:
        run_ids: Runs whose events are recorded too.
        with_events: Record the events of every run under way, those that need somebody first.
    """

    def __init__(
        self,
        writer: RecordingWriter,
        connection: Connection,
        *,
        run_ids: Iterable[str] = (),
        with_events: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer = writer
        self._connection = connection
        self._run_ids = tuple(run_ids)
        self._with_events = with_events
        self._monotonic = monotonic
        self._followed: set[str] = set()
        self._following = 0

    async def items(self) -> AsyncGenerator[FeedItem, None]:
        """What the feed brings, each item already written; close it with `aclosing`."""
        began_s = self._monotonic()
        async with TaskOwner("recorder") as owner:
            owner.spawn(self._flush(), name="recorder flush")
            async with aclosing(self._connection.feed.frames()) as items:  # type: ignore[type-var]
                async for item in items:
                    self._writer.feed(feed_line(item, self._monotonic() - began_s))
                    if isinstance(item, Frame):
                        self._look(item, owner, began_s)
                    yield item

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self._writer.flush()

    def _look(self, item: Frame, owner: TaskOwner, began_s: float) -> None:
        """Begin to follow what is to be followed."""
        frame = item.frame
        if not isinstance(frame, SnapshotFrame | ChangeFrame):
            return
        wanted = [run_id for run_id in self._run_ids if run_id not in self._followed]
        if self._with_events and self._following < MOST_FOLLOWED:
            rows = self._writer.holdings.runs.values()
            under_way = (row for row in rows if row.state in FOLLOWED_STATES)
            ordered = sorted(under_way, key=lambda row: (-row.attention, row.id))
            wanted += [row.id for row in ordered if row.id not in self._followed]
        for run_id in wanted:
            if self._following >= MOST_FOLLOWED:
                break
            self._followed.add(run_id)
            self._following += 1
            owner.spawn(self._follow(run_id, began_s), name=f"recorder {run_id}")

    async def _follow(self, run_id: str, began_s: float) -> None:
        try:
            async with aclosing(follow_run(self._connection, run_id)) as items:
                async for item in items:
                    if isinstance(item, TailProblem):
                        continue
                    plain = _batch(item) if isinstance(item, Tail) else item
                    self._write(run_id, plain, began_s)
        finally:
            self._following -= 1

    def _write(self, run_id: str, item: RunItem, began_s: float) -> None:
        at_s = self._monotonic() - began_s
        self._writer.run(RunLine(at_s=at_s, run_id=run_id, record=run_record(item)))


def _batch(tail: Tail) -> EventBatch:
    return EventBatch(events=tuple(map(_event, tail.page.events)))


def _event(view: EventView) -> Event:
    return Event(
        id=view.seq,
        run_id=view.run_id,
        seq=view.seq,
        epoch=view.epoch,
        type=view.type,
        timestamp=view.timestamp,
        received_at=view.received_at,
        level=view.level,
        payload=view.payload,
    )
