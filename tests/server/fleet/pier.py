"""The event loop's side of a harbour: a writer and a reader that answer at once, and can fail."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from runwatch_server.storage.protocols import Commit, ReadTx, WriteTx
from runwatch_shared.timestamps import to_datetime
from tests.server.domain.making import SECOND_US
from tests.server.fleet.harbour import Harbour

T = TypeVar("T")


class Pier(Harbour):
    """A harbour whose commits go to listeners, as the group writer's do."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = PierClock(self)
        self.loop = AtOnce(self)
        self.listeners: list[Callable[[Commit], None]] = []
        self.failures: list[Exception] = []
        """Raised by the next writes and reads of the loop, one each."""

    def write(self, work: Callable[[WriteTx], T]) -> T:
        known = len(self.commits)
        try:
            return super().write(work)
        finally:
            for commit in self.commits[known:]:
                for listener in self.listeners:
                    listener(commit)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or wake from a suspend: durations do not notice."""
        self.wait(seconds)
        self.clock.jumped_s += seconds


class PierClock:
    """`Clock` of a pier: stands still until the pier waits."""

    def __init__(self, pier: Pier) -> None:
        self._pier = pier
        self.jumped_s = 0.0

    def now(self) -> datetime:
        return to_datetime(self._pier.now_us)

    def now_us(self) -> int:
        return self._pier.now_us

    def monotonic(self) -> float:
        return self._pier.now_us / SECOND_US - self.jumped_s


class AtOnce:
    """`protocols.Writer` and `protocols.Reader` without threads."""

    def __init__(self, pier: Pier) -> None:
        self._pier = pier

    async def write(
        self, work: Callable[[WriteTx], T], *, events: int = 0, urgent: bool = False
    ) -> T:
        self._fail()
        return self._pier.write(work)

    async def read(self, work: Callable[[ReadTx], T]) -> T:
        self._fail()
        return self._pier.read(work)

    def _fail(self) -> None:
        if self._pier.failures:
            raise self._pier.failures.pop(0)
