"""PostgreSQL stops at once, ends connections, or tells nobody anything: a history stays whole.

Its author reports on all the time, and readers follow and come back.
"""

import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from signal import SIGQUIT
from typing import Final

import pytest

from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.postgres.writer import CHANNEL
from runwatch_server.storage.statements import statement
from tests import postgres
from tests.faults import silent_server
from tests.faults.doors import PATIENCE, doors_of
from tests.faults.scenes import GO_ON_S, Scene, check, check_read_by_all, seeded, times_of
from tests.processes import ServerProcess, wait_until

STOPS: Final = times_of("RUNWATCH_DATABASE_STOPS", 2)
TERMINATED: Final = times_of("RUNWATCH_TERMINATED", 10)
ROUNDS: Final = times_of("RUNWATCH_SILENT_ROUNDS", 3)
READERS: Final = 4
LOOKED_S: Final = 20.0
PICK: Final = statement(
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY pid"
)


@contextmanager
def serving(folder: Path, database: str, *, silent: Path | None = None) -> Iterator[ServerProcess]:
    server = ServerProcess(folder, database=database)
    if silent is not None:
        server.command[:1] = [sys.executable, silent_server.__file__, str(silent)]
    server.environment["RUNWATCH_LIMITS"] = PATIENCE
    with server:
        yield server


@pytest.mark.timeout(900)
def test_a_database_that_stops_at_once_loses_and_doubles_nothing(tmp_path: Path) -> None:
    if postgres.binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    seed, dice = seeded()
    # One of its own: what else uses the others' is not to notice.
    with postgres.cluster() as cluster, serving(tmp_path, cluster.database()) as server:
        scene = scene_at(server, dice)

        async def fault(_: int) -> None:
            await asyncio.to_thread(cluster.stop, SIGQUIT)
            await scene.is_refused()
            await asyncio.to_thread(cluster.start)

        history = scene.play(fault, STOPS)
        check(history, seed)
        check_read_by_all(history, scene.readers)


@pytest.mark.timeout(900)
def test_connections_that_the_database_ends_cost_nothing(
    tmp_path: Path, postgres_cluster: postgres.Cluster
) -> None:
    seed, dice = seeded()
    database = postgres_cluster.database()
    ended = 0
    with (
        serving(tmp_path, database) as server,
        closing(Connection.open(database)) as connection,
    ):
        scene = scene_at(server, dice)

        async def fault(_: int) -> None:
            nonlocal ended
            # The driver has a loop of its own, which wants a thread of its own.
            ended += await asyncio.to_thread(end_one, connection, dice)

        history = scene.play(fault, TERMINATED)
    check(history, seed)
    check_read_by_all(history, scene.readers)
    assert ended == TERMINATED, seed


def end_one(connection: Connection, dice: random.Random) -> int:
    """End any connection of the server; gives how many were."""
    found = wait_until(lambda: connection.all(PICK), "a connection", GO_ON_S)
    (pid,) = dice.choice(found)
    return int(connection.value(statement("SELECT pg_terminate_backend(?)"), (pid,)))


@pytest.mark.timeout(300)
def test_readers_at_a_server_that_is_told_nothing_miss_nothing(
    tmp_path: Path, postgres_cluster: postgres.Cluster
) -> None:
    seed, dice = seeded()
    database = postgres_cluster.database()
    silent = tmp_path / "silent"
    silent.touch()
    with (
        serving(tmp_path / "a", database, silent=silent) as first,
        serving(tmp_path / "b", database, silent=silent) as second,
        closing(Connection.open(database)) as connection,
    ):
        heard = connection.listen(CHANNEL)
        scene = Scene(
            second,
            write_to=doors_of([first]),
            read_from=doors_of([second]),
            readers=READERS,
            dice=dice,
        )

        async def nothing(_: int) -> None:
            # Once a second a server looks by itself; anything else would bring it there later.
            await scene.is_read(LOOKED_S)

        history = scene.play(nothing, ROUNDS)
        assert not connection.hear(heard, 0.1), "something was told"
        silent.unlink()
        first.make_run(["true"])
        assert connection.hear(heard, GO_ON_S), "nothing was told that could have been missed"
    check(history, seed)
    check_read_by_all(history, scene.readers)


def scene_at(server: ServerProcess, dice: random.Random) -> Scene:
    doors = doors_of([server])
    return Scene(server, write_to=doors, read_from=doors, readers=READERS, dice=dice)
