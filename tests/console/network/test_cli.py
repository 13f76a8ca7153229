"""`monitor-tui` as a process of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runwatch_console.headless.exits import ExitCode
from tests.console.network.records import hello, page, snapshot, stats, summary
from tests.console.network.scripted import LIMIT_S, ScriptedServer, hold, send

PROGRAM = "import sys; from runwatch_console.cli import run; sys.exit(run(sys.argv[1:]))"
CLOSED = "http://127.0.0.1:1"
WAIT_S = 4 * LIMIT_S


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nothing of the developer's own."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return {
        **kept,
        "HOME": str(tmp_path),
        "RUNWATCH_DATA_DIR": str(tmp_path / "data"),
        "LANG": "C.UTF-8",
        "PYTHONWARNINGS": "error",
    }


async def monitor(
    environment: dict[str, str], *arguments: str, program: str = PROGRAM
) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WAIT_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.requirement("headless.no_terminal")
async def test_without_a_terminal_it_says_which_commands_there_are_and_ends_with_2(
    environment: dict[str, str],
) -> None:
    code, out, err = await monitor(environment)
    assert (code, out) == (ExitCode.USAGE, "")
    assert "monitor-tui attention|runs|nodes|auth|tasks|stats" in err
    chinese = await monitor({**environment, "LC_ALL": "zh_CN.UTF-8"})
    assert "标准输出不是终端" in chinese[2]


async def test_a_command_finds_the_local_server_by_its_data_directory(
    environment: dict[str, str], server: ScriptedServer, tmp_path: Path
) -> None:
    server.answer("/api/v1/monitor/stats", stats())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "server.url").write_text(server.url)
    (tmp_path / "data" / "token").write_text("secret")
    (tmp_path / "data" / "token").chmod(0o600)
    code, out, err = await monitor(environment, "stats")
    assert (code, err) == (0, "")
    assert "10 running" in out
    assert server.seen[0].headers["authorization"] == "Bearer secret"


async def test_flag_goes_before_environment_and_environment_before_file(
    environment: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[console]\nserver = "http://127.0.0.1:3"\nlang = "zh"\n')
    by_file = await monitor(environment, "stats", "--config", str(config))
    assert by_file[0] == ExitCode.UNREACHABLE
    assert "无法连接 http://127.0.0.1:3" in by_file[2]
    named = {**environment, "RUNWATCH_CONFIG": str(config), "RUNWATCH_SERVER": "http://127.0.0.1:2"}
    assert "127.0.0.1:2" in (await monitor(named, "stats"))[2]
    by_flag = await monitor(named, "--server", CLOSED, "stats", "--lang", "en")
    assert f"{CLOSED} cannot be reached" in by_flag[2]
    assert "Traceback" not in by_flag[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--server",), "--server needs a value"),
        (("stats", "--low-bw=1"), "--low-bw takes no value"),
        (("stats", "--server", "ftp://x"), "ftp://x"),
        (("stats", "--token-file", "missing"), "missing"),
        (("stats", "--config", "missing.toml"), "missing.toml"),
        (("--bogus",), "--bogus"),
        (("bogus",), "bogus"),
        (("wait",), "ID"),
        (("runs", "--output", "xml"), "xml"),
        (("run", "x", "--from-seq", "-1"), "--from-seq"),
    ],
)
async def test_what_was_typed_wrong_is_said_without_a_traceback_and_ends_with_2(
    environment: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = await monitor(environment, *arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert said in err
    assert "Traceback" not in err


async def test_help_names_the_commands_and_the_common_flags_in_both_languages(
    environment: dict[str, str],
) -> None:
    code, out, _ = await monitor(environment, "--help")
    assert code == 0
    for word in ("runs", "nodes", "stats", "wait", "start", "cancel", "--server URL", "--ca FILE"):
        assert word in out
    chinese = await monitor(environment, "--lang", "zh", "wait", "--help")
    assert "退出码：0 完成" in chinese[1]


async def test_the_version_is_the_distributions(environment: dict[str, str]) -> None:
    code, out, _ = await monitor(environment, "--version")
    assert code == 0
    assert out.startswith("monitor-tui ")


async def test_a_token_others_can_read_is_warned_of(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "token").write_text("secret")
    (tmp_path / "data" / "token").chmod(0o644)
    _, _, err = await monitor(environment, "stats", "--server", CLOSED)
    assert "chmod 600" in err
    assert "secret" not in err


async def test_a_reader_that_goes_away_ends_the_command_quietly(
    environment: dict[str, str], server: ScriptedServer
) -> None:
    rows = [summary(f"run-{at:012x}") for at in range(1000)]
    server.answer("/api/v1/monitor/workflows", page(*rows))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *("runs", "-o", "ndjson", "--server", server.url),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        limit=1024,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(WAIT_S):
        assert await process.stdout.read(10)
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # as `head` does
        err = await process.stderr.read()
        code = await process.wait()
    assert (code, err) == (ExitCode.PIPE_CLOSED, b"")


async def test_ctrl_c_ends_a_watch_without_a_traceback(
    environment: dict[str, str], server: ScriptedServer
) -> None:
    async def scene(websocket) -> None:
        await send(websocket, hello(), snapshot(workflows=[summary()]))
        await hold(websocket)

    server.play(scene)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *("runs", "--watch", "-o", "ndjson", "--server", server.url),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(WAIT_S):
        assert await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        err = await process.stderr.read()
        code = await process.wait()
    assert (code, err) == (ExitCode.INTERRUPTED, b"")


HYGIENE = """
import io, sys, types

class Terminal(io.StringIO):
    encoding = "utf-8"
    def isatty(self): return True

class ConsoleApp:
    return_code = None
    def __init__(self, **parts): self.parts = parts
    def run(self, mouse):
        loaded = {"httpx", "websockets", "typer", "rich", "pygments", "ssl"} & set(sys.modules)
        sys.stderr.write(f"{sorted(loaded)} {mouse} {self.parts['target'].server_url}|")
        sys.stderr.write(sys.stdout.getvalue() + "|")
        connection = self.parts["connect"]()
        assert connection.feed and connection.run_events and connection.api

before = set(sys.modules)
from runwatch_console.cli import run
costly = {"asyncio", "dataclasses", "msgspec", "pathlib", "textual", "typer"}
early = costly & (set(sys.modules) - before)
sys.stderr.write(f"{sorted(early)}|")
app = types.ModuleType("runwatch_console.app")
app.ConsoleApp = ConsoleApp
sys.modules["runwatch_console.app"] = app
sys.stdin = sys.stdout = Terminal()
code = run(["--no-mouse", "--server", "box"])
sys.stderr.write(repr(sys.stdout.getvalue()))
sys.exit(code)
"""


@pytest.mark.requirement("fast.first_frame")
async def test_a_line_is_there_before_anything_costly_is_and_the_network_only_when_asked_for(
    environment: dict[str, str],
) -> None:
    code, _, err = await monitor(environment, program=HYGIENE)
    assert code == 0, err
    early, loaded, shown, left = err.split("|")
    assert early == "[]"
    assert loaded == "[] False https://box"
    assert shown == " Runwatch …"
    assert left == repr(" Runwatch …\r\x1b[2K")
