"""A node's runtimes: the one place where the setting ``runtimes`` chooses."""

from dataclasses import dataclass

from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.instances.containers import InstanceContainers
from runwatch_nodemanager.leftovers import Leftovers
from runwatch_nodemanager.orphans import Orphans
from runwatch_nodemanager.runtimes.choice import ChosenRuntime
from runwatch_nodemanager.runtimes.docker import ContainerRuntime
from runwatch_nodemanager.runtimes.engine_address import engine_socket, find_engine
from runwatch_nodemanager.runtimes.placement import ENGINES, Placement, runtimes_of
from runwatch_nodemanager.runtimes.process import ProcessRuntime
from runwatch_nodemanager.runtimes.protocol import Collector, Runtime
from runwatch_shared.clock import Clock
from runwatch_shared.settings import NodeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtimes:
    """What carries out a node's runs, and what looks after what they leave."""

    runtime: Runtime
    orphans: tuple[Collector, ...]
    instances: InstanceContainers | None = None


def open_runtimes(
    settings: NodeSettings, *, node_id: str, folder: NodeFolder, clock: Clock
) -> Runtimes:
    """Those the settings name; asks no engine."""
    process = ProcessRuntime()
    names = runtimes_of(settings)
    engine = next((name for name in names if name in ENGINES), None)
    grace_s = settings.containers.orphan_grace_s
    leftovers = Leftovers(folder, clock, grace_s=grace_s)
    if engine is None:
        return Runtimes(runtime=process, orphans=(leftovers,))
    containers = ContainerRuntime(
        engine,
        lambda: find_engine(settings.containers.host, kind=engine),
        process,
        node_id=node_id,
        folder=folder.path,
    )
    orphans = Orphans(containers, folder, clock, grace_s=grace_s)
    chosen = ChosenRuntime(process, containers, names=names)
    placement = Placement(settings, engine=engine_socket(settings.containers.host))
    instances = InstanceContainers(containers, placement, folder, node_id=node_id)
    return Runtimes(runtime=chosen, orphans=(orphans, leftovers), instances=instances)
