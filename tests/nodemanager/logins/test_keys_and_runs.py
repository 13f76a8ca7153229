"""Keys where each agent reads them, runs that use an account, and what of both is never seen."""

import json
import logging
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runwatch_nodemanager.cli import app
from runwatch_nodemanager.identity import NodeFolder, find_node
from runwatch_nodemanager.logins.kept_account import Accounts, Record
from runwatch_nodemanager.logins.keys import KeyRefusedError, has_key, keep_key, usable_key
from runwatch_shared.settings import LoginRecipe
from tests.nodemanager.conftest import TestNode
from tests.nodemanager.fake_logins import FakeAction
from tests.nodemanager.fake_server import FakeRun, FakeServer
from tests.nodemanager.logins.conftest import LIMIT_S
from tests.nodemanager.logins.test_restarts import over
from tests.vendor.vendor import Vendor

Begin = Callable[..., Awaitable[tuple[TestNode, FakeAction]]]
NewNode = Callable[..., Awaitable[TestNode]]
KEY = "sk-canary-0123456789abcdef0123456789abcdef"
FILES = {
    "claude-code": ".claude/settings.json",
    "openai-codex": ".codex/auth.json",
    "gemini-cli": ".gemini/.env",
    "qwen-code": ".qwen/settings.json",
}


def run_of(server: FakeServer, run_id: str, **agent: Any) -> FakeRun:
    wanted = {"type": "claude-code", "parameters": {}, **agent}
    return server.add(run_id, agent=wanted, prompt="hello")


@pytest.mark.parametrize("agent_type", FILES)
async def test_a_key_lies_where_the_agent_reads_it_for_this_user_alone(
    server: FakeServer,
    vendor: Vendor,
    logged_in: Begin,
    agent_type: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    node, action = await logged_in(agent_type, "api_key", until="success", api_key=f" {KEY}\n")
    home = node.folder.path / "accounts" / f"{agent_type}_me" / "home"
    kept = home / FILES[agent_type]
    assert KEY in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert action.phases == ["initializing", "saving_credentials", "finalizing"]
    assert KEY not in json.dumps(action.told)
    assert KEY not in caplog.text
    assert has_key(home, agent_type)


async def test_what_is_no_key_is_refused_and_not_kept(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in("claude-code", "api_key", until="failed", api_key="two words")
    assert "no API key" in (action.error or "")
    assert not (node.folder.path / "accounts").exists()


@pytest.mark.parametrize(
    "text", [None, "", "short", "with space inside", "x" * 5000, "schl\u00fcssel-x"]
)
def test_only_what_can_be_a_key_is_one(text: str | None) -> None:
    with pytest.raises(KeyRefusedError):
        usable_key(text)


def test_a_key_keeps_other_settings_of_its_agent(tmp_path: Path) -> None:
    path = tmp_path / ".claude/settings.json"
    path.parent.mkdir()
    path.write_text('{"model":"x","env":{"OTHER":"1","CLAUDE_CODE_OAUTH_TOKEN":"old"}}')
    keep_key(tmp_path, "claude-code", KEY)
    kept = json.loads(path.read_text())
    assert kept == {"model": "x", "env": {"OTHER": "1", "ANTHROPIC_API_KEY": KEY}}


async def test_runs_use_their_account_and_its_secrets_are_not_seen(
    server: FakeServer, vendor: Vendor, logged_in: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-somebody-else-entirely")
    monkeypatch.setenv("VENDOR_SHOWS", "1")
    _node, action = await logged_in("claude-code", "oauth", until="waiting_input")
    await server.logins.enter(action, vendor.code)
    await server.until(lambda: action.status == "success", timeout_s=LIMIT_S)
    with_login = run_of(server, "run-1", account_id="claude-code_me")
    without = run_of(server, "run-2")
    elsewhere = run_of(server, "run-3", account_id="claude-code_other")
    wrong = run_of(server, "run-4", type="command", account_id="claude-code_me")
    wrong.snapshot["agent"]["parameters"] = {"argv": ["sh", "-c", "env"]}
    await server.logins.notify()
    runs = [with_login, without, elsewhere, wrong]
    await server.until(
        lambda: all(run.status in ("done", "failed") for run in runs), timeout_s=LIMIT_S
    )
    assert with_login.status == "done", with_login.events
    assert without.status == "failed"
    ends = [run.events[-1]["payload"] for run in runs]
    assert ends[1]["error_code"] == "login_missing"
    assert ends[2]["error_code"] == "login_missing"
    assert "this node has no login claude-code_other" in ends[2]["error"]
    assert not any(event["type"] == "run_started" for event in elsewhere.events)
    text = json.dumps([run.events for run in runs])
    assert "CLAUDE_CONFIG_DIR" in json.dumps(wrong.events)
    assert "of-somebody-else-entirely" not in text
    for secret in vendor.given:
        assert secret not in text
    assert "***" in json.dumps(with_login.events)


async def test_an_account_its_vendor_refuses_is_told_to_be_over_until_it_is_renewed(
    server: FakeServer, vendor: Vendor, logged_in: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    _node, action = await logged_in("claude-code", "oauth", until="waiting_input")
    await server.logins.enter(action, vendor.code)
    await server.until(lambda: action.status == "success", timeout_s=LIMIT_S)
    monkeypatch.setenv("VENDOR_REFUSES", "1")
    refused = run_of(server, "run-1", account_id="claude-code_me")
    await server.logins.notify()
    await server.until(lambda: refused.status == "failed", timeout_s=LIMIT_S)
    errors = [e["payload"]["code"] for e in refused.events if e["type"] == "error"]
    assert errors == ["auth_failed"]

    def state() -> str:
        logins = {row["account_id"]: row["state"] for row in server.beats[-1]["logins"]}
        return logins.get("claude-code_me", "")

    await server.until(lambda: state() == "expired", timeout_s=LIMIT_S)
    again = server.logins.add("act-2", "claude-code", "oauth")
    await server.logins.notify()
    await server.until(lambda: again.phase == "waiting_input", timeout_s=LIMIT_S)
    await server.logins.enter(again, vendor.code)
    await server.until(lambda: again.status == "success", timeout_s=LIMIT_S)
    await server.until(lambda: state() == "ok", timeout_s=LIMIT_S)


async def test_a_login_that_is_to_be_stored_serves_another_node(
    server: FakeServer, vendor: Vendor, logged_in: Begin, new_node: NewNode, tmp_path: Path
) -> None:
    settings = {"logins_stored": True}
    node, action = await logged_in("claude-code", "oauth", until="waiting_input", settings=settings)
    await server.logins.enter(action, vendor.code)
    await server.until(lambda: bool(server.logins.archives), timeout_s=LIMIT_S)
    assert list(server.logins.archives) == ["claude-code_me"]
    assert action.status == "success"
    await node.vanish()
    other = await new_node(data_dir=str(tmp_path / "other"), node_id="n2")
    run = run_of(server, "run-1", account_id="claude-code_me")
    await server.logins.notify()
    await server.until(lambda: run.status in ("done", "failed"), timeout_s=LIMIT_S)
    assert run.status == "done", run.events
    kept = other.folder.path / "accounts/claude-code_me/home/.claude/.credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


async def test_a_login_is_not_stored_unless_it_is_wished(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in("openai-codex", "device_code", until="waiting")
    vendor.approve()
    await server.until(lambda: action.status == "success", timeout_s=LIMIT_S)
    await over(server, action, node)
    assert not server.logins.archives


async def test_a_failed_second_login_leaves_the_first_as_it_was(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, _ = await logged_in("claude-code", "api_key", until="success", api_key=KEY)
    home = node.folder.path / "accounts/claude-code_me/home"
    before = (home / ".claude/settings.json").read_text()
    second = server.logins.add("act-2", "claude-code", "oauth")
    await server.logins.notify()
    await server.until(lambda: second.phase == "waiting_input", timeout_s=LIMIT_S)
    await server.logins.enter(second, "WRONG")
    await server.until(lambda: second.status == "failed", timeout_s=LIMIT_S)
    assert (home / ".claude/settings.json").read_text() == before


async def test_a_key_of_a_configured_agent_becomes_variables_of_its_runs(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    recipe = LoginRecipe(variables={"OWN_KEY": "{key}", "OWN_MODE": "quiet"})
    settings = {"logins": {"own": {"api_key": recipe}}}
    _node, _ = await logged_in("own", "api_key", until="success", api_key=KEY, settings=settings)
    run = run_of(server, "run-1", type="command", account_id="own_me")
    run.snapshot["agent"]["parameters"] = {"argv": ["sh", "-c", 'echo "$OWN_MODE ${#OWN_KEY}"']}
    await server.logins.notify()
    await server.until(lambda: run.status == "done", timeout_s=LIMIT_S)
    assert f"quiet {len(KEY)}" in json.dumps(run.events)


def test_states_follow_the_files_and_the_clock(tmp_path: Path) -> None:
    accounts = Accounts(NodeFolder(tmp_path))
    record = Record(id="gemini-cli_a", agent_type="gemini-cli", method="oauth", logged_in_at_us=1)
    account = accounts.keep(record)
    assert account.worth(0) == ("missing", None)
    path = account.home / ".gemini/oauth_creds.json"
    path.parent.mkdir()
    path.write_text('{"access_token":"t","expiry_date":2000000000000}')
    ends_us = 2_000_000_000_000_000
    day_us = 86_400_000_000
    assert account.worth(0) == ("ok", ends_us)
    assert account.worth(ends_us - day_us) == ("expiring", ends_us)
    assert account.worth(ends_us) == ("expired", ends_us)
    path.write_text('{"access_token":"t","refresh_token":"r","expiry_date":1}')
    assert account.worth(ends_us) == ("ok", None)
    accounts.refuse("gemini-cli_a")
    renewed = accounts.get("gemini-cli_a")
    assert renewed is not None
    assert renewed.worth(0)[0] == "expired"
    path.write_text('{"access_token":"new","refresh_token":"r2","expiry_date":1}')
    assert renewed.worth(0)[0] == "ok"
    assert accounts.forget("gemini-cli_a")
    assert accounts.get("gemini-cli_a") is None
    assert accounts.get("../../etc") is None


async def test_a_node_that_is_stopped_says_nothing_more_of_a_login_and_the_next_one_does(
    server: FakeServer, vendor: Vendor, logged_in: Begin, new_node: NewNode
) -> None:
    node, action = await logged_in("openai-codex", "device_code", until="waiting")
    await node.stop()
    assert action.status == "waiting"
    vendor.approve()
    await new_node()
    await server.until(lambda: action.status == "success", timeout_s=LIMIT_S)


def test_the_accounts_of_a_machine_are_listed_and_forgotten(tmp_path: Path) -> None:
    folder = find_node(tmp_path, "n1")[1]
    account = Accounts(folder).keep(
        Record(id="openai-codex_a", agent_type="openai-codex", method="api_key", logged_in_at_us=1)
    )
    keep_key(account.home, "openai-codex", KEY)
    command = ["accounts", "--data-dir", str(tmp_path), "--node-id", "n1"]
    runner = CliRunner()
    listed = runner.invoke(app, command)
    assert listed.output == "openai-codex_a\tok\tapi_key\n"
    assert runner.invoke(app, [*command, "--forget", "openai-codex_b"]).exit_code == 2
    assert runner.invoke(app, [*command, "--forget", "openai-codex_a"]).output == ""
    assert not account.home.exists()
