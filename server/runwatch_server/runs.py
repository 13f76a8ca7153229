"""Making runs and ending them on request: create, retry, cancel, and the closing PATCH.

Domain, over a transaction. Events are in `appends`, claims and leases in `leases`, placing in
`scheduler`. Source: contract 5.3, 8.1 and 8.2.
"""

from typing import Final

import msgspec

from runwatch_server import appends, checks, fold, leases, standing, transitions
from runwatch_server.ids import new_id
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.instances.seats import seated
from runwatch_server.otlp import placing
from runwatch_server.principals import Principal
from runwatch_server.proxies import configs
from runwatch_server.rows import CancelRow, EventRow, RunRow, SourceRow, SpecRow, TaskRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_server.tasks import stored_task, with_run
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.models import Agent, CancelReason, Constraints, RunId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import RUN_TRANSITIONS, is_terminal
from runwatch_shared.text import clean
from runwatch_shared.wire import AgentRequest, RunPatch, RunRequest

NOTE_CHARS: Final = 300
ERROR_CHARS: Final = 2000


def create_run(
    tx: WriteTx, task_id: str, request: RunRequest, *, settings: ServerSettings
) -> RunRow:
    """Queue a run of a task, with what the request overrides.

    Raises:
        RefusedError: 400 naming the field, 404.
    """
    task = stored_task(tx, task_id)
    spec = SpecRow(
        task_id=task.id,
        name=task.name,
        agent=task.agent,
        prompt=task.prompt.content,
        workspace=task.workspace,
        labels=task.labels,
        timeout_s=task.timeout_s,
        env=task.env,
    )
    first = RunRow(
        id=RunId(new_id("run")),
        task_id=task.id,
        name=task.name,
        status="queued",
        agent_type=task.agent.type,
        constraints=task.constraints,
        priority=task.priority,
        retry_on_lost=task.retry_on_lost,
        created_us=tx.now_us,
        updated_us=tx.now_us,
        source=SourceRow(kind="server", at_us=tx.now_us),
    )
    return _queue(tx, task, first, spec, request, settings=settings)


def retry_run(tx: WriteTx, run_id: str, request: RunRequest, *, settings: ServerSettings) -> RunRow:
    """Queue a new run with the snapshot of an ended one and what the request overrides.

    Raises:
        RefusedError: 400, 404; 409 ``run_active`` while the old one has not ended,
            ``not_controllable`` for one begun outside: what was asked in it is not known.
    """
    old = stored_run(tx, run_id)
    if old.origin == "found" or placing.is_made(old):
        raise RefusedError("not_controllable", "the run was begun outside and is only watched")
    if not is_terminal(old.status):
        raise RefusedError("run_active", "the run has not ended", details={"status": old.status})
    spec = tx.runs.spec(run_id)
    if spec is None:
        raise not_found("run")
    first = RunRow(
        id=RunId(new_id("run")),
        task_id=old.task_id,
        name=old.name,
        status="queued",
        agent_type=old.agent_type,
        parent_id=old.id,
        constraints=old.constraints,
        priority=old.priority,
        retry_on_lost=old.retry_on_lost,
        created_us=tx.now_us,
        updated_us=tx.now_us,
        source=SourceRow(kind="server", at_us=tx.now_us),
    )
    return _queue(tx, stored_task(tx, old.task_id), first, spec, request, settings=settings)


def end_unstarted(tx: WriteTx, row: RunRow, *, error: str, settings: ServerSettings) -> RunRow:
    """Fail a run that its node was given and the server cannot let begin."""
    return transitions.end_run(
        tx,
        row,
        status="failed",
        reason="start_failed",
        error=error,
        error_code="start_failed",
        settings=settings,
    )


def cancel_run(
    tx: WriteTx,
    run_id: str,
    *,
    reason: CancelReason,
    by_name: str,
    note: str | None,
    settings: ServerSettings,
) -> RunRow:
    """Ask for a run's end: at once where no process has it, else through its node.

    Asking again changes nothing; a run that was cancelled already is given back as it is.

    Raises:
        RefusedError: 400 for the note, 404, 409 ``run_finished`` or ``not_controllable``.
    """
    row = stored_run(tx, run_id)
    if note is not None and len(note) > NOTE_CHARS:
        raise RefusedError(
            "invalid_field", "note is too long", field="note", details={"max": NOTE_CHARS}
        )
    if row.status == "cancelled":
        return row
    if is_terminal(row.status):
        raise RefusedError("run_finished", "the run has ended", details={"status": row.status})
    if not standing.is_controllable(row):
        raise RefusedError("not_controllable", "the run was begun outside and is only watched")
    if row.cancel is not None:
        return row
    cancel = CancelRow(
        requested_us=tx.now_us,
        reason=reason,
        by=by_name,
        note=clean(note, fold=True, marks=False) if note else None,
    )
    asked = msgspec.structs.replace(row, cancel=cancel)
    if row.lease_kind is None:
        return transitions.end_run(
            tx,
            row,
            changed=asked,
            status="cancelled",
            reason=reason,
            source=SourceRow(kind="user", at_us=tx.now_us, note=by_name),
            settings=settings,
        )
    return transitions.change_run(tx, row, asked, settings=settings)


def patch_run(
    tx: WriteTx, run_id: str, patch: RunPatch, *, by: Principal, settings: ServerSettings
) -> RunRow:
    """Set a run's status as its holder reports it; the same status again changes nothing.

    Raises:
        RefusedError: 403 ``not_your_run``, 404, 409 ``invalid_transition`` or ``lease_lost``.
    """
    row = stored_run(tx, run_id)
    appends.check_held(row, by)
    if not by.is_node and by.scope != "admin" and row.origin != "external":
        raise RefusedError("forbidden", "only a run's node ends it", details={"need": "node"})
    if patch.status == row.status:
        return row
    if is_terminal(row.status) or patch.status not in RUN_TRANSITIONS[row.status]:
        raise RefusedError(
            "invalid_transition",
            f"a run that is {row.status} cannot become {patch.status}",
            field="status",
            details={
                "from": row.status,
                "to": patch.status,
                "allowed": sorted(RUN_TRANSITIONS[row.status]),
            },
        )
    held = _patching_holder(tx, row, patch, by=by, settings=settings)
    if patch.status == "running":
        return transitions.change_run(tx, row, fold.begin(held, _mark(tx, row)), settings=settings)
    begun = fold.begin(held, _mark(tx, row)) if row.status != "running" else held
    return _end_by_holder(tx, row, begun, patch, by=by, settings=settings)


def stored_run(tx: WriteTx, run_id: str) -> RunRow:
    """The run, or the 404."""
    row = tx.runs.get(run_id)
    if row is None:
        raise not_found("run")
    return row


def _queue(
    tx: WriteTx,
    task: TaskRow,
    first: RunRow,
    spec: SpecRow,
    request: RunRequest,
    *,
    settings: ServerSettings,
) -> RunRow:
    """Store the run ``first`` with the snapshot ``spec``, each with what the request overrides."""
    agent = _overridden_agent(spec.agent, request.agent)
    checks.check_agent(agent)
    agent = seated(tx.kept(InstanceRow), agent)
    configs.check_wanted(tx, agent.parameters)
    prompt = spec.prompt
    if request.prompt is not None:
        long_form = checks.as_prompt(request.prompt)
        checks.check_prompt(long_form, settings.limits)
        prompt = long_form.content
    checks.check_timeout(request.timeout_s)
    checks.check_priority(request.priority or 0)
    checks.check_labels(request.labels or {}, settings.limits)
    checks.check_constraints(request.constraints, settings.limits)
    labels = {**spec.labels, **(request.labels or {})}
    checks.check_labels(labels, settings.limits)
    timeout_s = request.timeout_s or spec.timeout_s or settings.default_timeout_s
    constraints: Constraints | None = request.constraints or first.constraints
    row = msgspec.structs.replace(
        first,
        attempt=task.runs_total + 1,
        agent_type=agent.type,
        agent_instance_id=agent.instance_id,
        account_id=agent.account_id,
        labels=labels,
        constraints=constraints,
        priority=first.priority if request.priority is None else request.priority,
        timeout_s=timeout_s,
        retry_on_lost=first.retry_on_lost
        if request.retry_on_lost is None
        else request.retry_on_lost,
        queue_reason="waiting for the scheduler",
        queue_reason_code="placing",
    )
    saved = tx.runs.insert(
        row,
        msgspec.structs.replace(
            spec, agent=agent, prompt=prompt, labels=labels, timeout_s=timeout_s
        ),
    )
    if task.status != "in_progress":
        tx.count(f"task:status:{task.status}", -1)
        tx.count("task:status:in_progress", 1)
    tx.tasks.save(msgspec.structs.replace(with_run(task, saved, tx.now_us), status="in_progress"))
    return saved


def _overridden_agent(agent: Agent, asked: AgentRequest | None) -> Agent:
    """An override of the same type, or of none, keeps what it does not name."""
    if asked is None:
        return agent
    wanted = checks.agent_of(asked, agent.type)
    if wanted.type != agent.type:
        return wanted
    elsewhere = wanted.instance_id not in (None, agent.instance_id)
    return Agent(
        type=agent.type,
        model=wanted.model or agent.model,
        parameters={**agent.parameters, **wanted.parameters},
        instance_id=wanted.instance_id or agent.instance_id,
        # Another instance brings its own account.
        account_id=wanted.account_id or (None if elsewhere else agent.account_id),
    )


def _patching_holder(
    tx: WriteTx, row: RunRow, patch: RunPatch, *, by: Principal, settings: ServerSettings
) -> RunRow:
    """The run as the holder that patches it has it, checked like a batch of events."""
    if patch.epoch is not None and patch.epoch != row.epoch:
        raise appends.lease_lost(row, patch.epoch)
    if by.node_id is not None and row.node_id != by.node_id:
        raise appends.lease_lost(row, patch.epoch)
    if row.lease_kind == "explicit" and patch.epoch is None:
        raise RefusedError("lease_required", "epoch is required", field="epoch")
    if row.lease_kind is None and row.status == "assigned" and by.is_node:
        return leases.take_implicit(tx, row, settings=settings)
    return row


def _end_by_holder(
    tx: WriteTx,
    row: RunRow,
    held: RunRow,
    patch: RunPatch,
    *,
    by: Principal,
    settings: ServerSettings,
) -> RunRow:
    """Write the terminal event the holder did not write (contract 8.2)."""
    payload: dict[str, object] = {"status": patch.status, "by": "server", "reason": "reported"}
    if patch.exit_code is not None:
        payload["exit_code"] = patch.exit_code
    if patch.error_message:
        payload["error"] = clean(patch.error_message, limit=ERROR_CHARS, fold=True, marks=False)
    if patch.error_code:
        payload["error_code"] = patch.error_code
    event = EventRow(
        seq=row.last_seq + 1,
        epoch=held.epoch,
        type="run_completed",
        at_us=tx.now_us,
        received_us=tx.now_us,
        level="success" if patch.status == "done" else "error",
        payload=msgspec.json.encode(payload),
        raw=None,
    )
    if patch.status == "cancelled":
        event = event._replace(level="warning")
    source = SourceRow(kind="node" if by.is_node else "user", at_us=tx.now_us, note=by.name)
    return transitions.append_folded(tx, row, held, [event], source=source, settings=settings)


def _mark(tx: WriteTx, row: RunRow) -> EventRow:
    """This moment as an event, for what is derived from a first event's time."""
    return EventRow(
        row.last_seq + 1, row.epoch, "run_started", tx.now_us, tx.now_us, "info", None, None
    )
