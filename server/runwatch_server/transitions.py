"""Saving a changed run with all that follows from it, and ending a run in the server's name.

Everything that changes a run goes through `change_run`: node slots, the task's standing, health and
the lease cannot be forgotten, because nobody else changes them. Which change is allowed is decided
in `appends`, `runs`, `leases`, `scheduler` and `sweeper`.
"""

from typing import Final

import msgspec

from runwatch_server import fold, health, ledger, standing
from runwatch_server.accounts import watching
from runwatch_server.payloads import level_of
from runwatch_server.rows import EventRow, RunFold, RunRow, SourceRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_server.tally import minute_of
from runwatch_shared.models import TerminalStatus
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import TASK_STATUS_OF_RUN

MOST_HOLDERS: Final = 20


def change_run(
    tx: WriteTx,
    before: RunRow,
    after: RunRow,
    *,
    settings: ServerSettings,
    run_fold: RunFold | None = None,
) -> RunRow:
    """Save ``after`` in the place of ``before`` and keep node, task and lease in step.

    Health is judged here, ``holders`` remembers the node, the task follows its newest run, slots
    are counted on the nodes, and the lease of a run that is queued or terminal is dropped. A status
    or node that changed moves ``updated_us``.

    Returns:
        The saved row, with its revision.

    Raises:
        ConflictError: The stored row is no longer ``before``.
    """
    if (before.status, before.node_id, before.cancel is None, before.node_silent) != (
        after.status,
        after.node_id,
        after.cancel is None,
        after.node_silent,
    ):
        after = msgspec.structs.replace(after, updated_us=tx.now_us)
    if before.node_silent != after.node_silent:
        since_us = tx.now_us if after.node_silent else None
        after = msgspec.structs.replace(after, silent_since_us=since_us)
    if after.lease_kind is not None and after.node_id and after.node_id not in after.holders:
        holders = (*after.holders, after.node_id)[-MOST_HOLDERS:]
        after = msgspec.structs.replace(after, holders=holders)
    after = health.judge(after, tx.now_us, settings.health)
    saved = tx.runs.save(before, after, run_fold)
    _count_on_nodes(tx, before, saved)
    if before.status != saved.status:
        _follow_task(tx, before, saved)
    if saved.lease_kind is None and before.lease_kind is not None:
        tx.leases.drop(saved.id)
    return saved


def end_run(
    tx: WriteTx,
    row: RunRow,
    *,
    status: TerminalStatus,
    reason: str,
    settings: ServerSettings,
    error: str | None = None,
    error_code: str | None = None,
    exit_code: int | None = None,
    changed: RunRow | None = None,
    source: SourceRow | None = None,
) -> RunRow:
    """End a run in the server's name: take it from its holder, append ``run_completed`` and close.

    Args:
        row: As stored now; not terminal.
        reason: Why the server does it; goes into the event (contract 8.2).
        changed: ``row`` with what the caller changed already, saved with the end.
        source: See `append_folded`.
    """
    taken = row if changed is None else changed
    if row.lease_kind is not None:
        taken = msgspec.structs.replace(taken, epoch=row.epoch + 1)
    payload = {"status": status, "by": "server", "reason": reason}
    optional = {"error": error, "error_code": error_code, "exit_code": exit_code}
    payload.update({name: value for name, value in optional.items() if value is not None})  # type: ignore[misc]  # JSON values
    event = EventRow(
        seq=row.last_seq + 1,
        epoch=taken.epoch,
        type="run_completed",
        at_us=tx.now_us,
        received_us=tx.now_us,
        level=level_of("run_completed", payload),
        payload=msgspec.json.encode(payload),
        raw=None,
    )
    return append_folded(tx, row, taken, [event], source=source, settings=settings)


def append_folded(
    tx: WriteTx,
    before: RunRow,
    changed: RunRow,
    events: list[EventRow],
    *,
    settings: ServerSettings,
    source: SourceRow | None = None,
) -> RunRow:
    """Append events that may be appended: fold them, save the run, then store them and the steps.

    Args:
        before: As stored now.
        changed: ``before`` with what the caller changed already; events are folded on top.
        source: Who said it, where that is not what the events tell.
    """
    folded = fold.fold_events(
        changed,
        tx.runs.fold(before.id),
        events,
        now_us=tx.now_us,
        thresholds=settings.health,
    )
    after = folded.row
    if source is not None:
        after = msgspec.structs.replace(after, source=source)
    saved = change_run(tx, before, after, settings=settings, run_fold=folded.fold)
    tx.events.append(before.id, events)
    watching.observe(tx, saved.account_id, events)
    tx.count("events", len(events), spans=(("all", 0), ("minute", minute_of(tx.now_us))))
    for step in folded.steps:
        tx.runs.put_step(before.id, step)
    return saved


def _count_on_nodes(tx: WriteTx, before: RunRow, after: RunRow) -> None:
    """Move slots and active runs between the nodes of a run before and after."""
    held, holds = _load(before), _load(after)
    if held == holds:
        return
    for node_id in sorted({load[0] for load in (held, holds) if load[0] is not None}):
        node = tx.nodes.get(node_id)
        if node is None:
            continue
        slots = sum(load[1] * sign for load, sign in ((held, -1), (holds, 1)) if load[0] == node_id)
        runs = sum(load[2] * sign for load, sign in ((held, -1), (holds, 1)) if load[0] == node_id)
        if slots > 0:
            node = ledger.taken(node, after.id, after.assigned_us or tx.now_us, tx.now_us)
        elif slots < 0:
            node = ledger.left(node, after.id, tx.now_us)
        tx.nodes.save(
            msgspec.structs.replace(
                node,
                allocated=max(0, node.allocated + slots),
                active_runs=max(0, node.active_runs + runs),
            )
        )


def _load(row: RunRow) -> tuple[str | None, int, int]:
    """(node, slots, active runs) a run puts on a node."""
    if row.node_id is None or row.status not in {"assigned", "running"}:
        return (None, 0, 0)
    return (row.node_id, 1 if standing.holds_slot(row) else 0, 1)


def _follow_task(tx: WriteTx, before: RunRow, after: RunRow) -> None:
    """Give the task the status of its newest run and count its active ones (contract 5.2)."""
    task = tx.tasks.get(after.task_id)
    if task is None:
        return
    if not standing.ended(before) and standing.ended(after):
        task = msgspec.structs.replace(task, runs_active=max(0, task.runs_active - 1))
    if task.last_run_id == after.id:
        status = TASK_STATUS_OF_RUN[after.status]
        if status != task.status:
            tx.count(f"task:status:{task.status}", -1)
            tx.count(f"task:status:{status}", 1)
        task = msgspec.structs.replace(task, status=status, last_run_status=after.status)
    tx.tasks.save(msgspec.structs.replace(task, updated_us=tx.now_us))
