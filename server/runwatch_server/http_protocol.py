"""uvicorn's HTTP protocol with what it lacks: bounds on headers, time and connections.

uvicorn 0.54 waits for ever for a request's headers and for a reader of an answer. What is refused
here never reaches the application; it is answered as everything else is (contract 1.2 and 1.3).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from runwatch_server.edge import UNMATCHED, RequestIds, RequestObserver
from runwatch_server.metering.requests import OTHER_METHOD
from runwatch_server.problems import answer_of
from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import Limits, ServerSettings

STREAMED: Final = b"/volume-archive"
"""How the paths end whose bodies may take longer than others."""
MOST_CONNECTIONS: Final = 4096
"""Open at once, sockets included; one more is told to come back."""
RESERVED: Final = 256
"""Further ones, on which nothing but a heartbeat is answered: a node must not lose its leases
because others hold all connections.
"""
HEARTBEAT: Final = b"/api/v1/nodes/heartbeat"
STUCK_READER_S: Final = 60.0
SLACK_BYTES: Final = 1024
"""The request line's other parts and separators, beside URL and headers."""


class Guard:
    """What all connections of a server share: their bounds, and who counts refusals."""

    def __init__(
        self,
        limits: Limits,
        observer: RequestObserver,
        *,
        most_connections: int = MOST_CONNECTIONS,
        reserved: int = RESERVED,
        stuck_reader_s: float = STUCK_READER_S,
    ) -> None:
        self.limits = limits
        self.observer = observer
        self.ids = RequestIds()
        self.most_connections = most_connections
        self.reserved = reserved
        self.stuck_reader_s = stuck_reader_s

    def follow(self, settings: ServerSettings) -> None:
        """Bound what comes from now on by other limits."""
        self.limits = settings.limits

    def refused(self, code: str, status: int) -> None:
        """A request was refused before it was one."""
        self.observer.rejected(code)
        self.observer.began()
        self.observer.answered(OTHER_METHOD, UNMATCHED, status, 0.0, long_poll=False)


class Timer(Protocol):
    def cancel(self) -> None: ...


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        guard: Guard,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._guard = guard
        self._head_timer: Timer | None = None
        self._body_timer: Timer | None = None
        self._write_timer: Timer | None = None
        self._in_head = False
        self._head_bytes = 0
        self._header_bytes = 0
        self._refusal: RefusedError | None = None
        self._reserved = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`; a connection too many is told so, beyond the reserve at once."""
        super().connection_made(transport)
        over = len(self.connections) - self._guard.most_connections
        if over > self._guard.reserved:
            self._refuse(_too_many())
            return
        self._reserved = over > 0
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        for timer in (self._head_timer, self._body_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`; bytes of a request's head are counted as they come."""
        if self._is_over():
            return
        if not self._in_head and self._body_timer is None and self.is_idle():
            self._begin_head()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head:
            self._check_head()

    def on_message_begin(self) -> None:
        """See `HttpToolsProtocol`."""
        super().on_message_begin()
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        """See `HttpToolsProtocol`."""
        super().on_url(url)
        most = self._guard.limits.url_bytes
        if len(self.url) > most:
            self._refusal = RefusedError(
                "uri_too_long", "the address is too long", details={"max": most}
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        """See `HttpToolsProtocol`; headers beyond the limit are not kept."""
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self._guard.limits.headers_bytes:
            if self._refusal is None:
                self._refusal = _headers_too_large(self._guard.limits)
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """See `HttpToolsProtocol`; a request over a limit goes no further."""
        self._end_head()
        if self._reserved and self.url.partition(b"?")[0] != HEARTBEAT:
            self._refusal = self._refusal or _too_many()
        if self._refusal is not None:
            self._refuse(self._refusal)
            return
        self._body_timer = self.loop.call_later(
            self._guard.limits.body_time_s + 1, self._body_is_late
        )
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See `HttpToolsProtocol`."""
        if self._refusal is None:
            if self._body_timer is not None and self.url.endswith(STREAMED):
                # As long as something comes.
                self._body_timer.cancel()
                self._body_timer = self.loop.call_later(
                    self._guard.limits.body_time_s + 1, self._body_is_late
                )
            super().on_body(body)

    def on_message_complete(self) -> None:
        """See `HttpToolsProtocol`."""
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        self._head_bytes = 0
        if self._refusal is None:
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """See `HttpToolsProtocol`; from here on the socket's own protocol keeps the time."""
        if self._refusal is not None:
            return
        for timer in (self._head_timer, self._body_timer):
            if timer is not None:
                timer.cancel()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """See `HttpToolsProtocol`; in the form every refusal has."""
        self._refuse(self._refusal or RefusedError("invalid_parameter", "not a valid HTTP request"))

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`; a peer that takes nothing of its answer is cut off."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(
                self._guard.stuck_reader_s, self.transport.abort
            )

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: whoever asks for another protocol is answered in this one."""

    def _is_over(self) -> bool:
        """Whether nothing more is taken from this connection."""
        return self._refusal is not None or self.transport.is_closing()

    def is_idle(self) -> bool:
        """Whether no request is being answered; uvicorn has no cycle before the first one."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _check_head(self) -> None:
        """What has come of an unfinished head, a header without end included."""
        limits = self._guard.limits
        if self._head_bytes > limits.url_bytes + limits.headers_bytes + SLACK_BYTES:
            self._refuse(self._refusal or _headers_too_large(limits))
        elif self._refusal is not None:
            self._refuse(self._refusal)

    def _begin_head(self) -> None:
        self._end_head()
        self._in_head = True
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(
            self._guard.limits.header_time_s, self._head_is_late
        )

    def _end_head(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self.transport.abort()

    def _body_is_late(self) -> None:
        """The application said 408 before, if it reads the body at all; nothing more is taken."""
        self._body_timer = None
        self.transport.close()

    def _refuse(self, error: RefusedError) -> None:
        """Answer without the application, and close."""
        self._refusal = error
        self._end_head()
        if self.transport.is_closing():
            return
        answer = answer_of(error)
        lines = [STATUS_LINE[answer.status]]
        headers = [
            *self.server_state.default_headers,
            *answer.raw_headers(),
            (b"x-request-id", self._guard.ids.new()),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        lines += [name + b": " + value + b"\r\n" for name, value in headers]
        self.transport.write(b"".join([*lines, b"\r\n", answer.body]))
        self.transport.close()
        self._guard.refused(error.code, error.status)


def guarded_protocol(guard: Guard) -> Callable[..., GuardedProtocol]:
    """What makes a protocol for each connection of one server."""

    def make(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> GuardedProtocol:
        return GuardedProtocol(config, server_state, app_state, _loop, guard=guard)

    return make


def _too_many() -> RefusedError:
    return RefusedError("overloaded", "too many connections", retry_after_s=5)


def _headers_too_large(limits: Limits) -> RefusedError:
    return RefusedError(
        "headers_too_large", "the headers are too large", details={"max": limits.headers_bytes}
    )
