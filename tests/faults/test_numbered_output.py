"""Numbered output through kills, outages and a full disk: produced = delivered + declared lost.

Small counts here; ``make faults`` sets the variables to those that were promised.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.run_log import RESERVE_BYTES
from tests.faults.following import check_events
from tests.faults.numbered import (
    Numbered,
    assert_all_accounted_for,
    count_of,
    declared_lost,
    printed,
)
from tests.nodemanager.conftest import end_supervised
from tests.processes import NodeProcess, ServerProcess, fleet, wait_until

NODE_KILLS = count_of("RUNWATCH_NODE_KILLS", 2)
KILLS_A_RUN = 10
SUPERVISOR_KILLS = count_of("RUNWATCH_SUPERVISOR_KILLS", 2)
OUTAGE_S = count_of("RUNWATCH_OUTAGE_S", 1)
LIMIT_S = 120.0 + 20 * OUTAGE_S
MB_LINE = 200
"""Bytes of a line; 10,000 of them a second are 2 MB/s."""
DISK_BYTES = 4 * 1024 * 1024
SEED = int(os.environ.get("RUNWATCH_TEST_SEED", random.randrange(2**32)))


def wait_for_lines(command: Numbered, more: int) -> None:
    goal = command.produced() + more
    wait_until(lambda: command.produced() >= goal, "more lines", LIMIT_S)


def kill_and_start(node: NodeProcess) -> None:
    """Kill it, start it again, and wait for the new process, not for what was known of the old."""
    known = "The server knows this node"
    said = node.log().count(known)
    node.kill()
    node.start()
    wait_until(lambda: node.log().count(known) > said, "the new process", LIMIT_S)


@pytest.mark.timeout(60 + 30 * NODE_KILLS)
def test_killed_node_managers_cost_not_a_line(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    left = NODE_KILLS
    with fleet(tmp_path / "data", "--stop-agents") as (server, node):
        while left:
            command = Numbered(tmp_path / str(left))
            run_id = server.make_run(command.argv)
            server.wait_for_run(run_id, "running", limit_s=LIMIT_S)
            for _ in range(min(left, KILLS_A_RUN)):
                wait_for_lines(command, dice.randrange(4000))
                kill_and_start(node)
                left -= 1
            command.gate.touch()
            run = server.wait_for_run(run_id, "done", "failed", limit_s=LIMIT_S)
            assert run["status"] == "done", (SEED, run)
            events = server.events(run_id)
            assert_all_accounted_for(events, produced=command.produced())
            assert declared_lost(events) == 0, SEED


@pytest.mark.timeout(60 + 30 * SUPERVISOR_KILLS)
def test_a_killed_supervisor_leaves_a_prefix_and_says_that_the_rest_is_not_known(
    tmp_path: Path,
) -> None:
    dice = random.Random(SEED)
    with fleet(tmp_path / "data", "--stop-agents") as (server, node):
        folder = NodeFolder(node.data_dir / "node" / node.node_id)
        for number in range(SUPERVISOR_KILLS):
            command = Numbered(tmp_path / str(number))
            run_id = server.make_run(command.argv)
            server.wait_for_run(run_id, "running", limit_s=LIMIT_S)
            wait_for_lines(command, dice.randrange(100, 8000))
            supervisor = json.loads(folder.run(run_id).supervisor.read_text())
            os.kill(supervisor["pid"], signal.SIGKILL)
            run = server.wait_for_run(run_id, "done", "failed", limit_s=LIMIT_S)
            assert (run["status"], run["error_code"]) == ("failed", "interrupted"), (SEED, run)
            events = server.events(run_id)
            lines = printed(events)
            check_events(events, SEED)
            # A line cut by the kill comes as the piece it is, and is none of these.
            assert lines == [f"line {n}" for n in range(1, len(lines) + 1)], SEED
            assert len(lines) <= command.produced() + 500
            warnings = [e["payload"]["code"] for e in events if e["type"] == "warning"]
            assert warnings == ["output_unknown"], SEED


@pytest.mark.timeout(60 + 30 * OUTAGE_S)
def test_a_server_that_is_away_costs_not_a_line(tmp_path: Path) -> None:
    command = Numbered(tmp_path / "agent", rate=10_000, width=MB_LINE)
    with ServerProcess(tmp_path / "data") as server, NodeProcess(server, "--stop-agents"):
        run_id = server.make_run(command.argv)
        server.wait_for_run(run_id, "running", limit_s=LIMIT_S)
        server.kill()
        wait_for_lines(command, 10_000 * OUTAGE_S)
        server.start()
        command.gate.touch()
        run = server.wait_for_run(run_id, "done", "failed", limit_s=LIMIT_S)
        assert run["status"] == "done", run
        events = server.events(run_id)
        assert_all_accounted_for(events, produced=command.produced())
        assert declared_lost(events) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB, where this machine lets us mount one."""
    path = tmp_path / "disk"
    path.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("a file system of its own needs root and mount")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        # What a failed test leaves waits for room that never comes.
        end_supervised(path)
        subprocess.run([umount, "--lazy", str(path)], check=True)


def fill(path: Path) -> None:
    """Take what the node leaves for itself, too."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


@pytest.mark.timeout(360)
@pytest.mark.parametrize("policy", ["block", "drop"])
def test_on_a_full_disk_an_agent_waits_or_its_losses_are_counted(
    tmp_path: Path, small_disk: Path, policy: str
) -> None:
    command = Numbered(tmp_path / "agent", rate=10_000, width=MB_LINE)
    with ServerProcess(tmp_path / "data") as server:
        node = NodeProcess(server, "--stop-agents", "--data-dir", str(small_disk))
        node.environment["RUNWATCH_SPOOL_FULL"] = policy
        node.environment["RUNWATCH_TOKEN_FILE"] = str(tmp_path / "data" / "node-token")
        node.environment["RUNWATCH_CA"] = str(tmp_path / "data" / "tls" / "ca.pem")
        with node:
            run_id = server.make_run(command.argv)
            server.wait_for_run(run_id, "running", limit_s=LIMIT_S)
            server.kill()
            disk = shutil.disk_usage
            wait_until(lambda: disk(small_disk).free < RESERVE_BYTES, "a full disk", LIMIT_S)
            fill(small_disk / "filler")
            if policy == "drop":
                # It goes on whatever the disk says.
                wait_for_lines(command, 10_000)
            server.start()
            (small_disk / "filler").unlink()
            wait_for_lines(command, 2000)
            command.gate.touch()
            run = server.wait_for_run(run_id, "done", "failed", limit_s=LIMIT_S)
            assert run["status"] == "done", run
            events = server.events(run_id)
    assert_all_accounted_for(events, produced=command.produced())
    assert (declared_lost(events) > 0) == (policy == "drop")
