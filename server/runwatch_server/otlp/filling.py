"""Usage and cost of a run that somebody else reported, where its telemetry tells them and it does
not. Only after its end, when nobody can report them any more.
"""

import msgspec

from runwatch_server import accounting, transitions
from runwatch_server.otlp.agents import AGENTS
from runwatch_server.otlp.measuring import usage_by_metrics
from runwatch_server.otlp.row import TelemetryRow
from runwatch_server.rows import RunRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.settings import ServerSettings


def fill(tx: WriteTx, run: RunRow, row: TelemetryRow, *, settings: ServerSettings) -> TelemetryRow:
    """Give an ended run what it lacks; telemetry that comes later still adds to what it gave.

    Returns:
        The session with what it gave so far in ``shown``.
    """
    told = row.told if row.by_logs else usage_by_metrics(row, AGENTS[row.agent_type])
    given = {name: value for name, value in told.items() if _lacks(run, row, name)}
    if not given or given == row.shown:
        return row
    cost = given.get("cost_usd")
    fold = tx.runs.fold(run.id)
    session = row.session_id if run.usage is None else next(iter(fold.sessions), row.session_id)
    known = fold.sessions.get(session)
    report = accounting.Report(
        scope="total",
        session=session,
        tokens=_tokens(given),
        cost_usd=cost,
        cost_source=None if cost is None else "agent",
        model=row.model,
    )
    at_us = run.finished_us or tx.now_us
    sessions = {**fold.sessions, session: accounting.add(known, report, at_us)}
    usage = accounting.total(sessions.values())
    after = msgspec.structs.replace(
        run, usage=usage, model=run.model or row.model, updated_us=tx.now_us
    )
    filled = msgspec.structs.replace(fold, sessions=sessions)
    transitions.change_run(tx, run, after, settings=settings, run_fold=filled)
    return msgspec.structs.replace(row, shown=given)


def _lacks(run: RunRow, row: TelemetryRow, name: str) -> bool:
    """Whether the run's reporter did not tell this number, so that telemetry may."""
    if run.usage is None:
        return True
    if name == "cost_usd":
        return run.usage.cost_usd is None or name in row.shown
    return any(shown != "cost_usd" for shown in row.shown)


def _tokens(told: dict[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in told.items() if name.endswith("_tokens")}
