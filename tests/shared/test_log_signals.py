"""Signals change what a process writes to its log, and have it say what it is at."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
PROGRAM = textwrap.dedent(
    """
    import asyncio, logging, sys
    from runwatch_shared.log_signals import obey_log_signals
    from runwatch_shared.logs import configure_logging, log

    logger = logging.getLogger("program")

    async def brewing(secret):
        await steeping(secret)

    async def steeping(secret):
        await asyncio.sleep(60)

    async def main():
        loop = asyncio.get_running_loop()
        obey_log_signals(loop, level="info", tag="server")
        task = asyncio.get_running_loop().create_task(brewing("hunter2"), name="tea\\nforged")
        lines = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while word := (await lines.readline()).decode().strip():
            log(logger, logging.DEBUG, "server", "Low", event=word)
            log(logger, logging.INFO, "server", "High", event=word)

    configure_logging("json", "info")
    asyncio.run(main())
    """
)


class Program:
    """A process that obeys, and what it writes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONPATH": str(SHARED)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def lines_until(self, sentence: str) -> list[dict[str, Any]]:
        assert self.process.stdout
        found = []
        for text in self.process.stdout:
            found.append(json.loads(text))
            if found[-1]["message"] == sentence:
                return found
        raise AssertionError(found)

    def told(self, word: str) -> list[str]:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return [line["message"] for line in self.lines_until("High")]


@pytest.fixture
def program() -> Iterator[Program]:
    made = Program()
    made.told("ready")
    yield made
    made.process.kill()
    made.process.communicate(timeout=20)


def test_debug_lines_come_and_go_by_signal(program: Program) -> None:
    assert program.told("before") == ["High"]
    program.process.send_signal(signal.SIGRTMIN + 22)
    (changed,) = program.lines_until("The log level was changed by a signal")
    assert (changed["to"], changed["level"]) == ("debug", "warning")
    assert program.told("between") == ["Low", "High"]
    program.process.send_signal(signal.SIGRTMIN + 23)
    program.lines_until("The log level was changed by a signal")
    assert program.told("after") == ["High"]


def test_tasks_and_threads_say_where_they_are_and_nothing_of_what_they_hold(
    program: Program,
) -> None:
    program.process.send_signal(signal.SIGUSR1)
    *lines, last = program.lines_until("That is what this process is at")
    assert last["count"] == len(lines)
    of_tasks = {line["task"]: line["stack"] for line in lines if line["message"] == "A task"}
    assert re.search(r" brewing > .* steeping > .* sleep", of_tasks["tea\nforged"])
    threads = [line for line in lines if line["message"] == "A thread"]
    assert "MainThread" in {line["task"] for line in threads}
    assert all(line["event"] == "dump" and line["tag"] == "server" for line in lines)
    assert "hunter2" not in json.dumps(lines)
    assert program.told("still at work") == ["High"]


async def test_on_another_thread_nothing_is_heard_and_nothing_fails() -> None:
    from_thread = f"import sys; sys.path.insert(0, {str(SHARED)!r})\n" + textwrap.dedent(
        """
        import asyncio, threading
        from runwatch_shared.log_signals import obey_log_signals

        async def main():
            obey_log_signals(asyncio.get_running_loop(), level="info", tag="node")
            print("well")

        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
        thread.join()
        """
    )
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", from_thread],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (ran.stdout, ran.returncode) == ("well\n", 0), ran.stderr
