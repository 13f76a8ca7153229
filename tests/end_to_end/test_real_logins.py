"""The vendors' own programs log in through a node: to the very end at a stand-in vendor.

Not part of `make test`; `make test-agents` installs the programs and runs this on loopback alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.real_agents import LINUX, needs_programs
from tests.end_to_end.test_node_logins import LIMIT_S, Place
from tests.processes import NodeProcess, ServerProcess, wait_until
from tests.vendor.vendor import Vendor

pytestmark = [needs_programs, pytest.mark.timeout(300)]


@dataclass
class Real(Place):
    """A node with the real programs, and a vendor they take for theirs."""

    def credential(self, account: str, path: str) -> Any:
        kept = self.server.data_dir / "node/n1/accounts" / account / "home" / path
        assert kept.stat().st_mode & 0o777 == 0o600
        return json.loads(kept.read_text())

    def asked_again(self, action: str) -> None:
        """Until it waits for another code and says why."""

        def asked() -> bool:
            row = self.row(action)
            again = "Not accepted: " in (row["message"] or "")
            return again and "input_prompt" in row["result"]

        wait_until(asked, "a second wait", LIMIT_S)


def node_of(server: ServerProcess, vendor: Vendor | None, home: Path, **more: str) -> NodeProcess:
    node = NodeProcess(server, "--stop-agents", "--log-level", "debug")
    for name in list(node.environment):
        if name.endswith(("_API_KEY", "_AUTH_TOKEN", "_ACCESS_TOKEN", "_CONFIG_DIR")):
            del node.environment[name]
    folders = ":".join(map(str, LINUX))
    node.environment |= {
        "PATH": f"{folders}:{node.environment['PATH']}",
        "HOME": str(home),
        "RUNWATCH_SESSIONS": "false",
        "DISABLE_AUTOUPDATER": "1",
        **(vendor.variables() if vendor else {}),
        **more,
    }
    return node


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Real]:
    with Vendor(tmp_path / "vendor") as vendor:
        server = ServerProcess(tmp_path / "data")
        command = ["codex", "login", "--device-auth", "--experimental_issuer", vendor.url]
        logins = json.dumps({"codex": {"device_code": {**CODEX, "command": command}}})
        with server, node_of(server, vendor, tmp_path / "nobody", RUNWATCH_LOGINS=logins) as node:
            yield Real(server, node, vendor)


CODEX = {
    "url": r"https?://\S+/device\S*",
    "code": r"(?m)^\s*([A-Z0-9]{4,6}-[A-Z0-9]{4,6})\s*$",
    "lifetime": r"expires in (\d+) minutes",
    "success": "Successfully logged in",
    "failure": "Error logging in: (.+)",
    "credential": ".codex/auth.json",
    "status": ["codex", "login", "status"],
}


def test_claude_code_logs_in_with_a_code_and_refuses_a_wrong_one(real: Real) -> None:
    wrong = real.operate("oauth", "claude-code", "wrong")
    row = real.until(wrong, "waiting_input")
    assert row["result"]["verify_url"].startswith("https://claude.ai/oauth/authorize?")
    assert row["result"]["input_prompt"].startswith("Paste code here")
    real.enter(wrong, "BAD#state")
    assert real.ended(wrong)["error"].startswith("the code was not accepted: ")
    right = real.operate("oauth", "claude-code")
    real.until(right, "waiting_input")
    real.enter(right, f"{real.vendor.code}#state")
    assert real.ended(right)["status"] == "success"
    kept = real.credential("claude-code_me", ".claude/.credentials.json")
    assert kept["claudeAiOauth"]["refreshToken"] in real.vendor.given
    account = real.server.get("/api/v1/accounts/claude-code_me")
    assert account["expires_at"] > account["created_at"]


def test_claude_codes_token_for_a_year_is_kept_after_a_second_code(
    tmp_path: Path,
) -> None:
    with Vendor(tmp_path / "vendor") as vendor, ServerProcess(tmp_path / "data") as server:
        variables = {"RUNWATCH_CLAUDE_LOGIN": "setup-token"}
        with node_of(server, vendor, tmp_path / "nobody", **variables) as node:
            real = Real(server, node, vendor)
            action = real.operate("oauth", "claude-code")
            real.until(action, "waiting_input")
            real.enter(action, "BAD#state")
            real.asked_again(action)
            real.enter(action, f"{vendor.code}#state")
            assert real.ended(action)["status"] == "success"
            kept = real.credential("claude-code_me", ".claude/settings.json")
            assert kept["env"]["CLAUDE_CODE_OAUTH_TOKEN"] in vendor.given


def test_codex_logs_in_with_a_code_it_shows_and_tells_a_denial(real: Real) -> None:
    denied = real.operate("device_code", "openai-codex", "denied")
    row = real.until(denied, "waiting_device_code")
    assert row["result"]["user_code"] == real.vendor.user_code
    assert row["result"]["verify_url"] == f"{real.vendor.url}/codex/device"
    real.vendor.deny()
    assert real.ended(denied)["error"].startswith("the login was denied: ")
    real.vendor.decision = "pending"
    action = real.operate("device_code", "openai-codex")
    real.until(action, "waiting_device_code")
    real.vendor.approve()
    assert real.ended(action)["status"] == "success"
    kept = real.credential("openai-codex_me", ".codex/auth.json")
    assert kept["tokens"]["refresh_token"] in real.vendor.given


def test_gemini_logs_in_with_its_second_code_and_is_ended(real: Real) -> None:
    action = real.operate("oauth", "gemini-cli")
    row = real.until(action, "waiting_input")
    assert row["result"]["verify_url"].startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert row["result"]["verify_url"].endswith(".apps.googleusercontent.com")
    real.enter(action, "BAD")
    real.asked_again(action)
    real.enter(action, real.vendor.code)
    assert real.ended(action)["status"] == "success"
    kept = real.credential("gemini-cli_me", ".gemini/oauth_creds.json")
    assert kept["refresh_token"] in real.vendor.given


def test_qwen_says_that_its_login_is_no_more(real: Real) -> None:
    action = real.operate("oauth", "qwen-code")
    row = real.ended(action)
    assert row["status"] == "failed"
    assert "OAuth free tier was discontinued" in row["error"]


def test_keys_are_used_by_the_programs_themselves(real: Real) -> None:
    """Each asks its vendor, who is told the key; Codex tells itself that it has one."""
    for agent in ("claude-code", "gemini-cli"):
        key = f"sk-canary-of-{agent}-0123456789abcdef"
        action = real.operate("api_key", agent, "keyed", api_key=key)
        assert real.ended(action)["status"] == "success"
        asked: dict[str, Any] = {"type": agent, "account_id": f"{agent}_keyed", "parameters": {}}
        task = {"name": "hello", "prompt": "hello", "agent": asked, "timeout_s": 20}
        env = {**real.vendor.variables(), "CLAUDE_CODE_MAX_RETRIES": "0"}
        made = real.server.post("/api/v1/tasks", {**task, "env": env})
        run_id = str(real.server.post(f"/api/v1/tasks/{made['id']}/runs")["id"])
        real.server.wait_for_run(run_id, "done", "failed", "timeout", limit_s=60)
        assert any(key in sent for sent in real.vendor.keys), real.vendor.asked
        assert key not in repr(real.server.events(run_id))


def test_a_vendor_out_of_reach_is_told(tmp_path: Path) -> None:
    with (
        Vendor(tmp_path / "vendor") as vendor,
        ServerProcess(tmp_path / "data") as server,
        node_of(server, None, tmp_path / "nobody") as node,
    ):
        place = Place(server, node, vendor)
        for kind, agent in (("device_code", "openai-codex"), ("oauth", "claude-code")):
            action = place.operate(kind, agent)
            if kind == "oauth":
                place.until(action, "waiting_input")
                place.enter(action, "CODE#state")
            error = place.ended(action)["error"]
            assert error.startswith("the vendor could not be reached: "), error
