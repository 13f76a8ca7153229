"""`monitor-tui doctor`: what is looked at, what is said of it, and what is never printed."""

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from runwatch_console.contexts import Context
from runwatch_console.doctor.findings import Finding, Level
from runwatch_console.doctor.machine import look_at_clipboard, look_at_data, look_at_settings
from runwatch_console.doctor.server import look_at_server
from runwatch_console.doctor.terminal import Terminal, look_at_terminal, look_at_widths
from runwatch_console.headless.words import HeadlessWords
from runwatch_console.locale import en_doctor, zh_doctor
from tests.console.network.commanding import Network, command
from tests.console.network.conftest import context_for
from tests.console.network.records import server_info
from tests.console.network.scripted import LIMIT_S, Refusal, ScriptedServer
from tests.console.terminal import Terminal as PseudoTerminal
from tests.console.terminal import clean_environment

INFO = "/api/v1/server"
ME = "/api/v1/auth/me"
TIME = "2026-11-24T10:31:22.000000Z"
NOW_S = datetime(2026, 11, 24, 10, 31, 22, tzinfo=UTC).timestamp()
SECRET = "rw_very-secret-token"
WORDS = HeadlessWords("en")


def by_check(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def terminal(size: tuple[int, int] | None = (120, 40), encoding: str = "utf-8", **environment: str):
    environment = {"TERM": "xterm-256color", **environment}
    return by_check(
        list(look_at_terminal(Terminal(environment=environment, encoding=encoding, size=size)))
    )


def test_a_good_terminal_is_well() -> None:
    found = terminal(COLORTERM="truecolor")
    assert {finding.level for finding in found.values()} == {Level.OK}


@pytest.mark.parametrize(
    ("size", "encoding", "environment", "check", "level"),
    [
        (None, "utf-8", {}, "terminal.kind", Level.WARN),
        ((120, 40), "utf-8", {"TERM": "dumb"}, "terminal.kind", Level.FAIL),
        ((59, 40), "utf-8", {}, "terminal.size", Level.WARN),
        ((120, 14), "utf-8", {}, "terminal.size", Level.WARN),
        ((120, 40), "ascii", {"LANG": "C"}, "terminal.unicode", Level.WARN),
        ((120, 40), "utf-8", {"TERM": "xterm"}, "terminal.colours", Level.WARN),
    ],
)
def test_what_a_terminal_lacks_is_said_with_how_to_mend_it(
    size: tuple[int, int] | None,
    encoding: str,
    environment: dict[str, str],
    check: str,
    level: Level,
) -> None:
    finding = terminal(size, encoding, **environment)[check]
    assert finding.level is level
    assert finding.mending(WORDS)


@pytest.mark.parametrize(
    ("cells", "level"), [({"中": 2, "🚀": 2}, Level.OK), ({"🚀": 1}, Level.WARN), ({}, Level.WARN)]
)
def test_widths_are_what_the_terminal_says(cells: dict[str, int], level: Level) -> None:
    def ask(question: bytes) -> bytes:
        glyph = question.decode().strip("\r").partition("\x1b")[0]
        if not cells or not glyph:
            return b""
        return f"noise\x1b[7;{cells.get(glyph, 2 if ord(glyph) > 0x3000 else 1) + 1}R".encode()

    finding = look_at_widths(ask)
    assert finding.level is level
    if cells == {"🚀": 1}:
        assert "🚀 1≠2" in finding.text(WORDS)


@pytest.mark.parametrize(
    ("environment", "answers", "level"),
    [
        ({}, {}, Level.OK),
        ({"STY": "1"}, {}, Level.WARN),
        ({"TMUX": "x"}, {}, Level.FAIL),
        ({"TMUX": "x"}, {"-V": "tmux 3.4", "show": "external"}, Level.OK),
        ({"TMUX": "x"}, {"-V": "tmux 3.4", "show": "off"}, Level.WARN),
        ({"TMUX": "x"}, {"-V": "tmux 2.9a", "show": "on"}, Level.WARN),
    ],
)
def test_the_way_of_a_copy_is_told(
    environment: dict[str, str], answers: dict[str, str], level: Level
) -> None:
    finding = look_at_clipboard(environment, lambda argv: answers.get(argv[1]))
    assert finding.level is level


def test_settings_and_secrets_are_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert [each.level for each in look_at_settings(path, "")] == [Level.OK]
    wrong = look_at_settings(path, "it is wrong\x1b[31m\nand so is that")
    assert [each.text(WORDS) for each in wrong] == ["it is wrong␛[31m", "and so is that"]
    path.write_text("")
    path.chmod(0o666)
    assert [each.level for each in look_at_settings(path, "")] == [Level.WARN]
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "token").chmod(0o644)
    found = by_check(list(look_at_data(tmp_path)))
    assert found["data.secret"].level is Level.WARN
    assert "chmod 600" in found["data.secret"].mending(WORDS)
    (tmp_path / "token").chmod(0o600)
    assert by_check(list(look_at_data(tmp_path)))["data.secret"].level is Level.OK
    assert [each.level for each in look_at_data(tmp_path / "none")] == [Level.OK]


async def server_findings(context: Context, now_s: float = NOW_S) -> dict[str, Finding]:
    api = Network(context).api()
    try:
        async with asyncio.timeout(LIMIT_S):
            found = [each async for each in look_at_server(context, api, lambda: now_s)]
            return by_check(found)
    finally:
        await api.aclose()


def token_context(server: ScriptedServer, tmp_path: Path) -> Context:
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "token").chmod(0o600)
    return context_for(server.url, tmp_path)


async def test_a_server_that_is_well(server: ScriptedServer, tmp_path: Path) -> None:
    server.answer(INFO, replace(server_info(), server_time=TIME))
    server.answer(ME, {"id": "t", "username": "laptop", "scope": "operator"})
    found = await server_findings(token_context(server, tmp_path))
    assert found["server.reached"].level is Level.OK
    assert found["server.version"].level is Level.OK
    assert found["server.trust"].said == "doctor.plain_loopback"
    assert "laptop, scope operator" in found["server.token"].text(WORDS)
    assert SECRET not in "".join(each.text(WORDS) for each in found.values())


async def test_a_clock_that_is_off_is_told_in_milliseconds(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(INFO, replace(server_info(), server_time=TIME))
    assert (await server_findings(context, NOW_S + 1))["server.clock"].level is Level.OK
    skewed = (await server_findings(context, NOW_S + 7))["server.clock"]
    assert skewed.level is Level.WARN
    assert "-7000 ms" in skewed.text(WORDS)


@pytest.mark.parametrize(
    ("expires_at", "level"),
    [("2026-11-25T10:31:22.000000Z", Level.WARN), ("2027-11-25T10:31:22.000000Z", Level.OK)],
)
async def test_a_token_that_ends_soon_is_said(
    server: ScriptedServer, tmp_path: Path, expires_at: str, level: Level
) -> None:
    server.answer(INFO, server_info())
    identity = {"id": "t", "username": "x", "scope": "viewer", "expires_at": expires_at}
    server.answer(ME, identity)
    found = await server_findings(token_context(server, tmp_path))
    assert found["server.token"].level is level


async def test_what_the_server_refuses_is_a_failure(server: ScriptedServer, tmp_path: Path) -> None:
    server.answer(INFO, replace(server_info(), protocol=9, protocol_min=8))
    server.answer(ME, Refusal(401, "unauthorized", "no such token"))
    found = await server_findings(token_context(server, tmp_path))
    assert found["server.version"].level is Level.FAIL
    assert found["server.token"].level is Level.FAIL
    assert found["server.token"].mending(WORDS)


@pytest.mark.requirement("headless.doctor")
async def test_the_command_ends_with_0_or_1_and_prints_json_alone_on_demand(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.answer(INFO, server_info())
    server.answer(ME, {"id": "t", "username": "x", "scope": "viewer"})
    context = token_context(server, tmp_path)
    outcome = await command(context, "doctor", "--output", "json")
    document = json.loads(outcome.out)
    assert (outcome.code, document["ok"]) == (0, True)
    assert {"check", "level", "text", "mend"} == set(document["findings"][0])
    assert SECRET not in outcome.out + outcome.err
    outcome = await command(context_for("http://127.0.0.1:1", tmp_path), "doctor", language="zh")
    assert outcome.code == 1
    assert "无法连接" in outcome.out
    assert "→" in outcome.out


def test_doctor_says_what_is_wrong_with_the_settings_and_asks_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[console]\nthem = 'dark'\n")
    environment = clean_environment(tmp_path, TERM="xterm-256color", COLORTERM="truecolor")
    environment["RUNWATCH_CONFIG"] = str(tmp_path / "config.toml")

    def answer(written: bytes) -> bytes:
        wide = "中".encode() in written or "🚀".encode() in written
        return f"\x1b[3;{3 if wide else 2}R".encode() if b"\x1b[6n" in written else b""

    with PseudoTerminal(["doctor"], environment, answer=answer) as pseudo:
        code = pseudo.end()
        written = pseudo.written.decode()
    assert code == 1
    assert "did you mean theme?" in written
    assert "widths are right" in written
    assert "100×30" in written


def test_what_doctor_says_is_there_in_both_languages() -> None:
    assert set(en_doctor.WORDS) == set(zh_doctor.WORDS)
    said = {word for word in en_doctor.WORDS if not word.endswith(".mend")}
    folder = Path(os.path.dirname(look_at_settings.__code__.co_filename))
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    assert {word for word in said if ".level." not in word and f'"{word}"' not in source} == set()
