"""MongoDB is killed and comes back, or its connections are cut: a history stays whole.

FerretDB stands for it: it has neither transactions nor replicas, so what holds here is held by the
shape of the writes alone. What a replica set would add, elections, is not to be had with it.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests import mongo
from tests.faults.cutting import CuttingProxy
from tests.faults.doors import PATIENCE, doors_of
from tests.faults.scenes import GO_ON_S, Scene, check, check_read_by_all, seeded, times_of
from tests.processes import ServerProcess

KILLS: Final = times_of("RUNWATCH_DATABASE_STOPS", 2)
CUTS: Final = times_of("RUNWATCH_TERMINATED", 10)
AT_ONCE: Final = 5
READERS: Final = 2


@pytest.fixture
def database() -> Iterator[mongo.FerretDb]:
    """One of its own: what else uses the others' is not to notice."""
    if not mongo.program().exists():
        pytest.skip("FerretDB is not built (make test builds it)")
    with mongo.ferretdb() as own:
        yield own


def served(folder: Path, url: str) -> ServerProcess:
    server = ServerProcess(folder, database=url)
    server.environment["RUNWATCH_LIMITS"] = PATIENCE
    return server


@pytest.mark.timeout(900)
def test_a_mongodb_that_is_killed_and_comes_back_loses_and_doubles_nothing(
    tmp_path: Path, database: mongo.FerretDb
) -> None:
    seed, dice = seeded()
    with served(tmp_path, f"{database.url}/runwatch") as server:
        doors = doors_of([server])
        scene = Scene(server, write_to=doors, read_from=doors, readers=READERS, dice=dice)

        async def fault(_: int) -> None:
            await asyncio.to_thread(database.kill)
            await scene.is_refused()
            await asyncio.to_thread(database.start)

        history = scene.play(fault, KILLS)
        check(history, seed)
        check_read_by_all(history, scene.readers)


@pytest.mark.timeout(900)
def test_connections_to_mongodb_that_are_cut_lose_and_double_nothing(
    tmp_path: Path, database: mongo.FerretDb
) -> None:
    seed, dice = seeded()
    proxy = CuttingProxy([database.port], dice)

    async def play() -> None:
        async with proxy.serving():
            url = f"mongodb://127.0.0.1:{proxy.port}/runwatch"
            server = served(tmp_path, url)
            await asyncio.to_thread(server.start)
            try:
                doors = doors_of([server])
                scene = await asyncio.to_thread(
                    Scene, server, write_to=doors, read_from=doors, readers=READERS, dice=dice
                )

                async def fault(number: int) -> None:
                    wanted = min(CUTS, (number + 1) * AT_ONCE)
                    async with asyncio.timeout(GO_ON_S):
                        while proxy.cuts < wanted:
                            proxy.cut_one()
                            await asyncio.sleep(dice.uniform(0.0, 0.05))

                await scene.played(fault, -(-CUTS // AT_ONCE))
                await asyncio.to_thread(judge, scene)
            finally:
                await asyncio.to_thread(server.stop)

    def judge(scene: Scene) -> None:
        history = scene.history()
        check(history, seed)
        check_read_by_all(history, scene.readers)

    asyncio.run(play())
    assert proxy.cuts >= CUTS, seed
