"""uvicorn's WebSocket protocol, opened so that the hub can give many sockets one frame.

Each connection is a `fanout.wires.Wire` and names itself in its scope's extensions. Frames are
written past the library's own framing, which is sound for whole, uncompressed text frames: pings
and closes of the library go through the same transport, in order. Where uvicorn is not built as
this needs, `websocket_options` falls back to its own protocol, and sockets to ASGI messages.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request

from runwatch_server.fanout.sockets import GOING_AWAY
from runwatch_server.fanout.wires import EXTENSION
from runwatch_shared.logs import log
from runwatch_shared.settings import Limits

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

logger: Final = logging.getLogger(__name__)

UVICORN: Final = "0.54."
NO_TEXT: Final = 1007
PING_S: Final = 20.0
PONG_S: Final = 20.0
"""Ping and pong together make the contract's 40 s (2.5)."""
CLOSE_S: Final = 10.0
"""How long a closing peer may take nothing before it is cut off."""
UNSENT_BYTES: Final = 16 * 1024
"""TCP_NOTSENT_LOWAT: the kernel takes little more than the peer reads, so that a stalled peer shows
after some hundred messages and not after thousands.
"""

_METHODS: Final = (
    "connection_made",
    "data_received",
    "handle_connect",
    "handle_parser_exception",
    "keepalive_timeout",
    "pause_writing",
    "receive",
    "resume_writing",
    "schedule_ping",
    "send",
    "send_keepalive_ping",
    "send_receive_event_to_app",
    "shutdown",
    "stop_keepalive",
)
_ATTRIBUTES: Final = (
    "close_sent",
    "close_timer",
    "conn",
    "disconnected",
    "handshake_complete",
    "loop",
    "ping_timeout",
    "queue",
    "read_paused",
    "transport",
    "writable",
)


class HubProtocol(WebSocketsSansIOProtocol):
    """A WebSocket connection that is a `Wire`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_ready: Callable[[], None] | None = None
        self._paused = False
        self._heard_s = 0.0
        self._closing_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Limits what the kernel takes unsent."""
        super().connection_made(transport)
        option = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)
        connection = transport.get_extra_info("socket")
        if connection is not None and option is not None:
            with suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)

    def handle_connect(self, event: Request) -> None:
        """Names this connection in its scope; the application's task starts after this turn."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = self

    def data_received(self, data: bytes) -> None:
        """Notes that the peer is there."""
        self._heard_s = self.loop.time()
        super().data_received(data)

    def send_receive_event_to_app(self) -> None:
        """Text that is no UTF-8 is closed with 1007, as the library does, without its traceback:
        anybody could fill the log with those.
        """
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                with suppress(InvalidState):  # what came with it may have closed it already
                    self.conn.send_close(NO_TEXT)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._paused = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """The transport's buffer has room; who waits for it is called in a turn of its own."""
        self._paused = False
        super().resume_writing()
        if self.on_ready is not None:
            self.loop.call_soon(self._ready)

    def _ready(self) -> None:
        if self.on_ready is not None and not self._paused and not self.close_sent:
            self.on_ready()

    def connection_lost(self, exc: Exception | None) -> None:
        """No frame is taken any more."""
        self._paused = True
        self.on_ready = None
        super().connection_lost(exc)

    async def send(self, message: "ASGISendEvent") -> None:
        """A refusal instead of the upgrade is a whole answer; the library would log an error."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    def shutdown(self) -> None:
        """The server stops: 1001, where the library says 1012."""
        if self.handshake_complete and not self.close_sent:
            self.close(GOING_AWAY, "the server stops")
        else:
            super().shutdown()

    def send_keepalive_ping(self) -> None:
        """No ping to a peer that takes nothing: it could not answer; `sockets` closes it (1013)."""
        if self._paused:
            self.ping_timer = None
            self.schedule_ping()
        else:
            super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """Any frame is a sign of life, and who takes nothing may not have the ping yet."""
        if self._paused or self.loop.time() - self._heard_s < PONG_S:
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    # Wire

    def offer(self, frames: bytes) -> bool:
        """See `Wire`."""
        if self._paused or self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(frames)
        return True

    def pressure(self) -> int | None:
        """See `Wire`."""
        return self.transport.get_write_buffer_size() if self._paused else None

    def close(self, code: int, reason: str = "") -> None:
        """See `Wire`. A peer that takes nothing of what is left is cut off after a while."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.stop_keepalive()
        with suppress(InvalidState):
            self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._closing_bytes = self.transport.get_write_buffer_size()
        self.close_timer = self.loop.call_later(CLOSE_S, self._watch_closing)

    def _watch_closing(self) -> None:
        left = self.transport.get_write_buffer_size()
        if 0 < left < self._closing_bytes:
            self._closing_bytes = left
            self.close_timer = self.loop.call_later(CLOSE_S, self._watch_closing)
        else:
            self.transport.abort()

    async def next_frame(self) -> str | bytes | None:
        """See `Wire`."""
        message = cast("dict[str, Any]", await self.receive())
        if message["type"] != "websocket.receive":
            return None
        text: str | None = message.get("text")
        return text if text is not None else message.get("bytes", b"")


def missing_internals() -> list[str]:
    """What this uvicorn lacks of what `HubProtocol` builds on; nothing if all is there."""
    missing = [] if uvicorn.__version__.startswith(UVICORN) else [f"version {UVICORN}x"]
    missing += [name for name in _METHODS if not hasattr(WebSocketsSansIOProtocol, name)]
    made = WebSocketsSansIOProtocol.__init__.__code__.co_names
    return missing + [name for name in _ATTRIBUTES if name not in made]


def websocket_options(limits: Limits) -> dict[str, Any]:
    """Arguments of `uvicorn.Config` for the sockets (contract 1.3 and 2.5); says so when it must
    fall back to the slower protocol.
    """
    missing = missing_internals()
    if missing:
        log(
            logger,
            logging.WARNING,
            "ws",
            "This uvicorn is not the expected one, sockets are slower",
            version=uvicorn.__version__,
            reason=", ".join(missing),
        )
    return {
        "ws": "websockets-sansio" if missing else HubProtocol,
        "ws_max_size": limits.client_frame_bytes,
        "ws_ping_interval": PING_S,
        "ws_ping_timeout": PONG_S,
        "ws_per_message_deflate": False,
    }
