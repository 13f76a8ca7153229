"""Which counters a change of a run moves; pure, so that a store can keep them in the same commit.

Counters are named ``topic:…`` and kept for ``all`` time, the local ``day`` and the ``minute``.
`projection` reads them; nothing counts rows.
"""

import math
from collections.abc import Callable, Iterator
from typing import Final

from runwatch_server import standing
from runwatch_server.rows import RunRow, UsageRow
from runwatch_server.storage.protocols import Span
from runwatch_shared.models import RunStatus

Count = tuple[Span, int, str, float]

MINUTE_US: Final = 60_000_000

END_COUNTER: Final[dict[RunStatus, str]] = {
    "done": "ended:completed",
    "failed": "ended:failed",
    "timeout": "ended:failed",
    "cancelled": "ended:cancelled",
}

KEPT_EVENTS: Final = "kept_events"
"""Events stored now, whatever was ever reported."""

_WAIT_STEP: Final = 1.08


def wait_bucket(wait_ms: int) -> int:
    """The queue-wait bucket a wait falls in; each is 8 % wider than the one before."""
    return 0 if wait_ms < 1 else 1 + int(math.log(wait_ms) / math.log(_WAIT_STEP))


def wait_of_bucket(bucket: int) -> int:
    """The middle of a bucket in milliseconds, within 4 % of any wait in it."""
    return 0 if bucket == 0 else round(_WAIT_STEP ** (bucket - 0.5))


def minute_of(moment_us: int) -> int:
    """The begin of the minute a moment lies in."""
    return moment_us - moment_us % MINUTE_US


def of_run(
    before: RunRow | None,
    after: RunRow | None,
    now_us: int,
    *,
    day_start_us: Callable[[int], int],
) -> list[Count]:
    """The increments of one change.

    Args:
        before: The row before; None when it is new.
        after: The row after; None when it is deleted.
        now_us: The moment of the commit; decides the minute and the day.
        day_start_us: The local midnight before a moment.

    Deleting a run takes it out of what is present now, not out of what has happened.
    """
    counts: list[Count] = []
    held, holds = set(_present(before)), set(_present(after))
    counts += [("all", 0, name, -1) for name in sorted(held - holds)]
    counts += [("all", 0, name, 1) for name in sorted(holds - held)]
    kept = _kept(after) - _kept(before)
    if kept:
        counts.append(("all", 0, KEPT_EVENTS, kept))
    if after is not None:
        when_us = _counted_at(after, now_us)
        minute, day = minute_of(when_us), day_start_us(when_us)
        for name, value, daily in _happened(before, after):
            counts.append(("all", 0, name, value))
            counts.append(("minute", minute, name, value))
            if daily:
                counts.append(("day", day, name, value))
    return counts


def _counted_at(row: RunRow, now_us: int) -> int:
    """When a change counts: now, but what a found session tells late counts when it happened."""
    if row.origin != "found" or row.last_activity_us is None:
        return now_us
    return min(now_us, row.last_activity_us)


def _present(row: RunRow | None) -> Iterator[str]:
    if row is None:
        return
    yield f"run:status:{row.status}"
    yield f"run:state:{standing.state_of(row)}"
    yield f"run:agent:{row.status}:{row.agent_type}"
    if row.health != "ok":
        yield f"run:health:{row.health}"
    if standing.state_of(row) == "waiting" and row.wait is not None:
        yield f"run:waiting:{row.wait.kind}"
        if standing.holds_slot(row):
            yield "run:waiting_slot"


def _kept(row: RunRow | None) -> int:
    return 0 if row is None else standing.kept_events(row)


def _happened(before: RunRow | None, after: RunRow) -> Iterator[tuple[str, float, bool]]:
    """(name, increment, whether the day counts it too)."""
    if before is None or before is after:
        return
    if not standing.ended(before) and standing.ended(after):
        yield END_COUNTER[after.status], 1, True
        duration_ms = standing.duration_ms(after)
        if after.status == "done" and duration_ms is not None:
            yield "duration_ms", duration_ms, False
            yield "durations", 1, False
    if before.claimed_us is None and after.claimed_us is not None:
        yield f"queue_wait:{wait_bucket(standing.queue_wait_ms(after) or 0)}", 1, False
    yield from _used(before.usage, after.usage, after.agent_type)
    calls = after.tool_calls - before.tool_calls
    failures = after.tool_failures - before.tool_failures
    if calls:
        yield f"tool_calls:{after.agent_type}", calls, False
    if failures:
        yield f"tool_failures:{after.agent_type}", failures, False


def _used(
    before: UsageRow | None, after: UsageRow | None, agent_type: str
) -> Iterator[tuple[str, float, bool]]:
    if after is None or after is before:
        return
    for kind in ("input", "output", "cache_read", "cache_write"):
        grown = getattr(after, f"{kind}_tokens") - (
            0 if before is None else getattr(before, f"{kind}_tokens")
        )
        if grown:
            yield f"tokens:{kind}:{agent_type}", grown, True
    cost = (after.cost_usd or 0.0) - ((before and before.cost_usd) or 0.0)
    if cost:
        yield f"cost_usd:{agent_type}", cost, True
    if after.cost_usd is not None and (before is None or before.cost_usd is None):
        yield "cost_known", 1, True
    if before is None:
        yield "usage_known", 1, True
    if after.partial and (before is None or not before.partial):
        yield "usage_partial", 1, True


def percentile_ms(buckets: dict[int, float], share: float) -> int | None:
    """The wait below which ``share`` of all lie, from bucket counts; None without any."""
    total = sum(buckets.values())
    if total <= 0:
        return None
    seen = 0.0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= share * total:
            return wait_of_bucket(bucket)
    return wait_of_bucket(max(buckets))
