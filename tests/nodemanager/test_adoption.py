"""A node manager that dies and starts again: nothing lost, nothing doubled, nothing run twice."""

import asyncio
import os
import signal
from pathlib import Path

from runwatch_nodemanager.processes import marked_pids
from runwatch_nodemanager.run_folder import RunFolder
from tests.nodemanager.test_runs_on_a_node import stdout_of

NUMBERED = "i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; {pause} done"


def numbered(count: int, pause: str = "") -> list[str]:
    return ["sh", "-c", NUMBERED.format(count=count, pause=pause)]


def gated(count: int, pause: str, gate: Path) -> list[str]:
    """As ``numbered``, but it goes on to its end only when the gate is there."""
    script = numbered(count, pause)[2]
    return ["sh", "-c", f"{script}; while [ ! -e '{gate}' ]; do sleep 0.02; done"]


def expected(count: int) -> list[str]:
    return [f"line {n}" for n in range(1, count + 1)]


def supervisor_pid(folder: RunFolder) -> int:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder.path).encode() in arguments:
            return int(path.parent.name)
    raise AssertionError("no supervisor")


async def test_an_agent_lives_on_and_is_adopted_with_every_line(server, new_node, tmp_path):
    gate = tmp_path / "gate"
    run = server.add("run-000000000001", gated(40, "sleep 0.02;", gate))
    for epoch, lines in enumerate((2, 8, 16, 30), start=1):
        node = await new_node()
        await server.until(
            lambda now=epoch, wanted=lines: run.epoch == now and len(stdout_of(run)) >= wanted,
            timeout_s=10,
        )
        await node.vanish()
    await new_node()
    gate.touch()
    await server.until(lambda: run.status == "done", timeout_s=10)
    assert stdout_of(run) == expected(40)
    assert run.epoch == 5
    assert [event["seq"] for event in run.events] == list(range(1, len(run.events) + 1))
    assert sum(1 for event in run.events if event["type"] == "run_started") == 1


async def test_what_was_said_and_ended_while_no_manager_ran_is_reported(server, new_node):
    run = server.add("run-000000000001", numbered(2000))
    node = await new_node()
    await server.until(lambda: run.process_id is not None)
    folder = node.folder.run(run.id)
    async with asyncio.timeout(5):
        while not folder.log.exists():
            await asyncio.sleep(0.005)
    await node.vanish()
    async with asyncio.timeout(5):
        while folder.supervised():
            await asyncio.sleep(0.02)
    await new_node()
    await server.until(lambda: run.status == "done", timeout_s=10)
    assert stdout_of(run) == expected(2000)


async def test_a_batch_whose_answer_was_lost_is_not_doubled_after_a_restart(server, new_node):
    run = server.add("run-000000000001", numbered(50, "sleep 0.01;"))
    server.forget_answers = 10_000
    node = await new_node()
    await server.until(lambda: len(run.events) >= 2)
    await node.vanish()
    server.forget_answers = 0
    await new_node()
    await server.until(lambda: run.status == "done", timeout_s=10)
    assert stdout_of(run) == expected(50)


async def test_a_server_that_is_away_delays_and_loses_nothing(server, new_node):
    run = server.add("run-000000000001", numbered(100, "sleep 0.01;"))
    node = await new_node()
    await server.until(lambda: len(stdout_of(run)) >= 5)
    await server.stop()
    sample = ("executor_event_report_errors_total", {"node_id": "n1", "code": "unreachable"})
    async with asyncio.timeout(5):
        while (node.metrics.registry.get_sample_value(*sample) or 0) < 2:
            await asyncio.sleep(0.02)
    await server.start()
    await server.until(lambda: run.status == "done", timeout_s=15)
    assert stdout_of(run) == expected(100)


async def test_a_run_whose_supervisor_was_killed_ends_interrupted_with_its_tree(server, new_node):
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; setsid sleep 61 & sleep 62"])
    node = await new_node()
    await server.until(lambda: stdout_of(run) == ["begun"])
    folder = node.folder.run(run.id)
    await node.vanish()
    os.kill(supervisor_pid(folder), signal.SIGKILL)
    await new_node()
    await server.until(lambda: run.status == "failed", timeout_s=10)
    assert run.events[-1]["payload"]["error_code"] == "interrupted"
    assert stdout_of(run) == ["begun"]
    assert marked_pids(folder.path) == []


async def test_a_supervisor_killed_under_a_living_manager_ends_the_run_too(server, new_node):
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; sleep 62"])
    node = await new_node()
    await server.until(lambda: stdout_of(run) == ["begun"])
    os.kill(supervisor_pid(node.folder.run(run.id)), signal.SIGKILL)
    await server.until(lambda: run.status == "failed", timeout_s=10)
    assert run.events[-1]["payload"]["error_code"] == "interrupted"


async def test_a_node_that_lost_its_disk_does_not_run_a_claimed_run_again(server, new_node):
    run = server.add("run-000000000001", ["true"])
    run.epoch, run.process_id, run.node_id = 1, "p-earlier", "n1"
    await new_node()
    await server.until(lambda: run.status == "failed")
    assert run.events[-1]["payload"]["error_code"] == "interrupted"
    assert not any(event["type"] == "run_started" for event in run.events)


async def test_a_run_given_to_another_meanwhile_is_stopped_at_adoption(server, new_node):
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; sleep 60"])
    node = await new_node()
    await server.until(lambda: stdout_of(run) == ["begun"])
    await node.vanish()
    run.epoch, run.process_id, run.node_id = 7, "p-other", "n2"
    again = await new_node()
    async with asyncio.timeout(10):
        while not list(again.folder.aside.iterdir()):
            await asyncio.sleep(0.02)
    assert run.status == "running"
    assert not again.folder.run(run.id).path.exists()


async def test_a_manager_killed_between_its_claim_and_its_note_of_it_is_followed_by_another(
    server, new_node, tmp_path
):
    gate = tmp_path / "gate"
    run = server.add("run-000000000001", gated(20, "", gate))
    node = await new_node()
    await server.until(lambda: len(stdout_of(run)) == 20)
    await node.vanish()
    server.kill_claims = 10_000
    node = await new_node()
    await server.until(lambda: run.epoch == 2)
    await node.vanish()
    server.kill_claims = 0
    await new_node()
    gate.touch()
    await server.until(lambda: run.status == "done")
    assert stdout_of(run) == expected(20)
    assert run.epoch == 3


async def test_a_stop_leaves_agents_running_for_the_next_start(server, new_node):
    run = server.add("run-000000000001", numbered(30, "sleep 0.03;"))
    node = await new_node()
    await server.until(lambda: len(stdout_of(run)) >= 3)
    await node.stop()
    assert node.folder.run(run.id).supervised()
    assert server.beats[-1]["status"] == "draining"
    await new_node()
    await server.until(lambda: run.status == "done", timeout_s=10)
    assert stdout_of(run) == expected(30)


async def test_a_stop_with_agents_ends_and_reports_them(server, new_node):
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; sleep 60"])
    node = await new_node()
    await server.until(lambda: stdout_of(run) == ["begun"])
    await node.stop(agents=True)
    assert run.status == "failed"
    assert run.events[-1]["payload"]["error_code"] == "interrupted"
    assert not list(node.folder.runs.iterdir())


async def test_a_retryable_run_is_stopped_when_its_lease_is_in_doubt(server, new_node):
    server.ttl_s = 7  # trusted for two seconds
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; sleep 60"], retry_on_lost=True)
    node = await new_node()
    await server.until(lambda: stdout_of(run) == ["begun"])
    await server.stop()
    async with asyncio.timeout(15):
        while not list(node.folder.aside.iterdir()):
            await asyncio.sleep(0.05)
    assert run.status == "running"


async def test_a_retryable_run_ends_by_itself_when_no_manager_lives(server, new_node):
    server.ttl_s = 7
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; sleep 60"], retry_on_lost=True)
    node = await new_node()
    await server.until(lambda: stdout_of(run) == ["begun"])
    folder = node.folder.run(run.id)
    await node.vanish()
    async with asyncio.timeout(15):
        while folder.supervised():
            await asyncio.sleep(0.05)
