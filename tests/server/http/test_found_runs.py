"""A session that a node found, over HTTP: who may report it, and what is answered."""

from typing import Any

from tests.server.http.house import House, event

PATH = "/api/v1/nodes/node-1/runs"
SESSION: dict[str, Any] = {
    "external_id": "openai-codex:01a2",
    "name": "squares",
    "agent_type": "openai-codex",
    "process_id": "p1",
    "started_at": "2026-11-23T10:00:00Z",
    "labels": {"source": "session"},
    "cwd": "/home/user/demo",
}


async def test_a_found_session_is_a_run_that_cannot_be_cancelled(house: House) -> None:
    await house.beat("node-1")
    made = await house.send("POST", PATH, who="node-1", body=SESSION)
    assert made.status_code == 201, made.text
    run = made.json()["run"]
    assert (run["origin"], run["controllable"], run["status"]) == ("found", False, "running")
    assert run["snapshot"]["workspace"] == {"type": "local", "local": {"path": "/home/user/demo"}}
    assert made.json()["next_seq"] == 1
    again = await house.send("POST", PATH, who="node-1", body=SESSION)
    assert again.status_code == 200
    assert again.json()["run"]["id"] == run["id"]
    cancel = await house.send("POST", f"/api/v1/runs/{run['id']}/cancel")
    assert (cancel.status_code, cancel.json()["code"]) == (409, "not_controllable")


async def test_its_events_are_taken_and_the_monitor_shows_it(house: House) -> None:
    await house.beat("node-1")
    answer = await house.make(PATH, SESSION, who="node")
    batch = {"epoch": answer["lease"]["epoch"], "events": [event(1, role="user", content="hi")]}
    sent = await house.send(
        "POST", f"/api/v1/runs/{answer['run']['id']}/events", who="node-1", body=batch
    )
    assert sent.status_code == 201, sent.text
    listed = await house.get("/api/v1/monitor/workflows", label="source:session")
    assert [row["event_count"] for row in listed["workflows"]] == [1]
    assert "queue_wait_ms" not in listed["workflows"][0]


async def test_only_a_nodes_credential_reports_sessions(house: House) -> None:
    await house.beat("node-1")
    for who in ("viewer", "operator"):
        refused = await house.send("POST", PATH, who=who, body=SESSION)
        assert refused.status_code == 403, who
    other = await house.send("POST", "/api/v1/nodes/node-2/runs", who="node-1", body=SESSION)
    assert (other.status_code, other.json()["code"]) == (403, "not_your_node")
    unknown = await house.send("POST", "/api/v1/nodes/node-2/runs", who="node", body=SESSION)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
