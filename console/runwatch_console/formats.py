"""Numbers, durations and moments as short text of known width; no words of a language, no
Textual.
"""

from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Final

UNKNOWN: Final = "–"
"""Stands for a value nobody reported; never 0."""


class TimeFormat(StrEnum):
    """How moments are shown; `t` goes round."""

    RELATIVE = "relative"
    LOCAL = "local"
    UTC = "UTC"

    def following(self) -> "TimeFormat":
        """The next one, round and round."""
        order = list(TimeFormat)
        return order[(order.index(self) + 1) % len(order)]


def moment_s(text: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 moment; None for none or for what is no moment."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def format_age(age_s: float | None) -> str:
    """At most six cells: `12s` `41m` `2h14m` `3d4h` `12d`; a negative age (clock skew) counts
    as 0.
    """
    if age_s is None:
        return UNKNOWN
    seconds = max(0, int(age_s))
    if seconds < 60:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 24:
        return f"{hours}h{minutes % 60:02d}m"
    days = hours // 24
    return f"{days}d{hours % 24}h" if days < 10 else f"{days}d"


def format_duration(seconds: float | None) -> str:
    """For things that ended: `340ms` `12.1s` `4m07s` `2h14m` `3d4h`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    if seconds < 3600:
        return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"
    return format_age(seconds)


def format_count(count: int | None) -> str:
    """`5,140`; unknown is a dash."""
    return UNKNOWN if count is None else f"{count:,}"


def format_amount(amount: float | None) -> str:
    """At most five cells for tokens and rates: `840` `9.9k` `210k` `1.2M` `3.4G`."""
    if amount is None:
        return UNKNOWN
    if amount < 1000:
        return f"{amount:.0f}"
    for unit in ("k", "M", "G", "T"):
        amount /= 1000
        if amount < 9.95:
            return f"{amount:.1f}{unit}"
        if amount < 999.5:
            return f"{amount:.0f}{unit}"
    return f"{amount:.0f}T"


def format_cost(cost_usd: float | None) -> str:
    """Dollars without the sign: `0.31` `12.40` `1,204`; under half a cent but not nothing:
    `<.01`.
    """
    if cost_usd is None:
        return UNKNOWN
    if 0 < cost_usd < 0.005:
        return "<.01"
    return f"{cost_usd:.2f}" if cost_usd < 1000 else f"{cost_usd:,.0f}"


def format_rate(rate: float | None) -> str:
    """A rate of dollars: `6.4` `0.02` `120`."""
    if rate is None:
        return UNKNOWN
    if 0 < rate < 0.1:
        return f"{rate:.2f}"
    return f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"


def format_bytes(size: int) -> str:
    """`812 B` `1.2 KiB` `10 MiB`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def zone_of(time_format: TimeFormat) -> tzinfo | None:
    """The zone clock times are in; None: this machine's own."""
    return UTC if time_format is TimeFormat.UTC else None


def format_clock(moment: float | None, zone: tzinfo | None, *, day: bool = False) -> str:
    """Time of day, `10:31:07`, in `zone` (None: the machine's); `day` puts `11-23` before it."""
    if moment is None:
        return UNKNOWN
    when = datetime.fromtimestamp(moment, UTC).astimezone(zone)
    return when.strftime("%m-%d %H:%M:%S" if day else "%H:%M:%S")


def format_moment(moment: float | None, now_s: float, time_format: TimeFormat) -> str:
    """A moment as the user chose it; clock times get their day when it is another day than
    now's.
    """
    if moment is None:
        return UNKNOWN
    if time_format is TimeFormat.RELATIVE:
        return format_age(now_s - moment)
    zone = zone_of(time_format)
    today = datetime.fromtimestamp(now_s, UTC).astimezone(zone).date()
    that_day = datetime.fromtimestamp(moment, UTC).astimezone(zone).date()
    return format_clock(moment, zone, day=that_day != today)


BARS: Final = "▁▂▃▄▅▆▇█"
ASCII_BARS: Final = "_.:-=+*#"


def format_sparkline(
    values: list[float | None], width: int, *, bars: str = BARS, top: float | None = None
) -> str:
    """The newest `width` values as bars of eight heights; a minute nobody recorded is a space."""
    return format_bars(values, width, 1, bars=bars, top=top)[0]


def format_bars(
    values: list[float | None],
    width: int,
    height: int,
    *,
    bars: str = BARS,
    top: float | None = None,
) -> list[str]:
    """The newest `width` values as bars `height` lines tall, the topmost line first.

    A value nobody recorded is blank; nothing is the lowest bar, so that it is seen to be known.
    """
    shown = values[-width:]
    known = [value for value in shown if value is not None]
    highest = max([*known, top or 0.0], default=0.0)
    steps = len(bars) * height
    columns = []
    for value in shown:
        if value is None:
            columns.append(" " * height)
            continue
        share = max(0.0, value) / highest if highest > 0 else 0.0
        level = min(steps, int(share * steps) + 1)
        full, rest = divmod(level, len(bars))
        column = bars[-1] * full + (bars[rest - 1] if rest else "")
        columns.append(column.ljust(height))
    return [
        "".join(column[line] for column in columns).rjust(width) for line in reversed(range(height))
    ]
