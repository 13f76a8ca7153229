"""When a session known by telemetry is over: the agent said so, or nothing came for a while.

Source: contract 9.3, ``inferred_from``.
"""

from typing import Any, Final

import msgspec

from runwatch_server import transitions
from runwatch_server.otlp import filling
from runwatch_server.otlp.row import TelemetryRow
from runwatch_server.payloads import level_of
from runwatch_server.rows import EventRow, RunRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import is_terminal

SECOND_US: Final = 1_000_000
LINGER_US: Final = 10 * SECOND_US
"""After the agent said its session ended: what was said before may still come."""
LOOK_AGAIN_US: Final = 60 * SECOND_US
"""How often the run of another reporter is looked at, whether it ended."""
MOST_DUE: Final = 100


def looked_at_later(tx: WriteTx, row: TelemetryRow, *, settings: ServerSettings) -> TelemetryRow:
    """The session with the moment when it must be looked at again."""
    run = None if row.run_id is None else tx.runs.get(row.run_id)
    due_us: int | None = None
    if run is not None and not is_terminal(run.status):
        if not row.own:
            due_us = tx.now_us + LOOK_AGAIN_US
        elif row.ends_us is not None:
            due_us = row.last_us + LINGER_US
        else:
            due_us = row.last_us + settings.otlp_silence_s * SECOND_US
    return msgspec.structs.replace(row, due_us=due_us)


def sweep(tx: WriteTx, *, settings: ServerSettings, limit: int = MOST_DUE) -> int:
    """End the runs of sessions that are over; gives how many sessions were due."""
    due = tx.telemetry.due(tx.now_us, limit=limit)
    for row in due:
        run = None if row.run_id is None else tx.runs.get(row.run_id)
        if run is not None and row.own and not is_terminal(run.status):
            later = looked_at_later(tx, row, settings=settings)
            if later.due_us is not None and later.due_us <= tx.now_us:
                because = _because(row, settings)
                end(tx, run, row, because=because, settings=settings)
        elif run is not None and not row.own and is_terminal(run.status):
            row = filling.fill(tx, run, row, settings=settings)
        tx.telemetry.put(looked_at_later(tx, row, settings=settings))
    return len(due)


def end(
    tx: WriteTx, run: RunRow, row: TelemetryRow, *, because: str, settings: ServerSettings
) -> RunRow:
    """End a run made from telemetry as of its last sign of life.

    It failed if the last thing known is an error.
    """
    payload: dict[str, Any] = {"status": "done", "inferred_from": because}
    if row.failing is not None:
        payload |= {"status": "failed", "error": row.failing, "error_code": "agent_error"}
    at_us = max(row.ends_us or 0, run.last_activity_us or 0) or tx.now_us
    event = EventRow(
        seq=run.last_seq + 1,
        epoch=run.epoch,
        type="run_completed",
        at_us=at_us,
        received_us=tx.now_us,
        level=level_of("run_completed", payload),
        payload=msgspec.json.encode(payload),
        raw=None,
    )
    return transitions.append_folded(tx, run, run, [event], settings=settings)


def _because(row: TelemetryRow, settings: ServerSettings) -> str:
    if row.ends_us is not None:
        return "session.end"
    return f"no telemetry for {settings.otlp_silence_s} s"
