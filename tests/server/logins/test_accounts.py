"""Accounts: made by logins or by hand, held by nodes, known to expire or seen to."""

from typing import Any

import pytest

from runwatch_server.accounts.kinds import AgentTypes
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import AgentTypeSettings
from tests.server.http.house import event
from tests.server.logins.desk import Desk

ACCOUNTS = "/api/v1/accounts"
ADA = "claude-code_ada"


def login(state: str, expires_at: str | None = None, account_id: str = ADA) -> dict[str, Any]:
    told = {"agent_type": "claude-code", "account_id": account_id, "state": state}
    return told if expires_at is None else {**told, "expires_at": expires_at}


async def test_an_account_is_made_listed_and_deleted(desk: Desk) -> None:
    body = {"name": "Ada L.-1@x", "agent_type": "claude-code"}
    account = await desk.house.make(ACCOUNTS, body, who="operator")
    assert account["id"] == "claude-code_Ada_L__1_x"
    assert account["status"] == "pending"
    assert account["nodes"] == []
    assert account["blocked_runs"] == 0
    await desk.house.make(ACCOUNTS, {"name": "b", "agent_type": "openai-codex"})
    listed = await desk.house.get(ACCOUNTS, who="node-1")
    assert (listed["count"], [each["name"] for each in listed["accounts"]]) == (
        2,
        ["Ada L.-1@x", "b"],
    )
    listed = await desk.house.get(ACCOUNTS, agent_type="openai-codex")
    assert [each["name"] for each in listed["accounts"]] == ["b"]
    answer = await desk.house.send("DELETE", f"{ACCOUNTS}/{account['id']}?purge=true")
    assert answer.status_code == 204
    answer = await desk.house.send("GET", f"{ACCOUNTS}/{account['id']}")
    assert (answer.status_code, answer.json()["details"]) == (404, {"kind": "account"})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "a", "agent_type": "claude"}, "invalid_value"),
        ({"name": "a/b", "agent_type": "claude-code"}, "invalid_field"),
        ({"name": "x" * 65, "agent_type": "claude-code"}, "invalid_field"),
        ({"name": "a"}, "missing_field"),
    ],
)
async def test_what_can_be_no_account_is_refused(
    quick_desk: Desk, body: dict[str, str], code: str
) -> None:
    answer = await quick_desk.house.send("POST", ACCOUNTS, who="operator", body=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_a_second_name_of_the_same_id_is_taken(quick_desk: Desk) -> None:
    await quick_desk.house.make(ACCOUNTS, {"name": "a.b", "agent_type": "claude-code"})
    body = {"name": "a-b", "agent_type": "claude-code"}
    answer = await quick_desk.house.send("POST", ACCOUNTS, who="operator", body=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


async def test_an_account_is_not_deleted_while_a_login_is_open(quick_desk: Desk) -> None:
    await quick_desk.authenticated()
    made = await quick_desk.begin()
    answer = await quick_desk.house.send("DELETE", f"{ACCOUNTS}/{ADA}")
    assert answer.json()["code"] == "in_use"
    assert answer.json()["details"] == {"action_ids": [made["action_id"]]}
    await quick_desk.tell(made["action_id"], "failed")
    assert (await quick_desk.house.send("DELETE", f"{ACCOUNTS}/{ADA}")).status_code == 204


async def test_a_failed_login_leaves_the_account_as_it_was(desk: Desk) -> None:
    await desk.house.make(ACCOUNTS, {"name": "ada", "agent_type": "claude-code"})
    made = await desk.begin()
    assert (await desk.account())["status"] == "authenticating"
    await desk.tell(made["action_id"], "failed")
    assert (await desk.account())["status"] == "pending"
    await desk.authenticated()
    made = await desk.begin()
    assert (await desk.account())["status"] == "authenticated"
    await desk.tell(made["action_id"], "cancelled")
    assert (await desk.account())["status"] == "authenticated"


async def queued(desk: Desk) -> Any:
    """A run that needs the account; the scheduler has looked at it."""
    run = await desk.house.run(agent={"type": "claude-code", "account_id": ADA}, prompt="do it")
    await desk.house.services.scheduler.cycle()
    return await desk.house.get(f"/api/v1/monitor/workflows/run/{run['id']}")


async def test_a_run_waits_for_its_login_and_starts_when_it_is_there(desk: Desk) -> None:
    ready = {"type": "claude-code", "ready": False, "reason": "not logged in"}
    await desk.house.beat(agents=[ready], logins=[login("missing")])
    row = await queued(desk)
    assert row["queue_reason_code"] == "login_missing"
    assert row["queue_reason"] == "node-1 lacks login for claude-code"
    assert row["queue_detail"][0]["code"] == "login_missing"
    made = await desk.waiting()
    desk.house.services.scheduler._woken.clear()
    await desk.tell(made["action_id"], "success")
    assert desk.house.services.scheduler._woken.is_set()
    await desk.house.services.scheduler.cycle()
    run = await desk.house.get(f"/api/v1/runs/{row['id']}")
    assert (run["status"], run["node_id"]) == ("assigned", "node-1")


async def test_a_refused_login_expires_the_account_once_and_blocks_its_runs(desk: Desk) -> None:
    await desk.authenticated()
    await desk.house.beat("node-1")
    run = await queued(desk)
    claim = {"node_id": "node-1", "process_id": "p1"}
    await desk.house.make(f"/api/v1/runs/{run['id']}/claim", claim, who="node")
    assert (await desk.account())["last_used_at"]
    failing = event(1, "error", code="auth_failed", message="401")
    path = f"/api/v1/runs/{run['id']}/events"
    await desk.house.make(path, {"epoch": 1, "events": [failing]}, who="node")
    account = await desk.account()
    assert account["status"] == "expired"
    assert account["last_401_at"]
    again = {"epoch": 1, "events": [event(2, "error", code="auth_failed", message="401")]}
    await desk.house.make(path, again, who="node")
    assert (await desk.account())["revision"] == account["revision"]
    blocked = await queued(desk)
    assert blocked["queue_reason_code"] == "login_missing"
    # What the node says of the same login again does not help; a newer one does.
    await desk.house.beat(logins=[login("ok", "2026-12-01T00:00:00Z")])
    await desk.house.beat(logins=[login("ok", "2026-12-01T00:00:00Z")])
    assert (await desk.account())["status"] == "authenticated"


async def test_a_refused_login_that_its_node_still_has_stays_refused(desk: Desk) -> None:
    await desk.house.make(ACCOUNTS, {"name": "ada", "agent_type": "claude-code"})
    await desk.house.beat(logins=[login("ok", "2026-12-01T00:00:00Z")])
    assert (await desk.account())["status"] == "authenticated"
    assert (await desk.account())["expires_at"] == "2026-12-01T00:00:00.000000Z"
    run_id, epoch = await held_run(desk)
    failing = event(1, "error", code="auth_failed", message="401")
    await desk.house.make(
        f"/api/v1/runs/{run_id}/events", {"epoch": epoch, "events": [failing]}, who="node"
    )
    await desk.house.beat(logins=[login("ok", "2026-12-01T00:00:00Z")])
    assert (await desk.account())["status"] == "expired"
    assert (await queued(desk))["queue_reason_code"] == "login_missing"
    await desk.house.beat(logins=[login("ok", "2026-12-02T00:00:00Z")])
    assert (await desk.account())["status"] == "authenticated"


async def held_run(desk: Desk) -> tuple[str, int]:
    run = await queued(desk)
    claim = {"node_id": "node-1", "process_id": "p1"}
    held = await desk.house.make(f"/api/v1/runs/{run['id']}/claim", claim, who="node")
    return run["id"], held["lease"]["epoch"]


async def test_a_deleted_account_is_not_used_although_its_node_still_has_the_login(
    desk: Desk,
) -> None:
    said = [login("ok", "2026-12-01T00:00:00Z")]
    await desk.house.make(ACCOUNTS, {"name": "ada", "agent_type": "claude-code"})
    await desk.house.beat(logins=said)
    assert (await desk.account())["status"] == "authenticated"
    assert (await desk.house.send("DELETE", f"{ACCOUNTS}/{ADA}")).status_code == 204
    await desk.house.beat(logins=said)
    run = await queued(desk)
    await desk.house.services.scheduler.cycle()
    run = await desk.house.get(f"/api/v1/monitor/workflows/run/{run['id']}")
    assert (run["status"], run["queue_reason_code"]) == ("queued", "login_missing")
    # Made again it is what its node has, as before.
    await desk.house.make(ACCOUNTS, {"name": "ada", "agent_type": "claude-code"})
    assert (await desk.account())["nodes"] == ["node-1"]
    await desk.house.services.scheduler.cycle()
    assert (await desk.house.get(f"/api/v1/runs/{run['id']}"))["status"] == "assigned"


async def test_an_error_that_is_no_refusal_leaves_the_account_alone(quick_desk: Desk) -> None:
    await quick_desk.authenticated()
    run_id, epoch = await held_run(quick_desk)
    events = [
        event(1, "error", code="overloaded", message="auth_failed"),
        event(2, "message", role="user", content="auth_failed"),
        event(3, "system_info", rate_limit="auth_failed"),
    ]
    await quick_desk.house.make(
        f"/api/v1/runs/{run_id}/events", {"epoch": epoch, "events": events}, who="node"
    )
    assert (await quick_desk.account())["status"] == "authenticated"


async def test_what_an_agent_says_of_limits_is_on_the_account(desk: Desk) -> None:
    await desk.authenticated()
    run_id, epoch = await held_run(desk)
    told = {
        "kind": "five_hour",
        "status": "allowed_warning",
        "utilization": 0.92,
        "resets_at": 1764000000,
    }
    info = event(1, "system_info", agent="claude-code", rate_limit=told)
    await desk.house.make(
        f"/api/v1/runs/{run_id}/events", {"epoch": epoch, "events": [info]}, who="node"
    )
    (limit,) = (await desk.account())["rate_limits"]
    assert limit["kind"] == "five_hour"
    assert limit["status"] == "allowed_warning"
    assert limit["utilization"] == 0.92
    assert limit["resets_at"] == "2025-11-24T16:00:00.000000Z"


async def test_an_account_expires_when_it_was_said_to_unless_its_node_knows_better(
    desk: Desk,
) -> None:
    made = await desk.begin()
    result = {"account_expires_at": "2026-11-23T11:31:22Z"}
    await desk.tell(made["action_id"], "success", result=result)
    assert (await desk.account())["expires_at"] == "2026-11-23T11:31:22.000000Z"
    await desk.house.beat(logins=[login("ok")])
    desk.house.clock.advance(3700)
    await desk.house.beat()
    await desk.sweep()
    assert (await desk.account())["status"] == "authenticated"
    await desk.house.beat(logins=[login("expired")])
    assert (await desk.account())["status"] == "expired"


async def test_an_account_expires_by_the_clock_alone(desk: Desk) -> None:
    made = await desk.begin()
    result = {"account_expires_at": "2026-11-23T11:31:22Z"}
    await desk.tell(made["action_id"], "success", result=result)
    desk.house.clock.advance(3700)
    await desk.sweep()
    account = await desk.account()
    assert (account["status"], account["nodes"]) == ("expired", ["node-1"])
    await desk.authenticated()
    assert (await desk.account())["status"] == "authenticated"


async def test_what_a_node_says_just_after_a_login_may_be_older(quick_desk: Desk) -> None:
    await quick_desk.authenticated()
    await quick_desk.house.beat(logins=[login("missing")])
    assert (await quick_desk.account())["status"] == "authenticated"
    quick_desk.house.clock.advance(31)
    await quick_desk.house.beat(logins=[login("missing")])
    account = await quick_desk.account()
    assert (account["status"], account["nodes"]) == ("pending", [])


async def test_several_nodes_hold_one_account(desk: Desk) -> None:
    await desk.authenticated()
    await desk.house.beat("node-2", logins=[login("ok")])
    assert (await desk.account())["nodes"] == ["node-1", "node-2"]
    desk.house.clock.advance(31)
    await desk.house.beat(logins=[login("expired")])
    account = await desk.account()
    assert (account["status"], account["nodes"]) == ("authenticated", ["node-2"])


async def test_a_login_made_by_hand_is_known_once_there_is_an_account(quick_desk: Desk) -> None:
    offer = {"type": "claude-code", "ready": True, "accounts": [ADA]}
    await quick_desk.house.beat(agents=[offer])
    body = {"name": "ada", "agent_type": "claude-code"}
    account = await quick_desk.house.make(ACCOUNTS, body)
    assert (account["status"], account["nodes"]) == ("authenticated", ["node-1"])


async def test_a_deleted_account_can_be_used_on_no_node(quick_desk: Desk) -> None:
    await quick_desk.authenticated()
    await quick_desk.house.send("DELETE", f"{ACCOUNTS}/{ADA}")
    row = await queued(quick_desk)
    assert row["queue_reason_code"] == "login_missing"


async def test_kinds_of_agents_are_told_with_their_logins(quick_desk: Desk) -> None:
    kinds = (await quick_desk.house.get("/api/v1/agent-types", who="node-1"))["agent_types"]
    methods = {kind["id"]: kind["login_methods"] for kind in kinds}
    assert methods == {
        "claude-code": ["oauth", "api_key"],
        "openai-codex": ["device_code", "api_key"],
        "gemini-cli": ["oauth", "api_key"],
        "qwen-code": ["oauth", "api_key"],
        "command": [],
    }
    assert all("login_cmd" in kind and "image" in kind for kind in kinds)
    one = await quick_desk.house.get("/api/v1/agent-types/openai-codex")
    assert one["aliases"] == ["codex"]
    answer = await quick_desk.house.send("GET", "/api/v1/agent-types/codex")
    assert answer.status_code == 404


def test_kinds_of_the_settings_stand_beside_those_built_in_or_in_their_place() -> None:
    kinds = AgentTypes(
        {
            "my-agent": AgentTypeSettings(login_methods=["device_code"], aliases=["mine"]),
            "qwen-code": AgentTypeSettings(name="Qwen", login_methods=["api_key"]),
        }
    )
    mine = kinds.get("my-agent")
    assert mine is not None
    assert (mine.name, mine.needs_login, mine.aliases) == ("my-agent", True, ["mine"])
    assert kinds.require("qwen-code", "x").login_methods == ["api_key"]
    assert len(kinds.all()) == 6


@pytest.mark.parametrize(
    "configured",
    [
        {"My Agent": AgentTypeSettings()},
        {"a/b": AgentTypeSettings()},
        {"mine": AgentTypeSettings(aliases=["claude"])},
        {"codex": AgentTypeSettings()},
    ],
)
def test_kinds_that_cannot_be_told_apart_are_refused(configured: Any) -> None:
    with pytest.raises(SettingsError):
        AgentTypes(configured)
