"""A real node that is cut off past its leases: others go on, and what it still says is refused.

It is stopped (SIGSTOP) with two runs: one that may be given to another node, one that may not.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.processes import read_process
from tests.faults.following import check_events, reading_of, said_by_nodes
from tests.processes import NodeProcess, ServerProcess, wait_until

LEASE = {"ttl_s": 10, "requeue_after_s": 1, "lost_after_s": 1, "node_offline_s": 6}
LIMIT_S = 40.0

# Each start is noted; each line says which node's it is.
COUNTER = """
import os, sys, time
starts, gate = {starts!r}, {gate!r}
node = os.environ["RUNWATCH_NODE_ID"]
with open(starts, "a") as file:
    file.write(f"{{node}} {{os.getpid()}}\\n")
n = 0
while not os.path.exists(gate):
    n += 1
    print(f"{{node}} {{n}}", flush=True)
    time.sleep(0.02)
"""


class Counting:
    """A command that notes each start, and ends when it is told to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.starts = folder / "starts"
        self.gate = folder / "gate"
        script = COUNTER.format(starts=str(self.starts), gate=str(self.gate))
        self.argv = [sys.executable, "-c", script]

    def nodes(self) -> list[str]:
        """The node of each start."""
        return self._words()[0::2]

    def first_runs(self) -> bool:
        """Whether the process of the first start lives."""
        process = read_process(int(self._words()[1]))
        return process is not None and process.state != "Z"

    def _words(self) -> list[str]:
        return self.starts.read_text().split() if self.starts.exists() else []


@pytest.fixture
def movable(tmp_path: Path) -> Iterator[Counting]:
    """Of the run that may be given to another node."""
    counting = Counting(tmp_path / "movable")
    yield counting
    counting.gate.touch()


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Counting]:
    """Of the run that stays with its node."""
    counting = Counting(tmp_path / "bound")
    yield counting
    counting.gate.touch()


@pytest.mark.timeout(150)
def test_a_node_cut_off_past_its_leases_has_no_say_any_more(
    tmp_path: Path, movable: Counting, bound: Counting
) -> None:
    server = ServerProcess(tmp_path)
    server.environment["RUNWATCH_LEASE"] = json.dumps(LEASE)
    with server, node_of(server, "a") as first:
        moved = server.make_run(movable.argv, retry_on_lost=True)
        kept = server.make_run(bound.argv)
        wait_until(lambda: last_seq(server, moved) > 5 and last_seq(server, kept) > 5, "lines", 20)
        with node_of(server, "b"), cut_off(first):
            wait_until(lambda: movable.nodes() == ["a", "b"], "the second node", LIMIT_S)
            assert not movable.first_runs(), "two agents at once"
            ended = server.wait_for_run(kept, "failed", limit_s=LIMIT_S)
            assert bound.first_runs(), "a lease in doubt must not end a run that stays"
            refused = [say(server, run_id) for run_id in (moved, kept)]
            seen = [server.events(run_id) for run_id in (moved, kept)]
            os.kill(first.pid, signal.SIGCONT)
            aside = tmp_path / "node" / "a" / "aside"
            wait_until(lambda: len(list(aside.iterdir())) == 2, "both put aside", LIMIT_S)
            movable.gate.touch()
            done = server.wait_for_run(moved, "done", "failed")
            events = [server.events(run_id) for run_id in (moved, kept)]

    assert (done["status"], done["node_id"]) == ("done", "b")
    assert (ended["status"], ended["error_code"]) == ("failed", "node_lost")
    assert refused == [("lease_lost", "superseded"), ("lease_lost", "node_lost")]
    assert movable.nodes() == ["a", "b"]
    assert bound.nodes() == ["a"]
    assert not bound.first_runs(), "its agent runs on"
    assert [now[: len(before)] for now, before in zip(events, seen, strict=True)] == seen
    for now, before in zip(events, seen, strict=True):
        check_events(now, written=said_by_nodes(now), readings=[reading_of(before)])
    assert events[1] == seen[1], "a lost run took events"
    assert_one_author_an_epoch(events[0], {1: "a", 2: "b"})
    assert [event["type"] for event in events[0]].count("run_completed") == 1
    assert_kept_aside(aside / f"{moved}.1", events[0])
    assert_kept_aside(aside / f"{kept}.1", events[1])


def node_of(server: ServerProcess, node_id: str) -> NodeProcess:
    return NodeProcess(server, "--stop-agents", node_id=node_id)


@contextmanager
def cut_off(node: NodeProcess) -> Iterator[None]:
    """Stopped, and going on at the latest afterwards, or it could not be ended."""
    os.kill(node.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(node.pid, signal.SIGCONT)


def last_seq(server: ServerProcess, run_id: str) -> int:
    seq: int = server.get(f"/api/v1/runs/{run_id}")["last_seq"]
    return seq


def say(server: ServerProcess, run_id: str) -> tuple[str, str]:
    """How the server refuses what the first holder would report next."""
    token = (server.data_dir / "node-token").read_text().strip()
    last = [event for event in server.events(run_id) if event["epoch"] == 1][-1]
    event = {
        "seq": last["seq"] + 1,
        "type": "command_output",
        "timestamp": last["timestamp"],
        "payload": {"stdout": "a spoke late"},
    }
    path = f"/api/v1/runs/{run_id}/events"
    status, answer = server.request("POST", path, {"epoch": 1, "events": [event]}, token=token)
    assert status == 409, answer
    return answer["code"], answer["details"]["reason"]


def assert_one_author_an_epoch(events: list[dict[str, Any]], nodes: dict[int, str]) -> None:
    for epoch, node in nodes.items():
        of_epoch = [event for event in events if event["epoch"] == epoch]
        printed = [e["payload"]["stdout"] for e in of_epoch if "stdout" in e["payload"]]
        assert printed == [f"{node} {n}" for n in range(1, len(printed) + 1)]
        starts = [e["payload"]["node_id"] for e in of_epoch if e["type"] == "run_started"]
        assert starts == [node]
    assert {event["epoch"] for event in events} == set(nodes)


def assert_kept_aside(folder: Path, events: list[dict[str, Any]]) -> None:
    """What the agent said and the server does not have is on the node's disk."""
    stored = [e["payload"]["stdout"] for e in events if e["payload"].get("stdout", "")[:1] == "a"]
    log = b"".join(segment.read_bytes() for segment in (folder / "log").iterdir())
    assert f"a {len(stored) + 1}".encode() in log
    assert json.loads((folder / "kept.json").read_text())["outcome"].startswith("lost: ")
