"""Reading a request's body within its bounds: size, time, type."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import Limits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_JSON: Final = b"application/json"


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole; nobody waits for an answer."""


async def nothing_more() -> MutableMapping[str, Any]:
    """What a client says that has gone: the receiver of a call nothing can be read from."""
    return {"type": "http.disconnect"}


async def read_json_body(headers: Mapping[bytes, bytes], receive: Receive, limits: Limits) -> bytes:
    """The whole body of a request that must be JSON; empty where there is none.

    Raises:
        RefusedError: 408, 413, 415.
        ClientGoneError: The connection ended.
    """
    if _is_empty(headers, limits.body_bytes):
        return b""
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RefusedError("unsupported_media_type", "an encoded body is not read here")
    body = await _read(receive, limits.body_bytes, limits.body_time_s)
    if body and not _is_json(headers.get(b"content-type", b"")):
        raise RefusedError(
            "unsupported_media_type",
            "the body must be application/json",
            details={"allowed": ["application/json"]},
        )
    return body


async def read_body(
    headers: Mapping[bytes, bytes], receive: Receive, *, most_bytes: int, most_s: float
) -> bytes:
    """The whole body of a request as it came, of whatever type; empty where there is none.

    Raises:
        RefusedError: 408, 413.
        ClientGoneError: The connection ended.
    """
    if _is_empty(headers, most_bytes):
        return b""
    return await _read(receive, most_bytes, most_s)


async def stream_body(
    headers: Mapping[bytes, bytes], receive: Receive, *, most_bytes: int, silence_s: float
) -> AsyncIterator[bytes]:
    """A long body piece by piece, as it comes.

    Raises:
        RefusedError: 408 where nothing comes for so long, 413.
        ClientGoneError: The connection ended.
    """
    if _is_empty(headers, most_bytes):
        return
    size, more = 0, True
    while more:
        try:
            async with asyncio.timeout(silence_s):
                message = await _next(receive)
        except TimeoutError as error:
            raise RefusedError(
                "request_timeout", "the body did not arrive in time", details={"max": silence_s}
            ) from error
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(piece)
        _check_size(size, most_bytes)
        if piece:
            yield piece


def _is_empty(headers: Mapping[bytes, bytes], most_bytes: int) -> bool:
    """Whether the headers say that there is no body, or one over the limit, which is a 413."""
    declared = headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > most_bytes:
        raise _too_large(most_bytes)
    return declared == b"0" or (declared is None and b"transfer-encoding" not in headers)


async def _read(receive: Receive, most_bytes: int, most_s: float) -> bytes:
    try:
        async with asyncio.timeout(most_s):
            message = await _next(receive)
            body: bytes = message.get("body", b"")
            if not message.get("more_body", False):
                _check_size(len(body), most_bytes)
                return body
            parts = bytearray(body)
            while message.get("more_body", False):
                _check_size(len(parts), most_bytes)
                message = await _next(receive)
                parts += message.get("body", b"")
            _check_size(len(parts), most_bytes)
            return bytes(parts)
    except TimeoutError as error:
        raise RefusedError(
            "request_timeout",
            "the body did not arrive in time",
            details={"max": most_s},
        ) from error


async def _next(receive: Receive) -> MutableMapping[str, Any]:
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGoneError
    return message


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise _too_large(most_bytes)


def _too_large(most_bytes: int) -> RefusedError:
    return RefusedError("body_too_large", "the body is too large", details={"max": most_bytes})


def _is_json(content_type: bytes) -> bool:
    return content_type == _JSON or content_type.partition(b";")[0].strip().lower() == _JSON
