"""Two servers on one PostgreSQL or MongoDB: any takes any request, both tell the same story."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from websockets.asyncio.client import connect

from runwatch_server.storage.postgres.connection import Connection
from runwatch_shared.wire import EventFrame, RunFrame, StatusFrame
from tests.mongo import MongoServer
from tests.postgres import Cluster
from tests.processes import NodeProcess, ServerProcess, wait_until

CUTS = 8
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
COUNTER = """
import os, time
n = 0
while not os.path.exists({gate!r}):
    print(n, flush=True)
    n += 1
    time.sleep(0.01)
"""


@pytest.fixture(params=["postgres", "mongo"])
def database(request: pytest.FixtureRequest) -> str:
    if request.param == "mongo":
        server: MongoServer = request.getfixturevalue("mongo_server")
        return server.emptied()
    return postgresql(request)


def postgresql(request: pytest.FixtureRequest) -> str:
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    return cluster.database()


@contextlib.contextmanager
def two(folder: Path, database: str) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    first = ServerProcess(folder / "a", database=database)
    second = ServerProcess(folder / "b", database=database)
    with first, second:
        yield first, second


async def read_run(server: ServerProcess, run_id: str, from_seq: int = 0) -> list[int]:
    """The numbers a socket gives until the run ended."""
    decode = msgspec.json.Decoder(RunFrame).decode
    got: list[int] = []
    url = server.url.replace("https:", "wss:") + f"/ws/runs/{run_id}/events?from_seq={from_seq}"
    headers = {"Authorization": f"Bearer {server.token}"}
    async with (
        asyncio.timeout(60),
        connect(url, ssl=server.tls(), proxy=None, additional_headers=headers) as socket,
    ):
        async for message in socket:
            match decode(message):
                case EventFrame(data=data):
                    got.append(data.seq)
                case StatusFrame():
                    break
                case _:
                    pass
    return got


@pytest.mark.timeout(120)
def test_a_run_made_at_one_and_run_at_the_other_is_read_live_at_both(
    tmp_path: Path, database: str
) -> None:
    script = "import time\nfor n in range(300):\n    print(n, flush=True)\n    time.sleep(0.005)"
    with two(tmp_path, database) as (first, second), NodeProcess(second):
        run_id = first.make_run([sys.executable, "-c", script])

        async def both() -> list[list[int]]:
            return list(await asyncio.gather(read_run(first, run_id), read_run(second, run_id)))

        at_first, at_second = asyncio.run(both())
        run = first.wait_for_run(run_id, "done")
        assert at_first == at_second == list(range(1, run["last_seq"] + 1))
        assert second.get(f"/api/v1/runs/{run_id}") == run
        assert first.events(run_id) == second.events(run_id)
        stats = [
            server.get("/api/v1/monitor/stats")["workflows_by_state"] for server in (first, second)
        ]
        assert stats[0] == stats[1]


@pytest.mark.timeout(120)
def test_the_upkeep_goes_to_another_when_its_server_is_killed(
    tmp_path: Path, database: str
) -> None:
    with two(tmp_path, database) as (first, second), NodeProcess(second):
        wait_until(lambda: "has the upkeep" in first.log() + second.log(), "the upkeep", 20)
        assert "has the upkeep" in first.log()
        assert "has the upkeep" not in second.log()
        first.kill()
        run_id = second.make_run(["true"])
        second.wait_for_run(run_id, "done", limit_s=60)
        assert "has the upkeep" in second.log()


def last_seq(server: ServerProcess, run_id: str) -> int:
    """Of a run; -1 while the server says that it cannot reach its store."""
    status, run = server.request("GET", f"/api/v1/runs/{run_id}")
    assert status in {200, 503}, (status, run)
    return int(run["last_seq"]) if status == 200 else -1


@pytest.mark.timeout(180)
def test_servers_whose_connections_are_cut_again_and_again_miss_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database = postgresql(request)
    gate = tmp_path / "gate"
    script = COUNTER.format(gate=str(gate))
    with two(tmp_path, database) as (first, second), NodeProcess(second):
        run_id = first.make_run([sys.executable, "-c", script])
        for _ in range(CUTS):
            seen = max(0, last_seq(first, run_id))
            wait_until(lambda: last_seq(first, run_id) > seen, "the run to go on", 30)  # noqa: B023
            with contextlib.closing(Connection.open(database)) as connection:
                connection.command(CUT)
        gate.touch()
        wait_until(lambda: last_seq(second, run_id) > 0, "the store", 30)
        run = second.wait_for_run(run_id, "done", limit_s=60)
        wait_until(lambda: last_seq(first, run_id) == run["last_seq"], "the other server", 30)
        for server in (first, second):
            events = server.events(run_id)
            assert [event["seq"] for event in events] == list(range(1, run["last_seq"] + 1))
            printed = [e["payload"]["stdout"] for e in events if "stdout" in e["payload"]]
            assert printed == [str(n) for n in range(len(printed))]
        assert asyncio.run(read_run(first, run_id)) == asyncio.run(read_run(second, run_id))
