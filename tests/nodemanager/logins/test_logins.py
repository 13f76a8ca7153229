"""Logins at a stand-in vendor: every agent, to success, denial, expiry, a wrong code, a cancel."""

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.identity import NodeFolder
from runwatch_shared.settings import LoginRecipe
from tests.nodemanager.conftest import TestNode
from tests.nodemanager.fake_logins import FakeAction
from tests.nodemanager.fake_server import FakeServer
from tests.nodemanager.logins.conftest import LIMIT_S, left_over, reached
from tests.vendor.vendor import Vendor

Begin = Callable[..., Awaitable[tuple[TestNode, FakeAction]]]


def home(folder: NodeFolder, account: str) -> Path:
    return folder.path / "accounts" / account / "home"


async def ended(server: FakeServer, action: FakeAction, node: TestNode, status: str) -> None:
    """It has this status, and nothing of it is left on the node."""
    await server.until(lambda: action.status == status, timeout_s=LIMIT_S)
    async with asyncio.timeout(LIMIT_S):
        while any(node.folder.logins.iterdir()) or left_over(node.folder.logins):
            await asyncio.sleep(0.02)


async def test_a_page_and_a_code_typed_back_log_claude_code_in(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in("claude-code", "oauth", until="waiting_input")
    assert action.status == "waiting"
    assert action.result["verify_url"].startswith("https://127.0.0.1")
    assert "/oauth/authorize?state=" in action.result["verify_url"]
    assert action.result["input_prompt"] == "Paste code here if prompted >"
    await server.logins.enter(action, f"{vendor.code}#state")
    await ended(server, action, node, "success")
    assert action.phases == [
        "initializing",
        "authenticating",
        "waiting_oauth",
        "waiting_input",
        "polling_token",
        "verifying_credentials",
        "saving_credentials",
        "finalizing",
    ]
    assert "input_prompt" not in action.result
    assert action.result["account_expires_at"] > action.created_at
    assert [patch["progress"] for patch in action.told if "progress" in patch] == sorted(
        patch["progress"] for patch in action.told if "progress" in patch
    )
    kept = home(node.folder, "claude-code_me") / ".claude/.credentials.json"
    assert json.loads(kept.read_text())["claudeAiOauth"]["accessToken"] in vendor.given
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    await server.until(lambda: bool(server.beats[-1]["logins"]), timeout_s=LIMIT_S)
    login = server.beats[-1]["logins"][0]
    assert (login["account_id"], login["state"]) == ("claude-code_me", "ok")
    assert login["expires_at"] == action.result["account_expires_at"]
    offers = {offer["type"]: offer for offer in server.beats[-1]["agents"]}
    assert offers["claude-code"]["accounts"] == ["claude-code_me"]
    for secret in vendor.given:
        assert secret not in json.dumps(action.told)


async def test_a_wrong_code_fails_in_words_that_say_so_and_keeps_no_account(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in("claude-code", "oauth", until="waiting_input")
    await server.logins.enter(action, "WRONG-CODE#state")
    await ended(server, action, node, "failed")
    assert action.error is not None
    assert action.error.startswith("the code was not accepted: ")
    assert "WRONG-CODE" not in json.dumps(action.told)
    assert not home(node.folder, "claude-code_me").exists()


async def test_a_token_for_a_year_is_asked_for_again_after_a_wrong_code_and_kept(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in(
        "claude-code",
        "oauth",
        until="waiting_input",
        name="ci@x",
        settings={"claude_login": "setup-token"},
    )
    first = action.result["verify_url"]
    await server.logins.enter(action, "WRONG")
    await server.until(
        lambda: action.status == "waiting" and action.result["verify_url"] != first,
        timeout_s=LIMIT_S,
    )
    await server.until(lambda: "input_prompt" in action.result, timeout_s=LIMIT_S)
    assert "Not accepted: the code was not accepted" in (action.message or "")
    await server.logins.enter(action, vendor.code)
    await ended(server, action, node, "success")
    settings = home(node.folder, "claude-code_ci_x") / ".claude/settings.json"
    kept = json.loads(settings.read_text())["env"]["CLAUDE_CODE_OAUTH_TOKEN"]
    assert kept == vendor.given[-2]
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert kept not in json.dumps(action.told)
    await server.until(lambda: bool(server.beats[-1]["logins"]), timeout_s=LIMIT_S)
    assert "expires_at" in server.beats[-1]["logins"][0]


async def test_a_code_shown_and_entered_on_the_page_logs_codex_in(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in("codex", "device_code", until="waiting_device_code")
    assert action.result["verify_url"] == f"{vendor.url}/device"
    assert action.result["user_code"] == vendor.user_code
    assert action.result["expires_at"] > action.created_at
    vendor.approve()
    await ended(server, action, node, "success")
    assert action.phases[:3] == ["initializing", "requesting_device_code", "waiting_device_code"]
    kept = json.loads((home(node.folder, "openai-codex_me") / ".codex/auth.json").read_text())
    assert kept["tokens"]["refresh_token"] in vendor.given


@pytest.mark.parametrize(
    ("decision", "words"),
    [("denied", "the login was denied: "), ("expired", "the login expired: ")],
)
async def test_what_became_of_a_code_on_the_page_is_told(
    server: FakeServer, vendor: Vendor, logged_in: Begin, decision: Any, words: str
) -> None:
    node, action = await logged_in("openai-codex", "device_code", until="waiting")
    vendor.decision = decision
    await ended(server, action, node, "failed")
    assert (action.error or "").startswith(words)


async def test_gemini_gets_a_second_code_and_is_ended_once_its_login_is_there(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in("gemini-cli", "oauth", until="waiting_input")
    first = action.result["verify_url"]
    assert len(first) > 500, "in one piece, however long"
    await server.logins.enter(action, "WRONG")
    await server.until(
        lambda: action.status == "waiting" and action.result.get("verify_url") != first,
        timeout_s=LIMIT_S,
    )
    await server.until(lambda: "input_prompt" in action.result, timeout_s=LIMIT_S)
    await server.logins.enter(action, vendor.code)
    await ended(server, action, node, "success")
    kept = home(node.folder, "gemini-cli_me") / ".gemini/oauth_creds.json"
    assert json.loads(kept.read_text())["refresh_token"] in vendor.given


async def test_qwen_says_that_its_login_is_no_more_and_an_old_one_still_logs_in(
    server: FakeServer,
    vendor: Vendor,
    logged_in: Begin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node, action = await logged_in("qwen-code", "oauth", until="failed")
    words = "this version of the agent cannot log in so: Qwen OAuth free tier was discontinued"
    assert (action.error or "").startswith(words)
    monkeypatch.setenv("VENDOR_OLD_QWEN", "1")
    node, action = await logged_in("qwen-code", "oauth", until="waiting", id="act-2", node=node)
    assert action.result["user_code"] == vendor.user_code
    vendor.approve()
    await ended(server, action, node, "success")


async def test_a_vendor_out_of_reach_and_a_missing_program_are_told(
    server: FakeServer,
    vendor: Vendor,
    logged_in: Begin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VENDOR_URL", "http://127.0.0.1:9")
    node, action = await logged_in("openai-codex", "device_code", until="failed")
    assert (action.error or "").startswith("the vendor could not be reached: ")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    node, action = await logged_in("claude-code", "oauth", until="failed", id="act-2", node=node)
    expected = "the login's program is missing: claude is not there on the PATH of this node"
    assert action.error == expected


async def test_a_login_nobody_finishes_is_over_in_time(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in("openai-codex", "device_code", until="waiting", seconds=3.0)
    await ended(server, action, node, "timeout")
    assert action.error == "nobody finished the login in time"


async def test_a_cancelled_login_is_gone_within_seconds(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in("gemini-cli", "oauth", until="waiting_input")
    assert left_over(node.folder.logins)
    action.status = "cancelled"
    await ended(server, action, node, "cancelled")
    assert node.metrics.registry.get_sample_value(
        "executor_auth_tasks_total", {"node_id": "n1", "status": "cancelled"}
    )


async def test_phases_told_while_the_server_is_away_arrive_in_order(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in("openai-codex", "device_code", until="waiting_device_code")
    await server.stop()
    vendor.approve()
    credential = node.folder.logins / "act-1/home/.codex/auth.json"
    async with asyncio.timeout(LIMIT_S):
        while not credential.exists():
            await asyncio.sleep(0.02)
    await server.start()
    await ended(server, action, node, "success")
    assert action.phases[-3:] == ["verifying_credentials", "saving_credentials", "finalizing"]


async def test_two_accounts_of_one_agent_have_homes_of_their_own(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, first = await logged_in("claude-code", "oauth", until="waiting_input", name="a@x")
    second = server.logins.add("act-2", "claude-code", "oauth", name="b@x")
    await server.logins.notify()
    await server.until(lambda: reached(second, "waiting_input"), timeout_s=LIMIT_S)
    await server.logins.enter(second, vendor.code)
    await server.logins.enter(first, vendor.code)
    await ended(server, first, node, "success")
    await ended(server, second, node, "success")
    kept = [home(node.folder, f"claude-code_{name}_x") for name in "ab"]
    texts = [(path / ".claude/.credentials.json").read_text() for path in kept]
    assert texts[0] != texts[1]


async def test_an_agent_of_the_nodes_own_settings_logs_in(
    server: FakeServer, vendor: Vendor, logged_in: Begin, tmp_path: Path
) -> None:
    program = tmp_path / "own-login"
    program.write_text(
        "#!/bin/sh\nprintf 'Go to https://idp.example/x and say: '\nread answer\n"
        'printf "%s" "$answer" > "$OWN_HOME/token"\necho "Welcome, friend"\n'
    )
    program.chmod(0o755)
    recipe = LoginRecipe(
        command=[str(program)],
        variables={"OWN_HOME": "{home}"},
        prompt=r"say:\s*\Z",
        success="Welcome, (.+)",
        credential="token",
    )
    node, action = await logged_in(
        "own", "oauth", until="waiting_input", settings={"logins": {"own": {"oauth": recipe}}}
    )
    assert action.result["verify_url"] == "https://idp.example/x"
    await server.logins.enter(action, "friend-secret")
    await ended(server, action, node, "success")
    assert (home(node.folder, "own_me") / "token").read_text() == "friend-secret"


async def test_a_step_the_server_does_not_take_does_not_hold_the_login_up(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    server.logins.refuse = lambda patch: "user_code" in patch.get("result", {})
    node, action = await logged_in("openai-codex", "device_code", until="waiting_device_code")
    assert action.message == "The server refused what the agent showed"
    vendor.approve()
    await ended(server, action, node, "success")


async def test_a_defect_of_ours_ends_the_login_and_leaves_nothing(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    node, action = await logged_in("openai-codex", "device_code", until="waiting_device_code")
    with (node.folder.logins / "act-1" / "steps").open("ab") as steps:
        steps.write(b"no step\n")
    vendor.approve()
    await ended(server, action, node, "failed")
    assert action.error == "the node manager could not carry out the login"
