"""Which run a session's telemetry belongs to: one somebody reports, else one made from it."""

from typing import Final

import msgspec

from runwatch_server import transitions
from runwatch_server.ids import new_id
from runwatch_server.otlp.intake import Part
from runwatch_server.otlp.row import TelemetryRow
from runwatch_server.rows import RunRow, SourceRow, SpecRow, TaskRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_server.tasks import with_run
from runwatch_shared.models import Agent, Prompt, RunId, TaskId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import is_terminal

SOURCE_LABEL: Final = "source"
SOURCE: Final = "otlp"
AFTER_END_US: Final = 60_000_000
"""What a session says later than this after its run ended is of something new."""
MOST_LOOKED_AT: Final = 20


def is_made(run: RunRow) -> bool:
    """Whether a run was made from telemetry."""
    return run.origin == "external" and run.labels.get(SOURCE_LABEL) == SOURCE


def reported(tx: WriteTx, session_id: str, at_us: int) -> RunRow | None:
    """The run that somebody else reports the session as, at that moment; None where nobody does."""
    for run in tx.runs.of_session(session_id, limit=MOST_LOOKED_AT):
        if is_made(run):
            continue
        ended_us = run.finished_us if is_terminal(run.status) else None
        if ended_us is None or at_us <= ended_us + AFTER_END_US:
            return run
    return None


def make_run(
    tx: WriteTx,
    part: Part,
    row: TelemetryRow,
    began_us: int,
    *,
    name: str | None,
    settings: ServerSettings,
) -> RunRow:
    """A run of a session nobody else reports, running; a later one of its task, if it had one.

    Args:
        row: The session as stored, with the run it had before.
        name: What to call it; None where nobody said.
    """
    before = None if row.run_id is None else tx.runs.get(row.run_id)
    task = None
    if before is not None:
        task = tx.tasks.get(before.task_id) if is_made(before) else None
        began_us = max(began_us, min(before.finished_us or began_us, tx.now_us))
    began_us = min(began_us, tx.now_us)
    labels = {SOURCE_LABEL: SOURCE}
    if part.host is not None:
        labels["host"] = part.host[: settings.limits.label_value_chars]
    if task is None:
        task = _make_task(tx, part, labels, began_us, name)
    agent = Agent(type=part.agent.type, model=row.model)
    first = RunRow(
        id=RunId(new_id("run")),
        task_id=task.id,
        name=task.name,
        attempt=task.runs_total + 1,
        status="queued",
        origin="external",
        agent_type=agent.type,
        parent_id=None if before is None else before.id,
        labels=labels,
        agent_session_id=part.session_id,
        created_us=began_us,
        updated_us=tx.now_us,
        source=SourceRow(kind="event", at_us=began_us),
    )
    spec = SpecRow(task_id=task.id, name=task.name, agent=agent, prompt="", labels=labels)
    saved = tx.runs.insert(first, spec)
    tx.tasks.save(with_run(task, saved, tx.now_us))
    running = msgspec.structs.replace(
        saved, status="running", started_us=began_us, epoch=1, lease_kind="external"
    )
    return transitions.change_run(tx, saved, running, settings=settings)


def _make_task(
    tx: WriteTx, part: Part, labels: dict[str, str], began_us: int, name: str | None
) -> TaskRow:
    row = TaskRow(
        id=TaskId(new_id("task")),
        name=name or f"{part.agent.title} session {part.session_id[:8]}",
        agent=Agent(type=part.agent.type),
        prompt=Prompt(content=""),
        labels=labels,
        context={"session_id": part.session_id},
        created_us=began_us,
        updated_us=tx.now_us,
    )
    tx.count("task:status:pending", 1)
    return tx.tasks.insert(row)
