"""`stats`: the fleet in numbers, once or at each change."""

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, Final

import msgspec

from runwatch_console.formats import (
    format_age,
    format_amount,
    format_cost,
    format_count,
    format_duration,
    moment_s,
)
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.formats import Output, Value, csv_text, json_text
from runwatch_console.headless.patience import Patience
from runwatch_console.headless.session import Session
from runwatch_console.headless.texts import cells, pad
from runwatch_console.headless.watching import frames_of
from runwatch_console.locale.words import Words
from runwatch_console.ports import Api
from runwatch_shared.models import Stats
from runwatch_shared.states import HEALTH_FLAGS
from runwatch_shared.wire import ChangeFrame, SnapshotFrame, SubscribeFrame

OTHER_NODES: Final = ("draining", "maintenance", "unhealthy", "offline")
"""Statuses of a node that is not online; screens count all but the last as reachable."""


async def print_stats(session: Session, api: Api, output: Output) -> ExitCode:
    """The numbers of this moment."""
    _print(session, await api.stats(), output)
    return ExitCode.DONE


async def watch_stats(session: Session, output: Output) -> ExitCode:
    """The numbers each time they change, until interrupted."""
    subscription = SubscribeFrame(id=1, topics=["stats"])
    async with aclosing(frames_of(session, subscription, Patience())) as frames:
        async for frame in frames:
            if isinstance(frame, SnapshotFrame | ChangeFrame) and frame.stats is not None:
                _print(session, frame.stats, output)
    return ExitCode.DONE


def _print(session: Session, stats: Stats, output: Output) -> None:
    match output:
        case Output.TABLE:
            session.printer.write(stats_text(stats, session.words))
        case Output.JSON:
            session.printer.write(f"{json_text(stats, indent=2)}\n")
        case Output.NDJSON:
            session.printer.write(f"{json_text(stats)}\n")
        case Output.CSV:
            values = _flat("", msgspec.to_builtins(stats))
            session.printer.write(csv_text([("name", "value"), *values]))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), inner)
    else:
        yield prefix, value


def stats_text(stats: Stats, words: Words) -> str:
    """The numbers as a few lines."""
    lines = [(words(f"stats.{name}"), text) for name, text in _lines(stats, words)]
    width = max(cells(title) for title, _ in lines)
    return "".join(f"{pad(title, width)}  {text}\n" for title, text in lines)


def _lines(stats: Stats, words: Words) -> Iterator[tuple[str, str]]:
    states = stats.workflows_by_state
    counted = {name: format_count(states.get(name, 0)) for name in states}
    yield "runs", words("stats.runs_text", total=format_count(stats.total_workflows), **counted)
    yield (
        "today",
        words(
            "stats.today_text",
            done=format_count(stats.completed_today),
            failed=format_count(stats.failed_today),
            cancelled=format_count(stats.cancelled_today),
        ),
    )
    yield "health", _health(stats, words)
    yield "waiting", _waiting(stats, words)
    online, nodes = format_count(stats.online_nodes), format_count(stats.total_nodes)
    others = (
        f" · {count:,} {words(f'look.{status}').lower()}"
        for status in OTHER_NODES
        if (count := stats.nodes_by_status.get(status))
    )
    yield "nodes", words("stats.nodes_text", online=online, total=nodes) + "".join(others)
    slots = stats.slots
    yield (
        "slots",
        words(
            "stats.slots_text",
            used=format_count(slots.allocated),
            total=format_count(slots.capacity),
        ),
    )
    usage, burn = stats.usage.today, stats.burn
    yield (
        "cost",
        words(
            "stats.cost_text",
            rate=format_cost(burn.cost_usd_per_h),
            today=format_cost(usage.cost_usd if usage else None),
        ),
    )
    yield (
        "tokens",
        words(
            "stats.tokens_text",
            rate=format_amount(burn.tokens_per_min),
            today=format_amount(usage.total_tokens if usage else None),
        ),
    )
    wait = stats.queue_wait_ms
    yield (
        "queue",
        words(
            "stats.queue_text",
            p50=format_duration(None if wait.p50 is None else wait.p50 / 1000),
            p95=format_duration(None if wait.p95 is None else wait.p95 / 1000),
            samples=format_count(wait.samples),
        ),
    )


def _health(stats: Stats, words: Words) -> str:
    found = [
        f"{format_count(stats.health[name])} {words(f'stats.{name}')}"
        for name in HEALTH_FLAGS
        if name != "ok" and stats.health.get(name)
    ]
    return " · ".join(found) or words("stats.none")


def _waiting(stats: Stats, words: Words) -> str:
    waiting = stats.waiting
    since_s, now_s = moment_s(waiting.oldest_since), moment_s(stats.server_time)
    if not waiting.count or since_s is None or now_s is None:
        return words("stats.none")
    return words(
        "stats.waiting_text",
        count=format_count(waiting.count),
        oldest=format_age(now_s - since_s),
        held=format_count(waiting.held_slots),
    )
