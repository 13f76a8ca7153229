"""Reading a request's body within its bounds: size, time, type."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import Limits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_JSON: Final = b"application/json"


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole; nobody waits for an answer."""


async def read_json_body(headers: Mapping[bytes, bytes], receive: Receive, limits: Limits) -> bytes:
    """The whole body of a request that must be JSON; empty where there is none.

    Raises:
        RefusedError: 408, 413, 415.
        ClientGoneError: The connection ended.
    """
    declared = headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    if declared == b"0" or (declared is None and b"transfer-encoding" not in headers):
        return b""
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RefusedError("unsupported_media_type", "an encoded body is not read here")
    body = await _read(receive, limits)
    if body and not _is_json(headers.get(b"content-type", b"")):
        raise RefusedError(
            "unsupported_media_type",
            "the body must be application/json",
            details={"allowed": ["application/json"]},
        )
    return body


async def _read(receive: Receive, limits: Limits) -> bytes:
    try:
        async with asyncio.timeout(limits.body_time_s):
            message = await _next(receive)
            body: bytes = message.get("body", b"")
            if not message.get("more_body", False):
                _check_size(len(body), limits)
                return body
            parts = bytearray(body)
            while message.get("more_body", False):
                _check_size(len(parts), limits)
                message = await _next(receive)
                parts += message.get("body", b"")
            _check_size(len(parts), limits)
            return bytes(parts)
    except TimeoutError as error:
        raise RefusedError(
            "request_timeout",
            "the body did not arrive in time",
            details={"max": limits.body_time_s},
        ) from error


async def _next(receive: Receive) -> MutableMapping[str, Any]:
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGoneError
    return message


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.body_bytes:
        raise _too_large(limits)


def _too_large(limits: Limits) -> RefusedError:
    return RefusedError(
        "body_too_large", "the body is too large", details={"max": limits.body_bytes}
    )


def _is_json(content_type: bytes) -> bool:
    return content_type == _JSON or content_type.partition(b";")[0].strip().lower() == _JSON
