"""A way to one peer that takes whole frames and never makes anybody wait; the fast one is
`websocket_protocol`, the plain one here goes through ASGI messages.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Protocol

from runwatch_server.fanout.frames import payloads_of
from runwatch_shared.tasks import TaskOwner

EXTENSION: Final = "runwatch.wire"
"""Where a scope's ``extensions`` carry the socket's own `Wire`."""

CLOSE_S: Final = 1.0
"""How long the end of an endpoint waits for its close frame to be taken."""

Message = Mapping[str, Any]


class Wire(Protocol):
    """One peer. Everything but `next_frame` returns at once."""

    on_ready: Callable[[], None] | None
    """Called when frames are taken again after `offer` said no."""

    def offer(self, frames: bytes) -> bool:
        """Give one or more whole frames (`frames.text_frame`); False: nothing was taken."""
        ...

    def pressure(self) -> int | None:
        """None while frames are taken; else how much waits for the peer, falling as it reads."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake; what was taken before still goes out first."""
        ...

    async def next_frame(self) -> str | bytes | None:
        """What the peer sent next; None once the socket is closed by either side."""
        ...


class PlainWire:
    """A `Wire` over ASGI messages: one frame at a time is under way, sent by a task of its own."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self.on_ready: Callable[[], None] | None = None
        self._receive = receive
        self._send = send
        self._frames: bytes | None = None
        self._closing: tuple[int, str] | None = None
        self._wake = asyncio.Event()
        self._closed = asyncio.Event()

    def offer(self, frames: bytes) -> bool:
        """See `Wire`."""
        if self._frames is not None or self._closing is not None:
            return False
        self._frames = frames
        self._wake.set()
        return True

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing is not None

    def pressure(self) -> int | None:
        """See `Wire`."""
        return None if self._frames is None else len(self._frames)

    def close(self, code: int, reason: str = "") -> None:
        """See `Wire`. The reader ends at once; the close itself is sent by `run`."""
        if self._closing is None:
            self._closing = (code, reason)
            self._wake.set()
            self._closed.set()

    async def next_frame(self) -> str | bytes | None:
        """See `Wire`."""
        async with TaskOwner("socket") as owner:
            received = owner.spawn(_awaited(self._receive()), name="socket.receive")
            closed = owner.spawn(self._closed.wait(), name="socket.closed")
            await asyncio.wait({received, closed}, return_when=asyncio.FIRST_COMPLETED)
            if closed.done() or not received.done():
                return None
            message = received.result()
        if message["type"] != "websocket.receive":
            return None
        text: str | None = message.get("text")
        return text if text is not None else message.get("bytes", b"")

    async def run(self) -> None:
        """Send what is offered until the socket is closed or lost."""
        with suppress(ConnectionError):
            await self._run()
        self._closed.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._frames is not None:
                for payload in payloads_of(self._frames):
                    await self._send({"type": "websocket.send", "text": payload.decode()})
                self._frames = None
            if self._closing is not None:
                code, reason = self._closing
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
                return
            if self.on_ready is not None:
                self.on_ready()


async def _awaited(awaitable: Awaitable[Message]) -> Message:
    return await awaitable


@asynccontextmanager
async def open_wire(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Any], Awaitable[None]],
) -> AsyncIterator[Wire]:
    """The wire of an accepted socket, for as long as its endpoint runs."""
    fast: Wire | None = scope.get("extensions", {}).get(EXTENSION)
    if fast is not None:
        yield fast
        return
    wire = PlainWire(receive, send)
    async with TaskOwner("socket") as owner:
        sending = owner.spawn(wire.run(), name="socket.send")
        yield wire
        if wire.closing:
            await asyncio.wait({sending}, timeout=CLOSE_S)
