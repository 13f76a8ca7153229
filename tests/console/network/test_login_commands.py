"""`login`, `accounts`, `instances`, `proxies` and `environment`, against the scripted server."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocket

from runwatch_console.contexts import Context
from runwatch_console.headless.exits import ExitCode
from runwatch_console.ports import EventBatch, RunStatus
from runwatch_console.run_feed import RunSockets
from runwatch_shared.logins import (
    Action,
    LoginEnd,
    LoginEvent,
    LoginEventsFrame,
    LoginStatusFrame,
    OperationMade,
)
from runwatch_shared.proxies import ProxyTestAnswer
from runwatch_shared.wire import MessageAnswer
from tests.console import records
from tests.console.machines import environment, instance, machine_answers, proxy
from tests.console.network.commanding import command
from tests.console.network.records import NOW
from tests.console.network.scripted import Refusal, ScriptedServer, send

ACTION = "act-0000000000a1"
SECRET = "sk-geheim-4711"
MADE = OperationMade(
    operation_id="op-0000000000a1", action_id=ACTION, type="device_code", status="assigned"
)
BEGIN = ("login", "begin", "--agent", "openai-codex", "--name", "team", "--node", "n1")
WAITS = {"verify_url": "https://auth.example/device", "user_code": "WDJB-MJHT"}


def bodies(server: ScriptedServer) -> list[bytes]:
    """What was sent, in order; an empty object says nothing."""
    return [seen.body for seen in server.seen if seen.body not in (b"", b"{}")]


def action(status: str, **more: Any) -> Action:
    facts: dict[str, Any] = {
        "id": ACTION,
        "operation_id": "op-0000000000a1",
        "status": status,
        "progress": 50,
        "created_at": NOW,
        "expires_at": NOW,
        "revision": 1,
    }
    return Action(**(facts | more))


def serve_login(server: ScriptedServer, *actions: Action) -> None:
    server.answer("/api/v1/operations", MADE)
    server.answer(f"/api/v1/actions/{ACTION}", *actions)


WAITING = action("waiting", phase="waiting_device_code", result=WAITS)


@pytest.mark.requirement("headless.login")
async def test_a_login_is_begun_and_followed_to_its_end(
    server: ScriptedServer, context: Context
) -> None:
    serve_login(server, action("running", phase="initializing"), WAITING, action("success"))
    done = await command(context, *BEGIN)
    assert done.code == ExitCode.DONE
    assert "waits for the code" in done.out
    assert "code WDJB-MJHT" in done.out
    assert "https://auth.example/device" in done.lines
    body = next(each for each in bodies(server) if b"team" in each)
    config = {"name": "team", "agent_type": "openai-codex"}
    assert json.loads(body) == {"type": "device_code", "config": config, "node_id": "n1"}


@pytest.mark.requirement("headless.login")
@pytest.mark.parametrize(
    ("end", "code"), [("failed", 1), ("timeout", 1), ("cancelled", 1), ("success", 0)]
)
async def test_its_exit_code_says_how_it_ended(
    server: ScriptedServer, context: Context, end: str, code: int
) -> None:
    serve_login(server, action(end, error="the page \x1b[31mrefused it"))
    done = await command(context, "login", "follow", ACTION, "--output", "ndjson")
    assert done.code == code
    assert json.loads(done.lines[-1])["status"] == end
    assert "\x1b" not in done.out


@pytest.mark.requirement("headless.login")
async def test_a_login_that_takes_too_long_ends_with_124_and_goes_on(
    server: ScriptedServer, context: Context
) -> None:
    serve_login(server, *[WAITING] * 20)
    done = await command(context, "login", "follow", ACTION, "--timeout", "0")
    assert done.code == ExitCode.TIMEOUT
    assert "it goes on" in done.err


@pytest.mark.requirement("headless.login", "screen.auth.secret")
async def test_a_key_comes_from_a_file_and_is_never_printed(
    server: ScriptedServer, context: Context, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(f"{SECRET}\n")
    serve_login(server, action("success"))
    arguments = (*BEGIN, "--method", "api_key", "--secret-file", str(key), "--no-wait")
    done = await command(context, *arguments, "--output", "json")
    assert done.code == ExitCode.DONE
    assert SECRET not in done.out + done.err
    assert json.loads(done.out)["action_id"] == ACTION
    assert any(SECRET.encode() in body for body in bodies(server))


@pytest.mark.requirement("headless.login")
async def test_what_is_missing_is_named_before_anything_is_sent(
    server: ScriptedServer, context: Context
) -> None:
    done = await command(context, "login", "begin", "--agent", "claude-code")
    assert done.code == ExitCode.USAGE
    assert "--name --node" in done.err
    done = await command(context, "login", "cancel")
    assert done.code == ExitCode.USAGE
    assert server.seen == []


@pytest.mark.requirement("headless.login")
async def test_a_code_is_given_once_and_a_login_is_ended(
    server: ScriptedServer, context: Context, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.write_text(SECRET)
    path = f"/api/v1/actions/{ACTION}/input"
    server.answer(path, Refusal(500, "internal"), MessageAnswer(message="taken"))
    done = await command(context, "login", "input", ACTION, "--secret-file", str(code))
    assert done.code == ExitCode.FAILED
    assert len([each for each in server.seen if each.path == path]) == 1, (
        "it must not be typed twice"
    )
    done = await command(context, "login", "input", ACTION, "--secret-file", str(code))
    assert done.code == ExitCode.DONE
    assert SECRET not in done.out + done.err
    server.answer(path, Refusal(409, "invalid_transition"))
    done = await command(context, "login", "input", ACTION, "--secret-file", str(code))
    assert done.code == ExitCode.USAGE
    server.answer(f"/api/v1/actions/{ACTION}", WAITING)
    cancel = "/api/v1/operations/op-0000000000a1/cancel"
    server.answer(cancel, Refusal(409, "already_terminal", "it is over"))
    done = await command(context, "login", "cancel", ACTION)
    assert (done.code, "it is over" in done.err) == (ExitCode.FAILED, True)


@pytest.mark.requirement("headless.accounts")
async def test_accounts_are_listed_with_their_health_and_one_is_deleted(
    server: ScriptedServer, context: Context
) -> None:
    async def play(websocket: WebSocket) -> None:
        snapshot = records.snapshot([], [])
        accounts = records.fleet_accounts()
        await send(websocket, records.hello(), _with(snapshot, accounts))

    server.play(play)
    done = await command(context, "accounts", "--output", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["id"] for row in rows][:2] == ["claude-code_me", "claude-code_ops"]
    assert rows[0]["status"] == "expired"
    assert rows[0]["blocked_runs"] == "3"
    server.answer("/api/v1/accounts/claude-code_me", MessageAnswer(message=""))
    done = await command(context, "accounts", "delete", "claude-code_me", "--purge")
    assert done.code == ExitCode.DONE
    assert any(each.query == {"purge": "true"} for each in server.seen)


def _with(snapshot: Any, accounts: list[Any]) -> Any:
    fields = {name: getattr(snapshot, name) for name in snapshot.__struct_fields__}
    return type(snapshot)(**(fields | {"sub": 1, "accounts": accounts}))


@pytest.mark.requirement("headless.instances")
async def test_instances_are_listed_made_and_stopped(
    server: ScriptedServer, context: Context
) -> None:
    path = "/api/v1/instances"
    server.answer(path, machine_answers()["GET", path])
    done = await command(context, "instances", "--node", "n1", "--output", "json")
    assert [each["name"] for each in json.loads(done.out)] == ["sandbox", "broken", "idle"]
    server.answer(path, instance())
    made = await command(
        context, "instances", "create", "--account", "claude-code_ops", "--node", "n1"
    )
    assert made.out == "agent-0000000000a1\n"
    server.answer(f"{path}/agent-1/stop", Refusal(409, "in_use", "a run is in it"))
    done = await command(context, "instances", "stop", "agent-1")
    assert (done.code, "a run is in it" in done.err) == (ExitCode.FAILED, True)
    done = await command(context, "instances", "start")
    assert done.code == ExitCode.USAGE


@pytest.mark.requirement("headless.proxies", "screen.auth.secret")
async def test_proxies_are_listed_added_and_tested(
    server: ScriptedServer, context: Context, tmp_path: Path
) -> None:
    path = "/api/v1/proxies"
    server.answer(path, machine_answers()["GET", path])
    done = await command(context, "proxies")
    assert "http://proxy.example:3128" in done.out
    password = tmp_path / "password"
    password.write_text(SECRET)
    server.answer(path, proxy())
    done = await command(
        context, "proxies", "add", "--name", "office", "--type", "http", "--host", "p.example",
        "--port", "3128", "--secret-file", str(password),
    )  # fmt: skip
    assert done.code == ExitCode.DONE
    assert SECRET not in done.out + done.err
    assert json.loads(bodies(server)[-1])["password"] == SECRET
    server.answer(f"{path}/p1/test", ProxyTestAnswer(success=False, message="no way"))
    done = await command(context, "proxies", "test", "p1")
    assert (done.code, done.out) == (ExitCode.FAILED, "does not work: no way\n")


@pytest.mark.requirement("headless.environment", "screen.auth.secret")
async def test_an_environment_is_shown_without_secrets_and_changed(
    server: ScriptedServer, context: Context
) -> None:
    path = "/api/v1/nodes/n1/env-config"
    server.answer(path, environment(), environment(), environment())
    done = await command(context, "environment", "n1")
    assert "CI=1" in done.out
    assert "npm_4711" not in done.out
    done = await command(context, "environment", "n1", "--set", "A=1", "--unset", "CI",
                         "--output", "json")  # fmt: skip
    assert done.code == ExitCode.DONE
    assert "npm_4711" not in done.out
    sent = json.loads(bodies(server)[-1])["env_vars"]
    assert sent == {"A": "1", "NPM_TOKEN": "npm_4711", "DB": "postgres://u:geheim@db/x"}


@pytest.mark.requirement("screen.auth.log")
async def test_the_log_of_a_login_comes_from_its_own_socket(
    server: ScriptedServer, context: Context
) -> None:
    told = LoginEvent(
        id=1, action_id=ACTION, seq=1, epoch=1, type="waiting_oauth", timestamp=NOW,
        received_at=NOW, level="warning", payload=b'{"message":"open it"}',  # type: ignore[arg-type]
    )  # fmt: skip
    end = LoginEnd(action_id=ACTION, status="success", last_seq=1)

    async def play(websocket: WebSocket) -> None:
        await send(websocket, LoginEventsFrame(data=[told]), LoginStatusFrame(data=end))

    server.play(play)
    items = [item async for item in RunSockets(context).follow(ACTION, 0)]
    (batch,) = [item for item in items if isinstance(item, EventBatch)]
    assert [(event.type, event.run_id) for event in batch.events] == [("waiting_oauth", ACTION)]
    assert items[-1] == RunStatus(status="success", last_seq=1)
    assert server.upgrades[0].path == f"/ws/workflows/auth/{ACTION}/events"
