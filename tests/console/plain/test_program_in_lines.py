"""`monitor-tui --plain` as a process: on a pipe and on a terminal."""

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from runwatch_console.plain.typed import LONGEST_LINE_BYTES, typed_lines
from tests.console.network.records import hello, snapshot, waiting_summary
from tests.console.network.scripted import ScriptedServer, hold, send, serving
from tests.console.network.test_cli import PROGRAM, environment

__all__ = ["environment"]
LIMIT_S = 20.0


@pytest.fixture
async def server():
    script = ScriptedServer()

    async def scene(websocket) -> None:
        frame = snapshot(workflows=[waiting_summary()], nodes=[], total=1)
        await send(websocket, hello(), frame)
        await hold(websocket)

    script.play(scene)
    async with serving(script):
        yield script


@pytest.mark.parametrize("way", ["flag", "command", "environment", "file"])
async def test_it_works_without_a_terminal_and_ends_with_its_input(
    environment: dict[str, str], server: ScriptedServer, way: str, tmp_path: Path
) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[console]\nplain = true\n")
    flags = {
        "flag": ["--plain"],
        "command": ["plain"],
        "environment": [],
        "file": ["--config", str(config)],
    }[way]
    more = {"RUNWATCH_PLAIN": "true"} if way == "environment" else {}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *flags,
        "--server",
        server.url,
        env={**environment, **more},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate(b"runs\nquit\nnever\n")
    assert (process.returncode, err) == (0, b"")
    text = out.decode()
    assert text.count("WAIT, run-000000000001, add-metrics") == 2
    assert text.splitlines()[-1] == "End."
    assert "\x1b" not in text


@pytest.mark.requirement("state.plain")
@pytest.mark.parametrize("way", ["flag", "environment"])
async def test_on_a_terminal_nothing_moves_the_cursor_and_nothing_is_coloured(
    environment: dict[str, str], server: ScriptedServer, way: str
) -> None:
    main, other = pty.openpty()
    more = {"RUNWATCH_PLAIN": "true"} if way == "environment" else {}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *(["--plain"] if way == "flag" else []),
        "--server",
        server.url,
        env={**environment, **more, "TERM": "xterm-256color"},
        stdin=other,
        stdout=other,
        stderr=other,
    )
    os.close(other)
    written = b""
    try:
        os.write(main, b"status\nquit\n")
        async with asyncio.timeout(LIMIT_S):
            while b"End." not in written:
                written += await asyncio.to_thread(os.read, main, 65536)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(main)
    assert b"\x1b" not in written
    assert written.count(b"Runs: 1.") == 2


async def test_lines_are_read_to_the_end_and_too_long_ones_are_cut() -> None:
    reading, writing = os.pipe()
    long = b"x" * (3 * LONGEST_LINE_BYTES)
    os.write(writing, b"one\r\n\xff two\n" + long + b"\nlast")
    os.close(writing)
    async with asyncio.timeout(LIMIT_S):
        lines = [line async for line in typed_lines(reading)]
    os.close(reading)
    assert lines[:2] == ["one", "\ufffd two"]
    assert set(lines[2]) == {"x"}
    assert len(lines[2]) == LONGEST_LINE_BYTES
    assert lines[3:] == ["last"]
