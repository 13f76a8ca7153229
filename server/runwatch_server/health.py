"""A run's health flag and when anything about a run must next be looked at; pure, never acts.

The flags are those of contract 6.3; what happens when a moment comes is in `sweeper`.
"""

import re
from typing import Final

import msgspec

from runwatch_server import standing
from runwatch_server.rows import CancelRow, RunRow
from runwatch_shared.models import Health
from runwatch_shared.settings import HealthThresholds, ServerSettings
from runwatch_shared.states import is_terminal

SECOND_US: Final = 1_000_000
_UNITS: Final = ((3600, "h"), (60, "m"), (1, "s"))
_LOOPING: Final = re.compile(r"same (.*) call ((\d+) of last \d+)", re.DOTALL)
_TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,40}")


def judge(row: RunRow, now_us: int, thresholds: HealthThresholds) -> RunRow:
    """The run with its flag as it stands at ``now_us``; the same object where nothing changes.

    Reason and ``health_since`` change only with the flag (contract 6.3).
    """
    flag = _flag(row, now_us, thresholds)
    if flag == row.health:
        return row
    return msgspec.structs.replace(
        row,
        health=flag,
        health_reason=_reason(row, flag, thresholds),
        health_since_us=None if flag == "ok" else now_us,
        updated_us=now_us,
    )


def due_us(row: RunRow, settings: ServerSettings) -> int | None:
    """The first moment at which the run must be looked at, from its row alone; None for never.

    The moments of contract 6.3 (a flag not yet set) and of 8.2 and 8.3: a claim that lapses, a
    deadline, the grace of a cancel, a lease that stays lost; and at once while it has more events
    than a run may keep. What ended long ago is found by `retention`.
    """
    most = settings.retention.events_max_per_run
    if most and standing.kept_events(row) > most:
        return row.created_us
    if is_terminal(row.status):
        return None
    moments = [*_flag_moments(row, settings.health), *_lease_moments(row, settings)]
    return min(moments, default=None)


def cancel_ends_us(cancel: CancelRow, settings: ServerSettings) -> int:
    """When the server ends a run whose node did not: the grace begins with the delivery, or with
    the request while nobody could be told (contract 8.2).
    """
    told_us = cancel.requested_us if cancel.delivered_us is None else cancel.delivered_us
    return told_us + settings.lease.cancel_grace_s * SECOND_US


def _flag(row: RunRow, now_us: int, thresholds: HealthThresholds) -> Health:
    if is_terminal(row.status):
        return "ok"
    if row.status != "running":
        queued_until_us = row.created_us + thresholds.stuck_queued_s * SECOND_US
        return "stuck_queued" if now_us >= queued_until_us else "ok"
    if row.wait is not None:
        waited_until_us = row.wait.since_us + thresholds.waiting_long_s * SECOND_US
        return "waiting_long" if now_us >= waited_until_us else "ok"
    if _repeats(row.looping) >= thresholds.looping_calls:
        return "looping"
    stalled_us = _stalled_us(row, thresholds)
    if stalled_us is not None and now_us >= stalled_us:
        return "stalled"
    return "slow" if now_us >= _slow_us(row, thresholds) else "ok"


def _reason(row: RunRow, flag: Health, thresholds: HealthThresholds) -> str | None:
    match flag:
        case "ok":
            return None
        case "looping":
            return _looping_reason(row.looping or "")
        case "stalled":
            return f"silent over {_span(thresholds.stalled_s)}, no tool in flight"
        case "slow":
            return f"running over {_span(thresholds.slow_s)}"
        case "stuck_queued":
            return f"queued over {_span(thresholds.stuck_queued_s)}"
        case "waiting_long":
            return f"waiting over {_span(thresholds.waiting_long_s)}"


def _looping_reason(text: str) -> str:
    """The reason with the tool's name only where it can do no harm."""
    found = _LOOPING.fullmatch(text)
    if found is None:
        return "same tool call again"
    name = found[1] if _TOOL_NAME.fullmatch(found[1]) else "tool"
    return f"same {name} call {found[2]}"


def _repeats(text: str | None) -> int:
    """How often the call came that a run loops in; the threshold may have been raised since."""
    found = None if text is None else _LOOPING.fullmatch(text)
    return 0 if found is None else int(found[3])


def _span(seconds: int) -> str:
    for size, unit in _UNITS:
        if seconds % size == 0 and seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _stalled_us(row: RunRow, thresholds: HealthThresholds) -> int | None:
    """When a running run counts as stalled; None while a tool is open."""
    if row.open_tools > 0:
        return None
    active_us = row.last_activity_us or 0
    begun_us = row.started_us or row.claimed_us or row.created_us
    if row.origin == "found":
        # What it says first is old; whether more comes is seen from when it was found.
        begun_us = max(begun_us, row.source.at_us)
    return max(active_us, begun_us) + thresholds.stalled_s * SECOND_US


def _slow_us(row: RunRow, thresholds: HealthThresholds) -> int:
    begun_us = row.started_us or row.claimed_us or row.created_us
    return begun_us + row.waited_us + thresholds.slow_s * SECOND_US


def _flag_moments(row: RunRow, thresholds: HealthThresholds) -> list[int]:
    """When a flag above the present one may have to be set."""
    if row.status != "running":
        if row.health == "stuck_queued":
            return []
        return [row.created_us + thresholds.stuck_queued_s * SECOND_US]
    if row.wait is not None:
        if row.health == "waiting_long":
            return []
        return [row.wait.since_us + thresholds.waiting_long_s * SECOND_US]
    if row.health in {"looping", "stalled"}:
        return []
    stalled_us = _stalled_us(row, thresholds)
    moments = [] if stalled_us is None else [stalled_us]
    if row.health != "slow":
        moments.append(_slow_us(row, thresholds))
    return moments


def _lease_moments(row: RunRow, settings: ServerSettings) -> list[int]:
    times = settings.lease
    moments: list[int] = []
    if row.status == "assigned" and row.lease_kind is None and row.assigned_us is not None:
        moments.append(row.assigned_us + times.claim_s * SECOND_US)
    if row.lease_ended_us is not None:
        kept_s = times.requeue_after_s if row.retry_on_lost else times.lost_after_s
        moments.append(row.lease_ended_us + kept_s * SECOND_US)
    if row.cancel is not None:
        moments.append(cancel_ends_us(row.cancel, settings))
    elif row.deadline_us is not None:
        moments.append(row.deadline_us)
    return moments
