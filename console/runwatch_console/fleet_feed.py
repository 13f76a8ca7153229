"""The fleet over `/ws/monitor?mode=delta` (contract 7.2), for ever: resumes, and never raises."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final
from urllib.parse import urlencode

import msgspec

from runwatch_console.contexts import Context
from runwatch_console.feed import Loss, Socket, SocketLostError, open_socket
from runwatch_console.feeditems import HOPELESS
from runwatch_console.ports import (
    Connected,
    Connecting,
    Disconnected,
    FeedItem,
    FleetFrame,
    Frame,
    LossReason,
)
from runwatch_console.position import Position
from runwatch_console.retries import Retries
from runwatch_shared.wire import (
    PROTOCOL,
    PROTOCOL_MIN,
    ChangeFrame,
    HeartbeatFrame,
    HelloFrame,
    MonitorFrame,
    SnapshotFrame,
    SubscribeFrame,
    Topic,
)

HELLO_S: Final = 10.0
LOOK_AT_FILES_S: Final = 2.0
SILENT_HEARTBEATS: Final = 4
"""Without any frame for this many heartbeats the connection is given up."""
DEFAULT_ROWS: Final = 5000

_FRAMES: Final[msgspec.json.Decoder[MonitorFrame]] = msgspec.json.Decoder(MonitorFrame)
_KNOWN: Final = frozenset({"hello", "snapshot", "change", "heartbeat", "resync", "pong", "error"})


def fleet_subscription(rows: int) -> SubscribeFrame:
    """Runs, nodes, accounts and numbers; `rows` bounds the snapshot, not what changes later."""
    topics: list[Topic] = ["workflows", "nodes", "accounts", "stats"]
    return SubscribeFrame(id=1, topics=topics, sort="-attention", limit=rows)


class _Tag(msgspec.Struct):
    """The part of any frame that tells what it is."""

    type: str
    protocol: int = PROTOCOL
    protocol_min: int = PROTOCOL_MIN


_TAGS: Final = msgspec.json.Decoder(_Tag)


class VersionError(SocketLostError):
    """The server speaks no protocol that this console does."""

    def __init__(self, protocol_min: int, protocol: int) -> None:
        super().__init__(
            Loss(
                reason=LossReason.VERSION,
                detail=f"the server speaks protocol {protocol_min} to {protocol}",
            )
        )
        self.server_protocol = (protocol_min, protocol)


class MonitorFeed:
    """The fleet's frames in order. See `ports.Feed`."""

    def __init__(
        self,
        context: Context,
        *,
        subscription: SubscribeFrame | None = None,
        retries: Retries | None = None,
    ) -> None:
        self._context = context
        self._subscription = subscription or fleet_subscription(DEFAULT_ROWS)
        self._retries = retries or Retries()
        self._position = Position()
        self._socket: Socket | None = None

    @property
    def store(self) -> str | None:
        """Which history the server's revisions and event numbers belong to; None before hello."""
        return self._position.store

    def retry_now(self) -> None:
        """End the present wait between attempts."""
        self._context.begin_again()
        self._retries.at_once()

    async def subscribe(self, subscription: SubscribeFrame) -> None:
        """Look at other rows from now on; a snapshot follows. Its `id` must be a new one."""
        self._subscription = subscription
        self._position.forget()
        if self._socket is not None:
            # A loss is seen by the reader too, and the next connection subscribes by its address.
            with suppress(SocketLostError):
                await self._socket.send(msgspec.json.encode(subscription))

    async def limit_rows(self, rows: int) -> None:
        """Have at most so many rows in a snapshot; one follows if they were others before."""
        before = self._subscription
        if rows != before.limit:
            await self.subscribe(msgspec.structs.replace(before, id=before.id + 1, limit=rows))

    async def frames(self) -> AsyncGenerator[FeedItem, None]:
        """See `ports.Feed`. Close it with `aclosing`: that closes the socket."""
        attempt = 0
        while True:
            attempt += 1
            yield Connecting(attempt=attempt)
            files = await asyncio.to_thread(self._context.signature)
            try:
                async with aclosing(self._connection()) as items:
                    async for item in items:
                        if isinstance(item, Connected):
                            attempt = 0
                        yield item
            except SocketLostError as error:
                lost = self._disconnected(error)
            else:
                raise AssertionError("a connection ends by being lost")
            self._retries.arm()
            yield lost
            await self._wait(lost.retry_in_s, files)

    async def _wait(self, seconds: float | None, files: tuple[object, ...]) -> None:
        """For ever only until a file that the refused attempt read is another: a token, an
        authority, a decision about a certificate.
        """
        if seconds is not None:
            await self._retries.wait(seconds)
            return
        while not await self._retries.wait(LOOK_AT_FILES_S):
            if await asyncio.to_thread(self._context.signature) != files:
                return

    async def _connection(self) -> AsyncGenerator[Connected | Frame, None]:
        async with open_socket(self._context, self._path()) as socket:
            hello = _hello(await socket.receive(HELLO_S))
            self._position.greet(hello)
            yield Connected(hello=hello)
            silent_s = max(1, hello.heartbeat_s) * SILENT_HEARTBEATS
            self._socket = socket
            try:
                while True:
                    frame = _decode(await socket.receive(silent_s))
                    if frame is not None and self._follow(frame):
                        yield Frame(frame=frame)
            finally:
                self._socket = None

    def _path(self) -> str:
        query = {
            "mode": "delta",
            "subscribe": msgspec.json.encode(self._subscription).decode(),
            **self._position.query(),
        }
        return f"/ws/monitor?{urlencode(query)}"

    def _follow(self, frame: FleetFrame) -> bool:
        """Whether the frame concerns the present subscription."""
        if isinstance(frame, SnapshotFrame | ChangeFrame) and frame.sub != self._subscription.id:
            return False
        if not self._position.follow(frame):
            loss = Loss(reason=LossReason.DEFECT, detail="a change does not follow the one before")
            raise SocketLostError(loss)
        if isinstance(frame, HeartbeatFrame):
            self._retries.settled()
        return True

    def _disconnected(self, error: SocketLostError) -> Disconnected:
        loss = error.loss
        retry_in_s = None if loss.reason in HOPELESS else self._retries.wait_s(loss)
        if isinstance(error, VersionError):
            return Disconnected(
                reason=loss.reason,
                detail=loss.detail,
                retry_in_s=retry_in_s,
                server_protocol=error.server_protocol,
            )
        return loss.disconnected(retry_in_s)


def _hello(message: bytes) -> HelloFrame:
    tag = _tag(message)
    if tag.protocol < PROTOCOL_MIN or tag.protocol_min > PROTOCOL:
        raise VersionError(tag.protocol_min, tag.protocol)
    try:
        frame = _FRAMES.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _defect(f"hello is not what the contract says: {error}") from error
    if not isinstance(frame, HelloFrame):
        raise _defect(f"the first frame is {tag.type}, not hello")
    return frame


def _decode(message: bytes) -> FleetFrame | None:
    """A frame; None for a type this console does not know, which it has to ignore (1.1)."""
    try:
        frame = _FRAMES.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        tag = _tag(message)
        if tag.type not in _KNOWN:
            return None
        raise _defect(f"{tag.type} is not what the contract says: {error}") from error
    if isinstance(frame, HelloFrame):
        raise _defect("a second hello")
    return frame


def _tag(message: bytes) -> _Tag:
    try:
        return _TAGS.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _defect(f"a frame that is none: {error}") from error


def _defect(detail: str) -> SocketLostError:
    return SocketLostError(Loss(reason=LossReason.DEFECT, detail=detail))
