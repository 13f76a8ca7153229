"""Runs agents as processes of this machine, each under a supervisor of its own."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from runwatch_nodemanager.agents.protocol import Launch
from runwatch_nodemanager.boot_clock import boot_seconds
from runwatch_nodemanager.guarding import hold_lock
from runwatch_nodemanager.processes import marked_pids
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.runtimes.protocol import RuntimeStartError, Started

READY_S: Final = 20.0
"""How long a supervisor may take to say that its agent runs or cannot."""
CLEAR_ROUNDS: Final = 50
CLEAR_PAUSE_S: Final = 0.02
"""What is killed may have started others meanwhile, so it is looked again, but not for ever."""
SUPERVISOR: Final = (sys.executable, "-I", "-m", "runwatch_nodemanager.supervisor")


class FifoGrowth:
    """The supervisor writes to the folder's FIFO when it has written to the log."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._grown = asyncio.Event()

    def on_readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 65536)
        self._grown.set()

    async def wait(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._grown.wait()
        self._grown.clear()


class ProcessRuntime:
    """See `Runtime`."""

    name = "process"

    def __init__(self) -> None:
        self._children: dict[Path, int] = {}
        """Pids of supervisors this process started, so that they can be reaped."""

    def offers(self) -> list[str]:
        return [self.name]

    async def prepare(self, launch: Launch) -> None:
        """A process needs nothing."""

    async def start(self, folder: RunFolder, launch: Launch, *, log_limit_bytes: int) -> Started:
        return await self.supervise(folder, launch, log_limit_bytes=log_limit_bytes)

    async def supervise(
        self,
        folder: RunFolder,
        launch: Launch,
        *,
        log_limit_bytes: int,
        more: Mapping[str, Any] | None = None,
        ready_s: float = READY_S,
    ) -> Started:
        """As ``start``.

        Args:
            more: What else the supervisor is ordered.
            ready_s: How long it may take to tell whether the agent runs.
        """
        order = {
            "argv": launch.argv,
            "cwd": launch.cwd,
            "env": launch.env,
            "stdin": launch.stdin,
            "log_limit_bytes": log_limit_bytes,
            "log": asdict(launch.log),
            "trusted_until": launch.trusted_until,
            "limits": dict(launch.limits),
            **(more or {}),
        }
        answer = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ready_s):
                answer = await asyncio.to_thread(self._launch, folder, json.dumps(order).encode())
        if not answer.startswith(b"ready"):
            if (pid := self._children.get(folder.path)) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise RuntimeStartError(_last_words(folder) or "the supervisor did not start")
        facts = json.loads(answer.removeprefix(b"ready"))
        return Started(running=bool(facts), **facts)

    def _launch(self, folder: RunFolder, order: bytes) -> bytes:
        """Start a supervisor and hand it its order, in one go: the thread this runs in is not
        interrupted when nobody waits for it any more, so no half-started one is left.
        """
        child = _spawn(folder)
        self._children[folder.path] = child.pid
        # A supervisor outlives this program on purpose; Popen would warn of it.
        child.returncode = 0
        return _hand_over(child, order)

    @contextlib.contextmanager
    def stream(self, folder: RunFolder) -> Iterator[FifoGrowth]:
        loop = asyncio.get_running_loop()
        descriptor = os.open(folder.wake, os.O_RDWR | os.O_NONBLOCK)
        growth = FifoGrowth(descriptor)
        loop.add_reader(descriptor, growth.on_readable)
        try:
            yield growth
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def signal(self, folder: RunFolder, number: int) -> bool:
        return folder.request(do="signal", number=number)

    def stop(self, folder: RunFolder, *, reason: str, grace_s: float) -> bool:
        return folder.request(do="stop", reason=reason, grace_s=grace_s)

    def trust(self, folder: RunFolder, seconds: float) -> bool:
        # A moment, not a span: it may be read late.
        return folder.request(do="trust", until=boot_seconds() + seconds)

    def alive(self, folder: RunFolder) -> bool:
        child = self._children.get(folder.path)
        if child is not None and _reaped(child):
            del self._children[folder.path]
        return folder.supervised()

    def clear(self, folder: RunFolder) -> int:
        killed = 0
        for _ in range(CLEAR_ROUNDS):
            pids = marked_pids(folder.path)
            if not pids:
                break
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
            time.sleep(CLEAR_PAUSE_S)
        return killed


def _spawn(folder: RunFolder) -> "subprocess.Popen[bytes]":
    try:
        lock = hold_lock(folder)
    except BlockingIOError as error:
        raise RuntimeStartError("the run has a supervisor already") from error
    try:
        with folder.errors.open("wb") as errors:
            return subprocess.Popen(
                [*SUPERVISOR, str(folder.path), str(lock)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                start_new_session=True,
                pass_fds=(lock,),
            )
    finally:
        os.close(lock)


def _hand_over(child: "subprocess.Popen[bytes]", order: bytes) -> bytes:
    """Give the supervisor its order and wait for its one line; empty if it ends before."""
    if child.stdin is None or child.stdout is None:
        return b""
    with contextlib.suppress(BrokenPipeError), child.stdin:
        child.stdin.write(order)
    with child.stdout:
        return child.stdout.readline()


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _last_words(folder: RunFolder) -> str:
    try:
        text = folder.errors.read_text("utf-8", "replace")
    except OSError:
        return ""
    lines = text.strip().splitlines()
    return lines[-1][:500] if lines else ""
