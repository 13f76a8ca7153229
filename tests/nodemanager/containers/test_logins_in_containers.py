"""Logins in containers of a real engine: their terminal, their home, and that none is left over."""

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from runwatch_shared.settings import LoginRecipe
from tests.nodemanager.conftest import TestNode
from tests.nodemanager.containers.podman import IMAGE, Podman
from tests.nodemanager.containers.test_runs_in_containers import LIMIT_S
from tests.nodemanager.fake_logins import FakeAction
from tests.nodemanager.fake_server import FakeServer
from tests.nodemanager.logins.conftest import left_over, reached
from tests.nodemanager.logins.test_restarts import keepers

pytestmark = pytest.mark.timeout(240)

LOGIN = """
printf '\\033]8;;https://idp.example/page\\007here\\033]8;;\\007 '
n=0
until stty size | grep -q '60 1000'; do n=$((n + 1)); [ $n -lt 500 ] || echo 'Bad terminal'; done
echo
printf 'code: '
read answer
[ "$answer" = good ] || { echo "error: invalid code $answer"; exit 1; }
umask 077
echo "{\\"token\\": \\"$answer-canary-credential\\"}" > "$OWN_HOME/token.json"
echo Welcome
"""
RECIPE = LoginRecipe(
    command=["sh", "-c", LOGIN],
    variables={"OWN_HOME": "{home}"},
    url=r"https://idp\.example/\S+",
    prompt=r"code:\s*\Z",
    success="Welcome",
    failure=r"error: (.+)|Bad terminal",
    credential="token.json",
)


async def begin(server: FakeServer, make: Any, **changes: Any) -> tuple[TestNode, FakeAction]:
    action = server.logins.add("act-1", "own", "oauth")
    logins = {"own": {"oauth": changes.pop("recipe", RECIPE)}}
    node = await make(logins=logins, **changes)
    await server.logins.notify()
    await server.until(
        lambda: reached(action, "waiting_input") or action.status == "failed", timeout_s=LIMIT_S
    )
    return node, action


async def over(
    server: FakeServer, action: FakeAction, node: TestNode, engine: Podman, status: str
) -> None:
    await server.until(lambda: action.status == status, timeout_s=LIMIT_S)
    async with asyncio.timeout(LIMIT_S):
        while (
            any(node.folder.logins.iterdir())
            or left_over(node.folder.logins)
            or await asyncio.to_thread(engine.containers)
        ):
            await asyncio.sleep(0.05)


async def test_a_login_in_a_container_leaves_its_account_at_the_node_for_runs_in_containers(
    server, contained_node, engine, monkeypatch
):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:proxy-password@192.0.2.1:3128")
    node, action = await begin(server, contained_node)
    assert action.result["verify_url"] == "https://idp.example/page", action
    assert "launching_container" in action.phases
    configured = await asyncio.to_thread(engine.run, "inspect", "runwatch-act-1")
    assert "proxy-password" not in configured
    assert json.loads(configured)[0]["HostConfig"]["CapAdd"] == []
    await server.logins.enter(action, "good")
    await over(server, action, node, engine, "success")
    kept = node.folder.path / "accounts/own_me/home/token.json"
    assert json.loads(kept.read_text()) == {"token": "good-canary-credential"}
    agent = {"type": "command", "account_id": "own_me", "parameters": {}}
    agent["parameters"] = {
        "argv": ["sh", "-c", 'echo "$OWN_HOME $HOME"; cat "$OWN_HOME"/token.json']
    }
    run = server.add("run-1", agent=agent)
    await server.logins.notify()
    await server.until(lambda: run.status in ("done", "failed"), timeout_s=LIMIT_S)
    said = json.dumps(run.events)
    assert run.status == "done", said
    assert "/home/agent /home/agent" in said
    assert "canary-credential" not in said


async def test_a_wrong_code_and_a_missing_program_are_told(server, contained_node, engine):
    node, action = await begin(server, contained_node)
    await server.logins.enter(action, "bad-code-123")
    await over(server, action, node, engine, "failed")
    assert action.error == "the code was not accepted: invalid code ***"
    await node.vanish()
    absent = LoginRecipe(command=["no-such-program"])
    node, action = await begin(server, contained_node, recipe=absent)
    await over(server, action, node, engine, "failed")
    expected = f"the login's program is missing: {IMAGE} has no no-such-program"
    assert action.error == expected


async def test_cancelled_or_with_its_process_killed_no_container_is_left(
    server, contained_node, engine
):
    node, action = await begin(server, contained_node)
    action.status = "cancelled"
    await over(server, action, node, engine, "cancelled")
    await node.vanish()
    node, action = await begin(server, contained_node)
    for pid in keepers(node.folder.logins):
        os.kill(pid, signal.SIGKILL)
    await over(server, action, node, engine, "failed")


async def test_the_next_node_manager_goes_on_with_a_login_in_a_container(
    server, contained_node, engine
):
    node, action = await begin(server, contained_node)
    await node.vanish()
    assert await asyncio.to_thread(engine.containers) == ["runwatch-act-1"]
    node = await contained_node(logins={"own": {"oauth": RECIPE}})
    await server.logins.enter(action, "good")
    await over(server, action, node, engine, "success")
