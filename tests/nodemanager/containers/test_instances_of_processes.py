"""Instances with a server and a node that are processes, each killed as it is at work."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.runtimes.container_body import instance_name
from tests.nodemanager.conftest import end_supervised
from tests.nodemanager.containers.conftest import rules_of
from tests.nodemanager.containers.keep import DATABASES, long_only
from tests.nodemanager.containers.podman import Podman
from tests.processes import NodeProcess, ServerProcess, wait_until

pytestmark = [pytest.mark.timeout(300), long_only]

LIMIT_S = 90.0
LINES = 300
SCRIPT = (
    f"i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; sleep 0.02; done;"
    "while [ ! -e go ]; do sleep 0.05; done"
)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres_cluster").database()
    return url


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[None]:
    yield
    end_supervised(tmp_path)


def becomes(server: ServerProcess, instance_id: str, status: str) -> Any:
    def arrived() -> Any:
        row = server.get(f"/api/v1/agents/{instance_id}")
        return row if row["status"] == status else None

    return wait_until(arrived, f"{instance_id} to be {status}", LIMIT_S)


def printed(server: ServerProcess, run_id: str) -> list[str]:
    told = [e["payload"] for e in server.events(run_id) if e["type"] == "command_output"]
    return [line for one in told for line in one.get("stdout", "").splitlines()]


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_neither_a_killed_server_nor_a_killed_node_loses_an_instance_or_a_line(
    database: str | None, engine: Podman, tmp_path: Path
) -> None:
    with ServerProcess(tmp_path, database=database) as server:
        node = NodeProcess(server)
        node.environment["RUNWATCH_RUNTIMES"] = "podman"
        node.environment["RUNWATCH_CONTAINERS"] = json.dumps(rules_of(engine))
        with node:
            server.post("/api/v1/accounts", {"name": "ada", "agent_type": "claude-code"})
            wanted = {"account_id": "claude-code_ada", "node_id": "n1"}
            instance_id = server.post("/api/v1/agents", wanted)["id"]
            node.kill()
            node.start()
            becomes(server, instance_id, "running")
            agent = {
                "type": "command",
                "instance_id": instance_id,
                "parameters": {"argv": ["sh", "-c", SCRIPT]},
            }
            task = server.post("/api/v1/tasks", {"name": "t", "agent": agent})
            run_id = server.post(f"/api/v1/tasks/{task['id']}/runs")["id"]
            wait_until(lambda: printed(server, run_id), "the first line", LIMIT_S)
            node.kill()
            server.kill()
            server.start()
            node.start()
            wait_until(lambda: f"line {LINES}" in printed(server, run_id), "the last line", LIMIT_S)
            (place,) = (tmp_path / "node" / "n1" / "instances").glob(f"*/workspaces/{run_id}")
            (place / "go").touch()
            assert server.wait_for_run(run_id, "done", "failed", limit_s=LIMIT_S)["status"] == (
                "done"
            )
            assert printed(server, run_id) == [f"line {n}" for n in range(1, LINES + 1)]
            assert engine.containers() == [instance_name(instance_id)]
            server.post(f"/api/v1/agents/{instance_id}/stop")
            server.kill()
            server.start()
            becomes(server, instance_id, "stopped")
            status, answer = server.request("DELETE", f"/api/v1/agents/{instance_id}")
            assert (status, "message" in answer) == (200, True)
            wait_until(lambda: not engine.containers(), "the container to go", LIMIT_S)
