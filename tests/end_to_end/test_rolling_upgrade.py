"""From the previous version to this one, server by server on one PostgreSQL, under load.

The previous version is the newest tag ``v…`` behind this commit; without tags the commit that
``previous_version`` names. Its source is taken from the repository's history.
"""

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from runwatch_server.storage.postgres.connection import Connection
from tests.end_to_end.test_balanced import LIMIT_S, Asking, _answers, haproxy
from tests.postgres import Cluster
from tests.processes import BIN, NodeProcess, ServerProcess, free_port, wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
TIERS: Final = ("shared", "server", "nodemanager")
COUNTER: Final = """
import os, time
n = 0
while not os.path.exists({gate!r}):
    print(n, flush=True)
    n += 1
    time.sleep(0.02)
"""


def git(*arguments: str) -> bytes | None:
    told = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, check=False, timeout=60
    )
    return told.stdout if told.returncode == 0 else None


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the previous version."""
    tag = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^")
    named = (Path(__file__).parent / "previous_version").read_text().strip()
    commit = tag.decode().strip() if tag else named
    archive = git("archive", "--format=tar", commit, *TIERS, "deployments/migrations")
    if archive is None:
        pytest.skip(f"the history does not reach back to {commit}")
    folder = tmp_path_factory.mktemp("previous")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True, timeout=60)
    return folder


def with_old(environment: dict[str, str], source: Path) -> dict[str, str]:
    paths = os.pathsep.join(str(source / tier) for tier in TIERS)
    return environment | {"PYTHONPATH": paths}


def run_old(source: Path, environment: dict[str, str], code: str, *arguments: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=with_old(environment, source),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def as_old(process: Any, module: str, source: Path) -> list[str]:
    """Make a process of ours one of the previous version; its command as it is now."""
    now: list[str] = process.command
    process.command = [sys.executable, "-c", f"from {module} import main; main()", *now[1:]]
    process.environment = with_old(process.environment, source)
    return now


@pytest.mark.timeout(240)
def test_servers_are_upgraded_one_by_one_under_load_and_no_request_fails_twice(
    tmp_path: Path, postgres_cluster: Cluster, previous: Path
) -> None:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    with closing(Connection.open(postgres_cluster.url("postgres"))) as connection:
        connection.command("CREATE DATABASE upgraded")
    database = postgres_cluster.url("upgraded")
    servers = (
        ServerProcess(tmp_path / "a", database=database),
        ServerProcess(tmp_path / "b", database=database),
    )
    commands = [as_old(server, "runwatch_server.cli", previous) for server in servers]
    environment = servers[0].environment
    where = run_old(previous, environment, "import runwatch_server as r; print(r.__file__)")
    assert where.startswith(str(previous)), "what is called old is old"
    migrate = "from runwatch_server.cli import main; main()"
    run_old(previous, environment, migrate, "migrate")

    gate, port = tmp_path / "gate", free_port()
    with servers[0], servers[1]:
        node = NodeProcess(servers[0], "--capacity", "1")
        as_old(node, "runwatch_nodemanager.cli", previous)
        agent = {"type": "command", "parameters": {"argv": ["true"]}}
        task = servers[0].post("/api/v1/tasks", {"name": "t", "agent": agent})
        trusted = servers[0].tls()
        with node, haproxy(tmp_path, port, servers):
            wait_until(lambda: _answers(port, trusted), "haproxy", LIMIT_S)
            long = servers[0].make_run([sys.executable, "-c", COUNTER.format(gate=str(gate))])
            servers[0].wait_for_run(long, "running")
            url = f"https://localhost:{port}/api/v1"
            with Asking(url, trusted, servers[0].token, task["id"]) as asking:
                now = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
                steps = subprocess.run(
                    [str(BIN / "monitor-server"), "migrate"],
                    env=now,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert steps.returncode == 0, steps.stderr
                for server, command in zip(servers, commands, strict=True):
                    before = asking.made
                    wait_until(lambda: asking.made > before + 5, "requests", LIMIT_S)  # noqa: B023
                    server.stop()
                    server.command = command
                    server.environment.pop("PYTHONPATH")
                    server.start()
                before = asking.made
                wait_until(lambda: asking.made > before + 5, "requests", LIMIT_S)
            gate.touch()
            ended = servers[1].wait_for_run(long, "done", limit_s=60)
            events = servers[1].events(long)
        made = servers[1].get(f"/api/v1/tasks/{task['id']}")["runs"]["total"]
    assert asking.failed == []
    assert made == asking.made
    assert [event["seq"] for event in events] == list(range(1, ended["last_seq"] + 1))
