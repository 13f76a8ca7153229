"""The last hours in minutes, from the numbers that came by: `GET /monitor/stats/history`."""

from collections import deque
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


class Minutes:
    """The last numbers of each minute; at most a day of them."""

    def __init__(self) -> None:
        self._newest: deque[tuple[int, Stats]] = deque(maxlen=MOST_MINUTES + 1)

    def note(self, stats: Stats) -> None:
        """These numbers hold now; those of a minute before the newest are none to be kept."""
        minute = int((moment_s(stats.server_time) or 0.0) // BUCKET_S)
        if self._newest and self._newest[-1][0] == minute:
            self._newest[-1] = (minute, stats)
        elif not self._newest or self._newest[-1][0] < minute:
            self._newest.append((minute, stats))

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


def _values(now: Stats | None, before: Stats | None) -> dict[str, float | None]:
    if now is None:
        return {}
    states = now.workflows_by_state
    values: dict[str, float | None] = {
        "queued": states.get("pending"),
        "running": states.get("running"),
        "waiting": states.get("waiting"),
        "queue_wait_p50_ms": now.queue_wait_ms.p50,
        "queue_wait_p95_ms": now.queue_wait_ms.p95,
        "slots_allocated": now.slots.allocated,
        "nodes_online": now.online_nodes,
        "tokens": now.burn.tokens_per_min,
        "cost_usd": None if now.burn.cost_usd_per_h is None else now.burn.cost_usd_per_h / 60,
    }
    if before is not None:
        values |= {
            "completed": max(0, now.completed_today - before.completed_today),
            "failed": max(0, now.failed_today - before.failed_today),
            "cancelled": max(0, now.cancelled_today - before.cancelled_today),
            "events": max(0, now.total_events - before.total_events),
        }
    return values
