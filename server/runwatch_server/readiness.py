"""Whether the server is ready for work: the checks of ``/readyz`` (contract 3)."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from runwatch_shared.clock import Clock
from runwatch_shared.errors import StoreError
from runwatch_shared.wire import Check, ReadyAnswer

PROBE_AGE_S: Final = 2.0
PROBE_S: Final = 2.0
"""How long a probe may take before it counts as failed."""
FULL: Final = 0.9


class Readiness:
    """Made before the server starts, so that whatever begins to stop it can say so.

    Args:
        probe: Writes to the disk of the store; runs in a thread of its own.
        queue_share: How full the writer's queue is, 0 to 1.
    """

    def __init__(
        self, clock: Clock, *, probe: Callable[[], None], queue_share: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._probe = probe
        self._queue_share = queue_share
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-probe")
        self._probing = asyncio.Lock()
        self._store: tuple[float, str | None] | None = None
        self.stopping_since_s: float | None = None

    @property
    def stopping(self) -> bool:
        """Whether the server has begun to stop: new waits end at once."""
        return self.stopping_since_s is not None

    def stop(self) -> None:
        """The server begins to stop."""
        if self.stopping_since_s is None:
            self.stopping_since_s = self._clock.monotonic()

    def close(self) -> None:
        """Let the probing thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def check(self) -> ReadyAnswer:
        """Every check; the store's is at most two seconds old."""
        now_s = self._clock.monotonic()
        full = self._queue_share() >= FULL
        checks = {
            "store": await self._store_check(),
            "migrations": Check(status="ok", age_ms=0),
            "writer_queue": Check(
                status="fail" if full else "ok",
                message="the writer's queue is nearly full" if full else None,
                age_ms=0,
            ),
            "stopping": Check(
                status="fail" if self.stopping else "ok",
                message="the server is stopping" if self.stopping else None,
                age_ms=round((now_s - (self.stopping_since_s or now_s)) * 1000),
            ),
        }
        failed = any(check.status == "fail" for check in checks.values())
        return ReadyAnswer(status="fail" if failed else "ok", checks=checks)

    async def _store_check(self) -> Check:
        async with self._probing:
            if self._store is None or self._clock.monotonic() - self._store[0] > PROBE_AGE_S:
                failure = await self._probe_store()
                self._store = (self._clock.monotonic(), failure)
            at_s, failure = self._store
        return Check(
            status="ok" if failure is None else "fail",
            message=failure,
            age_ms=round((self._clock.monotonic() - at_s) * 1000),
        )

    async def _probe_store(self) -> str | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PROBE_S):
                await loop.run_in_executor(self._thread, self._probe)
        except StoreError:
            return "the store refused a write"
        except TimeoutError:
            return "the store did not answer in time"
        return None
