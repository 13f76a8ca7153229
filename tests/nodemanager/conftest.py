"""A fake server, and nodes against it that leave no process behind."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.agents.claude import ClaudeAgent
from runwatch_nodemanager.agents.command import CommandAgent
from runwatch_nodemanager.agents.registry import Agents
from runwatch_nodemanager.beat import Reporter
from runwatch_nodemanager.credentials import find_access
from runwatch_nodemanager.identity import find_node, new_process_id
from runwatch_nodemanager.instances.keeper import InstanceKeeper
from runwatch_nodemanager.link import Link
from runwatch_nodemanager.manager import NodeManager
from runwatch_nodemanager.metrics import NodeMetrics
from runwatch_nodemanager.node_clock import NodeClock
from runwatch_nodemanager.processes import RUN_VARIABLE, list_pids
from runwatch_nodemanager.runtimes.open import open_runtimes
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.settings import NodeSettings
from tests.nodemanager.fake_server import FakeServer, serving


class TestNode:
    """A node manager in this process; ``vanish`` ends it as a kill would, agents running on.

    Args:
        every_s: How often it compares its instances; 0: it does not look after any.
    """

    __test__ = False

    def __init__(self, settings: NodeSettings, *, every_s: float = 0.0) -> None:
        self.settings = settings
        self._every_s = every_s
        self.node_id, self.folder = find_node(Path(settings.data_dir), settings.node_id)
        self.folder.create()
        self.metrics = NodeMetrics(node_id=self.node_id, version="test")
        self._runtimes = open_runtimes(
            settings, node_id=self.node_id, folder=self.folder, clock=NodeClock()
        )
        self.runtime = self._runtimes.runtime
        self.orphans = self._runtimes.orphans
        self._task: asyncio.Task[None] | None = None
        self.manager: NodeManager | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        await asyncio.sleep(0)

    async def stop(self, *, agents: bool = False) -> None:
        assert self.manager is not None
        self.manager.stop(agents=agents)
        await self.ended()

    async def ended(self) -> None:
        assert self._task is not None
        async with asyncio.timeout(20):
            await self._task

    async def vanish(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def ended_by_force(self) -> None:
        """Until ``vanish`` has done its work, whoever called it."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        clock = NodeClock()
        link = Link(
            lambda: find_access(self.settings),
            node_id=self.node_id,
            process_id=new_process_id(),
            clock=clock,
        )
        async with link:
            workshop = Workshop(
                link=link,
                runtime=self.runtime,
                orphans=self.orphans,
                agents=Agents([CommandAgent(), ClaudeAgent()], default="command"),
                metrics=self.metrics,
                settings=self.settings,
                folder=self.folder,
                clock=clock,
            )
            instances = None
            if self._every_s:
                instances = InstanceKeeper.of(
                    self.settings, link, self._runtimes.instances, clock, every_s=self._every_s
                )
            reporter = Reporter(workshop, hostname="h", version="test")
            self.manager = NodeManager(workshop, reporter, instances=instances)
            await self.manager.run()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with serving() as fake:
        yield fake


@pytest.fixture
async def new_node(
    server: FakeServer, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[TestNode]]]:
    nodes: list[TestNode] = []

    async def make(**changes) -> TestNode:
        values: dict[str, Any] = {
            "server": server.url,
            "data_dir": str(tmp_path / "data"),
            "node_id": "n1",
            "heartbeat_s": 0.6,
            "claim_wait_s": 5,
            "stop_grace_s": 1.0,
        }
        node = TestNode(NodeSettings(**(values | changes)))
        nodes.append(node)
        await node.start()
        return node

    try:
        yield make
    finally:
        for node in nodes:
            await node.vanish()
        end_supervised(tmp_path)


def end_supervised(folder: Path) -> None:
    """Kill what a test's nodes started, found by the folder in its environment or arguments."""
    for pid in list_pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        marked = f"{RUN_VARIABLE}={folder}".encode() in environment
        supervisor = b"runwatch_nodemanager.supervisor" in arguments
        if marked or (supervisor and str(folder).encode() in arguments):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
