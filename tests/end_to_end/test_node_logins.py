"""Logins from the request to the run that waited for one: server, node and a stand-in vendor."""

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.test_canaries import kept, text_of
from tests.nodemanager.logins.conftest import left_over
from tests.nodemanager.logins.test_restarts import keepers
from tests.processes import NodeProcess, ServerProcess, wait_until
from tests.vendor.programs import put_programs
from tests.vendor.vendor import Vendor

LIMIT_S = 40.0
FINAL = ("success", "failed", "timeout", "cancelled")
pytestmark = pytest.mark.timeout(150)


@dataclass
class Place:
    server: ServerProcess
    node: NodeProcess
    vendor: Vendor

    @property
    def logins(self) -> Path:
        return self.server.data_dir / "node" / "n1" / "logins"

    def operate(self, kind: str, agent_type: str, name: str = "me", **more: Any) -> str:
        config = {"name": name, "agent_type": agent_type, **more}
        made = self.server.post(
            "/api/v1/operations", {"type": kind, "config": config, "node_id": "n1"}
        )
        return str(made["action_id"])

    def row(self, action: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.get(f"/api/v1/actions/{action}")
        return found

    def until(self, action: str, phase: str) -> dict[str, Any]:
        """The action once it has the phase."""

        def there() -> Any:
            row = self.row(action)
            return row if row.get("phase") == phase else None

        found: dict[str, Any] = wait_until(there, f"{action} in {phase}", LIMIT_S)
        return found

    def ended(self, action: str) -> dict[str, Any]:
        def there() -> Any:
            row = self.row(action)
            return row if row["status"] in FINAL else None

        found: dict[str, Any] = wait_until(there, f"the end of {action}", LIMIT_S)
        wait_until(lambda: not left_over(self.logins), "the end of its processes", LIMIT_S)
        wait_until(lambda: not any(self.logins.iterdir()), "the end of its folder", LIMIT_S)
        return found

    def enter(self, action: str, text: str) -> None:
        status, answer = self.server.request(
            "POST", f"/api/v1/actions/{action}/input", {"text": text}
        )
        assert status == 202, answer

    def waiting_run(self, account: str) -> str:
        agent = {"type": "claude-code", "account_id": account, "parameters": {}}
        task = self.server.post(
            "/api/v1/tasks", {"name": "waits", "prompt": "hello", "agent": agent}
        )
        return str(self.server.post(f"/api/v1/tasks/{task['id']}/runs")["id"])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Vendor(tmp_path / "vendor") as vendor:
        programs = put_programs(tmp_path / "vendor")
        server = ServerProcess(tmp_path / "data", "--log-level", "debug")
        node = NodeProcess(server, "--stop-agents", "--log-level", "debug")
        for name in list(node.environment):
            if name.endswith(("_API_KEY", "_AUTH_TOKEN", "_ACCESS_TOKEN", "_CONFIG_DIR")):
                del node.environment[name]
        node.environment |= {
            "PATH": f"{programs}:{node.environment['PATH']}",
            "HOME": str(tmp_path / "nobody"),
            "VENDOR_URL": vendor.url,
            "RUNWATCH_SESSIONS": "false",
            "RUNWATCH_LOGINS_STORED": "true",
        }
        with server, node:
            yield Place(server, node, vendor)


def test_a_login_starts_the_run_that_waited_for_it_and_none_of_its_secrets_is_anywhere(
    place: Place,
) -> None:
    server, vendor = place.server, place.vendor
    server.post("/api/v1/accounts", {"name": "me", "agent_type": "claude-code"})
    run_id = place.waiting_run("claude-code_me")

    def reason() -> str:
        row = server.get(f"/api/v1/monitor/workflows/run/{run_id}")
        return str(row.get("queue_reason_code"))

    wait_until(lambda: reason() == "login_missing", "a reason to wait", LIMIT_S)
    action = place.operate("oauth", "claude-code")
    row = place.until(action, "waiting_input")
    assert row["status"] == "waiting"
    shown = server.get(f"/api/v1/monitor/workflows/auth/{action}")
    assert (shown["state"], shown["waiting"]["kind"]) == ("waiting", "login")
    assert shown["metadata"]["verify_url"] == row["result"]["verify_url"]
    assert "/oauth/authorize?state=" in row["result"]["verify_url"]
    typed = f"{vendor.code}#a-state-that-was-typed"
    place.enter(action, typed)
    row = place.ended(action)
    assert row["status"] == "success", row
    account = server.get("/api/v1/accounts/claude-code_me")
    assert account["status"] == "authenticated"
    assert account["nodes"] == ["n1"]
    assert account["expires_at"] > account["created_at"]
    run = server.wait_for_run(run_id, "done", "failed", limit_s=LIMIT_S)
    assert run["status"] == "done", run
    shown = server.get(f"/api/v1/monitor/workflows/auth/{action}")
    assert shown["state"] == "completed"
    names = [step["name"] for step in shown["steps"]]
    assert names[-3:] == ["verifying_credentials", "saving_credentials", "finalizing"]

    key = "sk-canary-of-a-key-0123456789abcdefghij"
    keyed = place.operate("api_key", "openai-codex", "keyed", api_key=key)
    assert place.ended(keyed)["status"] == "success"
    said = {
        "operations": repr(server.get("/api/v1/operations")).encode(),
        "rows": repr([place.row(one) for one in (action, keyed)]).encode(),
        "workflow": repr(shown).encode(),
        "events": repr(server.events(run_id)).encode(),
        "server's metrics": text_of(f"{server.url}/metrics", server),
        "node's metrics": text_of(f"http://127.0.0.1:{place.node.metrics_port}/metrics"),
    }
    place.node.stop()
    server.stop()
    with contextlib.closing(sqlite3.connect(server.data_dir / "runwatch.db")) as database:
        said["dump"] = "\n".join(database.iterdump()).encode()
    homes = "node/n1/accounts/"
    said |= {
        name: data for name, data in kept(server.data_dir).items() if not name.startswith(homes)
    }
    assert b"openai-codex_keyed" in said["dump"], "what is searched holds the logins"
    for secret in (*vendor.given, key, typed):
        assert [where for where, data in said.items() if secret.encode() in data] == []


def test_a_login_outlives_kills_of_node_and_server_and_leaves_nothing_however_it_ends(
    place: Place,
) -> None:
    server, node, vendor = place.server, place.node, place.vendor
    action = place.operate("device_code", "openai-codex")
    row = place.until(action, "waiting_device_code")
    assert row["result"]["user_code"] == vendor.user_code
    assert row["result"]["verify_url"] == f"{vendor.url}/device"
    node.kill()
    node.start()
    assert place.until(action, "waiting_device_code")["status"] == "waiting"
    server.kill()
    vendor.approve()
    credential = place.logins / action / "home/.codex/auth.json"
    wait_until(credential.exists, "the credential", LIMIT_S)
    node.kill()
    server.start()
    node.start()
    assert place.ended(action)["status"] == "success"
    account = server.get("/api/v1/accounts/openai-codex_me")
    assert (account["status"], bool(account.get("volume_archive_key"))) == ("authenticated", True)

    cancelled = place.operate("oauth", "gemini-cli")
    row = place.until(cancelled, "waiting_input")
    server.post(f"/api/v1/operations/{row['operation_id']}/cancel")
    assert place.ended(cancelled)["status"] == "cancelled"

    killed = place.operate("oauth", "gemini-cli")
    place.until(killed, "waiting_input")
    for pid in keepers(place.logins):
        os.kill(pid, signal.SIGKILL)
    row = place.ended(killed)
    assert (row["status"], "killed" in row["error"]) == ("failed", True)

    vendor.deny()
    denied = place.operate("device_code", "openai-codex")
    assert place.ended(denied)["error"].startswith("the login was denied: ")
