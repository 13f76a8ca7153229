"""Moments as text on the wire and as integers inside, and nothing about clocks.

Inside Runwatch a moment is an ``int``: microseconds since 1970-01-01T00:00:00Z. On the wire it is
RFC 3339 in UTC with six
digits (contract 1.1).
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

MICROSECONDS_PER_SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
LAST_US: Final = 253_402_300_799 * MICROSECONDS_PER_SECOND + 999_999
"""The end of the year 9999: no later moment can be written."""
_FIRST_US: Final = -62_135_596_800 * MICROSECONDS_PER_SECOND
"""The beginning of the year 1."""
_RFC_3339: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})"
)
_AGE: Final = re.compile(r"(\d{1,9})([smhd])")
_SECONDS_PER_UNIT: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def to_datetime(moment_us: int) -> datetime:
    """The aware UTC datetime of a moment in microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=moment_us)


def from_datetime(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime; exact, without floating point."""
    return (moment - _EPOCH) // _MICROSECOND


def format_time(moment_us: int) -> str:
    """RFC 3339 in UTC with six digits: ``2026-11-23T10:31:22.000000Z``."""
    # Not strftime, which writes early years with fewer than four digits.
    return to_datetime(moment_us).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def format_optional_time(moment_us: int | None) -> str | None:
    """Like ``format_time``; ``None`` stays ``None``."""
    return None if moment_us is None else format_time(moment_us)


def parse_time(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 moment with any offset and up to nine digits, cut
    to microseconds.

    Raises:
        ValueError: The text is no such moment, or carries no offset.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time with an offset")
    day, time, fraction, offset = match.groups()
    offset = "+00:00" if offset in "Zz" else offset
    whole = datetime.fromisoformat(f"{day}T{time}{offset}")
    moment_us = from_datetime(whole) + int((fraction or "0")[:6].ljust(6, "0"))
    if not _FIRST_US <= moment_us <= LAST_US:  # an offset led out of what can be written
        raise ValueError("a time outside the years 1 to 9999")
    return moment_us


def parse_time_or_age(text: str, now_us: int) -> int:
    """A moment as ``parse_time`` reads it, or an age (``90s 15m 6h 7d``) before ``now_us``; both in
    microseconds.

    Raises:
        ValueError: The text is neither.
    """
    age = _AGE.fullmatch(text)
    if age is None:
        return parse_time(text)
    moment_us = now_us - int(age[1]) * _SECONDS_PER_UNIT[age[2]] * MICROSECONDS_PER_SECOND
    if moment_us < _FIRST_US:
        raise ValueError("an age that reaches before the year 1")
    return moment_us
