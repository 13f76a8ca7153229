"""Unpacking a body that came packed, never further than it may be long."""

import zlib
from typing import Final

from runwatch_shared.errors import RefusedError

ENCODINGS: Final = frozenset({b"", b"identity", b"gzip"})
MOST_MEMBERS: Final = 64
_GZIP: Final = 16 + zlib.MAX_WBITS


def check_encoding(encoding: bytes) -> None:
    """415 for a ``Content-Encoding`` that is not unpacked here."""
    if encoding.strip().lower() not in ENCODINGS:
        raise RefusedError(
            "unsupported_media_type",
            "the body may be packed by gzip only",
            details={"allowed": ["gzip", "identity"]},
        )


def unpacked(body: bytes, encoding: bytes, most_bytes: int) -> bytes:
    """The body itself; members of gzip that follow each other are one.

    Raises:
        RefusedError: 413 where it would be longer than ``most_bytes``, 400 where it is no gzip or
            was cut.
    """
    if encoding.strip().lower() != b"gzip" or not body:
        return body
    parts: list[bytes] = []
    left, rest = most_bytes, body
    for _ in range(MOST_MEMBERS):
        if not rest:
            return b"".join(parts)
        member = zlib.decompressobj(_GZIP)
        try:
            part = member.decompress(rest, left + 1)
        except zlib.error as error:
            raise RefusedError("invalid_field", "the body is no gzip") from error
        left -= len(part)
        if left < 0:
            raise too_large(most_bytes)
        if not member.eof:
            raise RefusedError("invalid_field", "the body is gzip that was cut")
        parts.append(part)
        rest = member.unused_data
    raise RefusedError("invalid_field", "the body has too many members of gzip")


def too_large(most_bytes: int) -> RefusedError:
    """413 for a body over the limit."""
    return RefusedError("body_too_large", "the body is too large", details={"max": most_bytes})
