"""The event loop's side of a harbour: a writer and a reader that answer at once, and can fail."""

from collections.abc import Callable
from typing import TypeVar

from runwatch_server.storage.protocols import Commit, ReadTx, WriteTx
from tests.server.domain.keeping import Keeper
from tests.server.fleet.harbour import Harbour

T = TypeVar("T")


class Pier(Harbour):
    """A harbour whose commits go to listeners, as the group writer's do."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[Callable[[Commit], None]] = []
        self.failures: list[Exception] = []
        """Raised by the next writes and reads, one each."""
        self.jumped_s = 0.0

    def write(self, work: Callable[[WriteTx], T]) -> T:
        known = len(self.commits)
        try:
            return super().write(work)
        finally:
            for commit in self.commits[known:]:
                for listener in self.listeners:
                    listener(commit)

    @property
    def loop(self) -> "AtOnce":
        """Its writer and reader."""
        return AtOnce(self)

    def now(self) -> datetime:
        return to_datetime(self.now_us)

    def monotonic(self) -> float:
        return self.now_us / SECOND_US - self.jumped_s

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or wake from a suspend: durations do not notice."""
        self.wait(seconds)
        self.jumped_s += seconds


class AtOnce:
    """`protocols.Writer` and `protocols.Reader` without threads."""

    def __init__(self, pier: Pier) -> None:
        self._pier = pier

    async def write(self, work: Callable[[WriteTx], T], *, events: int = 0) -> T:
        self._fail()
        return self._pier.write(work)

    async def read(self, work: Callable[[ReadTx], T]) -> T:
        self._fail()
        return Keeper.read(self._pier, work)

    def _fail(self) -> None:
        if self._pier.failures:
            raise self._pier.failures.pop(0)
