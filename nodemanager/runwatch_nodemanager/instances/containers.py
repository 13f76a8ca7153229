"""The containers of this node's instances: made, looked at, started, stopped, removed. Blocks."""

import shutil
import time
from dataclasses import dataclass
from typing import Final

from runwatch_nodemanager.boot_clock import boot_seconds
from runwatch_nodemanager.homes import make_account_home
from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.instances.plan import STATES, There
from runwatch_nodemanager.runtimes.container_body import (
    INSTANCE_LABEL,
    instance_body,
    instance_labels,
    instance_name,
    node_labels,
)
from runwatch_nodemanager.runtimes.docker import ContainerRuntime, have_image, refuse_moved
from runwatch_nodemanager.runtimes.engine import Engine, Found
from runwatch_nodemanager.runtimes.engine_address import EngineError
from runwatch_nodemanager.runtimes.placement import Placement
from runwatch_nodemanager.workspace import SAFE_NAME
from runwatch_shared.instances import Instance
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, parse_time

BOOT_SLACK_S: Final = 5.0
"""How exactly it is known when the machine started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How an instance's container is. ``exit_code`` where it has ended."""

    there: There
    exit_code: int = 0
    out_of_memory: bool = False


class InstanceContainers:
    """See the module. Every method may raise EngineError.

    Args:
        runtime: Has the node's engine.
        placement: Says which image and limits there are.
    """

    def __init__(
        self, runtime: ContainerRuntime, placement: Placement, folder: NodeFolder, *, node_id: str
    ) -> None:
        self._runtime = runtime
        self._placement = placement
        self._folder = folder
        self._node_id = node_id
        self._own = node_labels(node_id, folder.path)

    def all(self) -> list[Found]:
        """Those of this node's instances, ended ones too, and none of anybody else."""
        found = self._runtime.containers()
        return [container for container in found if INSTANCE_LABEL in container.labels]

    def look(self, instance: Instance) -> Look:
        """
        Raises:
            EngineError: Another's container has the name, too.
        """
        return self._runtime.ask(lambda engine: self._look(engine, instance))

    def make(self, instance: Instance) -> None:
        """Make the container, with the account's home; it does not run yet.

        Raises:
            PlacementError: This node does not allow it.
            RuntimeStartError: A folder of it is not what it was.
            HomeError: The account's id is none.
            OSError: A folder cannot be made.
        """
        if not SAFE_NAME.fullmatch(instance.id):
            raise EngineError("the instance's id is no safe name")
        workspaces = self._folder.instance_workspaces(instance.id)
        workspaces.mkdir(mode=0o700, parents=True, exist_ok=True)
        home = make_account_home(self._folder, instance.account_id)
        labels = instance_labels(
            self._node_id,
            self._folder.path,
            instance_id=instance.id,
            account_id=instance.account_id,
        )
        plan = self._placement.instance_plan(
            instance.agent_type_id,
            name=instance_name(instance.id),
            labels=labels,
            workspace=workspaces.resolve(),
            home=home.resolve(),
        )

        def make(engine: Engine) -> None:
            have_image(engine, plan)
            refuse_moved(plan)
            engine.create(instance_body(plan), name=plan.name)

        self._runtime.ask(make)

    def start(self, instance: Instance) -> None:
        self._runtime.ask(lambda engine: engine.start(instance_name(instance.id)))

    def stop(self, instance: Instance, *, grace_s: float) -> None:
        """Everything in it is asked to end, and killed after the grace."""
        name, whole_s = instance_name(instance.id), max(1, round(grace_s))
        self._runtime.ask(lambda engine: engine.stop(name, whole_s))

    def remove(self, container: Found) -> None:
        self._runtime.ask(lambda engine: engine.remove(container.id))

    def forget(self, instance_id: str) -> None:
        """Remove all containers and the folder of an instance that was deleted; the account's home
        stays."""
        for container in self.all():
            if container.labels[INSTANCE_LABEL] == instance_id:
                self.remove(container)
        if SAFE_NAME.fullmatch(instance_id):
            shutil.rmtree(self._folder.instances / instance_id, ignore_errors=True)

    def _look(self, engine: Engine, instance: Instance) -> Look:
        found = engine.called(instance_name(instance.id))
        if found is None:
            return Look(there=There.ABSENT)
        wanted = {**self._own, INSTANCE_LABEL: instance.id}
        if not wanted.items() <= found.labels.items():
            raise EngineError(f"another's container is called {found.name}")
        there = STATES.get(found.state, There.MOVING)
        if there is not There.ENDED:
            return Look(there=there)
        local = engine.address.socket is not None
        if local and _before_boot(found.started_at):
            return Look(there=There.MADE)
        state = engine.state(found.id)
        return Look(there=there, exit_code=state.exit_code, out_of_memory=state.out_of_memory)


def _before_boot(started_at: str) -> bool:
    """Whether it was started by an earlier run of this machine, which then ended it."""
    try:
        started_us = parse_time(started_at)
    except ValueError:
        return False
    booted_s = time.time() - boot_seconds()
    return 0 < started_us < (booted_s - BOOT_SLACK_S) * MICROSECONDS_PER_SECOND
