"""The app's reading of the feed, batch by batch, and the one place where the fleet changes.

It is loaded after the first frame, and with it what it knows of the wire.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from runwatch_console.feeditems import Connected, Frame
from runwatch_console.folding import fold, next_link
from runwatch_console.messages import FeedArrived
from runwatch_console.pacing import paced
from runwatch_console.ports import Connection
from runwatch_console.rewind import Rewind
from runwatch_console.state import CaughtUp, ConsoleState
from runwatch_shared.wire import SnapshotFrame

CAUGHT_UP_SHOWN_S: Final = 6.0
SLOWEST: Final = 4
"""Under a storm of changes the fleet is folded in every fourth interval: five times a second. Most
of what a fold and its paint cost is the same however many rows changed.
"""


class Feeding:
    """Reads and folds.

    Args:
        post: Puts a message into the app's queue: a fold comes after the keys that are there.
        rewinds: Keep what each fold changed, to go back to it.
    """

    def __init__(self, post: Callable[[FeedArrived], object], *, rewinds: bool = True) -> None:
        self._post = post
        self._events_before_loss: int | None = None
        self.rewind = Rewind() if rewinds else Rewind(kept_bytes=0)

    async def read(self, connection: Connection, pace_s: Callable[[], float]) -> None:
        """Read for ever, in batches, each folded before the next is taken."""
        frames = connection.feed.frames()
        async with aclosing(paced(frames, pace_s, name="feed", slowest=SLOWEST)) as batches:
            async for items in batches:
                folded = asyncio.Event()
                self._post(FeedArrived(items, folded, self))
                await folded.wait()

    def folded(self, state: ConsoleState, event: FeedArrived, now: float) -> ConsoleState:
        """The state after what arrived; while the console is rewound, with the fleet of then."""
        live = self.rewind.live(state)
        return self.rewind.noted(live.fleet, self._folded(live, event, now))

    def _folded(self, state: ConsoleState, event: FeedArrived, now: float) -> ConsoleState:
        link, fleet, caught_up = state.link, state.fleet, state.caught_up
        frames = []
        for item in event.items:
            link = next_link(link, item, now)
            if isinstance(item, Frame):
                frames.append(item.frame)
            elif isinstance(item, Connected):
                self._events_before_loss = fleet.events_seen if fleet.loaded else None
        if frames:
            fleet = fold(fleet, frames)
            if self._events_before_loss is not None:
                caught_up = CaughtUp(
                    events=max(0, fleet.events_seen - self._events_before_loss),
                    resumed=link.resumed,
                    until_mono_s=now + CAUGHT_UP_SHOWN_S,
                )
                self._events_before_loss = None
        return replace(state, link=link, fleet=fleet, caught_up=caught_up, now_mono_s=now)


def brings_much(event: FeedArrived) -> bool:
    """Whether a snapshot is among it, whose rows stay."""
    return any(
        isinstance(item, Frame) and isinstance(item.frame, SnapshotFrame) for item in event.items
    )
