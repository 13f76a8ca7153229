"""`monitor-tui trust` as a person or a script would type it."""

import sys
from pathlib import Path

import pytest

from runwatch_console.contexts import Context
from runwatch_console.headless import trust_commands
from runwatch_console.headless.exits import ExitCode
from runwatch_console.known_hosts import KnownHosts
from tests.console.network.authorities import Served, served
from tests.console.network.commanding import command
from tests.console.network.scripted import ScriptedServer, serving
from tests.console.network.test_first_use import context_of, running


@pytest.fixture
def what(tmp_path: Path) -> Served:
    return served(tmp_path / "s")


def known(context: Context) -> str:
    assert context.known_hosts is not None
    return context.known_hosts.read_text() if context.known_hosts.exists() else ""


@pytest.mark.parametrize("of", ["authority", "certificate"])
async def test_the_right_fingerprint_is_remembered_and_commands_work_then(
    tmp_path: Path, what: Served, of: str
) -> None:
    async with running(what) as script:
        context = context_of(script.url, tmp_path)
        given = what.ca_fingerprint if of == "authority" else what.fingerprint
        before = await command(context, "stats")
        assert before.code == ExitCode.UNREACHABLE
        assert f"monitor-tui trust {script.url} --fingerprint {what.ca_fingerprint}" in before.err
        outcome = await command(context, "trust", "--fingerprint", given.lower())
        assert outcome.code == 0
        assert str(context.known_hosts) in outcome.err
        assert (await command(context, "stats")).code == 0
        again = await command(context, "trust", script.url, "--fingerprint", given)
        assert again.code == 0
        assert "already" in again.err
        assert known(context).count("127.0.0.1:") == 1


async def test_another_fingerprint_is_refused_before_and_after(
    tmp_path: Path, what: Served
) -> None:
    wrong = "SHA256:" + ":".join(["AB"] * 32)
    async with running(what) as script:
        context = context_of(script.url, tmp_path)
        outcome = await command(context, "trust", "--fingerprint", wrong)
        assert outcome.code == ExitCode.AUTH
        assert wrong in outcome.err
        assert what.ca_fingerprint in outcome.err
        assert known(context) == ""
        await command(context, "trust", "--fingerprint", what.ca_fingerprint)
        assert (await command(context, "trust", "--fingerprint", wrong)).code == ExitCode.AUTH
        assert script.seen == []


async def test_what_is_no_fingerprint_is_a_mistake(tmp_path: Path, what: Served) -> None:
    async with running(what) as script:
        outcome = await command(context_of(script.url, tmp_path), "trust", "--fingerprint", "abc")
    assert outcome.code == ExitCode.USAGE


async def test_where_nobody_can_be_asked_it_says_what_to_type(tmp_path: Path, what: Served) -> None:
    async with running(what) as script:
        context = context_of(script.url, tmp_path)
        outcome = await command(context, "trust")
    assert outcome.code == ExitCode.UNREACHABLE
    assert what.ca_fingerprint in outcome.err
    assert known(context) == ""


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, ExitCode.AUTH)])
async def test_a_person_is_asked_after_the_fingerprint_was_shown(
    tmp_path: Path, what: Served, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr(trust_commands, "_asked", ask)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", Terminal())
    async with running(what) as script:
        context = context_of(script.url, tmp_path)
        outcome = await command(context, "trust")
    assert outcome.code == code
    assert what.ca_fingerprint in outcome.err
    assert len(asked) == 1
    assert bool(known(context)) is answer


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_changed_one_is_never_replaced_but_can_be_forgotten(
    tmp_path: Path, what: Served, language: str
) -> None:
    other = served(tmp_path / "b")
    async with running(what) as script:
        context = context_of(script.url, tmp_path)
        await command(context, "trust", "--fingerprint", what.ca_fingerprint)
        assert context.known_hosts is not None
        pin = KnownHosts(context.known_hosts).find("127.0.0.1", int(script.url.split(":")[-1]))
        assert pin is not None
    async with running(other) as script:
        context = context_of(script.url, tmp_path)
        KnownHosts(tmp_path / "config" / "known_hosts").add(
            "127.0.0.1", int(script.url.split(":")[-1]), pin.pin
        )
        given = ("trust", "--fingerprint", other.ca_fingerprint)
        outcome = await command(context, *given, language=language)
        assert outcome.code == ExitCode.UNREACHABLE
        assert what.ca_fingerprint in outcome.err
        assert other.ca_fingerprint in outcome.err
        forgotten = await command(context, "trust", script.url, "--forget", language=language)
        assert forgotten.code == 0
        assert (await command(context, *given)).code == 0
        assert (await command(context, "trust", "https://box:1", "--forget")).code == 2


async def test_a_server_without_tls_or_with_a_named_authority_needs_none(
    tmp_path: Path, what: Served
) -> None:
    async with serving(ScriptedServer()) as plain:
        outcome = await command(context_of(plain.url, tmp_path), "trust")
        assert outcome.code == ExitCode.USAGE
        assert "plain HTTP" in outcome.err
        outcome = await command(context_of(plain.url.replace("http", "https"), tmp_path), "trust")
        assert outcome.code == ExitCode.UNREACHABLE
        assert "does not speak TLS" in outcome.err
    async with running(what) as script:
        named = context_of(script.url, tmp_path, given_ca=what.ca_pem)
        assert (await command(named, "trust")).code == ExitCode.USAGE


async def test_a_server_that_is_away_is_said(tmp_path: Path) -> None:
    outcome = await command(context_of("https://127.0.0.1:1", tmp_path), "trust")
    assert outcome.code == ExitCode.UNREACHABLE
    assert "cannot be reached" in outcome.err
