"""Two real nodes, each behind a cable of its own; the one with the runs is cut off past its lease.

A run that may be retried never runs twice at once, and what the first holder says late is refused.
One that stays with its node runs on and completes when the node is back. In every second round the
node manager that is cut off is killed too, so that its supervisors are alone with their leases.
`RUNWATCH_CUT_OFF_ROUNDS` asks for more rounds.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.identity import NodeFolder
from tests.faults.following import Following, check_events, following, said_by_nodes
from tests.faults.namespaces import Namespace, NoNamespacesError, namespaces
from tests.processes import NodeProcess, ServerProcess, wait_until

ROUNDS = int(os.environ.get("RUNWATCH_CUT_OFF_ROUNDS", "2"))
ROUND_LIMIT_S = 120
LIMIT_S = 40.0
LEASE = {"ttl_s": 8, "requeue_after_s": 2, "node_offline_s": 5}

# It holds a lock as long as it lives, notes whether it got it at once, and takes no hint to end.
AGENT = """
import fcntl, os, signal, sys, time
folder = {folder!r}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
node = os.environ["RUNWATCH_NODE_ID"]
lock = open(folder + "/lock", "a")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    alone = "alone"
except BlockingIOError:
    alone = "beside-another"
with open(folder + "/starts", "a") as starts:
    starts.write(f"{{node}} {{alone}}\\n")
n = 0
while not os.path.exists(folder + "/gate"):
    n += 1
    print(f"{{node}} {{n}}", flush=True)
    time.sleep(0.02)
print(f"{{node}} said {{n}}", flush=True)
"""


class Watched:
    """A command that notes each start of it, and whether another of it lived then."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.argv = [sys.executable, "-c", AGENT.format(folder=str(folder))]

    def starts(self) -> list[tuple[str, str]]:
        """Node of each start, and how it found the lock."""
        path = self._folder / "starts"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(node, alone) for node, alone in (line.split() for line in lines)]

    def end(self) -> None:
        """Let it end by itself, wherever it runs."""
        (self._folder / "gate").touch()


@dataclass
class Fleet:
    """A server and two nodes in namespaces."""

    server: ServerProcess
    spaces: dict[str, Namespace]
    nodes: dict[str, NodeProcess]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    data_dir = tmp_path_factory.mktemp("cut-off")
    with ExitStack() as stack:
        try:
            spaces = stack.enter_context(namespaces("a", "b"))
        except NoNamespacesError as error:
            pytest.skip(f"no network namespaces here: {error}")
        server = ServerProcess(data_dir, "--host", "0.0.0.0")
        hosts = [space.outside for space in spaces.values()]
        server.environment |= {
            "RUNWATCH_LEASE": json.dumps(LEASE),
            "RUNWATCH_ALLOWED_HOSTS": ",".join(hosts),
        }
        stack.enter_context(server)
        nodes = {
            name: stack.enter_context(node_in(space, server, name))
            for name, space in spaces.items()
        }
        yield Fleet(server, spaces, nodes)


@pytest.mark.timeout(ROUNDS * ROUND_LIMIT_S + 60)
def test_a_node_cut_off_past_its_lease_never_shares_a_run_and_keeps_the_one_that_is_its_own(
    fleet: Fleet, tmp_path: Path
) -> None:
    for number in range(ROUNDS):
        movable, bound = (Watched(tmp_path / f"{number}" / name) for name in ("movable", "bound"))
        try:
            one_round(fleet, number, movable, bound)
        finally:
            for command in (movable, bound):
                command.end()


def one_round(fleet: Fleet, number: int, movable: Watched, bound: Watched) -> None:
    """Both runs begin on one node, its cable is pulled, one run moves on, the cable is put back."""
    server = fleet.server
    first, second = nodes_of(number)
    moved, kept = both_on(server, first, second, movable, bound)
    with following(server, moved) as followed:
        pull_and_plug(fleet, number, movable, bound, moved, kept, followed)


def pull_and_plug(
    fleet: Fleet,
    number: int,
    movable: Watched,
    bound: Watched,
    moved: str,
    kept: str,
    followed: Following,
) -> None:
    server = fleet.server
    first, second = nodes_of(number)
    killed = number % 2 == 1
    node, cable = fleet.nodes[first], fleet.spaces[first]
    cable.pull()
    try:
        if killed:
            node.kill()
        wait_until(lambda: len(movable.starts()) == 2, "the second node", LIMIT_S)
        wait_until(lambda: epochs_of(server, moved)[-1] == 2, "its first event", LIMIT_S)
        refused = say(server, moved)
        before = [event for event in server.events(moved) if event["epoch"] == 1]
        stays = server.get(f"/api/v1/runs/{kept}")
        gone = status_of(server, first)
    finally:
        cable.plug()
    if killed:
        node.start()
    wait_until(lambda: status_of(server, first) == "online", "the first node to be back", LIMIT_S)
    wait_until(lambda: last_seq(server, kept) > stays["last_seq"], "its own run", LIMIT_S)
    aside = NodeFolder(node.data_dir / "node" / first).aside
    wait_until(lambda: list(aside.glob(f"{moved}.*/kept.json")), "the lost run", LIMIT_S)
    for command in (movable, bound):
        command.end()
    ended = [
        server.wait_for_run(run_id, "done", "failed", limit_s=LIMIT_S) for run_id in (moved, kept)
    ]
    events = [server.events(run_id) for run_id in (moved, kept)]

    assert movable.starts() == [(first, "alone"), (second, "alone")]
    assert bound.starts() == [(first, "alone")]
    assert (stays["status"], stays["node_id"], gone) == ("running", first, "offline")
    assert refused == ("lease_lost", "superseded")
    assert [event for event in events[0] if event["epoch"] == 1] == before
    assert [(run["status"], run["node_id"]) for run in ended] == [("done", second), ("done", first)]
    assert_whole(events[0], first, complete=False)
    assert_whole(events[0], second, complete=True)
    assert_whole(events[1], first, complete=True)
    readings = followed.readings()
    check_events(events[0], number, written=said_by_nodes(events[0]), readings=readings)
    check_events(events[1], number, written=said_by_nodes(events[1]))
    assert {event["epoch"] for event in events[1]} == ({1, 2} if killed else {1})


def nodes_of(number: int) -> tuple[str, str]:
    """Which node is cut off in a round, and which is not."""
    return ("a", "b") if number // 2 % 2 == 0 else ("b", "a")


def node_in(space: Namespace, server: ServerProcess, name: str) -> NodeProcess:
    """A node that knows the server by the address it has at the other end of the cable."""
    node = NodeProcess(server, "--stop-agents", node_id=name)
    node.command[node.command.index("--server") + 1] = f"https://{space.outside}:{server.port}"
    node.command = space.command(*node.command)
    return node


def both_on(
    server: ServerProcess, first: str, second: str, movable: Watched, bound: Watched
) -> tuple[str, str]:
    """Two runs on the first node: one that may go to the other, and one that may not."""
    server.post(f"/api/v1/nodes/{second}/drain")
    moved = server.make_run(movable.argv, retry_on_lost=True)
    kept = server.make_run(bound.argv)
    for run_id in (moved, kept):
        wait_until(partial(talks, server, run_id), "lines", LIMIT_S)
    server.post(f"/api/v1/nodes/{second}/resume")
    assert movable.starts() == bound.starts() == [(first, "alone")]
    return moved, kept


def talks(server: ServerProcess, run_id: str) -> bool:
    return last_seq(server, run_id) > 5


def status_of(server: ServerProcess, node_id: str) -> str:
    status: str = server.get(f"/api/v1/nodes/{node_id}")["status"]
    return status


def last_seq(server: ServerProcess, run_id: str) -> int:
    seq: int = server.get(f"/api/v1/runs/{run_id}")["last_seq"]
    return seq


def epochs_of(server: ServerProcess, run_id: str) -> list[int]:
    """Of the newest events, in their order."""
    page = server.get(f"/api/v1/runs/{run_id}/events?tail=true&limit=1")
    return [event["epoch"] for event in page["events"]]


def say(server: ServerProcess, run_id: str) -> tuple[str, str]:
    """How the server refuses what the first holder would report next."""
    token = (server.data_dir / "node-token").read_text().strip()
    last = [event for event in server.events(run_id) if event["epoch"] == 1][-1]
    event = {
        "seq": last["seq"] + 1,
        "type": "command_output",
        "timestamp": last["timestamp"],
        "payload": {"stdout": "spoke late"},
    }
    path = f"/api/v1/runs/{run_id}/events"
    status, answer = server.request("POST", path, {"epoch": 1, "events": [event]}, token=token)
    assert status == 409, answer
    return answer["code"], answer["details"]["reason"]


def assert_whole(events: list[dict[str, Any]], node: str, *, complete: bool) -> None:
    """Every line of one node's agent, once and in order; ``complete``: to the last it said."""
    printed = [event["payload"].get("stdout", "") for event in events]
    lines = [line for line in printed if line.startswith(f"{node} ")]
    if complete:
        assert lines.pop() == f"{node} said {len(lines)}"
    assert lines == [f"{node} {n}" for n in range(1, len(lines) + 1)]
    assert lines, "nothing was said"
    assert sum(event["type"] == "run_completed" for event in events) == 1
