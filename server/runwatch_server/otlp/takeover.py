"""A run that names an agent's session takes the place of those telemetry made of it.

Otherwise one session would be there twice, and its tokens would count twice.
"""

from typing import Final

import msgspec

from runwatch_server.otlp.placing import is_made
from runwatch_server.otlp.row import TelemetryRow, emptied
from runwatch_server.rows import RunRow, UsageRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.states import TASK_STATUS_OF_RUN, is_terminal

MOST_LOOKED_AT: Final = 100


def take_over(tx: WriteTx, run: RunRow) -> None:
    """Remove what telemetry made of the session a run has just named.

    A run that was found tells the whole session; one that was started here goes on with it, and
    only what telemetry made since then is of it.
    """
    session_id = run.agent_session_id
    if session_id is None or is_made(run):
        return
    since_us = run.claimed_us or run.created_us
    for made in tx.runs.of_session(session_id, limit=MOST_LOOKED_AT):
        if not is_made(made):
            continue
        row = tx.telemetry.get(made.agent_type, session_id)
        if row is not None and row.run_id != made.id:
            row = None  # it has gone on to another run
        made_us = made.created_us if row is None else row.made_us or made.created_us
        if run.origin != "found" and made_us < since_us:
            continue
        if row is not None:
            _hand_over(tx, row, run)
        _remove(tx, made)


def _hand_over(tx: WriteTx, row: TelemetryRow, run: RunRow) -> None:
    """The session is that run's; what telemetry told of the one before may fill it in."""
    given = msgspec.structs.replace(
        emptied(row), run_id=run.id, own=False, told=row.told, counted=row.counted
    )
    tx.telemetry.put(msgspec.structs.replace(given, due_us=tx.now_us))


def _remove(tx: WriteTx, made: RunRow) -> None:
    """A run and, with its last one, its task; what it counted for is taken off the day."""
    nothing = UsageRow(as_of_us=tx.now_us)
    uncounted = msgspec.structs.replace(
        made, usage=None if made.usage is None else nothing, tool_calls=0, tool_failures=0
    )
    tx.runs.delete(tx.runs.save(made, uncounted))
    task = tx.tasks.get(made.task_id)
    if task is None:
        return
    left = tx.runs.of_task(task.id, limit=1)
    if not left:
        tx.count(f"task:status:{task.status}", -1)
        tx.tasks.delete(task)
        return
    newest = left[0]
    status = TASK_STATUS_OF_RUN[newest.status]
    tx.count(f"task:status:{task.status}", -1)
    tx.count(f"task:status:{status}", 1)
    tx.tasks.save(
        msgspec.structs.replace(
            task,
            status=status,
            runs_total=max(0, task.runs_total - 1),
            runs_active=max(0, task.runs_active - (0 if is_terminal(made.status) else 1)),
            last_run_id=newest.id,
            last_run_status=newest.status,
            updated_us=tx.now_us,
        )
    )
