"""A server under a flood of reads, writes and events: nodes keep their leases.

Whoever floods is told to come back; heartbeats are answered, every one.
"""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.processes import ServerProcess

BEATS = 40
FLOODERS = 30
EVENTS = 200


def beat(*runs: dict[str, Any]) -> bytes:
    return json.dumps(
        {
            "node_id": "n1",
            "process_id": "p1",
            "started_at": "2026-11-23T10:00:00Z",
            "capacity": {"max_concurrent": 4},
            "runs": runs,
        }
    ).encode()


def batch() -> bytes:
    at = "2026-11-23T10:31:22Z"
    events = [
        {"seq": n, "type": "message", "timestamp": at, "payload": {"content": "x" * 200}}
        for n in range(1, EVENTS + 1)
    ]
    return json.dumps({"events": events}).encode()


async def flood(client: httpx.AsyncClient, over: asyncio.Event, codes: "Counter[int]") -> None:
    """Reads, new runs and batches of events, one after another without a pause."""
    made: Any = None
    while not over.is_set():
        answers = [await client.get("/api/v1/monitor/workflows", params={"limit": 200})]
        task = {
            "name": "flood",
            "agent": {"type": "command", "parameters": {"argv": ["true"]}},
            "constraints": {"node_id": "nobody"},
        }
        answers.append(await client.post("/api/v1/tasks", json=task))
        if answers[-1].status_code == 201 and made is None:
            answers.append(await client.post(f"/api/v1/tasks/{answers[-1].json()['id']}/runs"))
            made = answers[-1].json() if answers[-1].status_code == 201 else None
        if made is not None:
            path = f"/api/v1/runs/{made['id']}/events"
            answers.append(
                await client.post(
                    path, content=batch(), headers={"Content-Type": "application/json"}
                )
            )
        codes.update(answer.status_code for answer in answers)


async def held_run(client: httpx.AsyncClient, node: httpx.AsyncClient) -> tuple[str, int]:
    """A run this test claims as a node."""
    first = await node.post("/api/v1/nodes/heartbeat", content=beat())
    assert first.status_code == 200, first.text
    task = {"name": "held", "agent": {"type": "command", "parameters": {"argv": ["true"]}}}
    made = (await client.post("/api/v1/tasks", json=task)).json()
    run_id = (await client.post(f"/api/v1/tasks/{made['id']}/runs")).json()["id"]
    await node.get("/api/v1/nodes/n1/runs", params={"status": "assigned", "wait": 20})
    claim = await node.post(
        f"/api/v1/runs/{run_id}/claim", json={"node_id": "n1", "process_id": "p1"}
    )
    assert claim.status_code == 200, claim.text
    return run_id, claim.json()["lease"]["epoch"]


def client_of(server: ServerProcess, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url,
        verify=server.tls(),
        limits=httpx.Limits(max_connections=None),
        timeout=60,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )


async def beat_under_flood(server: ServerProcess) -> None:
    node_token = (server.data_dir / "node-token").read_text().strip()
    async with client_of(server, server.token) as client, client_of(server, node_token) as node:
        run_id, epoch = await held_run(client, node)
        run = {"id": run_id, "epoch": epoch}
        over, codes, beats = asyncio.Event(), Counter[int](), Counter[int]()
        async with asyncio.timeout(100), asyncio.TaskGroup() as tasks:
            for _ in range(FLOODERS):
                tasks.create_task(flood(client, over, codes), name="flooder")
            try:
                for _ in range(BEATS):
                    held = beat({**run, "alive": True, "spooled_seq": 0, "acked_seq": 0})
                    answer = await node.post("/api/v1/nodes/heartbeat", content=held)
                    beats[answer.status_code] += 1
                    leases = answer.json().get("leases", [])
                    assert [lease["run_id"] for lease in leases] == [run_id], answer.text
            finally:
                over.set()
        assert beats == {200: BEATS}
        assert codes[429] > 0, (codes, "no flood")
        assert set(codes) <= {200, 201, 409, 429, 503}, codes


def test_no_heartbeat_is_refused_under_a_flood_that_is(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        asyncio.run(beat_under_flood(server))
