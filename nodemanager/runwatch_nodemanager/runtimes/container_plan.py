"""A run's container, decided: records only."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder of this machine in a container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """A run's container as the node allows it.

    Args:
        runtime: ``docker`` or ``podman``, as the node calls its engine.
        labels: The run's and the node's.
        memory_mb: 0 is no limit, as with ``cpus`` and ``pids``.
        user: ``UID:GID``.
    """

    runtime: str
    name: str
    image: str
    labels: dict[str, str]
    workspace: Path
    workspace_read_only: bool
    mounts: tuple[Mount, ...]
    network: str
    memory_mb: int
    cpus: float
    pids: int
    tmp_mb: int
    read_only: bool
    user: str
    userns: str
    init: bool
    pull: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancePlan:
    """A run that is carried out in an instance: a container that is there before and after it.

    Args:
        name: The instance's container's.
        labels: All that the instance's container bears.
        workdir: Where the agent begins, as the container sees it.
        user: ``UID:GID``.
    """

    runtime: str
    name: str
    image: str
    labels: dict[str, str]
    workdir: str
    user: str
