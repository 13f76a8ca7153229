"""Clients of agents-admin work against this server (contract 17)."""

from typing import Any

from tests.server.http.house import COMMAND, House, Unchanged, event


class OlderNode:
    """The Go node manager: no claim, no epoch, no wait, its token in a header of its own."""

    def __init__(self, house: House, node_id: str = "go-1") -> None:
        self.house = house
        self.node_id = node_id

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        return await self.house.send(
            method,
            path,
            who=None,
            body=body,
            headers={"X-Node-Token": self.house.tokens["node"]},
        )

    async def beat(self, *running: str) -> Any:
        body = {
            "node_id": self.node_id,
            "status": "online",
            "labels": {},
            "capacity": {"max_concurrent": 2, "available": 2},
            "running_runs": list(running),
        }
        answer = await self.send("POST", "/api/v1/nodes/heartbeat", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def runs(self) -> list[Any]:
        answer = await self.send("GET", f"/api/v1/nodes/{self.node_id}/runs")
        assert answer.status_code == 200
        found: list[Any] = answer.json()["runs"]
        return found


async def test_a_task_in_the_older_spelling_is_taken(house: House) -> None:
    spec = {"prompt": "do it", "agent": {"type": "claude"}}
    task = await house.make("/api/v1/tasks", {"name": "old", "spec": spec})
    assert (task["type"], task["prompt"]["content"]) == ("claude-code", "do it")


async def test_an_unknown_node_has_no_runs_and_that_is_no_error(house: House) -> None:
    assert await OlderNode(house, "never-seen").runs() == []


async def test_the_older_node_runs_a_task_without_claim_and_epoch(house: House) -> None:
    node = OlderNode(house)
    await node.beat()
    task = await house.task()
    run = await house.make(f"/api/v1/tasks/{task['id']}/runs")
    await house.services.scheduler.cycle()
    assert [each["id"] for each in await node.runs()] == [run["id"]]
    await node.beat(run["id"])
    path = f"/api/v1/runs/{run['id']}"
    assert (await house.get(path))["lease"]["kind"] == "implicit"
    first = await node.send("POST", f"{path}/events", {"events": [event(1, "run_started")]})
    assert first.status_code == 201
    again = await node.send("POST", f"{path}/events", {"events": [event(1, content="other")]})
    assert (again.status_code, again.json()["code"]) == (409, "seq_conflict")
    result = await node.send(
        "POST", f"{path}/events", {"events": [event(2, "run_completed", result="x")]}
    )
    assert (result.status_code, result.json()["status"]) == (201, "running")
    closing = await node.send("PATCH", path, {"status": "done", "exit_code": 0})
    assert (closing.status_code, closing.json()["status"]) == (200, "done")
    same = await node.send("PATCH", path, {"status": "done"})
    assert same.status_code == 200


async def test_the_older_node_is_told_what_it_lost_among_what_it_must_cancel(house: House) -> None:
    node = OlderNode(house)
    answer = await node.beat("run-000000000000")
    assert answer["directives"]["cancel_runs"] == ["run-000000000000"]
    assert answer["directives"]["lost_runs"] == ["run-000000000000"]


async def test_events_of_an_administrator_make_a_queued_run_external(house: House) -> None:
    run = await house.run()
    path = f"/api/v1/runs/{run['id']}"
    answer = await house.send("POST", f"{path}/events", body={"events": [event(1)]})
    assert (answer.status_code, answer.json()["status"]) == (201, "running")
    shown = await house.get(path)
    assert (shown["origin"], shown["controllable"]) == ("external", False)
    async with Unchanged(house):
        answer = await house.send("POST", f"{path}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_controllable")
    answer = await house.send("PATCH", path, who="operator", body={"status": "failed"})
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")


async def test_a_queued_run_is_cancelled_at_once_and_again_is_no_error(house: House) -> None:
    run = await house.run()
    for _ in range(2):
        answer = await house.make(f"/api/v1/runs/{run['id']}/cancel", {"note": "not needed"})
        assert (answer["status"], answer["cancelling"]) == ("cancelled", False)


async def test_a_node_is_set_online_and_its_set_labels_survive_its_beats(house: House) -> None:
    await house.beat("n1", labels={"a": "1", "b": "2"})
    path = "/api/v1/nodes/n1"
    for body, status in (
        ({"status": "maintenance"}, "maintenance"),
        ({"status": "online", "labels": {"a": None, "c": "3"}}, "online"),
    ):
        answer = await house.send("PATCH", path, body=body)
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    await house.beat("n1", labels={"a": "1", "b": "2"})
    assert (await house.get(path))["labels"] == {"b": "2", "c": "3"}


async def test_a_node_with_active_runs_is_not_deleted(house: House) -> None:
    run_id, _ = await house.held_run("n1")
    answer = await house.send("DELETE", "/api/v1/nodes/n1")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert answer.json()["details"]["run_ids"] == [run_id]


async def test_a_task_is_deleted_by_force_in_the_query_or_the_body(house: House) -> None:
    for path, body in (("?force=true", None), ("", {"force": True})):
        run = await house.run(agent=COMMAND)
        task = f"/api/v1/tasks/{run['task_id']}"
        async with Unchanged(house):
            answer = await house.send("DELETE", task)
            assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
        answer = await house.send("DELETE", f"{task}{path}", body=body)
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await house.send("GET", f"/api/v1/runs/{run['id']}")).status_code == 404
