"""A node manager, or a login's own process, killed at every phase: nothing is left or stuck.

``vanish`` ends a node manager as SIGKILL does; its logins' processes go on.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runwatch_nodemanager.processes import list_pids
from tests.nodemanager.conftest import TestNode
from tests.nodemanager.fake_logins import FakeAction
from tests.nodemanager.fake_server import FakeServer
from tests.nodemanager.logins.conftest import LIMIT_S, left_over, reached
from tests.vendor.vendor import Vendor

NewNode = Callable[..., Awaitable[TestNode]]
KILLS = int(os.environ.get("RUNWATCH_TEST_LOGIN_KILLS", "3"))
"""At so many phases; all of them in `make test-long`."""
PHASES = [
    "initializing",
    "authenticating",
    "waiting_oauth",
    "waiting_input",
    "polling_token",
    "verifying_credentials",
    "saving_credentials",
    "finalizing",
]


async def killed_at(
    server: FakeServer, new_node: NewNode, vendor: Vendor, phase: str
) -> tuple[TestNode, FakeAction]:
    """A login whose node manager was gone in the moment that it had told this phase."""
    action = server.logins.add("act-1", "claude-code", "oauth")
    node = await new_node()
    gone = asyncio.Event()

    def on_patch(patched: FakeAction, patch: dict[str, object]) -> None:
        if patch.get("phase") == phase and not gone.is_set():
            gone.set()
            asyncio.get_running_loop().create_task(node.vanish())

    server.logins.on_patch = on_patch
    await server.logins.notify()
    if PHASES.index(phase) >= PHASES.index("polling_token"):
        await server.until(lambda: reached(action, "waiting_input"), timeout_s=LIMIT_S)
        await server.logins.enter(action, vendor.code)
    async with asyncio.timeout(LIMIT_S):
        await gone.wait()
        await node.ended_by_force()
    return node, action


async def over(server: FakeServer, action: FakeAction, node: TestNode) -> None:
    final = {"success", "failed", "timeout", "cancelled"}
    await server.until(lambda: action.status in final, timeout_s=LIMIT_S)
    async with asyncio.timeout(LIMIT_S):
        while any(node.folder.logins.iterdir()) or left_over(node.folder.logins):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("phase", PHASES if KILLS > 3 else PHASES[:: len(PHASES) // KILLS])
async def test_a_login_whose_node_manager_was_killed_goes_on_with_the_next(
    server: FakeServer, vendor: Vendor, new_node: NewNode, phase: str
) -> None:
    _, action = await killed_at(server, new_node, vendor, phase)
    node = await new_node()
    if PHASES.index(phase) < PHASES.index("polling_token"):
        await server.until(
            lambda: reached(action, "waiting_input") or action.status == "failed",
            timeout_s=LIMIT_S,
        )
        await server.logins.enter(action, vendor.code)
    await over(server, action, node)
    if phase == "initializing" and action.status == "failed":
        # Before its process was started there is nothing to go on with, and that is told.
        assert "restarted" in (action.error or "")
        return
    assert action.status == "success", action
    order = [p for i, p in enumerate(action.phases) if p not in action.phases[:i]]
    assert order == [p for p in PHASES if p in order], "no phase before an earlier one"


async def test_what_was_told_while_no_node_manager_ran_is_told_by_the_next(
    server: FakeServer, vendor: Vendor, new_node: NewNode
) -> None:
    action = server.logins.add("act-1", "openai-codex", "device_code")
    node = await new_node()
    await server.until(lambda: reached(action, "waiting_device_code"), timeout_s=LIMIT_S)
    await node.vanish()
    vendor.approve()
    credential = node.folder.logins / "act-1/home/.codex/auth.json"
    async with asyncio.timeout(LIMIT_S):
        while not credential.exists() or left_over(node.folder.logins):
            await asyncio.sleep(0.02)
    node = await new_node()
    await over(server, action, node)
    assert action.status == "success"


async def test_a_login_cancelled_while_no_node_manager_ran_is_ended_by_the_next(
    server: FakeServer, vendor: Vendor, new_node: NewNode
) -> None:
    action = server.logins.add("act-1", "gemini-cli", "oauth")
    node = await new_node()
    await server.until(lambda: reached(action, "waiting_input"), timeout_s=LIMIT_S)
    await node.vanish()
    action.status = "cancelled"
    assert left_over(node.folder.logins)
    node = await new_node()
    await over(server, action, node)


async def test_a_login_whose_own_process_is_killed_leaves_no_program_and_says_so(
    server: FakeServer, vendor: Vendor, new_node: NewNode
) -> None:
    action = server.logins.add("act-1", "gemini-cli", "oauth")
    node = await new_node()
    await server.until(lambda: reached(action, "waiting_input"), timeout_s=LIMIT_S)
    for pid in keepers(node.folder.logins):
        os.kill(pid, signal.SIGKILL)
    await over(server, action, node)
    assert action.status == "failed"
    assert "killed" in (action.error or "")


async def test_a_login_that_nobody_sees_ends_by_itself_in_time(
    server: FakeServer, vendor: Vendor, new_node: NewNode
) -> None:
    action = server.logins.add("act-1", "gemini-cli", "oauth", seconds=3.0)
    node = await new_node()
    await server.until(lambda: reached(action, "waiting_input"), timeout_s=LIMIT_S)
    await node.vanish()
    assert left_over(node.folder.logins)
    async with asyncio.timeout(LIMIT_S):
        while left_over(node.folder.logins):
            await asyncio.sleep(0.05)


async def test_a_login_of_which_nothing_is_left_is_told_to_have_failed(
    server: FakeServer, vendor: Vendor, new_node: NewNode
) -> None:
    action = server.logins.add("act-1", "claude-code", "oauth", status="waiting")
    node = await new_node()
    await over(server, action, node)
    assert action.status == "failed"
    assert "nothing of the login is left" in (action.error or "")


async def test_a_key_is_taken_again_by_the_next_node_manager(
    server: FakeServer, vendor: Vendor, new_node: NewNode
) -> None:
    key = "sk-canary-0123456789abcdef"
    action = server.logins.add("act-1", "openai-codex", "api_key", status="running", api_key=key)
    node = await new_node()
    await over(server, action, node)
    assert action.status == "success"


def keepers(folder: Path) -> list[int]:
    found = []
    for pid in list_pids():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"logins.keeper" in line and str(folder).encode() in line:
            found.append(pid)
    return found


async def test_a_node_that_ends_with_all_its_work_ends_its_logins_and_says_so(
    server: FakeServer, vendor: Vendor, new_node: NewNode
) -> None:
    action = server.logins.add("act-1", "gemini-cli", "oauth")
    node = await new_node()
    await server.until(lambda: reached(action, "waiting_input"), timeout_s=LIMIT_S)
    await node.stop(agents=True)
    assert action.status == "cancelled"
    assert not left_over(node.folder.logins)
