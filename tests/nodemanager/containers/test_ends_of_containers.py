"""How containers end: cancelled, adopted, left behind; and what becomes of them when parts die."""

import asyncio
import os
import signal

import pytest

from runwatch_nodemanager.processes import descendants
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.runtimes.container_body import (
    INSTANCE_LABEL,
    container_labels,
    node_labels,
)
from tests.nodemanager.containers.podman import IMAGE, Podman
from tests.nodemanager.containers.test_runs_in_containers import LIMIT_S, RUN, ended, failure, shell
from tests.nodemanager.fake_server import FakeRun, FakeServer
from tests.nodemanager.test_adoption import expected, supervisor_pid
from tests.nodemanager.test_runs_on_a_node import stdout_of

pytestmark = pytest.mark.timeout(240)

DEAF = "trap '' TERM; echo begun; (trap '' TERM; sleep 300) & sleep 300; sleep 300"
# Begun is what can be asked to end; the first process ends last, as the others go with it.
TREE = (
    "trap 'echo outer; wait; exit 0' TERM;"
    "sh -c 'trap \"echo inner; exit 0\" TERM; echo begun; while :; do sleep 0.05; done' &"
    "while :; do sleep 0.05; done"
)


async def cancel(server: FakeServer, run: FakeRun, reason: str = "user") -> None:
    run.cancel = reason
    async with server.changed:
        server.changed.notify_all()


async def begun(server: FakeServer, run: FakeRun) -> None:
    await server.until(lambda: "begun" in stdout_of(run), timeout_s=LIMIT_S)


async def until_no_container(engine: Podman) -> None:
    async with asyncio.timeout(LIMIT_S):
        while await asyncio.to_thread(engine.containers):
            await asyncio.sleep(0.1)


def relay_pid(folder: RunFolder) -> int:
    (relay,) = descendants(supervisor_pid(folder))
    return relay


async def test_a_container_whose_processes_ignore_term_is_killed_after_its_grace(
    server, contained_node, engine
):
    run = server.add(RUN, agent=shell(DEAF))
    await contained_node(stop_grace_s=0.3)
    await begun(server, run)
    await cancel(server, run)
    await ended(server, run)
    assert run.status == "cancelled"
    assert run.events[-1]["payload"]["reason"] == "user"
    await until_no_container(engine)


async def test_every_process_of_a_container_is_asked_to_end(server, contained_node, engine):
    run = server.add(RUN, agent=shell(TREE))
    await contained_node(stop_grace_s=30.0, cancel_kill_s=30.0)
    await begun(server, run)
    await cancel(server, run, "timeout")
    await ended(server, run)
    assert sorted(stdout_of(run)) == ["begun", "inner", "outer"]


async def test_without_an_init_the_first_process_is_asked_too(server, contained_node, engine):
    run = server.add(RUN, agent=shell(TREE))
    await contained_node({"init": False}, stop_grace_s=30.0, cancel_kill_s=30.0)
    await begun(server, run)
    await cancel(server, run)
    await ended(server, run)
    assert "outer" in stdout_of(run)


async def test_a_container_lives_on_and_is_adopted_with_every_line(
    server, contained_node, engine, tmp_path
):
    script = (
        "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.01; done;"
        "while [ ! -e go ]; do sleep 0.05; done"
    )
    run = server.add(RUN, agent=shell(script))
    for epoch, lines in enumerate((2, 60), start=1):
        node = await contained_node()
        await server.until(
            lambda now=epoch, wanted=lines: run.epoch == now and len(stdout_of(run)) >= wanted,
            timeout_s=LIMIT_S,
        )
        await node.vanish()
    last = await contained_node()
    (last.folder.workspaces / RUN / "go").touch()
    await ended(server, run)
    assert run.status == "done"
    assert stdout_of(run) == expected(200)
    assert engine.containers() == []


async def test_a_killed_supervisor_takes_its_container_with_it(server, contained_node, engine):
    run = server.add(RUN, agent=shell("while :; do echo begun; sleep 0.02; done"))
    node = await contained_node()
    await begun(server, run)
    os.kill(supervisor_pid(node.folder.run(RUN)), signal.SIGKILL)
    await ended(server, run)
    assert run.events[-1]["payload"]["error_code"] == "interrupted"
    await until_no_container(engine)


async def test_a_killed_relay_takes_its_container_with_it(server, contained_node, engine):
    run = server.add(RUN, agent=shell("echo begun; sleep 300"))
    node = await contained_node()
    await begun(server, run)
    os.kill(relay_pid(node.folder.run(RUN)), signal.SIGKILL)
    await ended(server, run)
    assert run.status == "failed"
    await until_no_container(engine)


async def test_what_is_left_when_all_were_killed_is_removed_by_the_next_start(
    server, contained_node, engine
):
    run = server.add(RUN, agent=shell("echo begun; sleep 300"))
    node = await contained_node()
    await begun(server, run)
    folder = node.folder.run(RUN)
    await node.vanish()
    supervisor, relay = supervisor_pid(folder), relay_pid(folder)
    os.kill(relay, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    os.kill(relay, signal.SIGKILL)
    assert len(engine.containers()) == 1
    await contained_node()
    await ended(server, run)
    assert run.events[-1]["payload"]["error_code"] == "interrupted"
    await until_no_container(engine)


def leave(engine: Podman, name: str, labels: dict[str, str]) -> None:
    flags = [f"--label={key}={value}" for key, value in labels.items()]
    engine.run("run", "-d", "--network=none", f"--name={name}", *flags, IMAGE, "sleep", "300")


async def test_containers_without_a_run_are_told_and_removed_but_nobody_elses(
    server, contained_node, engine: Podman, tmp_path
):
    run = server.add(RUN, agent=shell("echo begun; sleep 300"))
    mine = tmp_path / "data" / "node" / "n1"
    leave(engine, "mine", container_labels("n1", mine, run_id="run-gone", epoch=1))
    leave(engine, "namesake", container_labels("n1", tmp_path / "else", run_id="run-a", epoch=1))
    leave(engine, "stranger", container_labels("n2", mine, run_id="run-b", epoch=1))
    leave(engine, "instance", {**node_labels("n1", mine), INSTANCE_LABEL: "agent-0123456789ab"})
    node = await contained_node({"orphan_grace_s": 3600.0})
    await server.until(lambda: any(b["orphans"] for b in server.beats), timeout_s=LIMIT_S)
    (orphan,) = next(b["orphans"] for b in server.beats if b["orphans"])
    assert (orphan["kind"], orphan["ref"]) == ("container", "mine")
    await begun(server, run)
    assert "mine" in engine.containers()
    await node.vanish()
    await contained_node({"orphan_grace_s": 0.0})
    async with asyncio.timeout(LIMIT_S):
        while "mine" in engine.containers():
            await asyncio.sleep(0.1)
    left = {"namesake", "stranger", "instance", f"runwatch-{RUN}-1"}
    assert set(engine.containers()) == left


async def test_an_engine_that_restarts_does_not_end_what_runs(
    server, contained_node, engine: Podman
):
    script = "echo begun; while [ ! -e go ]; do sleep 0.05; done; echo after; exit 7"
    run = server.add(RUN, agent=shell(script))
    node = await contained_node()
    await begun(server, run)
    await asyncio.to_thread(engine.kill)
    await asyncio.to_thread(engine.serve)
    (node.folder.workspaces / RUN / "go").touch()
    await ended(server, run)
    assert run.events[-1]["payload"]["exit_code"] == 7
    await until_no_container(engine)


async def test_agents_in_containers_end_with_a_node_that_ends_its_agents(
    server, contained_node, engine
):
    run = server.add(RUN, agent=shell(DEAF))
    node = await contained_node(stop_grace_s=0.3)
    await begun(server, run)
    await node.stop(agents=True)
    assert run.events[-1]["payload"]["error_code"] == "interrupted"
    await until_no_container(engine)


async def test_without_an_engine_the_node_says_so(server, contained_node, engine: Podman):
    engine.kill()
    run = server.add(RUN, agent=shell("true"))
    await contained_node()
    code, words = failure(await ended(server, run))
    assert code == "start_failed"
    assert words.startswith(f"no container engine answers at {engine.url}: ")
    beat = server.beats[-1]
    assert beat["runtimes"] == []
    assert {agent["ready"] for agent in beat["agents"]} == {False}
    assert {agent["reason"] for agent in beat["agents"]} == {"podman does not answer"}


async def test_a_container_lost_by_another_hand_ends_its_run(
    server, contained_node, engine: Podman
):
    run = server.add(RUN, agent=shell("echo begun; sleep 300"))
    await contained_node()
    await begun(server, run)
    engine.run("rm", "--force", "--time=0", *engine.containers())
    await ended(server, run)
    assert run.status == "failed"
