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
    inner_call,
    needed_programs,
    node_labels,
)
from runwatch_nodemanager.runtimes.container_plan import ContainerPlan, InstancePlan
from runwatch_nodemanager.runtimes.engine import Engine, Found
from runwatch_nodemanager.runtimes.engine_address import EngineAddress, EngineError
from runwatch_nodemanager.runtimes.inner_relay import end_inside
from runwatch_nodemanager.runtimes.process import ProcessRuntime
from runwatch_nodemanager.runtimes.protocol import Growth, RuntimeStartError, Started
from runwatch_shared.logs import log

logger: Final = logging.getLogger(__name__)

T = TypeVar("T")

MARK: Final = "container.json"
"""In the folder of a run that has or had a container."""
INSIDE: Final = "inside"
"""In that file: the container of an instance, which is not the run's own."""
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
            self.ask(lambda engine: engine.version)
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
            if isinstance(plan, InstancePlan):
                _must_run(engine, plan)
            else:
                have_image(engine, plan)

        try:
            await asyncio.to_thread(self.ask, have)
        except EngineError as error:
            raise RuntimeStartError(str(error)) from error

    async def start(self, folder: RunFolder, launch: Launch, *, log_limit_bytes: int) -> Started:
        plan = _plan(launch)
        try:
            address = self._find()
        except EngineError as error:
            raise RuntimeStartError(str(error)) from error
        order: dict[str, Any] = {
            "address": address.url,
            "cert_path": address.cert_path,
            "name": plan.name,
            "image": plan.image,
            "runtime": plan.runtime,
            "programs": needed_programs(launch),
        }
        mark = {"image": plan.image, "name": plan.name, "runtime": plan.runtime}
        if isinstance(plan, InstancePlan):
            call, order["stdin"] = inner_call(plan, launch)
            order["inner"] = {**call, "run_id": folder.path.name}
            mark[INSIDE] = plan.name
        else:
            refuse_moved(plan)
            order["body"], order["stdin"] = container_body(plan, launch)
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
        removed, mark = 0, _mark(folder)
        if mark is not None:
            run_id, inside = folder.path.name, mark.get(INSIDE)
            wanted = {**self._node_labels, RUN_LABEL: run_id}
            with contextlib.suppress(EngineError):
                if inside is None:
                    removed = self.ask(lambda engine: _remove_all(engine, wanted))
                else:
                    removed = self.ask(lambda engine: end_inside(engine, str(inside), run_id))
        return removed + self._supervisors.clear(folder)

    def containers(self) -> list[Found]:
        """Those of this node, ended ones too. Blocks.

        Raises:
            EngineError: The engine does not tell.
        """
        return self.ask(lambda engine: engine.labelled(self._node_labels))

    def remove(self, container: str) -> None:
        """Blocks.

        Raises:
            EngineError: The engine does not do it.
        """
        self.ask(lambda engine: engine.remove(container))

    def ask(self, question: Callable[[Engine], T]) -> T:
        """Put a question to the engine as it can be reached now. Blocks.

        Raises:
            EngineError: It refuses, or is not to be reached.
        """
        engine = Engine(self._find())
        try:
            return question(engine)
        finally:
            engine.close()


def have_image(engine: Engine, plan: ContainerPlan) -> None:
    """Have the plan's image, fetched if the plan allows that.

    Raises:
        EngineError: It cannot be had.
    """
    if engine.has_image(plan.image):
        return
    if not plan.pull:
        raise EngineError(f"the engine does not have the image {plan.image}")
    engine.pull(plan.image)


def refuse_moved(plan: ContainerPlan) -> None:
    """The engine follows symbolic links: none may have come since the folders were judged, as
    another run that shares a volume could make while an image is fetched.

    Raises:
        RuntimeStartError: One came.
    """
    for source in (plan.workspace, *(mount.source for mount in plan.mounts)):
        if source.resolve() != source:
            raise RuntimeStartError(f"{source} is not the folder any more that was allowed")


def _plan(launch: Launch) -> ContainerPlan | InstancePlan:
    if launch.plan is None:
        raise RuntimeStartError("a run without a plan of its container")
    return launch.plan


def _must_run(engine: Engine, plan: InstancePlan) -> None:
    """
    Raises:
        EngineError: The instance's container is not there, another's, or does not run.
    """
    found = engine.called(plan.name)
    ours = found is not None and plan.labels.items() <= found.labels.items()
    if found is None or not ours or engine.state(found.id).ended:
        raise EngineError(f"the instance of this run does not run here ({plan.name})")


def _mark(folder: RunFolder) -> dict[str, Any] | None:
    try:
        mark = json.loads((folder.path / MARK).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def _remove_all(engine: Engine, labels: dict[str, str]) -> int:
    found = engine.labelled(labels)
    for container in found:
        engine.remove(container.id)
    return len(found)
