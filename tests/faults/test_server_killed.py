"""`kill -9` of the server at random moments loses no event, doubles none and keeps their order.

A real node reports 20,000 lines of a real command while the server is killed fifty times. Then each
event is in the store exactly once, and a socket opened at any place gets every following event
exactly once. The seed is printed with a failure and can be set by RUNWATCH_TEST_SEED.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect

from runwatch_shared.wire import EventFrame, RunFrame, StatusFrame
from tests.mongo import MongoServer
from tests.postgres import Cluster
from tests.processes import START_LIMIT_S, NodeProcess, ServerProcess, wait_until

LINES = 20_000
KILLS = int(os.environ.get("RUNWATCH_TEST_KILLS", "50"))
KILLS_ON_POSTGRES = int(os.environ.get("RUNWATCH_TEST_KILLS", "10"))
KILLS_ON_MONGO = int(os.environ.get("RUNWATCH_TEST_KILLS", "4"))
SOCKETS = 20

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


@pytest.mark.timeout(600)
def test_fifty_kills_of_the_server_lose_and_double_nothing(tmp_path: Path) -> None:
    kill_again_and_again(ServerProcess(tmp_path), KILLS)


@pytest.mark.timeout(600)
def test_kills_of_the_server_on_postgresql_lose_and_double_nothing(
    tmp_path: Path, postgres_cluster: Cluster
) -> None:
    server = ServerProcess(tmp_path, database=postgres_cluster.database())
    kill_again_and_again(server, KILLS_ON_POSTGRES)


@pytest.mark.timeout(600)
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
        for kill in range(kills):
            if kill % 2 == 0:
                # The node found the server again and reports; every other kill may come before.
                _wait_for_progress(server, run_id, seen_at_kill[-1])
            _pause(dice.uniform(0.0, 0.4))
            seen_at_kill.append(_last_seq(server, run_id))
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
        asyncio.run(_follow_from_many_places(server, run_id, events, sockets, dice, seed))


def assert_exactly_once(
    seed: int, events: list[dict[str, Any]], run: dict[str, Any], lines: int
) -> None:
    seqs = [event["seq"] for event in events]
    printed = [event["payload"]["stdout"] for event in events if "stdout" in event["payload"]]
    assert seqs == sorted(set(seqs)), (seed, "not rising")
    assert run["event_count"] == len(events), seed
    assert run["last_seq"] == seqs[-1], seed
    assert printed == [f"line {n}" for n in range(1, lines + 1)], seed
    assert [event["type"] for event in events].count("run_completed") == 1, seed


async def _follow_from_many_places(
    server: ServerProcess,
    run_id: str,
    events: list[dict[str, Any]],
    sockets: int,
    dice: random.Random,
    seed: int,
) -> None:
    places = [0, events[-1]["seq"], *(dice.choice(events)["seq"] for _ in range(sockets - 2))]
    seqs = [event["seq"] for event in events]
    for got, place in zip(
        await asyncio.gather(*(_follow(server, run_id, place) for place in places)),
        places,
        strict=True,
    ):
        assert got == [seq for seq in seqs if seq > place], (seed, place)


async def _follow(server: ServerProcess, run_id: str, from_seq: int) -> list[int]:
    decode = msgspec.json.Decoder(RunFrame).decode
    got: list[int] = []
    url = server.url.replace("https:", "wss:") + f"/ws/runs/{run_id}/events?from_seq={from_seq}"
    async with asyncio.timeout(60), connect(url, ssl=server.tls(), proxy=None) as socket:
        async for message in socket:
            match decode(message):
                case EventFrame(data=data):
                    got.append(data.seq)
                case StatusFrame():
                    break
                case _:
                    pass
    return got


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
