"""The task that keeps a server to its retention, and does what ``monitor-server prune`` asks of it.

What goes is decided in `retention`. Between pieces it rests as long as a piece took, so that
reports of events have at least half of the writer.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from runwatch_server import retention
from runwatch_server.retention import Removed
from runwatch_server.steady import keep_going
from runwatch_server.storage.protocols import Writer, WriteTx
from runwatch_shared.clock import Clock
from runwatch_shared.logs import log
from runwatch_shared.settings import ServerSettings
from runwatch_shared.tasks import TaskOwner

logger: Final = logging.getLogger(__name__)

EVERY_S: Final = 1.0
LOG_EVERY_S: Final = 60.0
MOST_REST_S: Final = 1.0


class Retainer:
    """Removes what is to go, piece by piece.

    Args:
        on_removed: Told how many events went, each time some did.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        clock: Clock,
        settings: ServerSettings,
        on_removed: Callable[[int], None] = lambda events: None,
        every_s: float = EVERY_S,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._settings = settings
        self._on_removed = on_removed
        self._every_s = every_s
        self._short = False
        self._unsaid = Removed()
        self._say_at_s = clock.monotonic()

    def follow(self, settings: ServerSettings) -> None:
        """Go by other settings from the next step on."""
        self._settings = settings

    def start(self, owner: TaskOwner) -> None:
        """Start the task; its owner ends it."""
        owner.spawn(keep_going(self._step, name="retention"), name="retention")

    async def keep(self) -> Removed:
        """Remove all that is to go now."""
        total = Removed()
        while True:
            begun_s = self._clock.monotonic()
            removed = await self._writer.write(self._piece)
            if removed.events:
                self._on_removed(removed.events)
            total = _sum(total, removed)
            self._unsaid = _sum(self._unsaid, removed)
            if not removed.rows:
                break
            await asyncio.sleep(min(MOST_REST_S, self._clock.monotonic() - begun_s))
        self._say(removed.short)
        return total

    async def _step(self) -> None:
        await asyncio.sleep(self._every_s)
        await self.keep()

    def _piece(self, tx: WriteTx) -> Removed:
        asked = tx.prunes.open()
        if asked is None:
            bounds = retention.bounds_of(self._settings.retention, tx.now_us)
            return retention.piece(tx, bounds)
        removed = retention.piece(tx, asked.bounds)
        tx.prunes.put(
            msgspec.structs.replace(
                asked,
                done=not removed.rows,
                events=asked.events + removed.events,
                runs=asked.runs + removed.runs,
            )
        )
        return removed

    def _say(self, short: bool) -> None:
        """Log what went, at most once a minute, and once that no more can go."""
        unsaid, now_s = self._unsaid, self._clock.monotonic()
        if (unsaid.events or unsaid.runs) and now_s >= self._say_at_s:
            log(
                logger,
                logging.INFO,
                "retention",
                "What was kept long enough is removed",
                event="removed",
                rows=unsaid.rows,
            )
            self._unsaid = Removed()
            self._say_at_s = now_s + LOG_EVERY_S
        if short and not self._short:
            log(
                logger,
                logging.WARNING,
                "retention",
                "There is more than retention allows, and no finished run has events left",
                event="short",
            )
        self._short = short


def _sum(one: Removed, other: Removed) -> Removed:
    return Removed(
        events=one.events + other.events,
        runs=one.runs + other.runs,
        rows=one.rows + other.rows,
        short=other.short,
    )
