"""An event loop whose time moves only when a test says so."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

TURNS = 12
"""Turns of the loop after which whatever was ready has run."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs coroutines at once; timers wait for `pass_time`."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 1000.0

    def time(self) -> float:
        return self._now_s

    def finish(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and everything that is ready."""
        result = self.run_until_complete(coroutine)
        self.settle()
        return result

    def settle(self) -> None:
        """Run everything that is ready."""
        self.run_until_complete(_turns())

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps, timers firing on the way."""
        for _ in range(max(1, round(seconds / 0.01))):
            self._now_s += 0.01
            self.settle()


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)
