"""Starting a supervisor when nobody waits for it any more."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading

import pytest

from runwatch_nodemanager.agents.protocol import Launch
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.runtimes import process
from runwatch_nodemanager.runtimes.process import ProcessRuntime
from runwatch_nodemanager.runtimes.protocol import RuntimeStartError


def test_a_run_is_supervised_from_before_its_supervisor_has_begun(tmp_path):
    """A manager that is killed then must not be followed by one that takes the run for lost."""
    folder = RunFolder(tmp_path / "run-000000000001")
    folder.create()
    child = process._spawn(folder)
    try:
        os.kill(child.pid, signal.SIGSTOP)
        assert folder.supervised()
        with pytest.raises(RuntimeStartError, match="already"):
            process._spawn(folder)
    finally:
        child.kill()
        child.communicate()
    assert not folder.supervised()


async def test_a_start_that_is_not_waited_for_any_more_is_whole_all_the_same(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "run-000000000001")
    folder.create()
    spawned: list[subprocess.Popen[bytes]] = []
    cancelled = threading.Event()
    real = process._spawn

    def spawn(of: RunFolder) -> "subprocess.Popen[bytes]":
        spawned.append(real(of))
        cancelled.wait(5)
        return spawned[0]

    monkeypatch.setattr(process, "_spawn", spawn)
    runtime = ProcessRuntime()
    launch = Launch(argv=("true",), cwd=str(tmp_path), env={"PATH": "/usr/bin:/bin"}, stdin=None)
    starting = asyncio.get_running_loop().create_task(
        runtime.start(folder, launch, log_limit_bytes=10_000_000)
    )
    async with asyncio.timeout(5):
        while not spawned:
            await asyncio.sleep(0.01)
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    cancelled.set()
    async with asyncio.timeout(5):
        while runtime.alive(folder) or not folder.log.exists():
            await asyncio.sleep(0.01)
    (child,) = spawned
    assert child.returncode == 0  # nothing warns of it when it is forgotten
    assert child.stdin is not None
    assert child.stdin.closed
