"""Logins over real servers and a scripted node: killed at each phase, and two on one database.

Nothing of a key, of what a person gave, or of stored login files is in any file, log, metric or
socket. RUNWATCH_TEST_LOGIN_KILLS says at how many phases the server is killed.
"""

import asyncio
import gzip
import io
import json
import os
import secrets
import tarfile
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests import canaries
from tests.end_to_end.test_canaries import Listener, kept, text_of
from tests.postgres import Cluster
from tests.processes import ServerProcess, wait_until

KILLS = int(os.environ.get("RUNWATCH_TEST_LOGIN_KILLS", "3"))
NODE = "n1"
LIMIT_S = 30.0
OPEN = "assigned,running,waiting"


class ScriptedNode:
    """A node as the contract has it, without an agent."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server

    def request(self, method: str, path: str, body: object = None) -> Any:
        token = (self.server.data_dir / "node-token").read_text().strip()
        status, answer = self.server.request(method, f"/api/v1{path}", body, token=token)
        assert status == 200, (path, status, answer)
        return answer

    def beat(self) -> None:
        beat = {
            "node_id": NODE,
            "process_id": "p1",
            "started_at": "2026-11-23T10:00:00Z",
            "capacity": {"max_concurrent": 1},
            "agents": [],
        }
        self.request("POST", "/nodes/heartbeat", beat)

    def tell(self, action_id: str, status: str, **told: Any) -> Any:
        return self.request("PATCH", f"/actions/{action_id}", {"status": status, **told})

    def actions(self, status: str = OPEN, wait: int = 0) -> list[Any]:
        path = f"/nodes/{NODE}/actions?status={status}&wait={wait}"
        return list(self.request("GET", path)["actions"])


def begin(server: ServerProcess, key: str | None = None) -> Any:
    config = {"name": "ada", "agent_type": "claude-code"}
    body: dict[str, Any] = {"type": "oauth", "config": config, "node_id": NODE}
    if key is not None:
        body = {**body, "type": "api_key", "config": {**config, "api_key": key}}
    return server.post("/api/v1/operations", body)


def give(server: ServerProcess, action_id: str, text: str) -> None:
    status, _ = server.request("POST", f"/api/v1/actions/{action_id}/input", {"text": text})
    assert status == 202


def row(server: ServerProcess, action_id: str) -> Any:
    return server.get(f"/api/v1/monitor/workflows/auth/{action_id}")


def archive(secret: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        data = secret.encode() + secrets.token_bytes(300_000)
        info = tarfile.TarInfo(".claude/.credentials.json")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return gzip.compress(made.getvalue(), 1)


def volume(server: ServerProcess, data: bytes | None = None) -> bytes:
    """Store login files, or read them."""
    request = urllib.request.Request(
        f"{server.url}/api/v1/accounts/claude-code_ada/volume-archive",
        method="GET" if data is None else "PUT",
        data=data,
        headers={
            "X-Node-Token": (server.data_dir / "node-token").read_text().strip(),
            "Content-Type": "application/gzip",
        },
    )
    with urllib.request.urlopen(request, timeout=20, context=server.tls()) as answer:
        found: bytes = answer.read()
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    return cluster.database()


@pytest.mark.timeout(180)
def test_a_server_killed_at_each_phase_goes_on_with_the_login_and_tells_no_secret(
    tmp_path: Path, database: str | None
) -> None:
    key, text, file = (f"{canaries.CANARY}{secrets.token_urlsafe(12)}" for _ in range(3))
    server = ServerProcess(tmp_path / "data", "--log-level", "debug", database=database)
    node = ScriptedNode(server)
    kills = iter(range(KILLS))
    said: dict[str, bytes] = {}

    def killed() -> None:
        if next(kills, None) is not None:
            server.kill()
            server.start()

    with server:
        node.beat()
        with Listener(server, "/ws/monitor?mode=delta") as monitor:
            by_key = begin(server, key)["action_id"]
            wait_until(lambda: by_key.encode() in monitor.said, "the login's row", LIMIT_S)
        said["monitor socket"] = monitor.said
        killed()
        (action,) = node.actions()
        assert action["operation"]["config"]["api_key"] == key
        node.tell(by_key, "running", phase="saving_credentials")
        node.tell(by_key, "success")
        assert node.actions() == []
        action_id = begin(server)["action_id"]
        result = {"verify_url": "https://a.example/x", "input_prompt": "Code?"}
        node.tell(action_id, "waiting", phase="waiting_oauth", result=result)
        give(server, action_id, text)
        killed()
        waiting = row(server, action_id)
        assert (waiting["state"], waiting["metadata"]["phase"]) == ("waiting", "waiting_oauth")
        (action,) = node.actions("assigned", wait=5)
        assert (action["id"], action["input"]) == (action_id, text)
        assert "input" not in node.actions()[0]
        killed()
        assert "input" not in node.actions()[0]
        node.tell(action_id, "running", phase="verifying_credentials")
        killed()
        assert row(server, action_id)["metadata"]["phase"] == "verifying_credentials"
        node.tell(action_id, "success")
        killed()
        node.tell(action_id, "success")  # its answer was lost
        volume(server, archive(file))
        killed()
        assert volume(server)
        account = server.get("/api/v1/accounts/claude-code_ada")
        assert (account["status"], account["nodes"]) == ("authenticated", [NODE])
        logins = server.get("/api/v1/monitor/workflows?type=auth")["workflows"]
        assert {login["state"] for login in logins} == {"completed"}
        assert [event["seq"] for event in row(server, action_id)["events"]] == [1, 2, 3, 4]
        said["metrics"] = text_of(f"{server.url}/metrics", server)
        said["answers"] = json.dumps(
            [logins, account, server.get("/api/v1/operations"), row(server, by_key)]
        ).encode()
        said |= {f"running {name}": data for name, data in kept(server.data_dir).items()}
    said |= kept(server.data_dir)
    if database is not None:
        said["database"] = dumped(tmp_path, database)

    found = [
        (name, where)
        for secret in (key, text, file)
        for name, trace in canaries.traces(secret).items()
        for where, data in said.items()
        if trace in data
    ]
    assert found == []
    assert any(action_id.encode() in data for where, data in said.items() if "log" in where)
    stored = [data for where, data in said.items() if "database" in where or "runwatch.db" in where]
    assert any(action_id.encode() in data for data in stored)


def dumped(folder: Path, database: str) -> bytes:
    """All rows of the table the logins are in."""
    from runwatch_server.storage.postgres.connection import Connection
    from runwatch_server.storage.statements import statement

    connection = Connection.open(database)
    try:
        rows = connection.all(statement("SELECT kind, id, doc FROM kept"))
        told = connection.all(statement("SELECT doc FROM commits"))
        replays = connection.all(statement("SELECT body FROM replays"))
    finally:
        connection.close()
    return repr(rows).encode() + b"".join(bytes(doc) for (doc,) in [*told, *replays])


class Follower:
    """A socket of a server, its frames as they come."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def until(self, wanted: Callable[[Any], object]) -> Any:
        """The first frame that is wanted."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                frame = json.loads(await self._socket.recv())
                if wanted(frame):
                    return frame


def dial(server: ServerProcess, path: str) -> Any:
    return connect(
        server.url.replace("https:", "wss:") + path,
        ssl=server.tls(),
        proxy=None,
        additional_headers={"Authorization": f"Bearer {server.token}"},
    )


@pytest.mark.timeout(180)
def test_two_servers_tell_the_same_login(tmp_path: Path, postgres_cluster: Cluster) -> None:
    database = postgres_cluster.database()
    servers = [ServerProcess(tmp_path / name, database=database) for name in "ab"]
    for server in servers:
        server.environment["RUNWATCH_JWT_SECRET"] = "s" * 40
    first, second = servers
    with first, second:
        asyncio.run(_two(first, second))


async def _two(first: ServerProcess, second: ServerProcess) -> None:
    at_first, at_second = ScriptedNode(first), ScriptedNode(second)
    topics = quote(json.dumps({"topics": ["workflows", "accounts"]}))
    pool = ThreadPoolExecutor(2)
    loop = asyncio.get_running_loop()
    at_first.beat()
    async with dial(second, f"/ws/monitor?mode=delta&subscribe={topics}") as monitor_socket:
        monitor = Follower(monitor_socket)
        await monitor.until(lambda frame: frame["type"] == "snapshot")
        # A node that waits at one is woken by what is begun at the other.
        waits = loop.run_in_executor(pool, at_second.actions, "assigned", 25)
        action_id = (await loop.run_in_executor(pool, begin, first))["action_id"]
        assert [action["id"] for action in await waits] == [action_id]
        await monitor.until(lambda frame: action_id in json.dumps(frame))
        path = f"/ws/workflows/auth/{action_id}/events?from_seq=0"
        async with dial(first, path) as socket:
            events = Follower(socket)
            result = {"verify_url": "https://a.example/x", "input_prompt": "Code?"}
            at_second.tell(action_id, "waiting", phase="waiting_oauth", result=result)
            event = await events.until(lambda frame: frame["data"].get("type") == "waiting_oauth")
            assert event["data"]["seq"] == 2
            # An input given at one is handed over by the other, and by none of them again.
            waits = loop.run_in_executor(pool, at_second.actions, "assigned", 25)
            await loop.run_in_executor(pool, give, first, action_id, "1234")
            assert [action["input"] for action in await waits] == ["1234"]
            assert "input" not in at_first.actions()[0]
            assert "input" not in at_second.actions()[0]
            at_first.tell(action_id, "success")
            end = await events.until(lambda frame: frame["type"] == "status")
            assert end["data"]["status"] == "success"
        change = await monitor.until(lambda frame: frame.get("accounts", {}).get("upsert"))
        assert change["accounts"]["upsert"][0]["status"] == "authenticated"
    data = archive("x")
    volume(first, data)
    assert volume(second) == data
    for path in ("/api/v1/accounts", "/api/v1/monitor/workflows?type=auth"):
        found = [server.get(path) for server in (first, second)]
        assert (
            found[0]["accounts" if "accounts" in path else "workflows"]
            == (found[1]["accounts" if "accounts" in path else "workflows"])
        )
    pool.shutdown()
