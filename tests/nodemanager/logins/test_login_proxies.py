"""A login goes through the proxy it is given, and never without the one it names."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from runwatch_nodemanager.processes import RUN_VARIABLE, list_pids
from tests.nodemanager.conftest import TestNode
from tests.nodemanager.fake_logins import FakeAction
from tests.nodemanager.fake_server import FakeServer
from tests.vendor.vendor import Vendor

Begin = Callable[..., Awaitable[tuple[TestNode, FakeAction]]]
PROXY = {"enabled": True, "type": "http", "host": "proxy.corp", "port": 3128}


def environments(folder: Path) -> list[dict[str, str]]:
    """Of the processes that belong to logins below this folder."""
    found = []
    for pid in list_pids():
        try:
            text = Path(f"/proc/{pid}/environ").read_text(errors="replace")
        except OSError:
            continue
        if f"{RUN_VARIABLE}={folder}" in text:
            found.append(dict(line.split("=", 1) for line in text.split("\0") if "=" in line))
    return found


async def test_the_login_s_own_program_has_the_proxy_and_the_variables(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    given = {"proxy": PROXY, "env_vars": {"NODE_WIDE": "yes"}}
    node, _ = await logged_in(
        "claude-code", "oauth", until="waiting_input", proxy_id="proxy-1", env_config=given
    )
    (env, *_) = environments(node.folder.logins)
    assert env["https_proxy"] == env["HTTP_PROXY"] == "http://proxy.corp:3128"
    assert env["NODE_WIDE"] == "yes"


async def test_a_login_whose_proxy_cannot_be_had_fails_and_starts_nothing(
    server: FakeServer, vendor: Vendor, logged_in: Begin
) -> None:
    _, action = await logged_in("claude-code", "oauth", until="failed", proxy_id="proxy-1")
    assert action.error == "its proxy is not there or not active"
    assert "authenticating" not in action.phases
