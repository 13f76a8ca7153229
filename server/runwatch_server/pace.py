"""Whose clock the server's own time follows: the database's where servers share one, so that any of
them judges alike, else the machine's.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

from runwatch_server.steady import keep_going
from runwatch_server.steady_clock import (
    NOTE_EVERY_S,
    STEER_EVERY_S,
    ClockNote,
    SteadyClock,
    boot_id,
)
from runwatch_server.storage.protocols import Store
from runwatch_server.storage.sharing import Shared
from runwatch_shared.clock import Clock
from runwatch_shared.tasks import TaskOwner

FILE: Final = "clock.json"
SLOW_S: Final = 1.0
"""An answer that took longer tells the time too badly."""


class Pace:
    """Of one server.

    Args:
        wall: The machine's clock.
        data_dir: Where the note is that outlasts a restart.
    """

    def __init__(self, store: Store, wall: Clock, data_dir: Path) -> None:
        self._shared = store if isinstance(store, Shared) else None
        self._wall = wall
        self._note = ClockNote(data_dir / FILE, boot=boot_id())
        self._clock = SteadyClock(wall.now_us())
        self._note_at_s = time.monotonic()

    async def begin(self) -> Clock:
        """The server's clock, with the right time.

        Raises:
            StoreError: The database cannot be asked.
        """
        if self._shared is None:
            at_us = self._note.begin(self._wall)
        else:
            at_us = await asyncio.to_thread(self._shared.clock_us)
        self._clock = SteadyClock(at_us)
        return self._clock

    def start(self, owner: TaskOwner) -> None:
        """Start the task that steers it; its owner ends it."""
        owner.spawn(keep_going(self._step, name="pace"), name="pace")

    async def _step(self) -> None:
        if self._shared is None and time.monotonic() >= self._note_at_s:
            self._note_at_s = time.monotonic() + NOTE_EVERY_S
            await asyncio.to_thread(self._note.write, self._clock)
        await asyncio.sleep(STEER_EVERY_S)
        reference_us = await self._reference()
        if reference_us is not None:
            self._clock.steer(reference_us)

    async def _reference(self) -> int | None:
        if self._shared is None:
            return self._wall.now_us()
        asked_s = time.monotonic()
        told_us = await asyncio.to_thread(self._shared.clock_us)
        took_s = time.monotonic() - asked_s
        return told_us + round(took_s / 2 * 1_000_000) if took_s < SLOW_S else None
