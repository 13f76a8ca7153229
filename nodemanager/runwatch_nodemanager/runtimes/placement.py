"""Where a run's agent runs, and what it may use there: the run's wishes within the node's rules."""

import os
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from runwatch_nodemanager.homes import ACCOUNT_HOME
from runwatch_nodemanager.runtimes.container_plan import ContainerPlan, Mount
from runwatch_nodemanager.runtimes.mounts import allowed_mount, refuse_dangerous
from runwatch_nodemanager.runtimes.protocol import PlacementError
from runwatch_nodemanager.runtimes.wishes import Wishes, lower, read_wishes
from runwatch_nodemanager.runtimes.workplace import PLACES
from runwatch_shared.models import Snapshot
from runwatch_shared.settings import ContainerSettings, NodeSettings
from runwatch_shared.states import AGENT_TYPE_ALIASES

PROCESS: Final = "process"
ENGINES: Final = ("docker", "podman")
ANY: Final = "*"
MIB: Final = 1024 * 1024
NETWORK: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
NOT_NETWORKS: Final = frozenset({"host", "container", "ns", "private"})
"""Modes that would give a container the machine's own network, or another's."""
NO_NETWORK: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run goes: a process with limits, or a container of an image."""

    runtime: str
    wishes: Wishes
    image: str = ""
    instance: str = ""
    """Its id, for a run that is carried out in one."""

    @property
    def contained(self) -> bool:
        return self.runtime != PROCESS


class Placement:
    """The rules of one node.

    Args:
        engine: The engine's socket, where it is a file; never mounted.
    """

    def __init__(self, settings: NodeSettings, *, engine: Path | None) -> None:
        self._settings = settings
        self._rules: ContainerSettings = settings.containers
        self._engine = engine
        self._own = Path(settings.data_dir).expanduser() if settings.data_dir else None

    @property
    def runtimes(self) -> list[str]:
        """What a run may have, the first where it asks for none."""
        return runtimes_of(self._settings)

    def place(self, snapshot: Snapshot, agent_type: str) -> Place:
        """
        Raises:
            PlacementError: The run asks for what this node does not allow.
        """
        wishes = read_wishes(snapshot.agent.parameters)
        if snapshot.agent.instance_id is not None:
            return self._in_instance(snapshot.agent.instance_id, agent_type, wishes)
        runtime = wishes.runtime or self.runtimes[0]
        if runtime not in self.runtimes:
            offered = ", ".join(self.runtimes)
            raise PlacementError(f"this node has no runtime {runtime}; it has {offered}")
        if runtime == PROCESS:
            if wishes.container != Wishes().container:
                raise PlacementError("agent.parameters.container is for runs in a container")
            return Place(runtime=runtime, wishes=wishes)
        image = self._image(wishes.container.image, agent_type)
        return Place(runtime=runtime, wishes=wishes, image=image)

    def _in_instance(self, instance_id: str, agent_type: str, wishes: Wishes) -> Place:
        engine = next((name for name in self.runtimes if name in ENGINES), None)
        if engine is None:
            raise PlacementError("this node has no container engine, and so no instances")
        if wishes != Wishes(runtime=wishes.runtime) or wishes.runtime not in (None, engine):
            raise PlacementError("a run in an instance takes the instance's container as it is")
        image = self.default_image(agent_type) or ""
        return Place(runtime=engine, wishes=wishes, image=image, instance=instance_id)

    def instance_plan(
        self, agent_type: str, *, name: str, labels: dict[str, str], workspace: Path, home: Path
    ) -> ContainerPlan:
        """The container of an instance of this agent type.

        Args:
            workspace: Where workspaces of runs in it lie.
            home: Of its account.

        Raises:
            PlacementError: This node has no engine, or no image for it.
        """
        place = self._in_instance(name, agent_type, Wishes())
        if not place.image:
            raise PlacementError(f"this node has no container image for {agent_type}")
        plan = self.plan(place, name=name, labels=labels, workspace=workspace, read_only=False)
        refuse_dangerous(home, engine=self._engine, own=self._own)
        return replace(plan, mounts=(Mount(source=home, target=ACCOUNT_HOME, read_only=False),))

    @property
    def user(self) -> str:
        """``UID:GID`` of what runs in containers."""
        return self._rules.user or f"{os.getuid()}:{os.getgid()}"

    def default_image(self, agent_type: str) -> str | None:
        """The image of runs that name none."""
        images = {
            AGENT_TYPE_ALIASES.get(name, name): image
            for name, image in self._rules.default_images.items()
        }
        return images.get(agent_type) or images.get(ANY)

    def has_image(self, agent_type: str) -> bool:
        """Whether there is one for it, or may be one that a run names."""
        return bool(self.default_image(agent_type) or self._rules.images)

    def process_limits(self, place: Place) -> dict[str, int]:
        """Of each process of a run without a container, as `process_tree.RESOURCES` names them."""
        allowed, wanted = self._settings.process_limits, place.wishes.limits
        limits = {
            "memory_bytes": int(lower(allowed.memory_mb, wanted.memory_mb)) * MIB,
            "open_files": int(lower(allowed.open_files, wanted.open_files)),
            "cpu_s": int(lower(allowed.cpu_s, wanted.cpu_s)),
        }
        return {name: value for name, value in limits.items() if value}

    def plan(
        self, place: Place, *, name: str, labels: dict[str, str], workspace: Path, read_only: bool
    ) -> ContainerPlan:
        """The container of a run.

        Args:
            workspace: The folder itself, no symbolic link on the way to it.
            read_only: The workspace must not be written.

        Raises:
            PlacementError: It asks for a mount or a network that this node does not allow.
        """
        rules, wishes = self._rules, place.wishes
        refuse_dangerous(workspace, engine=self._engine, own=self._own)
        return ContainerPlan(
            runtime=place.runtime,
            name=name,
            image=place.image,
            labels=labels,
            workspace=workspace,
            workspace_read_only=read_only,
            mounts=self._mounts(wishes.container.mounts),
            network=self._network(wishes.container.network),
            memory_mb=int(lower(rules.memory_mb, wishes.limits.memory_mb)),
            cpus=lower(rules.cpus, wishes.limits.cpus),
            pids=int(lower(rules.pids, wishes.limits.pids)),
            tmp_mb=rules.tmp_mb,
            read_only=rules.read_only or wishes.container.read_only,
            user=self.user,
            userns=rules.userns,
            init=rules.init,
            pull=rules.pull == "missing",
        )

    def _image(self, wanted: str | None, agent_type: str) -> str:
        default = self.default_image(agent_type)
        image = wanted or default
        if not image:
            raise PlacementError(f"this node has no container image for {agent_type}")
        allowed = [*self._rules.images, *self._rules.default_images.values()]
        if not any(fnmatchcase(tagged(image), tagged(entry)) for entry in allowed):
            raise PlacementError(f"this node does not allow the container image {image}")
        return image

    def _network(self, wanted: str | None) -> str:
        network = wanted or self._rules.network
        if network not in (NO_NETWORK, self._rules.network, *self._rules.networks):
            raise PlacementError(f"this node does not allow the network {network}")
        return network

    def _mounts(self, wanted: list[str]) -> tuple[Mount, ...]:
        made: list[Mount] = []
        for wish in wanted:
            taken = (*PLACES, *(mount.target for mount in made))
            mount = allowed_mount(
                wish, self._rules.mounts, taken=taken, engine=self._engine, own=self._own
            )
            made.append(mount)
        return tuple(made)


def runtimes_of(settings: NodeSettings) -> list[str]:
    """``settings.runtimes``, or its default."""
    return settings.runtimes or [PROCESS]


def tagged(image: str) -> str:
    """The image's name with the tag that engines take where there is none."""
    name = image.rpartition("/")[2]
    return image if ":" in name or "@" in name or image.endswith(ANY) else f"{image}:latest"


def check_rules(settings: NodeSettings) -> str | None:
    """What is wrong with the settings of runtimes, ``None`` if nothing is."""
    runtimes = runtimes_of(settings)
    for runtime in runtimes:
        if runtime not in (PROCESS, *ENGINES):
            return f"runtimes: {runtime} is none of {PROCESS}, {', '.join(ENGINES)}"
    if len(set(runtimes) & set(ENGINES)) > 1:
        return "runtimes: docker or podman, one engine"
    rules = settings.containers
    for network in (rules.network, *rules.networks):
        if not NETWORK.fullmatch(network) or network in NOT_NETWORKS:
            return f"containers.network: {network} is not none, bridge or the name of a network"
    for entry in rules.mounts:
        if not entry.startswith(("/", "~")):
            return f"containers.mounts: {entry} is no absolute path"
    return None
