"""A stand-in vendor, its programs on the PATH of a node, and what is left of both afterwards."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.processes import RUN_VARIABLE, list_pids
from tests.nodemanager.conftest import TestNode
from tests.nodemanager.fake_logins import FakeAction
from tests.nodemanager.fake_server import FakeServer
from tests.vendor.programs import put_programs
from tests.vendor.vendor import Vendor

LIMIT_S = 25.0
"""For what a login does; it is waited for the fact, this is only against waiting for ever."""


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    programs = put_programs(tmp_path / "vendor")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    with Vendor(tmp_path / "vendor") as made:
        monkeypatch.setenv("VENDOR_URL", made.url)
        yield made


@pytest.fixture
def logged_in(
    server: FakeServer, new_node: Callable[..., Awaitable[TestNode]]
) -> Callable[..., Awaitable[tuple[TestNode, FakeAction]]]:
    """Starts a node and asks it for a login; then waits until the action has a status."""

    async def begin(
        agent_type: str, method: str, *, until: str, node: TestNode | None = None, **more: Any
    ) -> tuple[TestNode, FakeAction]:
        settings = more.pop("settings", {})
        action = server.logins.add(more.pop("id", "act-1"), agent_type, method, **more)
        node = node or await new_node(**settings)
        await server.logins.notify()
        over = {"success", "failed", "timeout", "cancelled"}
        await server.until(
            lambda: reached(action, until) or action.status in over, timeout_s=LIMIT_S
        )
        assert reached(action, until), action
        return node, action

    return begin


def reached(action: FakeAction, wanted: str) -> bool:
    """A status, or a phase that was told."""
    return wanted in (action.status, action.phase) or wanted in action.phases


def left_over(folder: Path) -> list[str]:
    """Command lines of processes that belong to logins below this folder."""
    found = []
    for pid in list_pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        keeper = b"logins.keeper" in line and str(folder).encode() in line
        if keeper or f"{RUN_VARIABLE}={folder}".encode() in environment:
            found.append(line.replace(b"\0", b" ").decode())
    return found
