"""The command ``nodemanager`` as a process: killed, started again, stopped."""

import asyncio
import os
import signal
import sys

import pytest

from runwatch_nodemanager.processes import marked_pids
from runwatch_nodemanager.run_folder import RunFolder
from tests.nodemanager.conftest import end_supervised
from tests.nodemanager.test_adoption import expected, gated, numbered
from tests.nodemanager.test_runs_on_a_node import stdout_of


class Program:
    def __init__(self, server, data_dir):
        self.server = server
        self.data_dir = data_dir
        self.started = []

    async def start(self, *arguments):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "runwatch_nodemanager.cli",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={
                **os.environ,
                "RUNWATCH_DATA_DIR": str(self.data_dir),
                "RUNWATCH_SESSIONS": "false",
                "XDG_CONFIG_HOME": "/nowhere",
            },
        )
        self.started.append(process)
        return process

    async def run(self, *arguments):
        return await self.start(
            "run", "--server", self.server.url, "--metrics-port", "0", "--log-format", "json",
            *arguments,
        )  # fmt: skip


@pytest.fixture
async def program(server, tmp_path):
    made = Program(server, tmp_path / "data")
    yield made
    for process in made.started:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    end_supervised(tmp_path)


async def test_killed_at_any_moment_it_loses_and_doubles_nothing(server, program, tmp_path):
    gate = tmp_path / "gate"
    run = server.add("run-000000000001", gated(60, "sleep 0.03;", gate))
    for epoch, lines in enumerate((1, 15, 30), start=1):
        process = await program.run()
        await server.until(
            lambda now=epoch, wanted=lines: run.epoch == now and len(stdout_of(run)) >= wanted,
            timeout_s=15,
        )
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await program.run()
    gate.touch()
    await server.until(lambda: run.status == "done", timeout_s=15)
    assert stdout_of(run) == expected(60)
    assert run.epoch == 4


async def test_stop_ends_exactly_this_node_manager_and_its_agents_if_asked(server, program):
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; sleep 60"])
    process = await program.run()
    await server.until(lambda: stdout_of(run) == ["begun"], timeout_s=15)
    listing = await program.start("runs")
    told, _ = await listing.communicate()
    assert b"run-000000000001\trunning\tcommand" in told
    stopping = await program.start("stop", "--agents")
    told, _ = await stopping.communicate()
    assert f"node manager {process.pid} stopped".encode() in told
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert run.events[-1]["payload"]["error_code"] == "interrupted"
    assert b'"tag": "run.end"' in output


@pytest.mark.parametrize("again", [False, True], ids=["none runs", "one has just started"])
async def test_stop_with_agents_ends_runs_that_nobody_has_taken_up(server, program, again):
    """What an earlier node manager left running, whether or not one is about to adopt it."""
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; sleep 61 & sleep 60"])
    process = await program.run()
    await server.until(lambda: stdout_of(run) == ["begun"], timeout_s=15)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    (folder,) = program.data_dir.glob("node/*/runs/run-000000000001")
    assert len(marked_pids(folder)) >= 2
    if again:
        await program.run()
        lock = folder.parent.parent / "lock"
        await server.until(lambda: lock.read_text().strip() not in {"", str(process.pid)})
    stopping = await program.start("stop", "--agents")
    told, _ = await stopping.communicate()
    assert stopping.returncode == 0, told
    assert marked_pids(folder) == []
    assert not RunFolder(folder).supervised()


async def test_interrupted_it_stops_at_once_and_leaves_its_agent(server, program):
    run = server.add("run-000000000001", numbered(40, "sleep 0.05;"))
    process = await program.run()
    await server.until(lambda: len(stdout_of(run)) >= 2, timeout_s=15)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        await process.communicate()
    assert process.returncode == 0
    await program.run()
    await server.until(lambda: run.status == "done", timeout_s=15)
    assert stdout_of(run) == expected(40)
