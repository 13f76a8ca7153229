"""The last hours in minutes, from the numbers that came by: `GET /monitor/stats/history`."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from runwatch_console.formats import moment_s
from runwatch_shared.models import History, Stats
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time

MOST_MINUTES: Final = 1440
BUCKET_S: Final = 60
SERIES: Final = (
    "queued",
    "running",
    "waiting",
    "completed",
    "failed",
    "cancelled",
    "events",
    "tokens",
    "cost_usd",
    "queue_wait_p50_ms",
    "queue_wait_p95_ms",
    "slots_allocated",
    "nodes_online",
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is kept of a minute: statistics as a whole are a hundred times as much."""

    now: tuple[float | None, ...]
    """Of the series in `NOW`."""
    counted: tuple[int, ...]
    """Of the series in `COUNTED`, since some begin."""


class Minutes:
    """The last numbers of each minute; at most a day of them."""

    def __init__(self) -> None:
        self._newest: deque[tuple[int, Numbers]] = deque(maxlen=MOST_MINUTES + 1)

    def note(self, stats: Stats) -> None:
        """These numbers hold now; those of a minute before the newest are none to be kept."""
        minute = int((moment_s(stats.server_time) or 0.0) // BUCKET_S)
        numbers = _numbers(stats)
        if self._newest and self._newest[-1][0] == minute:
            self._newest[-1] = (minute, numbers)
        elif not self._newest or self._newest[-1][0] < minute:
            self._newest.append((minute, numbers))

    def clear(self) -> None:
        """Nothing of before holds."""
        self._newest.clear()

    def history(self, minutes: int, server_time: str) -> History:
        """The series, oldest first; None for a minute of which nothing came."""
        last = int((moment_s(server_time) or 0.0) // BUCKET_S)
        first = last - minutes + 1
        by_minute = dict(self._newest)
        series: dict[str, list[float | None]] = {name: [] for name in SERIES}
        for minute in range(first, last + 1):
            values = _values(by_minute.get(minute), by_minute.get(minute - 1))
            for name in SERIES:
                series[name].append(values.get(name))
        return History(
            bucket_s=BUCKET_S,
            from_=_moment(first),
            to=_moment(last + 1),
            series=series,
            server_time=server_time,
        )


def _moment(minute: int) -> str:
    return format_time(minute * BUCKET_S * MICROSECONDS_PER_SECOND)


NOW: Final = (
    "queued",
    "running",
    "waiting",
    "queue_wait_p50_ms",
    "queue_wait_p95_ms",
    "slots_allocated",
    "nodes_online",
    "tokens",
    "cost_usd",
)
COUNTED: Final = ("completed", "failed", "cancelled", "events")


def _numbers(stats: Stats) -> Numbers:
    states, rate = stats.workflows_by_state, stats.burn.cost_usd_per_h
    return Numbers(
        now=(
            states.get("pending"),
            states.get("running"),
            states.get("waiting"),
            stats.queue_wait_ms.p50,
            stats.queue_wait_ms.p95,
            stats.slots.allocated,
            stats.online_nodes,
            stats.burn.tokens_per_min,
            None if rate is None else rate / 60,
        ),
        counted=(
            stats.completed_today,
            stats.failed_today,
            stats.cancelled_today,
            stats.total_events,
        ),
    )


def _values(now: Numbers | None, before: Numbers | None) -> dict[str, float | None]:
    if now is None:
        return {}
    values = dict(zip(NOW, now.now, strict=True))
    if before is not None:
        gone = zip(COUNTED, now.counted, before.counted, strict=True)
        values |= {name: max(0, later - earlier) for name, later, earlier in gone}
    return values
