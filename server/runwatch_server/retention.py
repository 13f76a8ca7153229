"""What is removed because it is old or too much, one bounded piece at a time; no clock, no task.

Events go first, those of the runs that ended first; runs under way keep theirs, but for
``events_max_per_run``. A run's summary stays unless an age is set for it. Runs are found by an
index, and amounts are kept numbers, so a piece costs what it removes. When it is done is decided in
`retainer` and in the command.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from runwatch_server import standing
from runwatch_server.rows import Bounds, RunRow, Size
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_shared.settings import Retention

SECOND_US: Final = 1_000_000
PIECE_ROWS: Final = 500
"""Events and steps removed in one transaction of a server, so that nobody waits long for it."""
PIECE_RUNS: Final = 100
"""Runs touched in one transaction."""


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece removed."""

    events: int = 0
    runs: int = 0
    rows: int = 0
    """All that went: events, steps, runs."""
    short: bool = False
    """There is still too much, and no ended run has events left."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds would remove now."""

    events: int
    runs_with_events: int
    """Runs that lose events."""
    runs: int
    """Runs that go altogether."""
    about: bool
    """Whether ``events`` is a guess, because bytes are bounded."""
    size: Size


def bounds_of(settings: Retention, now_us: int) -> Bounds:
    """The policy at a moment."""
    return Bounds(
        events_before_us=before(settings.events_s, now_us),
        max_events=settings.events_max_count or None,
        max_bytes=settings.events_max_bytes or None,
        runs_before_us=before(settings.runs_s, now_us),
    )


def before(age_s: int, now_us: int) -> int | None:
    """The moment an age ago; None for age 0, which bounds nothing."""
    return now_us - age_s * SECOND_US if age_s else None


def piece(tx: WriteTx, bounds: Bounds, *, rows: int = PIECE_ROWS) -> Removed:
    """Remove some of what is to go; nothing more to go when nothing went.

    Args:
        rows: Most events and steps removed.
    """
    excess = _excess(tx.size(), bounds)
    events = 0
    candidates = list(tx.runs.ended(with_events=True, limit=PIECE_RUNS))
    for row in candidates:
        wanted = rows if _too_old(row, bounds) else min(rows, excess)
        wanted -= events
        if wanted <= 0:
            break
        events += remove_events(tx, row, limit=wanted)
    short = excess > 0 and not candidates
    if events or bounds.runs_before_us is None:
        return Removed(events=events, rows=events, short=short)
    runs, gone = _remove_runs(tx, bounds, rows)
    return Removed(runs=runs, rows=gone, short=short)


def plan(tx: ReadTx, bounds: Bounds) -> Plan:
    """What `piece` would remove altogether, if nothing else happened."""
    size = tx.size()
    excess = _excess(size, bounds)
    events = touched = 0
    for row in tx.runs.ended(with_events=True):
        kept = standing.kept_events(row)
        wanted = kept if _too_old(row, bounds) else min(kept, excess - events)
        if wanted <= 0:
            break
        events += wanted
        touched += 1
    return Plan(
        events=events,
        runs_with_events=touched,
        runs=sum(1 for _ in _over(tx, bounds, limit=None)),
        about=bounds.max_bytes is not None and size.used_bytes > bounds.max_bytes,
        size=size,
    )


def remove_events(tx: WriteTx, row: RunRow, *, limit: int) -> int:
    """Remove a run's oldest events, at most ``limit``; its history then begins later.

    ``event_count`` and the other counters stay: they say what happened. ``first_seq`` becomes the
    number behind the last that went, so that a gap never covers a hole alone.

    Args:
        row: As stored now.
    """
    gone, last = tx.events.remove_oldest(row.id, limit=limit)
    first_seq = row.last_seq + 1 if last is None else last + 1
    removed = row.events_removed + gone
    tx.runs.save(row, msgspec.structs.replace(row, first_seq=first_seq, events_removed=removed))
    return gone


def trim(tx: WriteTx, row: RunRow, settings: Retention, *, limit: int) -> int:
    """Bring one run, under way or ended, down to ``events_max_per_run``; gives how many went."""
    excess = standing.kept_events(row) - settings.events_max_per_run
    if not settings.events_max_per_run or excess <= 0:
        return 0
    return remove_events(tx, row, limit=min(limit, excess))


def _excess(size: Size, bounds: Bounds) -> int:
    """How many events are too many, by number or by the database's size.

    What the bytes of one event are is taken from all there is, summaries included: rather too few
    go, and the next piece looks again.
    """
    excess = 0
    if bounds.max_events is not None:
        excess = max(0, size.events - bounds.max_events)
    if bounds.max_bytes is not None and size.used_bytes > bounds.max_bytes:
        event_bytes = max(1, size.used_bytes // max(1, size.events))
        excess = max(excess, -(-(size.used_bytes - bounds.max_bytes) // event_bytes))
    return excess


def _too_old(row: RunRow, bounds: Bounds) -> bool:
    """Whether a run's events are; those of a run that is to go altogether always are."""
    ended_us = _ended_us(row)
    return any(
        moment is not None and ended_us <= moment
        for moment in (bounds.events_before_us, bounds.runs_before_us)
    )


def _over(tx: ReadTx | WriteTx, bounds: Bounds, *, limit: int | None) -> Iterator[RunRow]:
    """Runs that are to go altogether, the longest ended first."""
    if bounds.runs_before_us is None:
        return
    for row in tx.runs.ended(with_events=False, limit=limit):
        if _ended_us(row) > bounds.runs_before_us:
            return
        yield row


def _remove_runs(tx: WriteTx, bounds: Bounds, rows: int) -> tuple[int, int]:
    """(runs, rows) that went: runs without events, and their steps before them."""
    runs = gone = 0
    for row in list(_over(tx, bounds, limit=PIECE_RUNS)):
        if standing.kept_events(row):
            break
        gone += tx.runs.remove_steps(row.id, limit=rows - gone)
        if gone >= rows:
            break
        tx.runs.delete(row)
        _remove_task(tx, row)
        runs += 1
        gone += 1
    return runs, gone


def _remove_task(tx: WriteTx, row: RunRow) -> None:
    """A task goes with its last run."""
    task = tx.tasks.get(row.task_id)
    if task is None or tx.runs.of_task(task.id, limit=1):
        return
    tx.count(f"task:status:{task.status}", -1)
    tx.tasks.delete(task)


def _ended_us(row: RunRow) -> int:
    return row.updated_us if row.finished_us is None else row.finished_us
