"""Instances over HTTP: their life, who may do what, and what a node that waits is told."""

import asyncio
from typing import Any

import pytest

from runwatch_server.accounts.rows import AccountRow
from runwatch_shared.states import INSTANCE_STATUSES, INSTANCE_TRANSITIONS, SAID_BY_NODE
from runwatch_shared.tasks import TaskOwner
from tests.server.http.house import COMMAND, House

ACCOUNT = "claude-code_ada"
AGENTS = "/api/v1/agents"
MINE = "/api/v1/nodes/node-1/agents"
WAY = ("pending", "creating", "running", "stopping", "stopped")


@pytest.fixture
async def manor(house: House) -> House:
    """With a node and an account."""
    await house.beat()
    await house.services.writer.write(
        lambda tx: tx.kept(AccountRow).save(
            AccountRow(
                id=ACCOUNT,
                name="ada",
                agent_type="claude-code",
                status="authenticated",
                created_us=tx.now_us,
                updated_us=tx.now_us,
            )
        )
    )
    return house


async def made(house: House, **fields: Any) -> Any:
    return await house.make(
        AGENTS, {"account_id": ACCOUNT, "node_id": "node-1", **fields}, who="operator"
    )


async def says(house: House, instance_id: str, status: str, **fields: Any) -> Any:
    return await house.send(
        "PATCH", f"{AGENTS}/{instance_id}", who="node-1", body={"status": status, **fields}
    )


async def does(house: House, method: str, path: str, who: str = "operator") -> Any:
    return await house.send(method, f"{AGENTS}/{path}", who=who)


async def at(house: House, status: str) -> str:
    """An instance in a status."""
    instance_id: str = (await made(house))["id"]
    if status == "error":
        await says(house, instance_id, "error", error="no")
        return instance_id
    for step in WAY[1 : WAY.index(status) + 1]:
        if step == "stopping":
            assert (await does(house, "POST", f"{instance_id}/stop")).status_code == 200
        else:
            assert (await says(house, instance_id, step)).status_code == 200
    return instance_id


async def test_an_instance_goes_its_way_from_pending_to_stopped_and_again(manor: House) -> None:
    instance = await made(manor)
    assert instance["id"].startswith("agent-")
    told = {name: instance[name] for name in ("name", "account_id", "agent_type_id", "node_id")}
    assert told == {
        "name": "ada",
        "account_id": ACCOUNT,
        "agent_type_id": "claude-code",
        "node_id": "node-1",
    }
    assert (instance["status"], instance["container_name"]) == ("pending", None)
    path = instance["id"]
    await says(manor, path, "creating")
    await says(manor, path, "running", container_name="runwatch-x")
    row = await manor.get(f"{AGENTS}/{path}", who="viewer")
    assert (row["status"], row["container_name"]) == ("running", "runwatch-x")
    assert row["revision"] > instance["revision"]
    assert (await does(manor, "POST", f"{path}/stop")).json()["message"]
    await says(manor, path, "stopped")
    assert (await does(manor, "POST", f"{path}/start")).status_code == 200
    assert (await manor.get(f"{AGENTS}/{path}"))["status"] == "pending"


@pytest.mark.parametrize("before", INSTANCE_STATUSES)
async def test_only_the_table_is_gone_and_each_side_goes_its_own_part(
    manor: House, before: str
) -> None:
    for after in INSTANCE_STATUSES:
        instance_id = await at(manor, before)
        answer = await says(manor, instance_id, after)
        may = after == before or after in SAID_BY_NODE & INSTANCE_TRANSITIONS[before]  # type: ignore[index]
        assert answer.status_code == (200 if may else 409), (before, after, answer.text)
        if not may:
            assert answer.json()["code"] == "invalid_transition"
            assert answer.json()["details"]["from"] == before
    for verb, after in (("start", "pending"), ("stop", "stopping")):
        instance_id = await at(manor, before)
        answer = await does(manor, "POST", f"{instance_id}/{verb}")
        may = after in INSTANCE_TRANSITIONS[before]  # type: ignore[index]
        assert answer.status_code == (200 if may else 409), (before, verb)


async def test_what_a_node_says_of_a_status_that_is_over_is_refused(manor: House) -> None:
    instance_id = await at(manor, "running")
    for was, code in (("pending", 409), ("creating", 409), ("running", 200)):
        answer = await says(manor, instance_id, "error", was=was, error="it ended")
        assert answer.status_code == code, was
    assert (await says(manor, instance_id, "error", was="running")).status_code == 409


async def test_an_error_is_kept_until_the_instance_is_started_and_told_text_is_cleaned(
    manor: House,
) -> None:
    instance_id = await at(manor, "creating")
    await says(manor, instance_id, "creating", error="podman does not answer")
    assert (await manor.get(f"{AGENTS}/{instance_id}"))["error"] == "podman does not answer"
    await says(manor, instance_id, "error", error="no \x1b[31mimage\n\u202e")
    row = await manor.get(f"{AGENTS}/{instance_id}")
    assert row["error"] == "no image"
    before = row
    await says(manor, instance_id, "error")
    assert await manor.get(f"{AGENTS}/{instance_id}") == before
    await does(manor, "POST", f"{instance_id}/start")
    row = await manor.get(f"{AGENTS}/{instance_id}")
    assert row["status"] == "pending"
    assert "error" not in row


async def test_lists_are_filtered_and_have_both_names(manor: House) -> None:
    await manor.beat("node-2")
    first = await made(manor)
    manor.clock.advance(1)
    second = await made(manor, node_id="node-2", name="other")
    await says(manor, first["id"], "error")
    agents = await manor.get(AGENTS, who="viewer")
    assert ([row["id"] for row in agents["agents"]], agents["count"]) == (
        [first["id"], second["id"]],
        2,
    )
    assert (await manor.get("/api/v1/instances", who="node"))["instances"][1] == second
    for query, wanted in (
        ({"node_id": "node-2"}, [second]),
        ({"account_id": ACCOUNT, "status": "pending"}, [second]),
        ({"agent_type": "claude", "node_id": "node-2"}, [second]),
        ({"agent_type": "openai-codex"}, []),
        ({"account_id": "claude-code_eve"}, []),
    ):
        assert (await manor.get(AGENTS, **query))["agents"] == wanted
    assert (await manor.send("GET", f"{AGENTS}?status=dead")).json()["code"] == "invalid_value"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing_field", "account_id"),
        ({"account_id": ACCOUNT}, "missing_field", "node_id"),
        ({"account_id": "none", "node_id": "node-1"}, "invalid_field", "account_id"),
        ({"account_id": ACCOUNT, "node_id": "none"}, "invalid_field", "node_id"),
        ({"account_id": ACCOUNT, "node_id": "node-1", "name": " "}, "invalid_field", "name"),
        ({"account_id": ACCOUNT, "node_id": "node-1", "name": "x\x1b"}, "invalid_field", "name"),
        ({"account_id": ACCOUNT, "node_id": "node-1", "name": "x" * 65}, "invalid_field", "name"),
    ],
)
async def test_what_cannot_be_made_is_refused_by_its_field(
    manor: House, body: dict[str, Any], code: str, field: str
) -> None:
    answer = await manor.send("POST", AGENTS, body=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["field"] == field
    assert (await manor.get(AGENTS))["count"] == 0


async def test_each_may_do_only_its_part(manor: House) -> None:
    instance_id = await at(manor, "pending")
    for method, path, who in (
        ("POST", AGENTS, "viewer"),
        ("POST", AGENTS, "node"),
        ("DELETE", f"{AGENTS}/{instance_id}", "node"),
        ("POST", f"/api/v1/instances/{instance_id}/stop", "viewer"),
        ("PATCH", f"{AGENTS}/{instance_id}", "operator"),
        ("GET", MINE, "viewer"),
    ):
        assert (await manor.send(method, path, who=who)).status_code == 403, (method, path, who)
    await manor.beat("node-2")
    other = await made(manor, node_id="node-2")
    answer = await says(manor, other["id"], "creating")
    assert answer.json()["code"] == "not_your_node"
    answer = await manor.send("GET", "/api/v1/nodes/node-2/agents", who="node-1")
    assert answer.json()["code"] == "not_your_node"
    assert (await does(manor, "GET", "agent-000000000000")).json()["details"]["kind"] == "instance"


async def test_one_with_runs_in_it_is_in_use_unless_they_may_be_cancelled(manor: House) -> None:
    instance_id = await at(manor, "running")
    agent = {**COMMAND, "instance_id": instance_id}
    run = await manor.run(agent=agent)
    await manor.services.scheduler.cycle()
    await manor.make(
        f"/api/v1/runs/{run['id']}/claim", {"node_id": "node-1", "process_id": "p1"}, who="node"
    )
    for method, path in (("POST", f"{instance_id}/stop"), ("DELETE", instance_id)):
        answer = await does(manor, method, path)
        assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
        assert answer.json()["details"]["run_ids"] == [run["id"]]
    assert (await does(manor, "POST", f"{instance_id}/stop?force=true")).status_code == 200
    cancel = (await manor.get(f"/api/v1/runs/{run['id']}"))["cancel"]
    assert (cancel["reason"], instance_id in cancel["note"]) == ("user", True)
    assert (await manor.get(f"{AGENTS}/{instance_id}"))["status"] == "stopping"


async def test_a_deleted_one_is_gone_for_all_but_its_node_until_that_has_removed_it(
    manor: House,
) -> None:
    instance_id = await at(manor, "running")
    assert (await does(manor, "DELETE", instance_id)).json()["message"]
    assert (await does(manor, "GET", instance_id)).status_code == 404
    assert (await does(manor, "DELETE", instance_id)).status_code == 404
    assert (await manor.get(AGENTS))["count"] == 0
    assert (await says(manor, instance_id, "running")).status_code == 404
    told = await manor.get(MINE, who="node-1", wait="30")
    assert (told["agents"], told["deleted"]) == ([], [instance_id])
    assert (await says(manor, instance_id, "stopped", removed=True)).status_code == 200
    assert (await manor.get(MINE, who="node-1"))["deleted"] == []
    assert (await says(manor, instance_id, "stopped", removed=True)).status_code == 404


async def test_a_node_with_instances_is_in_use_and_takes_the_deleted_ones_along(
    manor: House,
) -> None:
    instance_id = await at(manor, "stopped")
    answer = await manor.send("DELETE", "/api/v1/nodes/node-1")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert answer.json()["details"]["instance_ids"] == [instance_id]
    await does(manor, "DELETE", instance_id)
    assert (await manor.send("DELETE", "/api/v1/nodes/node-1")).status_code == 204
    assert (await manor.send("GET", MINE)).status_code == 404
    await manor.beat(process_id="p2", started_at="2026-11-23T11:00:00Z")
    assert (await manor.get(MINE))["deleted"] == []


async def test_a_waiting_node_is_told_as_soon_as_there_is_something_to_do(manor: House) -> None:
    running = await at(manor, "running")
    assert (await manor.get(MINE, who="node-1"))["count"] == 0
    assert (await manor.get(MINE, who="node-1", status="all"))["agents"][0]["id"] == running
    async with TaskOwner("test") as owner, asyncio.timeout(20):
        for act, seen in (
            (lambda: does(manor, "POST", f"{running}/stop"), "stopping"),
            (lambda: does(manor, "POST", f"{running}/start"), "pending"),
        ):
            poll = owner.spawn(manor.get(MINE, who="node-1", wait="30"), name="poll")
            while "node-1" not in manor.services.doorbells._of_instances:
                await asyncio.sleep(0)
            assert not poll.done()
            await act()
            told = await poll
            assert [row["status"] for row in told["agents"]] == [seen]
            await says(manor, running, "stopped")


async def test_a_run_waits_for_its_instance_and_goes_to_its_node_when_that_runs(
    manor: House,
) -> None:
    await manor.beat("node-2", capacity={"max_concurrent": 9})
    instance_id = await at(manor, "stopped")
    run = await manor.run(agent={**COMMAND, "instance_id": instance_id})
    stray = await manor.run(agent={**COMMAND, "instance_id": "agent-000000000000"})

    async def reason(run_id: str) -> Any:
        await manor.services.scheduler.cycle()
        return await manor.get(f"/api/v1/monitor/workflows/run/{run_id}")

    row = await reason(run["id"])
    assert row["queue_reason"] == f"instance {instance_id}: stopped"
    assert row["queue_reason_code"] == "instance"
    assert {one["node_id"]: one["text"] for one in row["queue_detail"]} == {
        "node-1": f"instance {instance_id}: stopped",
        "node-2": f"instance {instance_id}: not on this node",
    }
    row = await reason(stray["id"])
    assert row["queue_reason"] == "instance agent-000000000000: not known"
    await does(manor, "POST", f"{instance_id}/start")
    await says(manor, instance_id, "creating")
    assert (await reason(run["id"]))["queue_reason"] == f"instance {instance_id}: creating"
    await says(manor, instance_id, "running")
    row = await reason(run["id"])
    assert (row["status"], row["node_id"]) == ("assigned", "node-1")


async def test_a_run_in_an_instance_has_its_account_and_no_other(manor: House) -> None:
    instance_id = await at(manor, "running")
    agent = {"type": "claude-code", "instance_id": instance_id}
    task = await manor.task(agent=agent, prompt="x")
    run = await manor.make(f"/api/v1/tasks/{task['id']}/runs")
    assert run["snapshot"]["agent"]["account_id"] == ACCOUNT
    row = await manor.get(f"/api/v1/monitor/workflows/run/{run['id']}")
    assert row["account_id"] == ACCOUNT
    await manor.services.scheduler.cycle()
    row = await manor.get(f"/api/v1/monitor/workflows/run/{run['id']}")
    assert row["queue_reason_code"] == "login_missing"
    assert row["queue_reason"] == f"instance {instance_id}: node-1 lacks login for claude-code"
    plain = await manor.run(agent={**COMMAND, "instance_id": instance_id})
    assert "account_id" not in plain["snapshot"]["agent"]
    other = {"agent": {**agent, "account_id": "claude-code_eve"}}
    answer = await manor.send("POST", f"/api/v1/tasks/{task['id']}/runs", body=other)
    assert (answer.status_code, answer.json()["field"]) == (400, "agent.account_id")


async def test_changes_are_logged_with_who_and_from_where(
    manor: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    instance_id = await at(manor, "error")
    await does(manor, "DELETE", instance_id)
    told = [record for record in caplog.records if getattr(record, "tag", "") == "instance"]
    assert [record.levelname for record in told] == ["INFO", "WARNING", "INFO"]
    common = {"id": instance_id, "node_id": "node-1"}
    assert [record.facts for record in told] == [  # type: ignore[attr-defined]  # set by `log`
        {**common, "action": "create", "from_": None, "to": "pending", "by": "operator"},
        {**common, "action": "report", "from_": "pending", "to": "error", "by": "node"},
        {**common, "action": "delete", "from_": "error", "to": "error", "by": "operator"},
    ]


async def test_the_server_says_that_it_has_instances(manor: House) -> None:
    assert "instances" in (await manor.get("/api/v1/server"))["features"]


async def test_instances_are_counted_by_their_status(manor: House) -> None:
    first = await at(manor, "running")
    await at(manor, "running")
    await at(manor, "error")
    await does(manor, "DELETE", first)
    text = await manor.metrics()
    for status, count in (("running", 1), ("error", 1), ("pending", 0)):
        assert f'runwatch_instances{{status="{status}"}} {count}.0' in text
