"""A server's audit log while it runs: what waits is written together, off the event loop.

Whoever changed something is answered when its record is on the disk, or after a short while where
the disk does not take it: what is done is done, and the trail says so as soon as it can again.
Refusals are not waited for, and only so many are written, else anybody could fill the disk.
"""

import asyncio
import logging
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from runwatch_server.access.rates import Buckets
from runwatch_server.audit import file
from runwatch_server.audit.entries import Entry
from runwatch_shared.backoff import Backoff
from runwatch_shared.clock import Clock
from runwatch_shared.errors import RefusedError
from runwatch_shared.tasks import TaskOwner

logger: Final = logging.getLogger(__name__)

MOST_WAITING: Final = 10_000
"""Records that wait for a disk that takes none; beyond it the oldest is dropped and counted."""
WAIT_S: Final = 2.0
REFUSED_PER_S: Final = 5.0
REFUSED_BURST: Final = 100
EVERYBODY: Final = "everybody"


class _Waiting:
    __slots__ = ("entry", "written")

    def __init__(self, entry: Entry, written: asyncio.Future[None]) -> None:
        self.entry = entry
        self.written = written


class AuditTrail:
    """Takes records in the event loop. Without a folder, as in tests, they go nowhere.

    Args:
        folder: The server's data directory.
    """

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._more = asyncio.Event()
        self._refusals = Buckets(REFUSED_PER_S, REFUSED_BURST)
        self._dropped = 0
        self._writing = asyncio.Lock()
        self.failing = False
        """Whether the disk took no record the last time."""

    def start(self, owner: TaskOwner) -> None:
        """Write from now on, until the owner stops."""
        owner.spawn(self._run(), name="audit-trail")

    async def done(self, entry: Entry) -> None:
        """Something was changed; returns when that is written, at most after a short wait."""
        written = self._take(entry)
        if written is not None:
            await asyncio.wait({written}, timeout=WAIT_S)

    def refused(self, entry: Entry) -> None:
        """Somebody was refused."""
        try:
            self._refusals.take(EVERYBODY, self._clock.monotonic())
        except RefusedError:
            self._dropped += 1
            return
        self._take(entry)

    async def drain(self) -> None:
        """Write what waits, once; for the end of the server."""
        if self._waiting:
            await self._write()

    def _take(self, entry: Entry) -> asyncio.Future[None] | None:
        if self._folder is None:
            return None
        if len(self._waiting) >= MOST_WAITING:
            self._release(self._waiting.popleft())
            self._dropped += 1
        if self._dropped:
            entry = msgspec.structs.replace(entry, dropped=self._dropped)
            self._dropped = 0
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._more.set()
        return waiting.written

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            await self._more.wait()
            await self._write()
            if self.failing:
                await asyncio.sleep(backoff.next_s())
            else:
                backoff.reset()

    async def _write(self) -> None:
        """One write of all that waits; what fails waits on."""
        async with self._writing:
            await self._write_group()

    async def _write_group(self) -> None:
        assert self._folder is not None
        self._more.clear()
        if not self._waiting:
            return
        group = list(self._waiting)
        try:
            await asyncio.to_thread(file.append, self._folder, [each.entry for each in group])
        except OSError as error:
            if not self.failing:
                logger.error("Records of the audit log could not be written: %s", error)
            self.failing = True
            self._more.set()
            return
        if self.failing:
            logger.warning("The audit log is written again")
        self.failing = False
        for each in group:
            # One that was dropped meanwhile is not the first any more.
            if self._waiting and self._waiting[0] is each:
                self._waiting.popleft()
            self._release(each)

    def _release(self, waiting: _Waiting) -> None:
        if not waiting.written.done():
            waiting.written.set_result(None)
