"""Every error as the answer of contract 1.2; where it is sent is in `edge`.

What a decoder says of a body becomes a refusal in `misfits`.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Final

import msgspec

from runwatch_shared.errors import (
    ConflictError,
    OverloadedError,
    RefusedError,
    StorageFullError,
    StoreError,
)
from runwatch_shared.wire import Problem

JSON: Final = b"application/json"
BUSY_RETRY_S: Final = 1
STORE_RETRY_S: Final = 2
_ENCODER: Final = msgspec.json.Encoder()

Headers = list[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole response: what every handler gives, and what every error becomes."""

    status: int = 200
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    stream: AsyncIterator[bytes] | None = None
    """The body in pieces, in the place of ``body``."""
    stream_bytes: int = 0
    """How long ``stream`` is altogether."""

    def raw_headers(self) -> Headers:
        """As ASGI sends them."""
        headers: Headers = []
        if self.body or self.status != 204:
            length = len(self.body) if self.stream is None else self.stream_bytes
            headers.append((b"content-type", self.content_type))
            headers.append((b"content-length", b"%d" % length))
        headers.extend(self.headers)
        return headers


def answer_of(error: RefusedError) -> Answer:
    """The answer of a refusal, with the headers its status asks for."""
    problem = Problem(
        error=error.message, code=error.code, field=error.field, details=error.details
    )
    return Answer(
        status=error.status, body=_ENCODER.encode(problem), headers=tuple(_headers_of(error))
    )


def refusal_of(error: Exception) -> RefusedError | None:
    """What an error raised on purpose means to the caller; None for a defect of ours."""
    match error:
        case RefusedError():
            return error
        case OverloadedError():
            return RefusedError("overloaded", str(error), retry_after_s=error.retry_after_s)
        case StorageFullError():
            return RefusedError(
                "storage_full", "the store has no room left", retry_after_s=STORE_RETRY_S
            )
        case ConflictError():
            return RefusedError(
                "store_unavailable", "too many changes at once", retry_after_s=BUSY_RETRY_S
            )
        case StoreError():
            return RefusedError(
                "store_unavailable", "the store cannot be used now", retry_after_s=STORE_RETRY_S
            )
        case _:
            return None


def internal() -> RefusedError:
    """500 without a cause: that is in the log, under the request's id."""
    return RefusedError("internal", "something went wrong here; the log has it under X-Request-ID")


def _headers_of(error: RefusedError) -> Iterator[tuple[bytes, bytes]]:
    if error.status == 401:
        yield b"www-authenticate", b"Bearer"
    if error.status in {429, 503}:
        yield b"retry-after", b"%d" % (error.retry_after_s or BUSY_RETRY_S)
    if error.status == 426:
        yield b"upgrade", b"websocket"
    if error.status == 405 and error.details:
        yield b"allow", ", ".join(error.details["allowed"]).encode()
