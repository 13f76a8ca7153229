"""The tiles of Pulse: which number, which half hour behind it, and which list it opens; pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runwatch_console.formats import (
    UNKNOWN,
    format_amount,
    format_cost,
    format_count,
    format_duration,
)
from runwatch_console.lens import Lens
from runwatch_shared.models import Stats

Value = Callable[[Stats, Lens], tuple[str, str]]
"""The number as text, and a note beside it."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile. `title`: id of the locale; `series`: names of History's series; `opens`: a filter,
    or a screen.
    """

    id: str
    value: Value
    series: tuple[str, ...]
    opens: str
    tone: str = ""
    ceiling: Callable[[Stats], float] | None = None
    """The value of a full bar, where there is a natural one."""

    @property
    def title(self) -> str:
        """Id of the locale."""
        return f"tile.{self.id}"


def _running(stats: Stats, lens: Lens) -> tuple[str, str]:
    queued = stats.workflows_by_state.get("pending", 0)
    return (
        format_count(stats.workflows_by_state.get("running")),
        lens.words("tile.note.queued", n=format_count(queued)),
    )


def _waiting(stats: Stats, lens: Lens) -> tuple[str, str]:
    waiting = stats.waiting
    if not waiting.count:
        return "0", ""
    return format_count(waiting.count), lens.words("tile.note.held", n=waiting.held_slots)


def _failures(stats: Stats, lens: Lens) -> tuple[str, str]:
    return (
        format_count(stats.failures_per_h),
        lens.words("tile.note.today", n=format_count(stats.failed_today)),
    )


def _cost(stats: Stats, lens: Lens) -> tuple[str, str]:
    rate = stats.burn.cost_usd_per_h
    today = stats.usage.today.cost_usd if stats.usage.today is not None else None
    note = UNKNOWN if today is None else f"${format_cost(today)}"
    text = UNKNOWN if rate is None else f"${format_cost(rate)}"
    return text, lens.words("tile.note.today", n=note)


def _tokens(stats: Stats, lens: Lens) -> tuple[str, str]:
    today = stats.usage.today.total_tokens if stats.usage.today is not None else None
    return (
        format_amount(stats.burn.tokens_per_min),
        lens.words("tile.note.today", n=format_amount(today)),
    )


def _queue(stats: Stats, lens: Lens) -> tuple[str, str]:
    wait = stats.queue_wait_ms
    p50 = format_duration(None if wait.p50 is None else wait.p50 / 1000)
    p95 = format_duration(None if wait.p95 is None else wait.p95 / 1000)
    return f"{p50} / {p95}", lens.words("tile.note.samples", n=format_count(wait.samples))


def _fill(stats: Stats, lens: Lens) -> tuple[str, str]:
    slots = stats.slots
    share = f"{slots.allocated * 100 // slots.capacity}%" if slots.capacity else UNKNOWN
    return share, lens.words("tile.note.slots", used=slots.allocated, total=slots.capacity)


def _ended(stats: Stats, lens: Lens) -> tuple[str, str]:
    average = None if stats.avg_duration_ms is None else stats.avg_duration_ms / 1000
    return (
        format_count(stats.completed_today),
        lens.words("tile.note.average", t=format_duration(average)),
    )


TILES: Final = (
    Tile("running", _running, ("running",), "s:running", "running"),
    Tile("waiting", _waiting, ("waiting",), "s:wait", "waiting"),
    Tile("failures", _failures, ("failed",), "s:fail ended<1h", "failed"),
    Tile("cost", _cost, ("cost_usd",), "rate>0", "accent"),
    Tile("tokens", _tokens, ("tokens",), "s:active tok>0", "accent"),
    Tile("queue", _queue, ("queue_wait_p95_ms",), "s:queue", "queued"),
    Tile(
        "fill", _fill, ("slots_allocated",), "screen:nodes", "running",
        lambda stats: float(stats.slots.capacity),
    ),
    Tile("ended", _ended, ("completed",), "s:done ended<1h", "done"),
)  # fmt: skip
