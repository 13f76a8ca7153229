"""Tokens that a program prints: no shell, bounded, kept in memory, run again once when refused."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from runwatch_console.client import HttpApi
from runwatch_console.contexts import Context, TokenError
from runwatch_console.fleet_feed import MonitorFeed
from runwatch_console.headless.exits import ExitCode
from runwatch_console.ports import ApiError, Connected, Disconnected, LossReason
from runwatch_console.retries import Retries
from runwatch_console.tokens import TokenCommand
from tests.console.network.commanding import command
from tests.console.network.records import hello, snapshot, stats
from tests.console.network.scripted import LIMIT_S, Refusal, ScriptedServer, hold, send

STATS = "/api/v1/monitor/stats"
COUNTING = """
import pathlib, sys
path = pathlib.Path(sys.argv[1])
n = int(path.read_text()) + 1 if path.exists() else 1
path.write_text(str(n))
print(f"token-{n}")
print("user: me")
"""


class Program:
    """Prints another token at every run."""

    def __init__(self, home: Path, text: str = COUNTING) -> None:
        self.count = home / "count"
        self.argv = (sys.executable, "-c", text, str(self.count))

    @property
    def runs(self) -> int:
        return int(self.count.read_text()) if self.count.exists() else 0

    def context(self, context: Context) -> Context:
        return replace(context, token_command=TokenCommand(self.argv))


def printing(text: str) -> TokenCommand:
    return TokenCommand((sys.executable, "-c", text), limit_s=5.0)


async def scene(websocket) -> None:
    await send(websocket, hello(), snapshot())
    await hold(websocket)


@pytest.mark.requirement("context.token_command")
def test_the_first_line_is_the_token_and_the_program_runs_once(tmp_path: Path) -> None:
    program = Program(tmp_path)
    tokens = TokenCommand(program.argv)
    assert tokens.token() == "token-1"
    assert tokens.token() == "token-1"
    assert program.runs == 1


def test_a_refused_token_is_asked_for_once_more(tmp_path: Path) -> None:
    program = Program(tmp_path)
    tokens = TokenCommand(program.argv)
    assert tokens.token() == "token-1"
    assert tokens.renew("token-1")
    assert tokens.renew("token-1")
    assert tokens.token() == "token-2"
    assert program.runs == 2
    same = printing("print('same')")
    assert same.token() == "same"
    assert not same.renew("same")
    assert not same.renew("same")


def test_nothing_is_read_by_a_shell(tmp_path: Path) -> None:
    tokens = TokenCommand(("echo", "$HOME;`id`"))
    assert tokens.token() == "$HOME;`id`"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.exit('the store is locked')", "exit 1: the store is locked"),
        ("pass", "no token"),
        ("print('\\x1b[31m')", "no token"),
        ("print('é')", "no token"),
        ("print('x' * 5000)", "no token"),
        ("import sys; print(sys.stdin.read() + '\\n')", "no token"),
        ("open('/dev/tty')", "exit 1"),
    ],
)
def test_a_program_that_gives_none_is_said(text: str, said: str) -> None:
    with pytest.raises(TokenError, match=said):
        printing(text).token()


def test_a_program_that_is_not_there_is_said() -> None:
    with pytest.raises(TokenError, match="No such file"):
        TokenCommand(("/nowhere/pass", "show", "secret-place")).token()


def test_a_program_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    text = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "print('half', flush=True)\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(TokenError, match="no end within"):
        TokenCommand((sys.executable, "-c", text), limit_s=1.0).token()
    pid = int(pid_file.read_text())
    end_s = time.monotonic() + LIMIT_S
    while _lives(pid):
        assert time.monotonic() < end_s, "what it started goes on"
        os.sched_yield()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_output_without_end_does_not_fill_the_memory() -> None:
    with pytest.raises(TokenError):
        TokenCommand(("yes", "x" * 1000), limit_s=0.3).token()


def test_the_secret_and_where_it_is_are_not_on_the_screen(context: Context) -> None:
    tokens = TokenCommand(("/usr/bin/pass", "show", "work/secret-place"))
    target = replace(context, token_command=tokens).target()
    assert target.credential == "token command pass"


async def test_a_401_is_answered_with_one_new_run_by_requests(
    server: ScriptedServer, context: Context, tmp_path: Path
) -> None:
    program = Program(tmp_path)
    server.answer(STATS, Refusal(401, "invalid_credential"), stats())
    api = HttpApi(program.context(context))
    assert await api.stats() == stats()
    await api.aclose()
    sent = [each.headers["authorization"] for each in server.seen]
    assert sent == ["Bearer token-1", "Bearer token-2"]


async def test_a_401_is_answered_with_one_new_run_by_sockets_and_then_waits(
    server: ScriptedServer, context: Context, tmp_path: Path, quick: Callable[[], Retries]
) -> None:
    program = Program(tmp_path)
    server.play(Refusal(401, "invalid_credential"), Refusal(401, "invalid_credential"), scene)
    feed = MonitorFeed(program.context(context), retries=quick())
    async with asyncio.timeout(LIMIT_S), aclosing(feed.frames()) as items:
        async for item in items:
            if isinstance(item, Disconnected):
                assert item.reason is LossReason.UNAUTHORIZED
                assert item.retry_in_s is None
                assert program.runs == 2
                feed.retry_now()
            if isinstance(item, Connected):
                break
    assert program.runs == 3


async def test_a_refused_feed_goes_on_when_its_token_file_is_another(
    server: ScriptedServer, context: Context, tmp_path: Path, quick: Callable[[], Retries]
) -> None:
    token = tmp_path / "mine"
    token.write_text("old")
    server.play(Refusal(401, "invalid_credential"), scene)
    feed = MonitorFeed(replace(context, token_file=token), retries=quick())
    async with asyncio.timeout(LIMIT_S), aclosing(feed.frames()) as items:
        async for item in items:
            if isinstance(item, Disconnected):
                token.write_text("a new one")
            if isinstance(item, Connected):
                break
    sent = [each.headers["authorization"] for each in server.seen]
    assert sent == ["Bearer old", "Bearer a new one"]


async def test_without_a_token_nothing_is_sent_and_commands_end_with_4(
    server: ScriptedServer, context: Context, tmp_path: Path
) -> None:
    locked = replace(context, token_command=printing("import sys; sys.exit('locked')"))
    feed = MonitorFeed(locked)
    async with asyncio.timeout(LIMIT_S), aclosing(feed.frames()) as items:
        lost = [item async for item in _until_lost(items)][-1]
    assert lost.reason is LossReason.NO_TOKEN
    assert "locked" in lost.detail
    api = HttpApi(locked)
    with pytest.raises(ApiError, match="no_token"):
        await api.stats()
    await api.aclose()
    for language in ("en", "zh"):
        outcome = await command(locked, "stats", language=language)
        assert outcome.code == ExitCode.AUTH
        assert "locked" in outcome.err
    assert server.seen == []


async def _until_lost(items):
    async for item in items:
        if isinstance(item, Disconnected):
            yield item
            return
