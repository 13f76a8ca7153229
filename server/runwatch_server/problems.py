"""Every error as the answer of contract 1.2; where it is sent is in `edge`.

What a decoder says is read here too: its path becomes the dotted ``field`` of the contract.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, get_args

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
_PLACE: Final = re.compile(r" - at `(?:key in )?\$?([^`]*)`$")
_MISSING: Final = re.compile(r"Object missing required field `([^`]+)`")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")

Headers = list[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole response: what every handler gives, and what every error becomes."""

    status: int = 200
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def raw_headers(self) -> Headers:
        """As ASGI sends them."""
        headers: Headers = []
        if self.body or self.status != 204:
            headers.append((b"content-type", self.content_type))
            headers.append((b"content-length", b"%d" % len(self.body)))
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


def of_decoding(error: msgspec.DecodeError | RecursionError, kind: Any) -> RefusedError:
    """400 for a body that is no JSON, or does not fit the record ``kind``."""
    if not isinstance(error, msgspec.ValidationError):
        return RefusedError("invalid_json", "the body is not valid JSON")
    text = str(error)
    field = _field_of(text)
    if missing := _MISSING.match(text):
        name = f"{field}.{missing[1]}" if field else missing[1]
        return RefusedError("missing_field", f"{name} is required", field=name)
    if text.startswith("Invalid enum value"):
        allowed = allowed_at(kind, field) if field else ()
        details = {"allowed": list(allowed)} if allowed else None
        return RefusedError(
            "invalid_value", f"{field} has an unknown value", field=field or None, details=details
        )
    expected = text.partition(", got")[0].partition(" - at")[0].replace("`", "")
    expected = expected[:1].lower() + expected[1:]
    if not field:
        return RefusedError("invalid_field", f"the body does not fit: {expected}")
    return RefusedError("invalid_field", f"{field} does not fit: {expected}", field=field)


@lru_cache(maxsize=256)
def allowed_at(kind: Any, field: str) -> tuple[str, ...]:
    """The values a record's field may have, where it is an enum; the field as a dotted path."""
    found: set[Any] = {kind}
    for name, index in _STEP.findall(f".{field}"):
        found = {inner for outer in found for inner in _inside(outer, name, index)}
    values = [value for inner in found for value in _literals(inner)]
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str)))


def _field_of(text: str) -> str:
    """``$.events[3].seq`` as ``events[3].seq``; a map's key, which is outside text, is left out."""
    place = _PLACE.search(text)
    return "" if place is None else place[1].replace("[...]", "").lstrip(".")


def _headers_of(error: RefusedError) -> Iterator[tuple[bytes, bytes]]:
    if error.status == 401:
        yield b"www-authenticate", b"Bearer"
    if error.status in {429, 503}:
        yield b"retry-after", b"%d" % (error.retry_after_s or BUSY_RETRY_S)
    if error.status == 426:
        yield b"upgrade", b"websocket"
    if error.status == 405 and error.details:
        yield b"allow", ", ".join(error.details["allowed"]).encode()


def _inside(kind: Any, name: str, index: str) -> Iterator[Any]:
    """The types a step of a path may lead to."""
    for member in _members(kind):
        if name and isinstance(member, type) and issubclass(member, msgspec.Struct):
            for field in msgspec.structs.fields(member):
                if field.encode_name == name:
                    yield field.type
        elif index and get_args(member):
            yield get_args(member)[-1]


def _members(kind: Any) -> Iterator[Any]:
    arguments = get_args(kind)
    if (arguments and not hasattr(kind, "__origin__")) or (
        arguments and "Union" in str(getattr(kind, "__origin__", ""))
    ):
        for argument in arguments:
            yield from _members(argument)
    else:
        yield kind


def _literals(kind: Any) -> Iterator[Any]:
    for member in _members(kind):
        if "Literal" in str(getattr(member, "__origin__", "")):
            yield from get_args(member)
