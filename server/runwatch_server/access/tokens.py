"""API tokens as text: making and reading ``runwatch_<scope>_<id>_<secret>_<crc>``; no store.

A token with which a node joins, once, has the word ``join`` in place of a scope: it is no
credential of a request. Source: contract 2.1. The check sum lets a scanner, and the server before
it asks the store, tell a token from noise.
"""

import hashlib
import re
import secrets
import zlib
from typing import Final, Literal, cast

import msgspec

from runwatch_shared.models import Scope

Word = Scope | Literal["join"]

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET_CHARS: Final = 43
"""256 bits in base 62."""
CRC_CHARS: Final = 6
PREFIX: Final = "runwatch_"
_TOKEN: Final = re.compile(
    r"runwatch_(viewer|operator|admin|node|join)_([0-9a-f]{8})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})"
)


class TokenText(msgspec.Struct, frozen=True, kw_only=True):
    """A token's parts; ``secret_sha256`` is what the store keeps of it."""

    id: str
    scope: Word
    secret_sha256: str
    text: str

    def __repr__(self) -> str:
        return f"TokenText(id={self.id!r}, scope={self.scope!r})"


def make_token(scope: Word) -> TokenText:
    """A new token; its text is shown once and never stored."""
    token_id = secrets.token_hex(4)
    secret = _base62(secrets.randbits(256), SECRET_CHARS)
    body = f"{PREFIX}{scope}_{token_id}_{secret}"
    return TokenText(
        id=token_id, scope=scope, secret_sha256=_digest(secret), text=f"{body}_{_crc(body)}"
    )


def read_token(text: str) -> TokenText | None:
    """The parts of a well-formed token whose check sum holds, else None."""
    match = _TOKEN.fullmatch(text)
    if match is None or _crc(text[: -CRC_CHARS - 1]) != match[4]:
        return None
    return TokenText(
        id=match[2], scope=cast(Word, match[1]), secret_sha256=_digest(match[3]), text=text
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _crc(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CRC_CHARS)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
