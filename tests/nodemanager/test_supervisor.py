"""The process that owns an agent, alone: limits, ends and orders."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.agents.protocol import Launch
from runwatch_nodemanager.processes import RUN_VARIABLE
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.runtimes.process import ProcessRuntime
from runwatch_nodemanager.runtimes.protocol import RuntimeStartError
from runwatch_nodemanager.spool import Record, remove_before, used_bytes
from runwatch_nodemanager.spool_reader import SpoolReader
from runwatch_nodemanager.transcript import _facts
from tests.nodemanager.conftest import end_supervised


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run-1")
    made.create()
    yield made
    end_supervised(tmp_path)


@pytest.fixture
def runtime():
    return ProcessRuntime()


async def start(runtime, folder, *argv, stdin=None, limit=1 << 30):
    env = {"PATH": os.environ["PATH"], RUN_VARIABLE: str(folder.path)}
    launch = Launch(argv=argv, cwd=str(folder.path), env=env, stdin=stdin)
    await runtime.start(folder, launch, log_limit_bytes=limit)


async def until_ended(runtime, folder, timeout_s=15):
    async with asyncio.timeout(timeout_s):
        with runtime.stream(folder) as growth:
            while runtime.alive(folder):
                await growth.wait(0.05)


def records(folder):
    reader = SpoolReader(folder.log)
    found = []
    while (item := reader.read(writer_gone=True)) is not None:
        assert isinstance(item, Record)
        found.append(item)
    reader.close()
    return found


def output(folder, kind=kinds.LINE):
    return [record.payload for record in records(folder) if record.kind == kind]


def exit_of(folder):
    last = records(folder)[-1]
    assert last.kind == kinds.EXITED
    return _facts(last)


async def test_standard_input_is_what_was_given_and_otherwise_ends_at_once(runtime, folder):
    await start(runtime, folder, "cat", stdin="hello\nyou")
    await until_ended(runtime, folder)
    assert output(folder) == [b"hello", b"you"]


async def test_no_standard_input_is_an_empty_one(runtime, folder):
    await start(runtime, folder, "sh", "-c", "cat; echo end")
    await until_ended(runtime, folder)
    assert output(folder) == [b"end"]


async def test_a_full_log_makes_the_agent_wait_and_loses_nothing(runtime, folder):
    count, limit = 600_000, 8 * 1024 * 1024
    await start(runtime, folder, "seq", "1", str(count), limit=limit)
    full, same = -1, 0
    async with asyncio.timeout(20):
        while same < 50:
            await asyncio.sleep(0.02)
            now = used_bytes(folder.log)
            same = same + 1 if now == full and now >= limit else 0
            full = now
    assert full < limit * 1.6
    reader = SpoolReader(folder.log)
    lines: list[bytes] = []
    async with asyncio.timeout(20):
        while not lines or lines[-1] != str(count).encode():
            item = reader.read(writer_gone=False)
            if item is None:
                remove_before(folder.log, reader.position)
                await asyncio.sleep(0.02)
            elif isinstance(item, Record) and item.kind == kinds.LINE:
                lines.append(item.payload)
    assert lines == [str(n).encode() for n in range(1, count + 1)]


async def test_a_prompt_without_a_line_end_is_seen_before_the_line_ends(runtime, folder):
    await start(runtime, folder, "sh", "-c", "printf 'Continue? '; sleep 30")
    async with asyncio.timeout(5):
        while b"Continue? " not in output(folder, kinds.PART):
            await asyncio.sleep(0.05)
    runtime.stop(folder, reason="user", grace_s=0.1)
    await until_ended(runtime, folder)


async def test_what_an_agent_leaves_running_is_stopped_after_its_end(runtime, folder):
    script = "setsid sleep 300 & echo $!; exit 0"
    await start(runtime, folder, "sh", "-c", script)
    await until_ended(runtime, folder)
    left = int(output(folder)[0])
    assert not Path(f"/proc/{left}").exists()
    assert exit_of(folder)["leftovers"] == 1
    assert exit_of(folder)["code"] == 0


async def test_a_tree_that_ignores_the_wish_to_end_is_killed_after_the_grace(runtime, folder):
    script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$; sleep 300' & sleep 300"
    await start(runtime, folder, "sh", "-c", script)
    async with asyncio.timeout(5):
        while not output(folder):
            await asyncio.sleep(0.02)
    runtime.stop(folder, reason="user", grace_s=0.2)
    await until_ended(runtime, folder)
    ended = exit_of(folder)
    assert (ended["reason"], ended["signal"], ended["forced"]) == ("user", 9, True)
    assert not Path(f"/proc/{output(folder)[0].decode()}").exists()


async def test_an_agent_that_ends_on_request_is_not_killed(runtime, folder):
    script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    await start(runtime, folder, "sh", "-c", script)
    async with asyncio.timeout(5):
        while not output(folder):
            await asyncio.sleep(0.02)
    runtime.stop(folder, reason="timeout", grace_s=5)
    await until_ended(runtime, folder)
    ended = exit_of(folder)
    assert (ended["reason"], ended["code"], ended["forced"]) == ("timeout", 5, False)
    assert output(folder)[-1] == b"bye"


async def test_a_signal_to_the_supervisor_stops_the_agent_and_is_recorded(runtime, folder):
    await start(runtime, folder, "sleep", "300")
    os.kill(int(_facts_of_file(folder)["pid"]), signal.SIGTERM)
    await until_ended(runtime, folder)
    assert exit_of(folder)["reason"] == "supervisor_signalled"


async def test_the_agent_dies_with_a_supervisor_that_is_killed(runtime, folder):
    await start(runtime, folder, "sh", "-c", "echo $$; exec sleep 300")
    async with asyncio.timeout(5):
        while not output(folder):
            await asyncio.sleep(0.02)
    agent = Path(f"/proc/{output(folder)[0].decode()}")
    os.kill(int(_facts_of_file(folder)["pid"]), signal.SIGKILL)
    async with asyncio.timeout(5):
        while agent.exists():
            await asyncio.sleep(0.02)
    assert not runtime.alive(folder)


async def test_a_run_has_one_supervisor_at_most(runtime, folder):
    await start(runtime, folder, "sleep", "300")
    with pytest.raises(RuntimeStartError):
        await start(ProcessRuntime(), folder, "sleep", "300")
    assert runtime.alive(folder)


async def test_orders_that_are_no_orders_are_ignored(runtime, folder):
    await start(runtime, folder, "sleep", "300")
    folder.control.write_bytes(b'garbage\n{"do":"dance"}\n[1]\n{"do":"stop","grace_s":"x"}\n')
    runtime.stop(folder, reason="user", grace_s=1)
    await until_ended(runtime, folder)
    assert exit_of(folder)["reason"] == "user"


def test_the_supervisor_loads_nothing_large_beside_the_standard_library():
    code = (
        "import runwatch_nodemanager.supervisor, sys; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('msgspec','httpx','typer','prometheus_client','runwatch_shared')])"
    )
    told = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    assert told.stdout.strip() == b"[]"


def _facts_of_file(folder):
    return json.loads(folder.supervisor.read_bytes())
