"""`kill -9` of the server at random moments loses no event, doubles none and keeps their order.

A real node reports thousands of lines of a real command while the server is killed again and
again. Then the history is whole (`history`): each event is in the store exactly once, what was read
before a kill is there unchanged, and a socket opened at any place gets every following event
exactly once. The seed is printed with a failure and can be set by RUNWATCH_TEST_SEED.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.doors import doors_of
from tests.faults.history import History, Reading, violations
from tests.faults.numbered import count_of
from tests.faults.readers import Reader, seen
from tests.mongo import MongoServer
from tests.postgres import Cluster
from tests.processes import START_LIMIT_S, NodeProcess, ServerProcess, wait_until

KILLS = count_of("RUNWATCH_TEST_KILLS", 8)
KILLS_ON_POSTGRES = count_of("RUNWATCH_TEST_KILLS", 4)
KILLS_ON_MONGO = count_of("RUNWATCH_TEST_KILLS", 2)
LINES = min(20_000, 1000 * KILLS)
SOCKETS = 8
LIMIT_S = 600 + 5 * KILLS

# Between two kills it prints one share of its lines, over about the time a restart takes; so there
# is something on its way at every kill, however fast the machine is. After the last it hurries.
COUNTER = """
import sys, time
lines, kills, gate = {lines}, {kills}, {gate!r}
done = 0
for n in range(1, lines + 1):
    print(f"line {{n}}")
    if n % 20 == 0:
        sys.stdout.flush()
        while done < kills:
            time.sleep(0.04)
            done = int(open(gate).read())
            if n < lines * (done + 1) / (kills + 1):
                break
"""


@pytest.mark.timeout(LIMIT_S)
def test_kills_of_the_server_lose_and_double_nothing(tmp_path: Path) -> None:
    kill_again_and_again(ServerProcess(tmp_path), KILLS)


@pytest.mark.timeout(LIMIT_S)
def test_kills_of_the_server_on_postgresql_lose_and_double_nothing(
    tmp_path: Path, postgres_cluster: Cluster
) -> None:
    server = ServerProcess(tmp_path, database=postgres_cluster.database())
    kill_again_and_again(server, KILLS_ON_POSTGRES)


@pytest.mark.timeout(LIMIT_S)
def test_kills_of_the_server_on_mongodb_lose_and_double_nothing(
    tmp_path: Path, mongo_server: MongoServer
) -> None:
    server = ServerProcess(tmp_path, database=mongo_server.emptied())
    # FerretDB looks through all events for each page of them.
    kill_again_and_again(server, KILLS_ON_MONGO, lines=2_000, sockets=4)


def kill_again_and_again(
    server: ServerProcess, kills: int, *, lines: int = LINES, sockets: int = SOCKETS
) -> None:
    tmp_path = server.data_dir
    seed = int(os.environ.get("RUNWATCH_TEST_SEED", random.randrange(2**32)))
    dice = random.Random(seed)
    gate = tmp_path / "gate"
    gate.write_text("0")
    counter = COUNTER.format(lines=lines, kills=kills, gate=str(gate))
    with server, NodeProcess(server, "--stop-agents"):
        run_id = server.make_run([sys.executable, "-c", counter])
        server.wait_for_run(run_id, "running")
        seen_at_kill = [0]
        readings: list[Reading] = []
        for kill in range(kills):
            if kill % 2 == 0:
                # The node found the server again and reports; every other kill may come before.
                _wait_for_progress(server, run_id, seen_at_kill[-1])
            _pause(dice.uniform(0.0, 0.4))
            shown = _read_on(server, run_id, seen_at_kill[-1])
            readings.append(shown)
            seen_at_kill.append(max((event.seq for event in shown.events), default=shown.after))
            _pause(dice.uniform(0.0, 0.1))
            server.kill()
            _replace(gate, str(kill + 1))
            server.start()
        run = server.wait_for_run(run_id, "done", "failed", limit_s=60)

        events = server.events(run_id)
        assert run["status"] == "done", (seed, run)
        assert len(set(seen_at_kill)) > kills // 2, (seed, "kills fell outside the reporting")
        assert seen_at_kill[-1] < run["last_seq"], (seed, "kills fell outside the reporting")
        assert_exactly_once(seed, events, run, lines)
        readings += asyncio.run(_read_from_many_places(server, run_id, events, sockets, dice))
        history = History(None, [seen(event) for event in events], readings)
        assert violations(history) == [], seed


def assert_exactly_once(
    seed: int, events: list[dict[str, Any]], run: dict[str, Any], lines: int
) -> None:
    printed = [event["payload"]["stdout"] for event in events if "stdout" in event["payload"]]
    assert run["event_count"] == len(events), seed
    assert run["last_seq"] == events[-1]["seq"], seed
    assert printed == [f"line {n}" for n in range(1, lines + 1)], seed
    assert [event["type"] for event in events].count("run_completed") == 1, seed


def _read_on(server: ServerProcess, run_id: str, after: int) -> Reading:
    """What the store shows behind a number, just before a kill."""
    events = tuple(seen(event) for event in server.events(run_id, after))
    return Reading("whoever looked before the kills", after, events, ended=False)


async def _read_from_many_places(
    server: ServerProcess,
    run_id: str,
    events: list[dict[str, Any]],
    sockets: int,
    dice: random.Random,
) -> list[Reading]:
    """A socket each; one behind the last event gets nothing but the end."""
    places = [0, events[-1]["seq"], *(dice.choice(events)["seq"] for _ in range(sockets - 2))]
    doors = doors_of([server])
    readers = [
        Reader(f"socket {n}", doors, run_id, turn=0, batch=n % 2 == 1, after=place)
        for n, place in enumerate(places)
    ]
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for reader in readers:
            tasks.create_task(reader.read(), name="reader")
    return [reading for reader in readers for reading in reader.readings]


def _last_seq(server: ServerProcess, run_id: str) -> int:
    seq: int = server.get(f"/api/v1/runs/{run_id}")["last_seq"]
    return seq


def _wait_for_progress(server: ServerProcess, run_id: str, seen: int) -> None:
    wait_until(lambda: _last_seq(server, run_id) > seen, "the node to report on", START_LIMIT_S)


def _replace(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


def _pause(seconds: float) -> None:
    """The moment of a kill is what varies here; nothing is awaited by it."""
    time.sleep(seconds)
