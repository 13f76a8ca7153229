"""Where a day begins: the local midnight that ``today`` in the statistics counts from."""

from collections.abc import Callable
from datetime import tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runwatch_shared.errors import SettingsError
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, from_datetime, to_datetime

QUARTER_US: Final = 900 * MICROSECONDS_PER_SECOND
"""Every zone's midnight falls on a quarter of an hour."""


def time_zone(name: str) -> tzinfo | None:
    """The zone of an IANA name; None, the machine's own with its summer time, for an empty one.

    Raises:
        SettingsError: No such zone.
    """
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(f"time_zone {name!r} is no IANA time zone") from error


def day_starts(zone: tzinfo | None) -> Callable[[int], int]:
    """A function from a moment to the midnight before it, both in microseconds."""

    @lru_cache(maxsize=256)
    def start_of_quarter_us(quarter: int) -> int:
        local = to_datetime(quarter * QUARTER_US).astimezone(zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0, tzinfo=None)
        aware = midnight.astimezone() if zone is None else midnight.replace(tzinfo=zone)
        return from_datetime(aware)

    def start_us(moment_us: int) -> int:
        return start_of_quarter_us(moment_us // QUARTER_US)

    return start_us


def zone_name(name: str, now_us: int) -> str:
    """What the server says its zone is: the IANA name set, or the machine's abbreviation."""
    return name or str(to_datetime(now_us).astimezone().tzname())
