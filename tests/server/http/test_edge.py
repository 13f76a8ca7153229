"""What every answer has, and what is not built yet (contract 1.1, 3 and 15)."""

import dataclasses
import logging
import re
from typing import Any

import httpx
import pytest

from runwatch_server.api.health import FEATURES
from runwatch_server.app import build_app
from runwatch_server.vault import Vault
from runwatch_shared.wire import PROTOCOL
from tests.server.http.house import BASE, House, open_house


async def test_every_answer_carries_an_id_of_its_request(house: House) -> None:
    for path in ("/health", "/nowhere", "/api/v1/tasks"):
        answer = await house.send("GET", path, headers={"X-Request-ID": "mine-1.2_3"})
        assert answer.headers["x-request-id"] == "mine-1.2_3"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers
        assert answer.headers.get("cache-control") == (
            "no-store" if path.startswith("/api") else None
        )
    for unfit in ("a b", "x" * 65, "a\x1bb", ""):
        answer = await house.send("GET", "/health", headers={"X-Request-ID": unfit})
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])


async def test_a_refusals_log_line_has_the_requests_id_and_no_secret(
    caplog: pytest.LogCaptureFixture, house: House
) -> None:
    from runwatch_shared.logs import TextFormatter

    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(TextFormatter("server").format(record))

    handler = Keep()
    logging.getLogger("runwatch_server").addHandler(handler)
    caplog.set_level(logging.DEBUG)
    try:
        secret = "runwatch_admin_secret"
        headers = {"Authorization": f"Bearer {secret}", "X-Request-ID": "req-7"}
        await house.send("GET", f"/api/v1/tasks?q={secret}", who=None, headers=headers)
    finally:
        logging.getLogger("runwatch_server").removeHandler(handler)
    assert any("[auth]" in line and "request_id=req-7" in line for line in lines)
    assert not any(secret in line for line in lines)


async def test_head_answers_as_get_does_without_the_body(house: House) -> None:
    for path in ("/health", "/api/v1/tasks", "/nowhere"):
        get, head = await house.send("GET", path), await house.send("HEAD", path)
        assert head.status_code == get.status_code
        assert head.content == b""
        assert head.headers["content-length"] == str(len(get.content))


async def test_a_defect_is_told_by_the_requests_id_alone(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(now_us: int) -> Any:
        raise ZeroDivisionError("a secret of ours")

    monkeypatch.setattr(house.services.projection, "stats", broken)
    answer = await house.send("GET", "/api/v1/monitor/stats")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "ZeroDivisionError" in caplog.text
    assert 'runwatch_requests_rejected_total{code="internal"} 1.0' in await house.metrics()


async def test_health_says_only_that_the_process_serves(house: House) -> None:
    for path in ("/health", "/livez"):
        answer = await house.send("GET", path, who=None)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readiness_fails_once_the_server_stops(house: House) -> None:
    answer = await house.send("GET", "/readyz", who=None)
    assert answer.status_code == 200
    checks = answer.json()["checks"]
    assert list(checks) == ["store", "migrations", "writer_queue", "stopping"]
    assert all(check["status"] == "ok" and check["age_ms"] >= 0 for check in checks.values())
    house.services.readiness.stop()
    answer = await house.send("GET", "/readyz", who=None)
    assert answer.status_code == 503
    assert answer.json()["checks"]["stopping"]["status"] == "fail"
    assert (await house.send("GET", "/health", who=None)).status_code == 200


async def test_the_server_says_what_it_is_and_who_asks(local_house: House) -> None:
    info = await local_house.get("/api/v1/server", who=None)
    assert info["auth"] == {"mode": "local", "scope": "viewer"}
    assert (info["protocol"], info["features"]) == (PROTOCOL, FEATURES)
    assert info["limits"]["body_bytes"] == 1024 * 1024
    assert info["lease"] == {
        "ttl_s": 45,
        "claim_s": 30,
        "lost_after_s": 86400,
        "cancel_grace_s": 60,
    }
    info = await local_house.get("/api/v1/server", who="operator")
    assert info["auth"] == {"mode": "local", "scope": "operator", "name": "operator"}


async def test_a_node_learns_before_it_trusts_that_there_is_no_own_authority(house: House) -> None:
    answer = await house.send("GET", "/api/v1/node-bootstrap", who=None)
    assert answer.json() == {"tls": {"enabled": False}, "protocol": 1, "heartbeat_interval_s": 10}
    answer = await house.send("GET", "/ca.pem", who=None)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


LATER = {
    "terminal-sessions": {"sessions": [], "count": 0},
    "terminals": {"sessions": [], "count": 0},
    "terminal/session": {"sessions": [], "count": 0},
    "nodes/n/terminal-sessions": {"sessions": [], "count": 0},
    "node-provisions": {"provisions": [], "count": 0},
    "task-templates": {"templates": [], "count": 0},
    "agent-templates": {"templates": [], "count": 0},
    "skills": {"skills": [], "count": 0},
    "mcp-servers": {"mcp_servers": [], "count": 0},
    "security-policies": {"policies": [], "count": 0},
}


async def test_what_comes_later_answers_empty_lists_and_501(house: House) -> None:
    for path, body in LATER.items():
        assert await house.get(f"/api/v1/{path}", who="viewer") == body
        for method in ("POST", "DELETE", "PUT"):
            answer = await house.send(method, f"/api/v1/{path}", who="operator")
            assert (answer.status_code, answer.json()["code"]) == (501, "not_implemented")
            answer = await house.send(method, f"/api/v1/{path}", who="viewer")
            assert answer.status_code == 403
        answer = await house.send("GET", f"/api/v1/{path}/one", who="viewer")
        assert answer.status_code == 501
    run = await house.run()
    for name in ("approvals", "feedbacks", "interventions", "confirmations"):
        body = {name: [], "count": 0}
        assert await house.get(f"/api/v1/runs/{run['id']}/{name}", who="viewer") == body
    pending = await house.get(f"/api/v1/runs/{run['id']}/hitl/pending", who="viewer")
    assert pending == {"approvals": [], "confirmations": [], "total": 0}
    for method, path in (("GET", "config"), ("PUT", f"tasks/{run['task_id']}/context")):
        assert (await house.send(method, f"/api/v1/{path}")).status_code == 501


async def test_a_whole_run_is_made_claimed_reported_and_read(house: House) -> None:
    run_id, epoch = await house.held_run()
    path = f"/api/v1/runs/{run_id}"
    batch = {
        "epoch": epoch,
        "events": [
            {"seq": 1, "type": "run_started", "timestamp": "2026-11-23T10:31:22Z", "payload": {}},
            {
                "seq": 2,
                "type": "run_completed",
                "timestamp": "2026-11-23T10:31:23+01:00",
                "payload": {"status": "done", "exit_code": 0},
            },
        ],
    }
    first = await house.send("POST", f"{path}/events", who="node", body=batch)
    assert (first.status_code, first.json()["created"], first.json()["status"]) == (201, 2, "done")
    again = await house.send("POST", f"{path}/events", who="node", body=batch)
    assert (again.status_code, again.json()["duplicates"]) == (200, 2)
    run = await house.get(path)
    assert (run["status"], run["exit_code"], run["event_count"]) == ("done", 0, 2)
    detail = await house.get(f"/api/v1/monitor/workflows/run/{run_id}")
    assert (detail["state"], detail["progress"]) == ("completed", 100)
    stats = await house.get("/api/v1/monitor/stats")
    assert (stats["total_runs"], stats["completed_today"]) == (1, 1)
    history = await house.get("/api/v1/monitor/stats/history", minutes=5)
    assert len(history["series"]["events"]) == 5
    answer = await house.send("POST", f"{path}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "run_finished")


async def test_values_of_env_are_shown_to_the_node_that_executes_alone() -> None:
    async with open_house() as house:
        await house.beat()
        run = await house.run(env={"SECRET": "s3cret"})
        await house.services.scheduler.cycle()
        assert run["snapshot"]["env"] == {"SECRET": "***"}
        listed = await house.get("/api/v1/nodes/node-1/runs", who="node-1")
        assert listed["runs"][0]["snapshot"]["env"] == {"SECRET": "s3cret"}
        listed = await house.get("/api/v1/nodes/node-1/runs", who="viewer")
        assert listed["runs"][0]["snapshot"]["env"] == {"SECRET": "***"}
        claim = await house.make(
            f"/api/v1/runs/{run['id']}/claim",
            {"node_id": "node-1", "process_id": "p1"},
            who="node",
        )
        assert claim["run"]["snapshot"]["env"] == {"SECRET": "s3cret"}
        for path in (f"/api/v1/runs/{run['id']}", f"/api/v1/tasks/{run['task_id']}"):
            assert "s3cret" not in (await house.send("GET", path)).text
        with house.store.read() as tx:
            spec, task = tx.runs.spec(run["id"]), tx.tasks.get(run["task_id"])
            assert "s3cret" not in repr((spec, task))


async def test_a_run_whose_variables_cannot_be_read_is_not_given_away_without_them() -> None:
    async with open_house() as house:
        await house.beat()
        run = await house.run(env={"SECRET": "s3cret"})
        await house.services.scheduler.cycle()
        other = dataclasses.replace(house.services, vault=Vault("another key" * 6))
        app = build_app(other)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE)
        async with client:
            listed = await client.get("/api/v1/nodes/node-1/runs", headers=house.headers("node-1"))
            assert listed.json()["runs"][0]["snapshot"]["env"] == {"SECRET": "***"}
            claim = await client.post(
                f"/api/v1/runs/{run['id']}/claim",
                json={"node_id": "node-1", "process_id": "p1"},
                headers=house.headers("node"),
            )
        assert (claim.status_code, claim.json()["code"]) == (503, "store_unavailable")
        assert (await house.get(f"/api/v1/runs/{run['id']}"))["status"] == "assigned"
