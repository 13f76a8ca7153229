"""What is asked of the server to compare two runs: their details, steps and the inputs of their
calls.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from runwatch_console.comparison import Call, Pair, align, differences
from runwatch_console.ports import Api, EventQuery
from runwatch_console.rows import RunRow, run_row
from runwatch_console.toolcalls import CALL_TYPES, CallKey, call_key
from runwatch_shared.models import Step
from runwatch_shared.text import clean
from runwatch_shared.wire import EventViewPage

MOST_STEPS: Final = 5_000
"""Steps of each run that are compared, from its first on: the first difference is among them, or
they are all the same.
"""
PAGE: Final = 1_000
EVENT_PAGE: Final = 500
MOST_PAGES: Final = 200
TEXT_LIMIT: Final = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One run: its row and its calls, the first `MOST_STEPS` of `steps_total`."""

    run: RunRow
    prompt: str | None
    calls: tuple[Call, ...]
    whole: bool
    """Whether these are all its calls."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two runs beside each other. `differences`: indexes into `pairs`, the first one first."""

    left: Side
    right: Side
    pairs: tuple[Pair, ...]
    differences: tuple[int, ...]


async def compare(api: Api, left_id: str, right_id: str) -> Comparison:
    """Ask for both and align them; the aligning is done in a thread.

    Raises:
        ApiError: One of them could not be had.
    """
    left = await read_side(api, left_id)
    right = await read_side(api, right_id)
    pairs = await asyncio.to_thread(align, left.calls, right.calls)
    return Comparison(
        left=left, right=right, pairs=tuple(pairs), differences=tuple(differences(pairs))
    )


async def read_side(api: Api, run_id: str) -> Side:
    """One run with its calls, from its first step on.

    Raises:
        ApiError: It could not be had.
    """
    detail = await api.workflow(run_id)
    steps, whole = await _steps(api, run_id)
    inputs = await _inputs(api, run_id, steps[-1].seq or 0) if steps else {}
    calls = tuple(_call(step, inputs) for step in steps)
    return Side(run=run_row(detail), prompt=detail.prompt, calls=calls, whole=whole)


async def _steps(api: Api, run_id: str) -> tuple[list[Step], bool]:
    found: list[Step] = []
    after = 0
    while len(found) < MOST_STEPS:
        page = await api.steps(run_id, after_seq=after, limit=PAGE)
        calls = [step for step in page.steps if step.kind == "tool" and step.seq is not None]
        calls = [step for step in calls if (step.seq or 0) > after]
        found += calls
        if not calls or len(page.steps) < PAGE:
            return found, True
        after = calls[-1].seq or after
    return found[:MOST_STEPS], False


async def _inputs(api: Api, run_id: str, last_seq: int) -> dict[int, CallKey]:
    """The key of every call up to `last_seq`, by the number of the event that opened it."""
    keys: dict[int, CallKey] = {}
    after = 0
    for _ in range(MOST_PAGES):
        query = EventQuery(after_seq=after, limit=EVENT_PAGE, types=CALL_TYPES)
        page = await api.events(run_id, query)
        keys |= {event.seq: call_key(event) for event in page.events}
        beyond = _looked_to(page)
        if beyond <= after or beyond >= last_seq or not page.has_after:
            break
        after = beyond
    return keys


def _looked_to(page: EventViewPage) -> int:
    """How far the server looked: with a filter it may stop before it found anything."""
    newest = page.events[-1].seq if page.events else 0
    return max(newest, page.scanned_to_seq or 0)


def _call(step: Step, inputs: dict[int, CallKey]) -> Call:
    seq = step.seq or 0
    tool = clean(step.name, limit=80, fold=True)
    text = clean(step.detail or "", limit=TEXT_LIMIT, fold=True)
    if not text.startswith(f"{tool}:"):
        text = f"{tool}: {text}".removesuffix(": ")
    # A call that is known only by its result has no input: its text must do.
    key = inputs.get(seq) or CallKey(tool, f"text {text}")
    return Call(seq=seq, key=key, status=step.status, duration_ms=step.duration_ms, text=text)
