"""Runs agents in containers of Docker or Podman, each under a supervisor of its own.

The supervisor owns a relay (`relay`) that makes the container and copies its output, so a container
is followed, stopped and adopted as a process is. What no relay removes is found by its labels.
"""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from runwatch_nodemanager.agents.protocol import Launch
from runwatch_nodemanager.container_tree import START_S
from runwatch_nodemanager.processes import RUN_VARIABLE
from runwatch_nodemanager.run_folder import RunFolder, write_atomically
from runwatch_nodemanager.runtimes.container_body import (
    RUN_LABEL,
    container_body,
    needed_programs,
    node_labels,
)
from runwatch_nodemanager.runtimes.container_plan import ContainerPlan
from runwatch_nodemanager.runtimes.engine import Engine, Found
from runwatch_nodemanager.runtimes.engine_address import EngineAddress, EngineError
from runwatch_nodemanager.runtimes.process import ProcessRuntime
from runwatch_nodemanager.runtimes.protocol import Growth, RuntimeStartError, Started
from runwatch_shared.logs import log

logger: Final = logging.getLogger(__name__)

T = TypeVar("T")

MARK: Final = "container.json"
"""In the folder of a run that has or had a container."""
READY_S: Final = START_S + 10.0


class ContainerRuntime:
    """See `Runtime`.

    Args:
        name: ``docker`` or ``podman``, as the node calls its engine.
        find: Where the engine is now; raises EngineError.
        supervisors: Owns the supervisors of all runs of this node.
    """

    def __init__(
        self,
        name: str,
        find: Callable[[], EngineAddress],
        supervisors: ProcessRuntime,
        *,
        node_id: str,
        folder: Path,
    ) -> None:
        self.name = name
        self._find = find
        self._supervisors = supervisors
        self._node_labels = node_labels(node_id, folder)
        self._answers = True
        """Whether the engine answered when it was last asked how it is."""

    def offers(self) -> list[str]:
        try:
            self._ask(lambda engine: engine.version)
        except EngineError as error:
            if self._answers:
                log(logger, logging.WARNING, "node", "Containers cannot be run", error=str(error))
            self._answers = False
            return []
        if not self._answers:
            log(logger, logging.INFO, "node", "Containers can be run again")
        self._answers = True
        return [self.name]

    async def prepare(self, launch: Launch) -> None:
        plan = _plan(launch)

        def have(engine: Engine) -> None:
            if engine.has_image(plan.image):
                return
            if not plan.pull:
                raise EngineError(f"the engine does not have the image {plan.image}")
            engine.pull(plan.image)

        try:
            await asyncio.to_thread(self._ask, have)
        except EngineError as error:
            raise RuntimeStartError(str(error)) from error

    async def start(self, folder: RunFolder, launch: Launch, *, log_limit_bytes: int) -> Started:
        plan = _plan(launch)
        _refuse_moved(plan)
        try:
            address = self._find()
        except EngineError as error:
            raise RuntimeStartError(str(error)) from error
        body, stdin = container_body(plan, launch)
        order: dict[str, Any] = {
            "address": address.url,
            "cert_path": address.cert_path,
            "name": plan.name,
            "image": plan.image,
            "runtime": plan.runtime,
            "body": body,
            "stdin": stdin,
            "programs": needed_programs(launch),
        }
        mark = {"image": plan.image, "name": plan.name, "runtime": plan.runtime}
        await asyncio.to_thread(write_atomically, folder.path / MARK, json.dumps(mark).encode())
        # The relay gets nothing of the agent's but its order.
        relay = replace(
            launch,
            env={"PATH": os.defpath, RUN_VARIABLE: str(folder.path)},
            stdin=None,
            limits={},
        )
        return await self._supervisors.supervise(
            folder,
            relay,
            log_limit_bytes=log_limit_bytes,
            more={"container": order},
            ready_s=READY_S,
        )

    def stream(self, folder: RunFolder) -> AbstractContextManager[Growth]:
        return self._supervisors.stream(folder)

    def signal(self, folder: RunFolder, number: int) -> bool:
        return self._supervisors.signal(folder, number)

    def stop(self, folder: RunFolder, *, reason: str, grace_s: float) -> bool:
        return self._supervisors.stop(folder, reason=reason, grace_s=grace_s)

    def trust(self, folder: RunFolder, seconds: float) -> bool:
        return self._supervisors.trust(folder, seconds)

    def alive(self, folder: RunFolder) -> bool:
        return self._supervisors.alive(folder)

    def clear(self, folder: RunFolder) -> int:
        removed = 0
        if (folder.path / MARK).exists():
            wanted = {**self._node_labels, RUN_LABEL: folder.path.name}
            with contextlib.suppress(EngineError):
                removed = self._ask(lambda engine: _remove_all(engine, wanted))
        return removed + self._supervisors.clear(folder)

    def containers(self) -> list[Found]:
        """Those of this node, ended ones too. Blocks.

        Raises:
            EngineError: The engine does not tell.
        """
        return self._ask(lambda engine: engine.labelled(self._node_labels))

    def remove(self, container: str) -> None:
        """Blocks.

        Raises:
            EngineError: The engine does not do it.
        """
        self._ask(lambda engine: engine.remove(container))

    def _ask(self, question: Callable[[Engine], T]) -> T:
        engine = Engine(self._find())
        try:
            return question(engine)
        finally:
            engine.close()


def _plan(launch: Launch) -> ContainerPlan:
    if launch.plan is None:
        raise RuntimeStartError("a run without a plan of its container")
    return launch.plan


def _refuse_moved(plan: ContainerPlan) -> None:
    """The engine follows symbolic links: none may have come since the folders were judged, as
    another run that shares a volume could make while an image is fetched.

    Raises:
        RuntimeStartError: One came.
    """
    for source in (plan.workspace, *(mount.source for mount in plan.mounts)):
        if source.resolve() != source:
            raise RuntimeStartError(f"{source} is not the folder any more that was allowed")


def _remove_all(engine: Engine, labels: dict[str, str]) -> int:
    found = engine.labelled(labels)
    for container in found:
        engine.remove(container.id)
    return len(found)
