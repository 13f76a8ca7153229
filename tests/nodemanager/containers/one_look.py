"""A program that compares the instances of a node once: ``SERVER DATA_DIR ENGINE``, the token in
``RUNWATCH_NODE_TOKEN``. It says ``looking`` when it begins.
"""

import asyncio
import os
import sys
from pathlib import Path

from runwatch_nodemanager.credentials import find_access
from runwatch_nodemanager.identity import find_node, new_process_id
from runwatch_nodemanager.instances.keeper import InstanceKeeper
from runwatch_nodemanager.link import Link
from runwatch_nodemanager.node_clock import NodeClock
from runwatch_nodemanager.runtimes.open import open_runtimes
from runwatch_shared.settings import ContainerSettings, NodeSettings


async def main() -> None:
    server, data_dir, engine = sys.argv[1:]
    rules = ContainerSettings(
        host=engine, default_images={"*": "localhost/agent:latest"}, network="none"
    )
    settings = NodeSettings(
        server=server,
        data_dir=data_dir,
        token=os.environ["RUNWATCH_NODE_TOKEN"],
        node_id="n1",
        stop_grace_s=1.0,
        runtimes=["podman"],
        containers=rules,
    )
    clock = NodeClock()
    _, folder = find_node(Path(data_dir), "n1")
    folder.create()
    runtimes = open_runtimes(settings, node_id="n1", folder=folder, clock=clock)
    link = Link(
        lambda: find_access(settings), node_id="n1", process_id=new_process_id(), clock=clock
    )
    async with link:
        keeper = InstanceKeeper.of(settings, link, runtimes.instances, clock)
        sys.stdout.write("looking\n")
        sys.stdout.flush()
        await keeper.reconcile()


if __name__ == "__main__":
    asyncio.run(main())
