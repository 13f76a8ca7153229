"""Tasks: making, changing and deleting them; their runs are in `runs`. Domain, over a transaction.

Source: contract 1.3 for limits, 5.2 and 8.1 for the rest.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET

from runwatch_server import checks, transitions
from runwatch_server.ids import new_id
from runwatch_server.proxies import configs
from runwatch_server.rows import RunRow, TaskRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.models import Agent, Prompt, TaskId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import is_terminal
from runwatch_shared.wire import AgentRequest, TaskPatch, TaskRequest

MOST_RUNS_NAMED: Final = 20


def create_task(
    tx: WriteTx, request: TaskRequest, *, by_name: str, settings: ServerSettings
) -> TaskRow:
    """Store a new task without a run.

    Raises:
        RefusedError: 400 with the field that does not fit, 404 for an unknown ``parent_id``.
    """
    limits = settings.limits
    agent = _agent_of(request)
    prompt = _prompt_of(request, agent)
    checks.check_agent(agent)
    configs.check_wanted(tx, agent.parameters)
    checks.check_prompt(prompt, limits)
    checks.check_text(request.name, "name", checks.NAME_CHARS)
    checks.check_description(request.description, limits)
    checks.check_labels(request.labels or {}, limits)
    checks.check_timeout(request.timeout_s)
    checks.check_priority(request.priority)
    checks.check_constraints(request.constraints, limits)
    checks.check_workspace(request.workspace)
    checks.check_env(request.env)
    if request.parent_id is not None and tx.tasks.get(request.parent_id) is None:
        raise RefusedError("invalid_field", "parent_id names no task", field="parent_id")
    row = TaskRow(
        id=TaskId(new_id("task")),
        name=request.name,
        description=request.description,
        agent=agent,
        prompt=prompt,
        labels=request.labels or {},
        workspace=request.workspace,
        constraints=request.constraints,
        timeout_s=request.timeout_s,
        priority=request.priority,
        retry_on_lost=request.retry_on_lost,
        env=request.env,
        context=request.context,
        security=request.security,
        template_id=request.template_id,
        parent_id=None if request.parent_id is None else TaskId(request.parent_id),
        created_us=tx.now_us,
        updated_us=tx.now_us,
    )
    tx.count("task:status:pending", 1)
    return tx.tasks.insert(row)


def patch_task(tx: WriteTx, task_id: str, patch: TaskPatch, *, settings: ServerSettings) -> TaskRow:
    """Change what later runs of a task start with; a patch without effect changes nothing.

    Raises:
        RefusedError: 400, 404.
    """
    row = stored_task(tx, task_id)
    changes: dict[str, Any] = {
        name: value
        for name in ("name", "description", "labels", "priority", "timeout_s", "retry_on_lost")
        if (value := getattr(patch, name)) is not UNSET
    }
    if "name" in changes:
        checks.check_text(changes["name"], "name", checks.NAME_CHARS)
    checks.check_description(changes.get("description"), settings.limits)
    if "labels" in changes:
        changes["labels"] = changes["labels"] or {}
        checks.check_labels(changes["labels"], settings.limits)
    checks.check_timeout(changes.get("timeout_s"))
    checks.check_priority(changes.get("priority", 0))
    after = msgspec.structs.replace(row, **changes)
    if after == row:
        return row
    return tx.tasks.save(msgspec.structs.replace(after, updated_us=tx.now_us))


def delete_task(tx: WriteTx, task_id: str, *, force: bool, settings: ServerSettings) -> None:
    """Remove a task with its runs and events; tombstones stay.

    Args:
        force: End active runs first; without it they are a refusal.

    Raises:
        RefusedError: 404; 409 ``in_use`` with ``details.run_ids`` (twenty at most).
    """
    task = stored_task(tx, task_id)
    runs = _all_runs(tx, task)
    active = [run for run in runs if not is_terminal(run.status)]
    if active and not force:
        raise RefusedError(
            "in_use",
            "the task has active runs",
            details={"run_ids": [run.id for run in active[:MOST_RUNS_NAMED]]},
        )
    for run in active:
        transitions.end_run(tx, run, status="cancelled", reason="task_deleted", settings=settings)
    for run in _all_runs(tx, task):
        tx.runs.delete(run)
    task = stored_task(tx, task_id)
    tx.count(f"task:status:{task.status}", -1)
    tx.tasks.delete(task)


def stored_task(tx: WriteTx, task_id: str) -> TaskRow:
    """The task, or the 404."""
    row = tx.tasks.get(task_id)
    if row is None:
        raise not_found("task")
    return row


def _all_runs(tx: WriteTx, task: TaskRow) -> list[RunRow]:
    runs: list[RunRow] = []
    page = tx.runs.of_task(task.id, limit=500)
    while page:
        runs += page
        page = tx.runs.of_task(task.id, limit=500, after=(page[-1].created_us, page[-1].id))
    return runs


def _agent_of(request: TaskRequest) -> Agent:
    spec = request.spec
    asked = request.agent or (spec.agent if spec else None) or AgentRequest()
    kind = request.type or (spec.type if spec else None)
    named = {checks.canonical_type(each) for each in (kind, asked.type) if each is not None}
    if len(named) > 1:
        raise RefusedError("invalid_field", "type and agent.type differ", field="type")
    return checks.agent_of(asked, kind or "general")


def _prompt_of(request: TaskRequest, agent: Agent) -> Prompt:
    prompt = request.prompt
    if prompt is None and request.spec is not None:
        prompt = request.spec.prompt
    if prompt is None:
        if agent.type != "command":
            raise RefusedError("missing_field", "prompt is required", field="prompt")
        return Prompt(content="")
    return checks.as_prompt(prompt)


def with_run(task: TaskRow, run: RunRow, now_us: int) -> TaskRow:
    """A task with one more run, which was just made and is queued."""
    return msgspec.structs.replace(
        task,
        runs_total=task.runs_total + 1,
        runs_active=task.runs_active + 1,
        last_run_id=run.id,
        last_run_status="queued",
        updated_us=now_us,
    )
