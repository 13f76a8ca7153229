"""When to try a connection again: waits that grow, and a wait that can be ended at once."""

import asyncio
from typing import Final

from runwatch_console.feed import Loss
from runwatch_shared.backoff import Backoff

FIRST_S: Final = 0.5
LONGEST_S: Final = 30.0


class Retries:
    """The waits of one connection (contract 2.5: 0.5 to 30 s, full jitter)."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff(first_s=FIRST_S, longest_s=LONGEST_S)
        self._at_once = asyncio.Event()

    def settled(self) -> None:
        """The connection has proved itself; the next wait is short again."""
        self._backoff.reset()

    def wait_s(self, loss: Loss) -> float:
        """Seconds to the next attempt."""
        return self._backoff.next_s(loss.retry_after_s)

    def arm(self) -> None:
        """From here on `at_once` ends the coming wait, even before it has begun."""
        self._at_once.clear()

    async def wait(self, seconds: float | None) -> bool:
        """Until then, or until `at_once`; None waits for `at_once` alone. Whether it was that."""
        try:
            async with asyncio.timeout(seconds):
                return await self._at_once.wait()
        except TimeoutError:
            return False

    def at_once(self) -> None:
        """End the present wait. Without effect when nobody waits."""
        self._at_once.set()
