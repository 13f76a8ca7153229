"""A disk that fills under a server and is freed: it refuses meanwhile, and nothing that it
acknowledged is lost, on SQLite and on PostgreSQL.

The disk is a small tmpfs of the test's own, which needs the right to mount one.
"""

import asyncio
import os
import pwd
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from runwatch_server.storage.postgres.connection import Connection
from tests.faults.doors import PATIENCE, doors_of
from tests.faults.scenes import GO_ON_S, POLL_S, Scene, check, check_read_by_all, seeded, times_of
from tests.postgres import Cluster
from tests.processes import ServerProcess

FILLED: Final = times_of("RUNWATCH_DISK_FILLS", 2)
DISK: Final = "48m"
REFUSED: Final = 5
"""Tries that are refused before there is room again."""
READERS: Final = 2
CHUNK: Final = b"\0" * 65536
LIMIT_S: Final = 20.0


@pytest.fixture
def small_disk() -> Iterator[Path]:
    if shutil.which("mount") is None:
        pytest.skip("the program mount is not installed")
    # Not below a test's own folder, which PostgreSQL's user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="runwatch-disk-"))
    folder.chmod(0o755)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        folder.rmdir()
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], timeout=LIMIT_S, check=True)
        folder.rmdir()


@pytest.mark.timeout(300)
def test_a_full_disk_under_sqlite_costs_no_acknowledged_event(
    tmp_path: Path, small_disk: Path
) -> None:
    database = f"sqlite:///{small_disk / 'runwatch.db'}"
    fill_again_and_again(ServerProcess(tmp_path / "server", database=database), small_disk)


@pytest.mark.timeout(300)
def test_a_full_disk_under_postgresql_costs_no_acknowledged_event(
    tmp_path: Path, small_disk: Path, postgres_cluster: Cluster
) -> None:
    with on_disk(postgres_cluster, small_disk) as database:
        server = ServerProcess(tmp_path / "server", database=database)
        fill_again_and_again(server, small_disk)


@contextmanager
def on_disk(cluster: Cluster, disk: Path) -> Iterator[str]:
    """A database whose tables are there; the log stays where the cluster is."""
    space = disk / "tables"
    space.mkdir()
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(space, owner.pw_uid, owner.pw_gid)
    with closing(Connection.open(cluster.url("postgres"))) as connection:
        connection.command(f"CREATE TABLESPACE small LOCATION '{space}'")
        connection.command(
            "CREATE DATABASE on_small TEMPLATE empty_one STRATEGY FILE_COPY TABLESPACE small"
        )
        try:
            yield cluster.url("on_small")
        finally:
            connection.command("DROP DATABASE on_small WITH (FORCE)")
            connection.command("DROP TABLESPACE small")


def fill_again_and_again(server: ServerProcess, disk: Path) -> None:
    seed, dice = seeded()
    server.environment["RUNWATCH_LIMITS"] = PATIENCE
    ballast = disk / "ballast"
    with server:
        doors = doors_of([server])
        scene = Scene(server, write_to=doors, read_from=doors, readers=READERS, dice=dice)

        async def fault(_: int) -> None:
            await fill_and_free(scene, ballast, dice)

        history = scene.play(fault, FILLED)
        assert "storage_full" in scene.author.reasons, (seed, scene.author.reasons)
    check(history, seed)
    check_read_by_all(history, scene.readers)


async def fill_and_free(scene: Scene, ballast: Path, dice: random.Random) -> None:
    """Take all the room until tries are refused, then give it back."""
    refused = scene.author.refused
    try:
        async with asyncio.timeout(GO_ON_S):
            while scene.author.refused < refused + REFUSED:
                fill(ballast)
                await asyncio.sleep(POLL_S)
        await asyncio.sleep(dice.uniform(0.0, 0.2))
    finally:
        ballast.unlink()


def fill(ballast: Path) -> None:
    """What is free now, byte by byte at the end."""
    size = len(CHUNK)
    with ballast.open("ab", buffering=0) as file:
        while size:
            try:
                file.write(CHUNK[:size])
            except OSError:
                size //= 2
