"""The server's clock jumps by a day, on and back: runs go on, and their histories stay whole.

Two runs are under way: one that a real node reports, under a lease and with a deadline within the
hour, and one with an author here. Now and then the server is started anew while its clock is off.
"""

import asyncio
import random
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.faults import jumping_server
from tests.faults.doors import PATIENCE, doors_of
from tests.faults.following import check_events
from tests.faults.scenes import GO_ON_S, Scene, check, check_read_by_all, seeded, times_of
from tests.postgres import Cluster
from tests.processes import NodeProcess, ServerProcess, wait_until

JUMPS: Final = times_of("RUNWATCH_CLOCK_JUMPS", 2)
DAY_S: Final = 86_400
DEADLINE_S: Final = 3600
READERS: Final = 2
COUNTER: Final = """
import os, time
n = 0
while not os.path.exists({gate!r}):
    print(n, flush=True)
    n += 1
    time.sleep(0.02)
"""


@pytest.mark.timeout(300)
def test_a_clock_that_jumps_a_day_ends_no_run_on_sqlite(tmp_path: Path) -> None:
    jump_again_and_again(ServerProcess(tmp_path))


@pytest.mark.timeout(300)
def test_a_clock_that_jumps_a_day_ends_no_run_on_postgresql(
    tmp_path: Path, postgres_cluster: Cluster
) -> None:
    jump_again_and_again(ServerProcess(tmp_path, database=postgres_cluster.database()))


def jump_again_and_again(server: ServerProcess) -> None:
    seed, dice = seeded()
    off, gate = server.data_dir / "off", server.data_dir / "gate"
    off.write_text("0")
    server.command[:1] = [sys.executable, jumping_server.__file__, str(off)]
    server.environment["RUNWATCH_LIMITS"] = PATIENCE
    with server, NodeProcess(server, "--stop-agents"):
        doors = doors_of([server])
        scene = Scene(server, write_to=doors, read_from=doors, readers=READERS, dice=dice)
        counter = COUNTER.format(gate=str(gate))
        run_id = server.make_run([sys.executable, "-c", counter], timeout_s=DEADLINE_S)

        def jump(number: int) -> None:
            set_clock(off, DAY_S if number % 2 == 0 else 0, dice)
            if number % 4 == 0:
                # In order, so that the duty of upkeep is free at once.
                server.stop()
                server.start()
            # It judges what is due as before: this one is, within seconds.
            short = server.make_run([sys.executable, "-c", counter], timeout_s=1)
            server.wait_for_run(short, "timeout", limit_s=GO_ON_S)
            before = last_seq(server, run_id)
            wait_until(lambda: last_seq(server, run_id) > before, "the node's run", GO_ON_S)

        async def fault(number: int) -> None:
            await asyncio.to_thread(jump, number)

        history = scene.play(fault, JUMPS)
        gate.touch()
        run = server.wait_for_run(run_id, "done", "failed", "timeout", limit_s=GO_ON_S)
        events = server.events(run_id)
    check(history, seed)
    check_read_by_all(history, scene.readers)
    assert run["status"] == "done", (seed, run)
    check_events(events, seed)
    printed = [event["payload"]["stdout"] for event in events if "stdout" in event["payload"]]
    assert printed == [str(n) for n in range(len(printed))], seed
    assert {event["epoch"] for event in events} == {1}, seed


def set_clock(file: Path, off_s: int, dice: random.Random) -> None:
    """To about a day on, or to about the right time; in one step."""
    new = file.with_name("off.new")
    new.write_text(str(off_s + dice.randint(-60, 60)))
    new.replace(file)


def last_seq(server: ServerProcess, run_id: str) -> int:
    seq: int = server.get(f"/api/v1/runs/{run_id}")["last_seq"]
    return seq
