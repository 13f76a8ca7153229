"""A run that may be given to another node never outlives the belief that it is this node's own."""

import asyncio
import json
import os

import pytest

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.agents.protocol import Launch
from runwatch_nodemanager.boot_clock import boot_seconds
from runwatch_nodemanager.link import ANSWER_S
from runwatch_nodemanager.node_clock import NodeClock
from runwatch_nodemanager.processes import RUN_VARIABLE
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.runtimes.process import ProcessRuntime
from runwatch_nodemanager.start import prepare_start
from runwatch_nodemanager.trust import MARGIN_S, Trust
from tests.nodemanager.conftest import end_supervised
from tests.nodemanager.test_runs_on_a_node import stdout_of
from tests.nodemanager.test_supervisor import exit_of, output, records, until_ended

LIMIT_S = 20
BEGUN = ("sh", "-c", "echo begun; exec sleep 60")
SHORT_TTL_S = 7
"""Trusted for two seconds."""


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run-1")
    made.create()
    yield made
    end_supervised(tmp_path)


async def launch(folder, *argv, trusted_s):
    runtime = ProcessRuntime()
    env = {"PATH": os.environ["PATH"], RUN_VARIABLE: str(folder.path)}
    until = boot_seconds() + trusted_s
    order = Launch(argv=argv, cwd=str(folder.path), env=env, trusted_until=until)
    await runtime.start(folder, order, log_limit_bytes=1 << 30)
    return runtime


def held_preparation(monkeypatch):
    """Events: a run's preparation has begun; it may go on."""
    preparing, prepared = asyncio.Event(), asyncio.Event()

    async def prepare(*given, **more):
        preparing.set()
        await prepared.wait()
        return await prepare_start(*given, **more)

    monkeypatch.setattr("runwatch_nodemanager.execution.prepare_start", prepare)
    return preparing, prepared


async def until(condition):
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_supervisor_knows_the_lease_before_its_agent_starts(folder):
    """Whoever starts it may be killed before there is a chance to say anything more."""
    runtime = await launch(folder, *BEGUN, trusted_s=3)
    await until(lambda: output(folder) == [b"begun"])
    await until_ended(runtime, folder)

    assert exit_of(folder)["reason"] == "lease"


async def test_an_agent_is_not_started_under_a_lease_that_is_over(folder):
    runtime = await launch(folder, "sh", "-c", "touch started", trusted_s=-0.1)
    await until_ended(runtime, folder)
    (record,) = records(folder)

    assert (record.kind, json.loads(record.payload)) == (kinds.REFUSED, {"reason": "lease"})
    assert not (folder.path / "started").exists()


async def test_a_renewal_lets_it_go_on(folder):
    runtime = await launch(folder, "sh", "-c", "sleep 2; echo over", trusted_s=1.5)
    assert runtime.trust(folder, 60)
    await until_ended(runtime, folder)

    assert exit_of(folder)["reason"] is None
    assert output(folder) == [b"over"]


async def test_no_agent_is_started_once_the_lease_ended_during_its_preparation(
    server, new_node, monkeypatch, tmp_path
):
    preparing, prepared = held_preparation(monkeypatch)
    started = tmp_path / "started"
    server.ttl_s = SHORT_TTL_S
    run = server.add("run-000000000001", ["touch", str(started)], retry_on_lost=True)
    node = await new_node()
    async with asyncio.timeout(LIMIT_S):
        await preparing.wait()
    await server.stop()
    await until(lambda: list(node.folder.aside.glob("run-*/kept.json")))
    prepared.set()
    kept = json.loads(next(node.folder.aside.glob("run-*/kept.json")).read_text())

    assert kept["outcome"] == "lost: trust_ended"
    assert not started.exists()
    assert run.events == []


async def test_a_run_that_stays_with_its_node_is_prepared_however_long_that_takes(
    server, new_node, monkeypatch
):
    preparing, prepared = held_preparation(monkeypatch)
    server.ttl_s = int(MARGIN_S)  # never trusted at all
    run = server.add("run-000000000001", ["echo", "said"])
    await new_node()
    async with asyncio.timeout(LIMIT_S):
        await preparing.wait()
    prepared.set()
    await server.until(lambda: run.status == "done", timeout_s=LIMIT_S)

    assert stdout_of(run) == ["said"]


async def test_that_a_lease_ended_here_is_no_end_of_the_run(server, new_node):
    """The next manager of this node finds the agent stopped; the run is for another to begin."""
    server.ttl_s = SHORT_TTL_S
    run = server.add("run-000000000001", list(BEGUN), retry_on_lost=True)
    node = await new_node()
    await server.until(lambda: stdout_of(run) == ["begun"], timeout_s=LIMIT_S)
    folder = node.folder.run(run.id)
    await node.vanish()
    await until(lambda: not folder.supervised())
    again = await new_node()
    await until(lambda: list(again.folder.aside.glob("run-*/kept.json")))
    await server.until(lambda: server.beats[-1]["runs"] == [], timeout_s=LIMIT_S)

    assert run.status == "running"
    assert not any(event["type"] in {"run_failed", "run_completed"} for event in run.events)


async def test_a_heartbeat_that_gets_no_answer_is_not_waited_for_longer_than_the_next_is_due(
    server, new_node, monkeypatch
):
    monkeypatch.setattr("runwatch_nodemanager.beat.LEAST_ANSWER_S", 0.2)
    server.ignore_beats = 1
    await new_node()
    await server.until(lambda: bool(server.beats), timeout_s=ANSWER_S / 2)


class Stopped(NodeClock):
    """A clock that is set by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self):
        return self.seconds


def test_a_lease_counts_from_when_it_was_asked_for_and_never_gets_shorter():
    clock = Stopped()
    told = []

    def tell(seconds):
        told.append(seconds)
        return True

    trust = Trust(clock, tell)
    assert trust.deadline is None, "a run that stays with its node ends with no lease"
    trust.watched = True
    trust.renew(sent_at=990.0, ttl_s=45)
    assert trust.deadline == 990.0 + 45 - MARGIN_S
    trust.renew(sent_at=980.0)
    assert trust.deadline == 990.0 + 45 - MARGIN_S
    assert told == [30.0]


def test_durations_on_a_node_count_suspend_too():
    before = boot_seconds()
    now = NodeClock().monotonic()

    assert before <= now <= boot_seconds()
