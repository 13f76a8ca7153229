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


def fill(tx: WriteTx, run: RunRow, row: TelemetryRow, *, settings: ServerSettings) -> RunRow:
    """Give an ended run what it lacks; the same row where it lacks nothing telemetry has."""
    told = row.told if row.by_logs else usage_by_metrics(row, AGENTS[row.agent_type])
    cost = told.get("cost_usd")
    if not told or (run.usage is not None and (cost is None or run.usage.cost_usd is not None)):
        return run
    fold = tx.runs.fold(run.id)
    session = row.session_id if run.usage is None else next(iter(fold.sessions), row.session_id)
    known = fold.sessions.get(session)
    tokens = {} if known is not None else _tokens(told)
    report = accounting.Report(
        scope="total",
        session=session,
        tokens=tokens,
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
    return transitions.change_run(tx, run, after, settings=settings, run_fold=filled)


def _tokens(told: dict[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in told.items() if name.endswith("_tokens")}
