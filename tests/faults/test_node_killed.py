"""`kill -9` of a real node manager, and of more than it: nothing lost, doubled or run twice.

What the manager reads back from its own disk is tested with a scripted server under
tests/nodemanager; here the server is the real one.
"""

import contextlib
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.processes import marked_pids
from runwatch_nodemanager.run_folder import RunFolder
from tests.faults.following import check_events, following, reading_of
from tests.faults.numbered import count_of
from tests.processes import NodeProcess, ServerProcess, fleet, wait_until

KILLS = count_of("RUNWATCH_RUN_KILLS", 3)
LIMIT_S = 20.0
KNOWN = "The server knows this node"
"""What a node logs when the server has answered its first heartbeat."""

# Notes that it was started, then prints numbered lines for as long as the gate is closed.
COUNTER = """
import os, sys, time
starts, gate = {starts!r}, {gate!r}
with open(starts, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
n = 0
while not os.path.exists(gate):
    for n in range(n + 1, n + 11):
        print(f"line {{n}}")
    sys.stdout.flush()
    time.sleep(0.01)
print(f"the last is {{n}}", flush=True)
"""


class Counting:
    """A command that counts how often it was started, and ends when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.starts = folder / "starts"
        self.gate = folder / "gate"
        script = COUNTER.format(starts=str(self.starts), gate=str(self.gate))
        self.argv = [sys.executable, "-c", script]

    def pids(self) -> list[int]:
        """The process of each start."""
        return [int(word) for word in self.starts.read_text().split()]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Counting]:
    """Its process ends with the test, whatever the test found."""
    counting = Counting(tmp_path)
    yield counting
    counting.gate.touch()


def last_seq(server: ServerProcess, run_id: str) -> int:
    seq: int = server.get(f"/api/v1/runs/{run_id}")["last_seq"]
    return seq


def wait_for_more(server: ServerProcess, run_id: str, seen: int) -> None:
    wait_until(lambda: last_seq(server, run_id) > seen, "the node to report on", LIMIT_S)


def start_again(node: NodeProcess) -> None:
    """Start a killed node and wait for the new process, not for what the server knew of the old."""
    said = node.log().count(KNOWN)
    node.start()
    wait_until(lambda: node.log().count(KNOWN) > said, "the new process", LIMIT_S)


def folder_of(node: NodeProcess, run_id: str) -> RunFolder:
    return NodeFolder(node.data_dir / "node" / node.node_id).run(run_id)


def assert_every_line_once(events: list[dict[str, Any]]) -> None:
    printed = [event["payload"]["stdout"] for event in events if "stdout" in event["payload"]]
    told = printed.pop()
    assert printed == [f"line {n}" for n in range(1, len(printed) + 1)]
    assert told == f"the last is {len(printed)}"
    assert [event["type"] for event in events].count("run_started") == 1
    assert [event["type"] for event in events].count("run_completed") == 1


@pytest.mark.timeout(180)
def test_a_run_is_adopted_after_each_kill_of_its_node_and_ends_with_every_line(
    tmp_path: Path, command: Counting
) -> None:
    with fleet(tmp_path, "--stop-agents") as (server, node):
        run_id = server.make_run(command.argv)
        server.wait_for_run(run_id, "running")
        with following(server, run_id) as readers:
            for _ in range(KILLS):
                wait_for_more(server, run_id, last_seq(server, run_id))
                node.kill()
                node.start()
            wait_for_more(server, run_id, last_seq(server, run_id))
            node.kill()
            # It says its last words while no node manager is there to hear them.
            command.gate.touch()
            folder = folder_of(node, run_id)
            wait_until(lambda: not folder.supervised(), "the agent's end", LIMIT_S)
            node.start()
            run = server.wait_for_run(run_id, "done", "failed")
            events = server.events(run_id)
            readings = readers.readings()

        assert run["status"] == "done", run
        assert run["exit_code"] == 0
        assert len(command.pids()) == 1
        assert_every_line_once(events)
        check_events(events, readings=readings)
        assert len({event["epoch"] for event in events}) >= KILLS


@pytest.mark.timeout(90)
def test_a_run_whose_processes_died_with_the_node_ends_interrupted_and_never_runs_again(
    tmp_path: Path, command: Counting
) -> None:
    with fleet(tmp_path, "--stop-agents") as (server, node):
        run_id = server.make_run(command.argv)
        wait_for_more(server, run_id, 20)
        folder = folder_of(node, run_id)
        node.kill()
        kill_all_of(folder)
        stored = server.events(run_id)
        spooled = lines_in(folder)
        node.start()
        run = server.wait_for_run(run_id, "done", "failed")
        # The node is of use again, and had every chance to start the other once more.
        other = server.make_run(["true"])
        server.wait_for_run(other, "done")
        events = server.events(run_id)
        printed = [event["payload"]["stdout"] for event in events if "stdout" in event["payload"]]

        assert (run["status"], run["error_code"]) == ("failed", "interrupted")
        assert len(command.pids()) == 1
        check_events(events, readings=[reading_of(stored)])
        assert events[: len(stored)] == stored
        assert events[-1]["type"] == "run_failed"
        assert [event["type"] for event in events].count("run_started") == 1
        assert printed == [f"line {n}" for n in range(1, spooled + 1)]


@pytest.mark.timeout(120)
def test_a_node_killed_at_any_moment_starts_each_command_once_at_most(tmp_path: Path) -> None:
    seed = int(os.environ.get("RUNWATCH_TEST_SEED", random.randrange(2**32)))
    dice = random.Random(seed)
    starts = tmp_path / "starts"
    note = 'echo "$RUNWATCH_RUN_ID" >> "$0"; echo begun; sleep 0.2; echo over'
    with fleet(tmp_path, "--stop-agents") as (server, node):
        run_ids = []
        for _ in range(KILLS):
            run_ids += [server.make_run(["sh", "-c", note, str(starts)]) for _ in range(3)]
            # The moment of a kill is what varies here; nothing is awaited by it.
            time.sleep(dice.uniform(0.0, 0.7))
            node.kill()
            start_again(node)
        run_ids.append(server.make_run(["sh", "-c", note, str(starts)]))
        ended = [server.wait_for_run(run_id, "done", "failed") for run_id in run_ids]
        events = {run_id: server.events(run_id) for run_id in run_ids}

    started = Counter(starts.read_text().split())
    for run in ended:
        run_id = run["id"]
        types = [event["type"] for event in events[run_id]]
        check_events(events[run_id], (seed, run))
        assert started[run_id] <= 1, (seed, run, events[run_id])
        if run["status"] == "done":
            assert started[run_id] == 1, (seed, run)
            printed = [e["payload"]["stdout"] for e in events[run_id] if "stdout" in e["payload"]]
            assert printed == ["begun", "over"], (seed, run)
        else:
            assert run["error_code"] == "interrupted", (seed, run)
        assert types[-1] in {"run_completed", "run_failed"}, (seed, run)
        assert sum(kind in {"run_completed", "run_failed"} for kind in types) == 1, (seed, types)
    assert ended[-1]["status"] == "done", (seed, ended[-1])


def lines_in(folder: RunFolder) -> int:
    """The number of the newest line in the log of a run."""
    log = b"".join(segment.read_bytes() for segment in folder.log.iterdir())
    return max(int(number) for number in re.findall(rb"line (\d+)", log))


def kill_all_of(folder: RunFolder) -> None:
    """SIGKILL to the supervisor of a run, then to whatever it supervised."""
    os.kill(json.loads(folder.supervisor.read_text())["pid"], signal.SIGKILL)
    for pid in marked_pids(folder.path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not folder.supervised() and not marked_pids(folder.path), "their end")
