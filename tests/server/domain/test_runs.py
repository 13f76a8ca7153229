"""Making tasks and runs, cancelling, retrying and the closing PATCH (contract 8)."""

from typing import Any

import msgspec
import pytest

from runwatch_server import runs, tasks, transitions
from runwatch_server.rows import RunRow, TaskRow
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import Constraints, Prompt, Workspace
from runwatch_shared.wire import (
    AgentRequest,
    RunPatch,
    RunRequest,
    TaskPatch,
    TaskRequest,
    TaskSpec,
)
from tests.server.domain.keeping import ANY_NODE, OPERATOR, Keeper, node


def made(keeper: Keeper, **request: Any) -> TaskRow:
    wanted = TaskRequest(**{"name": "t", "prompt": "p", **request})
    return keeper.write(
        lambda tx: tasks.create_task(tx, wanted, by_name="ops", settings=keeper.settings)
    )


def command(argv: Any) -> AgentRequest:
    return AgentRequest(type="command", parameters={"argv": argv})


def cancel(keeper: Keeper, run_id: str) -> RunRow:
    return keeper.write(
        lambda tx: runs.cancel_run(
            tx, run_id, reason="user", by_name="ops", note=None, settings=keeper.settings
        )
    )


def running(keeper: Keeper, **changes: Any) -> RunRow:
    keeper.online_node("n1", allocated=1, active_runs=1)
    row = keeper.queued_run()
    after = msgspec.structs.replace(
        row,
        **{
            "status": "running",
            "node_id": "n1",
            "epoch": 1,
            "lease_kind": "explicit",
            "process_id": "p",
            "claimed_us": keeper.now_us,
            "started_us": keeper.now_us,
            "holders": ("n1",),
            **changes,
        },
    )
    return keeper.write(lambda tx: tx.runs.save(row, after))


def patch(keeper: Keeper, row: RunRow, by: Any = None, **fields: Any) -> RunRow:
    wanted = RunPatch(**{"epoch": 1, **fields})
    return keeper.write(
        lambda tx: runs.patch_run(tx, row.id, wanted, by=by or node("n1"), settings=keeper.settings)
    )


def test_a_task_has_its_agents_canonical_name(keeper: Keeper) -> None:
    assert made(keeper, type="claude").agent.type == "claude-code"
    assert made(keeper, agent=AgentRequest(type="codex", model="m")).agent.type == "openai-codex"
    assert made(keeper).agent.type == "general"


def test_a_type_beside_an_agent_without_one_is_taken(keeper: Keeper) -> None:
    agent = AgentRequest(model="m", account_id="claude-code_a")
    row = made(keeper, type="claude", agent=agent).agent
    assert (row.type, row.model, row.account_id) == ("claude-code", "m", "claude-code_a")
    assert made(keeper, agent=AgentRequest(model="m")).agent.type == "general"
    assert made(keeper, type="claude-code", agent=AgentRequest(type="claude")).agent.type == (
        "claude-code"
    )
    spec = TaskSpec(prompt="old", type="qwen", agent=AgentRequest(model="m"))
    assert made(keeper, prompt=None, spec=spec).agent.type == "qwen-code"


def test_an_override_without_a_type_keeps_the_tasks(keeper: Keeper) -> None:
    task = made(keeper, agent=AgentRequest(type="codex", model="m", parameters={"a": 1}))
    request = RunRequest(agent=AgentRequest(model="n", parameters={"b": 2}))
    run = keeper.write(lambda tx: runs.create_run(tx, task.id, request, settings=keeper.settings))
    spec = keeper.read(lambda tx: tx.runs.spec(run.id))
    assert spec is not None
    assert (spec.agent.type, spec.agent.model) == ("openai-codex", "n")
    assert spec.agent.parameters == {"a": 1, "b": 2}


def test_an_end_that_somebody_asked_for_is_saved_once_with_who_it_was(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []
    change_run = transitions.change_run

    def counted(*args: Any, **options: Any) -> RunRow:
        saved.append(change_run(*args, **options))
        return saved[-1]

    monkeypatch.setattr(transitions, "change_run", counted)
    queued = cancel(keeper, keeper.queued_run().id)
    assert [row.source.note for row in saved] == ["ops"]
    assert (queued.status, queued.source.kind) == ("cancelled", "user")
    assert queued.cancel is not None
    assert queued.cancel.reason == "user"
    row = running(keeper)
    saved.clear()
    ended = patch(keeper, row, status="failed", exit_code=3)
    assert [row.source.kind for row in saved] == ["node"]
    assert (ended.status, ended.exit_code, ended.source.kind) == ("failed", 3, "node")


def test_the_older_spelling_of_a_task_is_taken(keeper: Keeper) -> None:
    spec = TaskSpec(prompt="old", agent=AgentRequest(type="qwen"))

    task = made(keeper, prompt=None, spec=spec)

    assert (task.prompt.content, task.agent.type) == ("old", "qwen-code")


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x1b[31mb"}, "name"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "x" * (256 * 1024 + 1)}, "prompt"),
        ({"description": "x" * 4097}, "description"),
        ({"labels": {f"k{n}": "v" for n in range(33)}}, "labels"),
        ({"labels": {"k": "v" * 256}}, "labels.k"),
        ({"labels": {"k\n": "v"}}, "labels.k"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": 604_801}, "timeout_s"),
        ({"priority": 101}, "priority"),
        ({"type": "command"}, "agent.parameters.argv"),
        ({"agent": command("ls -l")}, "agent.parameters.argv"),
        ({"agent": command(["a\0b"])}, "agent.parameters.argv[0]"),
        ({"agent": command(["ls", 1])}, "agent.parameters.argv[1]"),
        ({"agent": command([""])}, "agent.parameters.argv[0]"),
        ({"agent": AgentRequest(type="no such")}, "agent.type"),
        ({"type": "claude", "agent": AgentRequest(type="codex")}, "type"),
        ({"constraints": Constraints(node_id="../x")}, "constraints.node_id"),
        ({"workspace": Workspace(type="git")}, "workspace.git"),
        ({"env": {"A=B": "x"}}, "env.A=B"),
        ({"parent_id": "task-ffffffffffff"}, "parent_id"),
    ],
)
def test_a_task_that_does_not_fit_is_refused_by_name_and_nothing_is_stored(
    keeper: Keeper, request_fields: dict[str, Any], field: str
) -> None:
    before = keeper.read(lambda tx: tx.revision())

    with pytest.raises(RefusedError) as refusal:
        made(keeper, **request_fields)

    assert refusal.value.status == 400
    assert refusal.value.field == field
    assert keeper.read(lambda tx: tx.revision()) == before


def test_a_patch_changes_what_it_names_and_nothing_else(keeper: Keeper) -> None:
    task = made(keeper, labels={"a": "1"}, description="d")

    def work(patch: TaskPatch) -> TaskRow:
        return keeper.write(
            lambda tx: tasks.patch_task(tx, task.id, patch, settings=keeper.settings)
        )

    changed = work(TaskPatch(description=None, priority=3))
    same = work(TaskPatch(priority=3))

    assert (changed.description, changed.priority, changed.labels) == (None, 3, {"a": "1"})
    assert same.revision == changed.revision


def test_a_run_takes_the_tasks_snapshot_and_overrides(keeper: Keeper) -> None:
    task = made(
        keeper,
        agent=AgentRequest(type="command", parameters={"argv": ["ls"]}),
        labels={"a": "1"},
        env={"KEY": "secret"},
    )
    request = RunRequest(
        agent=AgentRequest(type="shell", parameters={"argv": ["pwd"]}),
        labels={"b": "2"},
        priority=7,
    )

    row = keeper.write(lambda tx: runs.create_run(tx, task.id, request, settings=keeper.settings))

    spec = keeper.read(lambda tx: tx.runs.spec(row.id))
    assert spec is not None
    assert (row.status, row.attempt, row.priority) == ("queued", 1, 7)
    assert row.labels == {"a": "1", "b": "2"}
    assert spec.agent.parameters == {"argv": ["pwd"]}
    assert spec.env == {"KEY": "secret"}
    assert row.timeout_s == keeper.settings.default_timeout_s
    assert row.queue_reason_code == "placing"


def test_a_tasks_standing_is_that_of_its_newest_run(keeper: Keeper) -> None:
    row = keeper.queued_run()

    def standing() -> tuple[str, int, int]:
        task = keeper.read(lambda tx: tx.tasks.get(row.task_id))
        assert task is not None
        return (task.status, task.runs_total, task.runs_active)

    assert standing() == ("in_progress", 1, 1)
    cancel(keeper, row.id)
    assert standing() == ("cancelled", 1, 0)


def test_cancelling_in_the_queue_ends_at_once_with_the_servers_event(keeper: Keeper) -> None:
    row = keeper.queued_run()

    after = cancel(keeper, row.id)

    (event,) = keeper.events(row.id)
    assert (after.status, after.source.kind) == ("cancelled", "user")
    assert msgspec.json.decode(event.payload or b"") == {
        "status": "cancelled",
        "by": "server",
        "reason": "user",
    }
    assert (event.level, after.last_seq) == ("warning", 1)


def test_cancelling_a_held_run_only_asks_and_asking_again_changes_nothing(keeper: Keeper) -> None:
    row = running(keeper)

    asked = cancel(keeper, row.id)
    again = cancel(keeper, row.id)

    assert asked.status == "running"
    assert asked.cancel is not None
    assert again.revision == asked.revision


def test_a_finished_run_cannot_be_cancelled_but_a_cancelled_one_stays_so(keeper: Keeper) -> None:
    done = running(keeper)
    patch(keeper, done, status="done")
    queued = keeper.queued_run()
    cancelled = cancel(keeper, queued.id)

    with pytest.raises(RefusedError) as refusal:
        cancel(keeper, done.id)

    assert refusal.value.code == "run_finished"
    assert cancel(keeper, queued.id) == cancelled


def test_a_run_begun_outside_is_only_watched(keeper: Keeper) -> None:
    row = running(keeper, origin="external", lease_kind="external", process_id=None)

    with pytest.raises(RefusedError) as refusal:
        cancel(keeper, row.id)

    assert refusal.value.code == "not_controllable"


def test_a_retry_needs_an_ended_run_and_keeps_its_snapshot(keeper: Keeper) -> None:
    row = keeper.queued_run(prompt=Prompt(content="the first"))

    def retry() -> RunRow:
        return keeper.write(
            lambda tx: runs.retry_run(tx, row.id, RunRequest(), settings=keeper.settings)
        )

    with pytest.raises(RefusedError) as refusal:
        retry()
    cancel(keeper, row.id)
    second = retry()

    spec = keeper.read(lambda tx: tx.runs.spec(second.id))
    assert refusal.value.code == "run_active"
    assert spec is not None
    assert (second.parent_id, second.attempt, spec.prompt) == (row.id, 2, "the first")
    assert keeper.read(lambda tx: tx.runs.retries_of(row.id, limit=5)) == [second.id]


def test_a_closing_patch_writes_the_event_its_holder_did_not(keeper: Keeper) -> None:
    row = running(keeper)

    after = patch(keeper, row, status="failed", exit_code=3, error_message="bad\x1b[0m thing")

    (event,) = keeper.events(row.id)
    assert (after.status, after.exit_code, after.error) == ("failed", 3, "bad thing")
    assert (event.type, event.level) == ("run_completed", "error")
    assert patch(keeper, row, status="failed") == after


@pytest.mark.parametrize(
    ("by", "fields", "code"),
    [
        (node("n2"), {}, "not_your_run"),
        (OPERATOR, {}, "forbidden"),
        (node("n1"), {"epoch": 7}, "lease_lost"),
        (ANY_NODE, {"epoch": None}, "lease_required"),
    ],
)
def test_only_the_holder_closes_a_run(
    keeper: Keeper, by: Any, fields: dict[str, Any], code: str
) -> None:
    row = running(keeper)

    with pytest.raises(RefusedError) as refusal:
        patch(keeper, row, by=by, status="done", **fields)

    assert refusal.value.code == code
    assert keeper.run(row.id) == row


def test_a_terminal_status_never_changes(keeper: Keeper) -> None:
    row = running(keeper)
    patch(keeper, row, status="done")

    with pytest.raises(RefusedError) as refusal:
        patch(keeper, row, status="failed")

    assert refusal.value.code == "invalid_transition"
    assert refusal.value.details == {"from": "done", "to": "failed", "allowed": []}


def test_a_task_with_active_runs_is_deleted_only_by_force(keeper: Keeper) -> None:
    row = running(keeper)

    def delete(*, force: bool) -> None:
        keeper.write(
            lambda tx: tasks.delete_task(tx, row.task_id, force=force, settings=keeper.settings)
        )

    with pytest.raises(RefusedError) as refusal:
        delete(force=False)
    delete(force=True)

    node_row = keeper.read(lambda tx: tx.nodes.get("n1"))
    assert refusal.value.details == {"run_ids": [row.id]}
    assert keeper.read(lambda tx: tx.runs.get(row.id)) is None
    assert keeper.events(row.id) == []
    assert node_row is not None
    assert node_row.allocated == 0
