"""One WebSocket to the server: opening it, its frames, and every way it is lost as a `Loss`.

What the frames mean is in `fleet_feed` and `run_feed`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
)
from websockets.typing import Subprotocol

from runwatch_console.contexts import Access, Context, TokenError
from runwatch_console.known_hosts import KnownHostsError
from runwatch_console.ports import Cause, Disconnected, LossReason
from runwatch_console.reasons import reason_of
from runwatch_console.trust import (
    certificate_failure,
    connection_context,
    examine,
    untrusted,
    wrong_scheme,
)
from runwatch_shared.backoff import parse_retry_after
from runwatch_shared.errors import RunwatchError
from runwatch_shared.wire import SUBPROTOCOL, Problem

OPEN_S: Final = 10.0
UNAUTHORIZED: Final = 401
PING_S: Final = 20.0
CLOSE_S: Final = 1.0
"""Quitting must not wait long for a peer that is gone."""
LONGEST_FRAME_BYTES: Final = 32 * 1024 * 1024
"""Parts are 256 KiB, but one row or event may be longer than its part should be."""
QUEUED_FRAMES: Final = 16
"""Beyond, reading stops: the server sees it and merges (contract 7.2)."""

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """Why there is no socket (any more)."""

    reason: LossReason
    detail: str = ""
    cause: Cause | None = None
    status: int = 0
    """HTTP status of a refused upgrade, else 0."""
    code: str = ""
    """Machine code of a refused upgrade (contract 1.2)."""
    close_code: int | None = None
    """Of a socket that was open (contract 2.5)."""
    certificate: Disconnected | None = None
    """What a refused certificate has to be told of; else None."""
    retry_after_s: float | None = None

    def disconnected(self, retry_in_s: float | None) -> Disconnected:
        """The same for the screen."""
        if self.certificate is not None:
            return replace(self.certificate, retry_in_s=retry_in_s)
        return Disconnected(
            reason=self.reason, detail=self.detail, cause=self.cause, retry_in_s=retry_in_s
        )


class SocketLostError(RunwatchError):
    """There is no socket (any more); `loss` says why."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(f"{loss.reason}: {loss.detail}")
        self.loss = loss


class Socket:
    """An open socket; both methods raise `SocketLostError` and nothing else."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self, limit_s: float) -> bytes:
        """The next frame. None within `limit_s` counts as a lost connection."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._connection.recv(decode=False)
        except TimeoutError as error:
            text = f"no frame for {limit_s:g} s"
            silence = Loss(reason=LossReason.CLOSED, detail=text, cause=Cause.SILENT)
            raise SocketLostError(silence) from error
        except ConnectionClosed as error:
            raise SocketLostError(closed(error)) from error

    async def send(self, frame: bytes) -> None:
        """Send one text frame."""
        try:
            async with asyncio.timeout(OPEN_S):
                await self._connection.send(frame, text=True)
        except TimeoutError as error:
            text = "the server takes nothing"
            stuck = Loss(reason=LossReason.CLOSED, detail=text, cause=Cause.STUCK)
            raise SocketLostError(stuck) from error
        except ConnectionClosed as error:
            raise SocketLostError(closed(error)) from error


class _Connect(connect):
    """`connect` that follows no redirect: the server makes none (contract 1.1)."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@asynccontextmanager
async def open_socket(context: Context, path: str) -> AsyncIterator[Socket]:
    """A socket at `path`, with its query; closed at the end of the block.

    Raises:
        SocketLostError: It cannot be opened.
    """
    try:
        connection = await _open_with_token(context, path)
    except TokenError as error:
        loss = Loss(reason=LossReason.NO_TOKEN, detail=str(error))
        raise SocketLostError(loss) from error
    try:
        yield Socket(connection)
    finally:
        await connection.close()


async def _open_with_token(context: Context, path: str) -> ClientConnection:
    """Open it; for a refused token that a program gave, once more with a new one."""
    access = await asyncio.to_thread(context.access)
    try:
        return await _open(access, path)
    except SocketLostError as error:
        if error.loss.status != UNAUTHORIZED:
            raise
        if not await asyncio.to_thread(context.renew_token, access.token):
            raise
    return await _open(await asyncio.to_thread(context.access), path)


async def _open(access: Access, path: str) -> ClientConnection:
    headers = {"Authorization": f"Bearer {access.token}"} if access.token is not None else {}
    try:
        tls = await asyncio.to_thread(connection_context, access) if access.secure else None
        return await _Connect(
            f"ws{access.url.removeprefix('http')}{path}",
            ssl=tls,
            additional_headers=headers,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            user_agent_header="monitor-tui",
            compression=None,
            # A proxy of the environment cannot reach this machine's own loopback.
            proxy=None if access.loopback else True,
            open_timeout=OPEN_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=CLOSE_S,
            max_size=LONGEST_FRAME_BYTES,
            max_queue=QUEUED_FRAMES,
            logger=logger,
        )
    except InvalidStatus as error:
        raise SocketLostError(refused(error)) from error
    except KnownHostsError as error:
        raise SocketLostError(_distrusted(untrusted(str(error)))) from error
    except (OSError, InvalidHandshake, InvalidProxy, InvalidURI, ImportError, EOFError) as error:
        raise SocketLostError(await _unreachable(error, access)) from error


async def _unreachable(error: Exception, access: Access) -> Loss:
    failure = certificate_failure(error)
    if failure is not None:
        return _distrusted(await examine(failure, access))
    scheme = await wrong_scheme(error, access)
    return Loss(reason=scheme or LossReason.REFUSED, detail=reason_of(error))


def _distrusted(loss: Disconnected) -> Loss:
    return Loss(reason=loss.reason, detail=loss.detail, certificate=loss)


_BY_STATUS: Final = {
    UNAUTHORIZED: LossReason.UNAUTHORIZED,
    403: LossReason.FORBIDDEN,
    408: LossReason.BUSY,
    429: LossReason.BUSY,
    502: LossReason.REFUSED,
    503: LossReason.BUSY,
    504: LossReason.REFUSED,
}

_BY_CLOSE_CODE: Final = {
    1008: LossReason.UNAUTHORIZED,
    1009: LossReason.DEFECT,
    4400: LossReason.DEFECT,
    4429: LossReason.DEFECT,
}
"""Contract 2.5; every other end is one to come back from."""


def refused(error: InvalidStatus) -> Loss:
    """The loss of an upgrade that was answered over HTTP (contract 2.5)."""
    response = error.response
    status = response.status_code
    code, text = "", f"HTTP {status} {response.reason_phrase}".strip()
    try:
        problem = msgspec.json.decode(bytes(response.body), type=Problem)
        code, text = problem.code, problem.error
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # something on the way answered, not the server
    return Loss(
        reason=_BY_STATUS.get(status, LossReason.DEFECT),
        detail=text,
        status=status,
        code=code,
        retry_after_s=parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC)),
    )


def closed(error: ConnectionClosed) -> Loss:
    """The loss of a socket that was open."""
    frame = error.rcvd
    if frame is None:
        # Also where this side closed because no pong came.
        detail = error.sent.reason if error.sent is not None else ""
        text = detail or "cut without a closing frame"
        return Loss(reason=LossReason.CLOSED, detail=text, cause=Cause.CUT)
    return Loss(
        reason=_BY_CLOSE_CODE.get(frame.code, LossReason.CLOSED),
        detail=frame.reason or f"closed by the server ({frame.code})",
        close_code=frame.code,
    )
