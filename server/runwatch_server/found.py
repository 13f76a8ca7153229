"""Runs that a node found: agent sessions begun outside Runwatch, which it only watches.

Domain, over a transaction. Their events are in `appends`, like those of any run.
Source: contract 11.3 and 5.3.
"""

import hashlib
from typing import Final

import msgspec

from runwatch_server import checks, leases, node_reports, transitions
from runwatch_server.ids import is_id, new_id
from runwatch_server.nodes import stored_node
from runwatch_server.principals import Principal
from runwatch_server.rows import LeaseRow, RunRow, SourceRow, SpecRow, TaskRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_server.tasks import with_run
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import (
    Agent,
    LocalSource,
    NodeId,
    ProcessId,
    Prompt,
    RunId,
    TaskId,
    Workspace,
)
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import is_terminal
from runwatch_shared.wire import FoundRunRequest

CWD_CHARS: Final = 4096
MODEL_CHARS: Final = 128
ID_HEX: Final = 12


class Found(msgspec.Struct, frozen=True):
    """A found run as its node holds it; ``made``: it was not known before, or had ended."""

    row: RunRow
    lease: LeaseRow
    made: bool

    @property
    def next_seq(self) -> int:
        return self.row.last_seq + 1


def announce(
    tx: WriteTx,
    node_id: str,
    request: FoundRunRequest,
    *,
    by: Principal,
    settings: ServerSettings,
) -> Found:
    """The run of a session a node found: made at its first report, else given to who reports now.

    The process that holds it gets the same answer again; another one of the node takes over with
    the next epoch; after the run's end there is a new one that has it as parent.

    Raises:
        RefusedError: 400 naming the field, 403 ``not_your_node``, 404 for a node never heard of.
    """
    check(request, settings)
    by.check_node(node_id)
    stored_node(tx, node_id)
    task = _task_of(tx, node_id, request)
    latest = None
    if task is not None and task.last_run_id is not None:
        latest = tx.runs.get(task.last_run_id)
    if latest is not None and not is_terminal(latest.status):
        return _taken(tx, latest, request, settings)
    if task is None:
        task = _new_task(tx, node_id, request)
    row = _new_run(tx, task, latest, node_id, request, settings)
    return Found(row, leases.renew(tx, row, settings=settings), made=True)


def check(request: FoundRunRequest, settings: ServerSettings) -> None:
    """400, naming the field, for a session that does not fit (contract 1.1, 1.3)."""
    for field in ("external_id", "process_id"):
        if not is_id(getattr(request, field)):
            raise RefusedError("invalid_field", f"{field} is no id", field=field)
    checks.check_text(request.name, "name", checks.NAME_CHARS)
    agent_type = checks.canonical_type(request.agent_type)
    if not is_id(agent_type) or len(agent_type) > checks.AGENT_TYPE_CHARS:
        raise RefusedError("invalid_field", "agent_type is no agent type", field="agent_type")
    checks.check_labels(request.labels or {}, settings.limits)
    node_reports.moment_of(request.started_at, "started_at")
    if request.cwd is not None:
        checks.check_text(request.cwd, "cwd", CWD_CHARS)
    if request.model is not None:
        checks.check_text(request.model, "model", MODEL_CHARS)


def _taken(tx: WriteTx, row: RunRow, request: FoundRunRequest, settings: ServerSettings) -> Found:
    """The run held by the process that reports it now."""
    if row.process_id != request.process_id:
        given = msgspec.structs.replace(
            row,
            epoch=row.epoch + 1,
            lease_kind="explicit",
            process_id=ProcessId(request.process_id),
            node_silent=False,
            lease_ended_us=None,
        )
        row = transitions.change_run(tx, row, given, settings=settings)
    lease = leases.renew(tx, row, settings=settings)
    return Found(tx.runs.get(row.id) or row, lease, made=False)


def _task_of(tx: WriteTx, node_id: str, request: FoundRunRequest) -> TaskRow | None:
    """The session's task. Its id follows from node and session, so that no index is needed."""
    task = tx.tasks.get(_task_id(node_id, request.external_id))
    if task is not None and task.context != _context(node_id, request.external_id):
        raise RefusedError("invalid_field", "external_id cannot be told apart", field="external_id")
    return task


def _task_id(node_id: str, external_id: str) -> str:
    digest = hashlib.sha256(f"{node_id}\0{external_id}".encode()).hexdigest()
    return f"task-{digest[:ID_HEX]}"


def _context(node_id: str, external_id: str) -> dict[str, str]:
    return {"external_id": external_id, "node_id": node_id}


def _new_task(tx: WriteTx, node_id: str, request: FoundRunRequest) -> TaskRow:
    row = TaskRow(
        id=TaskId(_task_id(node_id, request.external_id)),
        name=request.name,
        agent=Agent(type=checks.canonical_type(request.agent_type), model=request.model),
        prompt=Prompt(content=""),
        labels=request.labels or {},
        workspace=_workspace(request),
        context=_context(node_id, request.external_id),
        created_us=_began(tx, request),
        updated_us=tx.now_us,
    )
    tx.count("task:status:pending", 1)
    return tx.tasks.insert(row)


def _workspace(request: FoundRunRequest) -> Workspace | None:
    if request.cwd is None:
        return None
    return Workspace(type="local", local=LocalSource(path=request.cwd))


def _began(tx: WriteTx, request: FoundRunRequest) -> int:
    """When the session began, which is not later than now."""
    told_us = node_reports.moment_of(request.started_at, "started_at")
    return tx.now_us if told_us is None else min(told_us, tx.now_us)


def _new_run(
    tx: WriteTx,
    task: TaskRow,
    parent: RunRow | None,
    node_id: str,
    request: FoundRunRequest,
    settings: ServerSettings,
) -> RunRow:
    """A run that runs already; it begins when it goes on, if one of its session had ended."""
    began_us = _began(tx, request)
    if parent is not None:
        began_us = max(began_us, min(parent.finished_us or tx.now_us, tx.now_us))
    agent = Agent(type=checks.canonical_type(request.agent_type), model=request.model)
    first = RunRow(
        id=RunId(new_id("run")),
        task_id=task.id,
        name=request.name,
        attempt=task.runs_total + 1,
        status="queued",
        origin="found",
        agent_type=agent.type,
        parent_id=None if parent is None else parent.id,
        labels=request.labels or {},
        model=request.model,
        created_us=began_us,
        updated_us=tx.now_us,
        source=SourceRow(kind="node", at_us=tx.now_us, note=node_id),
    )
    spec = SpecRow(
        task_id=task.id,
        name=request.name,
        agent=agent,
        prompt="",
        workspace=_workspace(request),
        labels=request.labels or {},
    )
    saved = tx.runs.insert(first, spec)
    tx.tasks.save(with_run(task, saved, tx.now_us))
    running = msgspec.structs.replace(
        saved,
        status="running",
        node_id=NodeId(node_id),
        started_us=began_us,
        epoch=1,
        lease_kind="explicit",
        process_id=ProcessId(request.process_id),
    )
    return transitions.change_run(tx, saved, running, settings=settings)
