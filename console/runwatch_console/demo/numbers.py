"""The made-up fleet in numbers: its statistics, and a past of its minutes."""

import math
from random import Random
from typing import Final

from runwatch_console.demo import names
from runwatch_console.demo.world import World
from runwatch_console.held.minutes import SERIES
from runwatch_shared.models import (
    FleetBurn,
    QueueWait,
    Slots,
    Stats,
    Usage,
    UsageTotals,
    WaitingTotals,
)
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time

DAY_US: Final = 24 * 3600 * MICROSECONDS_PER_SECOND
_STATES: Final = ("pending", "running", "waiting", "completed", "failed", "unknown")
_STATUSES: Final = ("queued", "assigned", "running", "done", "failed", "cancelled", "timeout")
_HEALTHS: Final = ("stalled", "looping", "slow", "stuck_queued", "waiting_long")


def world_stats(world: World, *, revision: int) -> Stats:
    """Contract 6.4."""
    runs = list(world.runs.values())
    states = dict.fromkeys(_STATES, 0)
    statuses = dict.fromkeys(_STATUSES, 0)
    healths = dict.fromkeys(_HEALTHS, 0)
    for run in runs:
        states[run.state] += 1
        statuses[run.status] += 1
        if run.health != "ok":
            healths[run.health] += 1
    rates = [rate for run in world.active.values() if (rate := run.rates(world.now_us)) is not None]
    waits = [run.wait_us for run in runs if run.state == "waiting"]
    queue_ms = sorted(
        (run.started_us - run.created_us) // 1000 for run in runs if run.started_us is not None
    )
    nodes = world.nodes.values()
    capacity = sum(node.capacity for node in nodes if node.takes_runs)
    allocated = sum(world.allocated(node.id) for node in nodes if node.takes_runs)
    took_ms = [
        (run.ended_us - run.started_us) // 1000
        for run in runs
        if run.status == "done" and run.ended_us is not None and run.started_us is not None
    ]
    active = sum(states[state] for state in ("pending", "running", "waiting", "unknown"))
    hour_us = world.now_us - 3600 * MICROSECONDS_PER_SECOND
    return Stats(
        total_workflows=len(runs) + 1,
        active_workflows=active + 1,
        completed_today=world.ended["done"],
        failed_today=world.ended["failed"],
        cancelled_today=world.ended["cancelled"],
        avg_duration_ms=sum(took_ms) // len(took_ms) if took_ms else None,
        workflows_by_type={"auth": 1, "run": len(runs)},
        workflows_by_state={**states, "waiting": states["waiting"] + 1},
        total_tasks=len(runs),
        tasks_by_status={
            "pending": 0,
            "in_progress": active,
            "completed": statuses["done"],
            "failed": statuses["failed"] + statuses["timeout"],
            "cancelled": statuses["cancelled"],
        },
        total_runs=len(runs),
        active_runs=statuses["queued"] + statuses["assigned"] + statuses["running"],
        runs_by_status=statuses,
        total_nodes=len(world.nodes),
        online_nodes=sum(1 for node in nodes if node.takes_runs),
        nodes_by_status={
            "online": len(world.nodes) - 2,
            "offline": 1,
            "draining": 1,
            "maintenance": 0,
            "unhealthy": 0,
        },
        total_events=world.events,
        health=healths,
        waiting=WaitingTotals(
            count=len(waits) + 1,
            oldest_since=format_time(min(waits)) if waits else None,
            held_slots=len(waits),
        ),
        slots=Slots(capacity=capacity, allocated=allocated, free=max(0, capacity - allocated)),
        usage=_usage(world),
        burn=FleetBurn(
            cost_usd_per_h=round(sum(cost for cost, _ in rates), 2) if rates else None,
            tokens_per_min=round(sum(tokens for _, tokens in rates), 1),
            window_s=600,
        ),
        queue_wait_ms=QueueWait(
            p50=queue_ms[len(queue_ms) // 2] if queue_ms else None,
            p95=queue_ms[len(queue_ms) * 19 // 20] if queue_ms else None,
            samples=len(queue_ms),
            window_s=3600,
        ),
        failures_per_h=sum(
            1 for run in runs if run.status == "failed" and (run.ended_us or 0) > hour_us
        ),
        day_start=format_time(world.now_us // DAY_US * DAY_US),
        revision=revision,
        server_time=format_time(world.now_us),
    )


def _usage(world: World) -> UsageTotals:
    tokens = [
        sum(kinds) for kinds in zip(*(run.tokens for run in world.runs.values()), strict=True)
    ]
    usage = Usage(
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        cache_read_tokens=tokens[2],
        cache_write_tokens=tokens[3],
        total_tokens=sum(tokens),
        cost_usd=round(sum(run.cost_usd or 0.0 for run in world.runs.values()), 4),
        partial=False,
        as_of=format_time(world.now_us),
    )
    return UsageTotals(today=usage, total=usage)


def past_minute(world: World, minute: int) -> dict[str, float | None]:
    """What a minute before the begin was like: waves, the same for the same seed."""
    chance = Random(f"minute {world.wish.seed} {minute}")
    size = max(4, world.wish.runs // 5)
    wave = 1 + 0.35 * math.sin(minute / 7) + chance.uniform(-0.15, 0.15)
    running = round(size * wave)
    values: dict[str, float | None] = dict.fromkeys(SERIES, None)
    values |= {
        "queued": max(0, round(size * 0.3 * (2 - wave))),
        "running": running,
        "waiting": chance.choice((2, 3, 3, 4)),
        "completed": chance.choice((0, 1, 1, 2)),
        "failed": chance.choice((0, 0, 0, 1)),
        "cancelled": 0,
        "events": round(world.wish.changes_per_s * 60 * wave),
        "tokens": round(90_000 * wave),
        "cost_usd": round(0.07 * wave, 4),
        "queue_wait_p50_ms": chance.randrange(900, 4_000),
        "queue_wait_p95_ms": chance.randrange(9_000, 60_000),
        "slots_allocated": running,
        "nodes_online": len(names.NODES) - (1 if minute % 30 > 25 else 2),
    }
    return values
