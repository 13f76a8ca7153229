"""A server of ours in this process, and nodes with containers that look after instances for it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from runwatch_nodemanager.credentials import find_access
from runwatch_nodemanager.identity import find_node, new_process_id
from runwatch_nodemanager.instances.keeper import InstanceKeeper
from runwatch_nodemanager.link import Link
from runwatch_nodemanager.node_clock import NodeClock
from runwatch_nodemanager.runtimes.engine import Engine
from runwatch_nodemanager.runtimes.engine_address import EngineAddress
from runwatch_nodemanager.runtimes.open import open_runtimes
from runwatch_server.access.issuing import issue_token
from runwatch_server.access.passwords import Passwords
from runwatch_server.access.sessions import Signer
from runwatch_server.accounts.rows import AccountRow
from runwatch_server.app import build_app
from runwatch_server.first_start import write_now
from runwatch_server.lifespan import begin_stop, open_services, rules_of
from runwatch_server.services import Services
from runwatch_server.storage.open import open_store
from runwatch_shared.clock import SystemClock
from runwatch_shared.models import Scope
from runwatch_shared.settings import ContainerSettings, NodeSettings, ServerSettings
from tests.nodemanager.conftest import TestNode
from tests.nodemanager.containers.conftest import rules_of as container_rules
from tests.nodemanager.containers.podman import Podman
from tests.server.http.house import CHEAP, PATIENT

ACCOUNT = "claude-code_ada"
LIMIT_S = 60.0
ALL = os.environ.get("RUNWATCH_TEST_INSTANCES") == "all"
"""Everything: many containers are made, which takes minutes."""
DATABASES = ("sqlite", "postgres") if ALL else ("sqlite",)
long_only = pytest.mark.skipif(not ALL, reason="only with RUNWATCH_TEST_INSTANCES=all")


@dataclass
class Keep:
    """A server on a port of loopback, an engine, and nodes."""

    services: Services
    client: httpx.AsyncClient
    engine: Podman
    folder: Path
    node_token: str
    nodes: list[TestNode] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The body of a request that must succeed."""
        answer = await self.client.request(method, path, json=body)
        assert answer.status_code < 300, (method, path, answer.text)
        return answer.json() if answer.content else None

    async def make(self, node_id: str = "n1") -> str:
        body = {"account_id": ACCOUNT, "node_id": node_id}
        return str((await self.ask("POST", "/api/v1/agents", body))["id"])

    async def instance(self, instance_id: str) -> Any:
        return await self.ask("GET", f"/api/v1/agents/{instance_id}")

    async def becomes(self, instance_id: str, *statuses: str) -> Any:
        """The instance once it has one of these statuses."""

        async def arrived() -> Any:
            row = await self.instance(instance_id)
            return row if row["status"] in statuses else None

        return await until(arrived, f"{instance_id} to be {statuses}")

    async def run(self, instance_id: str, script: str, **task: Any) -> str:
        """The id of a new run of a shell's script in an instance."""
        agent = {
            "type": "command",
            "instance_id": instance_id,
            "parameters": {"argv": ["sh", "-c", script], **task.pop("parameters", {})},
        }
        made = await self.ask("POST", "/api/v1/tasks", {"name": "t", "agent": agent, **task})
        return str((await self.ask("POST", f"/api/v1/tasks/{made['id']}/runs"))["id"])

    async def ended(self, run_id: str) -> Any:
        async def over() -> Any:
            run = await self.ask("GET", f"/api/v1/runs/{run_id}")
            return run if run["status"] in ("done", "failed", "cancelled", "timeout") else None

        return await until(over, f"the end of {run_id}")

    async def said(self, run_id: str) -> list[str]:
        """The lines a run has printed so far."""
        page = await self.ask("GET", f"/api/v1/runs/{run_id}/events?limit=1000")
        printed = [e["payload"] for e in page["events"] if e["type"] == "command_output"]
        return [line for one in printed for line in one.get("stdout", "").splitlines()]

    async def says(self, run_id: str, line: str) -> None:
        async def told() -> bool:
            return line in await self.said(run_id)

        await until(told, f"{run_id} to say {line}")

    def settings(self, node_id: str = "n1", **containers: Any) -> NodeSettings:
        address = self.client.base_url
        return NodeSettings(
            server=str(address).rstrip("/"),
            token=self.node_token,
            data_dir=str(self.folder / "data"),
            node_id=node_id,
            heartbeat_s=0.6,
            claim_wait_s=5,
            stop_grace_s=1.0,
            runtimes=["podman"],
            containers=ContainerSettings(**(container_rules(self.engine) | containers)),
        )

    async def node(self, node_id: str = "n1", every_s: float = 30.0, **containers: Any) -> TestNode:
        node = TestNode(self.settings(node_id, **containers), every_s=every_s)
        self.nodes.append(node)
        await node.start()

        async def known() -> bool:
            return (await self.client.get(f"/api/v1/nodes/{node_id}")).status_code == 200

        await until(known, f"node {node_id}")
        return node

    @contextlib.asynccontextmanager
    async def keeper(self, node_id: str = "n1", **containers: Any) -> AsyncIterator[InstanceKeeper]:
        """What looks after instances, alone: it does nothing by itself."""
        settings, clock = self.settings(node_id, **containers), NodeClock()
        _, folder = find_node(Path(settings.data_dir), node_id)
        folder.create()
        runtimes = open_runtimes(settings, node_id=node_id, folder=folder, clock=clock)
        link = Link(
            lambda: find_access(settings),
            node_id=node_id,
            process_id=new_process_id(),
            clock=clock,
        )
        async with link:
            yield InstanceKeeper.of(settings, link, runtimes.instances, clock)

    def containers(self) -> dict[str, str]:
        """Names and states of all there are."""
        api = Engine(EngineAddress(url=self.engine.url))
        try:
            return {container.name: container.state for container in api.labelled({})}
        finally:
            api.close()


async def until(condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """The first true value of a condition that may wait; fails at the limit."""
    try:
        async with asyncio.timeout(limit_s):
            while not (value := await condition()):
                await asyncio.sleep(0.15)
    except TimeoutError:
        raise AssertionError(f"waited {limit_s} s for {what}") from None
    return value


@contextlib.asynccontextmanager
async def open_keep(engine: Podman, folder: Path, database: str) -> AsyncIterator[Keep]:
    """A server over a database of its own, with an account."""
    settings, clock = ServerSettings(limits=PATIENT), SystemClock()
    store = open_store(database, rules=rules_of(settings), synchronous="full")

    def token(scope: Scope) -> str:
        def work(tx: Any) -> Any:
            return issue_token(
                tx, name=scope, scope=scope, node_id=None, life_s=None, by_name="test"
            )

        return str(write_now(store, clock, work)[1])

    admin, node_token = token("admin"), token("node")
    write_now(store, clock, _account)
    try:
        async with open_services(
            settings,
            store,
            clock=clock,
            mode="on",
            signer=Signer("k" * 32),
            passwords=Passwords(CHEAP),
        ) as services:
            config = uvicorn.Config(
                build_app(services),
                host="127.0.0.1",
                port=0,
                log_config=None,
                ws="none",
                lifespan="off",
            )
            server = uvicorn.Server(config)
            server.config.load()
            serving = asyncio.get_running_loop().create_task(server._serve())
            while not server.started:
                await asyncio.sleep(0.005)
            port = server.servers[0].sockets[0].getsockname()[1]
            headers = {"Authorization": f"Bearer {admin}"}
            base = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as client:
                keep = Keep(services, client, engine, folder, node_token)
                try:
                    yield keep
                finally:
                    for node in keep.nodes:
                        await node.vanish()
                    begin_stop(services)
                    server.should_exit = server.force_exit = True
                    await serving
    finally:
        store.close()


def _account(tx: Any) -> None:
    tx.kept(AccountRow).save(
        AccountRow(
            id=ACCOUNT,
            name="ada",
            agent_type="claude-code",
            status="authenticated",
            created_us=tx.now_us,
            updated_us=tx.now_us,
        )
    )
