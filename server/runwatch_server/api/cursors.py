"""Cursors: where a page of a list ended, opaque, and bound to the list's filter and order."""

import base64
import binascii
import hashlib
from typing import Any, Final

import msgspec

from runwatch_shared.errors import RefusedError

Value = str | int | float | None
Place = tuple[Value, ...]
"""(sort value, …, id) of a page's last row, as long as the order has columns."""

LONGEST: Final = 1024
MARK_BYTES: Final = 8


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    mark: bytes
    place: Place


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Cursor)


def write_cursor(binding: Any, place: Place) -> str:
    """The cursor after ``place`` in the list that ``binding`` (filter and order) describes."""
    cursor = _Cursor(_mark(binding), place)
    return base64.urlsafe_b64encode(_ENCODER.encode(cursor)).decode().rstrip("=")


def read_cursor(binding: Any, text: str) -> tuple[Value, str]:
    """The (value, id) a cursor stands for.

    Raises:
        RefusedError: 400 ``invalid_cursor``.
    """
    value, row_id = read_place(binding, text, columns=2)
    return value, str(row_id)


def read_place(binding: Any, text: str, *, columns: int) -> Place:
    """The place a cursor stands for, in an order of so many columns, the id among them.

    Raises:
        RefusedError: 400 ``invalid_cursor``: it is damaged, or belongs to another list.
    """
    try:
        if len(text) > LONGEST:
            raise ValueError("too long")
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = _DECODER.decode(packed)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise _invalid() from error
    place = cursor.place
    if (
        cursor.mark != _mark(binding)
        or len(place) != columns
        or not isinstance(place[-1], str)
        or not all(map(_storable, place))
    ):
        raise _invalid()
    return place


def _mark(binding: Any) -> bytes:
    return hashlib.sha256(_ENCODER.encode(binding)).digest()[:MARK_BYTES]


def _storable(value: str | int | float | None) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _invalid() -> RefusedError:
    return RefusedError(
        "invalid_cursor", "this cursor does not belong to this list", field="cursor"
    )
