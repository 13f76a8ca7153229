"""Three servers on one database behind a proxy that cuts connections: no reader misses anything.

Author and readers come in by the proxy, each connection at another server.
"""

import asyncio
import random
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.faults.cutting import CuttingProxy
from tests.faults.doors import PATIENCE, doors_of
from tests.faults.scenes import GO_ON_S, Scene, check, check_read_by_all, seeded, times_of
from tests.postgres import Cluster
from tests.processes import ServerProcess

SERVERS: Final = 3
READERS: Final = times_of("RUNWATCH_CUT_READERS", 6)
CUTS: Final = times_of("RUNWATCH_CUTS", 20)
AT_ONCE: Final = 10
"""Cuts between two looks whether the run goes on."""


@pytest.mark.timeout(1200)
def test_readers_of_three_servers_whose_connections_are_cut_miss_nothing(
    tmp_path: Path, postgres_cluster: Cluster
) -> None:
    seed, dice = seeded()
    database = postgres_cluster.database()
    with ExitStack() as stack:
        servers = []
        for number in range(SERVERS):
            server = ServerProcess(tmp_path / str(number), database=database)
            server.environment["RUNWATCH_LIMITS"] = PATIENCE
            servers.append(stack.enter_context(server))
        proxy = CuttingProxy([server.port for server in servers], dice)
        scene = asyncio.run(cut_again_and_again(servers, proxy, dice))
        history = scene.history()
    check(history, seed)
    check_read_by_all(history, scene.readers)
    assert proxy.cuts >= CUTS, seed
    assert len(history.readings) > READERS, (seed, "no reader came back")


async def cut_again_and_again(
    servers: list[ServerProcess], proxy: CuttingProxy, dice: random.Random
) -> Scene:
    async with proxy.serving():
        doors = doors_of(servers, proxy.port)
        # Making the run asks a server by plain, blocking calls.
        scene = await asyncio.to_thread(
            Scene, servers[0], write_to=doors, read_from=doors, readers=READERS, dice=dice
        )

        async def fault(number: int) -> None:
            wanted = min(CUTS, (number + 1) * AT_ONCE)
            async with asyncio.timeout(GO_ON_S):
                while proxy.cuts < wanted:
                    proxy.cut_one()
                    await asyncio.sleep(dice.uniform(0.0, 0.02))

        await scene.played(fault, -(-CUTS // AT_ONCE))
    return scene
