"""A peer that takes as many frames as a test gives it room for, and a reader a test holds back."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from runwatch_server.fanout.frames import payloads_of
from runwatch_server.principals import Principal
from runwatch_server.storage.protocols import ReadTx, Store

VIEWER = Principal(kind="token", scope="viewer", id="v", name="viewer")


class FakeWire:
    """A `fanout.wires.Wire`. ``room`` counts what it takes until it is given more."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.on_ready: Callable[[], None] | None = None
        self.room = room
        self.payloads: deque[bytes] = deque()
        self.closed: int | None = None

    def offer(self, frames: bytes) -> bool:
        if self.room <= 0 or self.closed is not None:
            return False
        self.room -= 1
        self.payloads.extend(payloads_of(frames))
        return True

    def pressure(self) -> int | None:
        return 1000 if self.room <= 0 else None

    def close(self, code: int, reason: str = "") -> None:
        self.closed = code

    async def next_frame(self) -> str | bytes | None:
        return None

    def give_room(self, room: int) -> None:
        self.room += room
        if self.on_ready is not None and self.closed is None:
            self.on_ready()


class HeldReader:
    """A `storage.protocols.Reader` whose reads happen, and are answered, when a test says so."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: deque[tuple[Callable[[ReadTx], Any], asyncio.Future[Any]]] = deque()
        self._done: deque[tuple[Any, asyncio.Future[Any]]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._asked) + len(self._done)

    async def read(self, work: Callable[[ReadTx], Any]) -> Any:
        future = asyncio.get_running_loop().create_future()
        self._asked.append((work, future))
        return await future

    def look(self) -> None:
        """Take the snapshot of the oldest read and run it."""
        if self._asked:
            work, future = self._asked.popleft()
            with self._store.read() as tx:
                self._done.append((work(tx), future))

    def answer(self) -> None:
        """Hand the oldest result to who waits for it."""
        if self._done:
            result, future = self._done.popleft()
            if not future.cancelled():
                future.set_result(result)
