"""Processes that outlived their runs: told of in heartbeats, killed after a grace; no others."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.leftovers import Leftovers
from runwatch_nodemanager.processes import RUN_VARIABLE, read_process
from tests.clock import ManualClock

Sleeper = Callable[[str], int]


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """Starts a process with a run's folder in its environment; gives its id."""
    started: list[subprocess.Popen[bytes]] = []

    def start(mark: str) -> int:
        process = subprocess.Popen(["sleep", "120"], env={RUN_VARIABLE: mark, "PATH": os.defpath})
        started.append(process)
        return process.pid

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> NodeFolder:
    folder = NodeFolder(tmp_path / "node")
    folder.create()
    return folder


def dead(pid: int) -> bool:
    process = read_process(pid)
    return process is None or process.state == "Z"


def until_dead(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_process_without_its_run_is_told_and_killed_after_the_grace(
    folder: NodeFolder, sleeper: Sleeper
) -> None:
    clock = ManualClock()
    leftovers = Leftovers(folder, clock, grace_s=60)
    pid = sleeper(str(folder.runs / "run-0123456789ab"))
    assert leftovers.look() == 0
    (told,) = leftovers.told()
    assert (told.kind, told.ref) == ("process", f"pid {pid} of run-0123456789ab")
    clock.advance(59)
    assert leftovers.look() == 0
    assert leftovers.told() == [told]
    assert not dead(pid)
    clock.advance(1)
    assert leftovers.look() == 1
    assert leftovers.told() == []
    until_dead(pid)
    assert leftovers.look() == 0


def test_what_has_its_run_or_is_not_of_this_node_is_let_be(
    folder: NodeFolder, sleeper: Sleeper, tmp_path: Path
) -> None:
    (folder.runs / "run-000000000001").mkdir()
    marks = [
        str(folder.runs / "run-000000000001"),
        str(tmp_path / "other" / "runs" / "run-000000000002"),
        f"{folder.runs}/../runs/run-000000000003",
        f"{folder.runs}/..",
        f"{folder.runs}/",
        f"{folder.runs}x/run-000000000004",
    ]
    pids = [sleeper(mark) for mark in marks]
    leftovers = Leftovers(folder, ManualClock(), grace_s=0)
    assert leftovers.look() == 0
    assert leftovers.told() == []
    assert not any(dead(pid) for pid in pids)


async def test_a_node_tells_of_them_and_then_collects_them(server, new_node, sleeper, tmp_path):
    node = await new_node(capacity=1)
    await node.vanish()
    pid = sleeper(str(node.folder.runs / "run-0123456789ab"))
    await new_node(capacity=1)
    await server.until(lambda: any(beat["orphans"] for beat in server.beats))
    (orphan,) = next(beat["orphans"] for beat in server.beats if beat["orphans"])
    assert (orphan["kind"], orphan["ref"]) == ("process", f"pid {pid} of run-0123456789ab")
    assert not dead(pid)
