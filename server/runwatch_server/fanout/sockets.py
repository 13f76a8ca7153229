"""The open sockets of this server: how many there may be, which are stuck, who may stay."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from runwatch_server.fanout.observer import Channel, FeedObserver
from runwatch_server.fanout.wires import Wire
from runwatch_server.principals import Principal
from runwatch_shared.errors import RefusedError
from runwatch_shared.logs import log
from runwatch_shared.settings import Limits

logger: Final = logging.getLogger(__name__)

GOING_AWAY: Final = 1001
NOT_ALLOWED: Final = 1008
TOO_BIG: Final = 1009
SERVER_ERROR: Final = 1011
STUCK: Final = 1013
BAD_FRAME: Final = 4400
GONE: Final = 4404
TOO_MANY_FRAMES: Final = 4429
LOST: Final = 1006

Recheck = Callable[[Sequence[Principal]], Awaitable[Sequence[bool]]]
"""Whether each principal's credential still holds (contract 2.5)."""


class Socket:
    """An accepted socket with its wire; the base of what each feed keeps of a client."""

    __slots__ = ("_pressure", "_stuck_since_s", "channel", "code", "frames", "principal", "wire")

    def __init__(self, channel: Channel, wire: Wire, principal: Principal) -> None:
        self.channel: Channel = channel
        self.wire = wire
        self.principal = principal
        self.code: int | None = None
        """With which we closed it; None while it is open, or when the peer went."""
        self.frames = 0
        """Those the client sent."""
        self._pressure: int | None = None
        self._stuck_since_s = 0.0

    def close(self, code: int, reason: str = "") -> None:
        """Close once; later calls do nothing."""
        if self.code is None:
            self.code = code
            self.wire.close(code, reason)

    def stuck_s(self, now_s: float) -> float:
        """For how long the peer has taken nothing of what waits for it, in monotonic seconds."""
        pressure = self.wire.pressure()
        if pressure is None:
            self._pressure = None
            return 0
        if self._pressure is None or pressure < self._pressure:
            self._stuck_since_s = now_s
        self._pressure = pressure
        return now_s - self._stuck_since_s


class _Seats(msgspec.Struct):
    all: int = 0
    by_principal: dict[str, int] = {}


class Sockets:
    """Every open socket, whatever its channel."""

    def __init__(self, limits: Limits, observer: FeedObserver, recheck: Recheck | None) -> None:
        self.limits = limits
        self._observer = observer
        self._recheck = recheck
        self._seats = _Seats()
        self._open: set[Socket] = set()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def seat(self, principal: Principal) -> Iterator[None]:
        """Hold a place from before the upgrade to the end of the socket (contract 1.3).

        Raises:
            RefusedError: 503 ``overloaded``: the server has no place; 429: the credential has none.
        """
        key = f"{principal.kind}:{principal.id}"
        taken = self._seats.by_principal
        if self._seats.all >= self.limits.sockets:
            raise RefusedError("overloaded", "too many sockets", retry_after_s=5)
        if taken.get(key, 0) >= self.limits.sockets_per_credential:
            raise RefusedError(
                "too_many_connections", "too many sockets of this credential", retry_after_s=5
            )
        self._seats.all += 1
        taken[key] = taken.get(key, 0) + 1
        try:
            yield
        finally:
            self._seats.all -= 1
            taken[key] -= 1
            if not taken[key]:
                del taken[key]

    @contextmanager
    def member(self, socket: Socket) -> Iterator[None]:
        """Keep an accepted socket until its endpoint ends."""
        self._open.add(socket)
        self._observer.opened(socket.channel)
        log(
            logger,
            logging.DEBUG,
            "ws",
            "A socket opened",
            channel=socket.channel,
            event="open",
            by=socket.principal.name,
        )
        try:
            yield
        finally:
            self._open.discard(socket)
            self._observer.closed(socket.channel, socket.code or LOST)

    def close_stuck(self, now_s: float) -> None:
        """Close those that have taken nothing for too long with 1013."""
        for socket in list(self._open):
            if socket.stuck_s(now_s) >= self.limits.stuck_socket_s:
                socket.close(STUCK, "nothing could be written")

    def close_all(self, code: int, reason: str) -> None:
        """Close every socket, as when the server stops."""
        for socket in list(self._open):
            socket.close(code, reason)

    async def recheck(self) -> None:
        """Close the sockets whose credential no longer holds with 1008; each is asked once."""
        if self._recheck is None:
            return
        owners: dict[tuple[str, str], list[Socket]] = {}
        for socket in self._open:
            owners.setdefault((socket.principal.kind, socket.principal.id), []).append(socket)
        if not owners:
            return
        held = await self._recheck([sockets[0].principal for sockets in owners.values()])
        for sockets, holds in zip(owners.values(), held, strict=True):
            if not holds:
                for socket in sockets:
                    socket.close(NOT_ALLOWED, "credential no longer valid")
