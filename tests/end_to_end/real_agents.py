"""The vendors' programs, a scripted model that answers them, and a node that runs them.

They are tested only where `deployments/ci/agents.sh` has installed them and has taken the network
away but for loopback: with dummy keys and an address of this machine, nothing reaches a vendor.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.nodemanager.recordings import ROOT
from tests.processes import ServerProcess, free_port, wait_until

TOOLS: Final = Path(
    os.environ.get("RUNWATCH_AGENT_TOOLS", ROOT.parent / "shared" / "tools" / "agents")
)
PROGRAMS: Final = Path(os.environ.get("RUNWATCH_REAL_AGENTS", "/nonexistent"))
MODULES: Final = PROGRAMS / "node_modules"
LINUX: Final = (
    MODULES / "@anthropic-ai/claude-code-linux-x64",
    MODULES / "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin",
    MODULES / ".bin",
)
"""Where the programs lie: the first two are no scripts of npm's but what these would start."""
PROMPT: Final = "Write a script that prints squares, run it, and report."


def why_not() -> str:
    """Why the programs are not run here; empty where they are."""
    if "RUNWATCH_REAL_AGENTS" not in os.environ:
        return "the vendors' programs are run by `make test-agents` alone"
    if not MODULES.is_dir():
        return f"no programs in {PROGRAMS}"
    if not TOOLS.is_dir():
        return f"no scripted model in {TOOLS}"
    if (
        set(os.listdir("/sys/class/net")) - {"lo"}
        and Path("/proc/net/route").read_text().count("\n") > 1
    ):
        return "there is a network: a vendor might be reached"
    return ""


needs_programs: Final = pytest.mark.skipif(bool(why_not()), reason=why_not())


class Model:
    """The scripted model server for one workspace."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workspace = folder / "workspace"
        self.home = folder / "home"
        self._folder = folder

    @contextmanager
    def serving(self, *, scenario: str = "ok", flavour: str = "") -> Iterator[None]:
        command = [
            sys.executable,
            str(TOOLS / "scripted_model.py"),
            str(self.port),
            str(self._folder / "otlp"),
            scenario,
        ]
        environment = {**os.environ, "WD": str(self.workspace), "FLAVOR": flavour}
        process = subprocess.Popen(command, env=environment)
        try:
            wait_until(self._listening, "the scripted model", 20)
            yield
        finally:
            process.kill()
            process.wait(20)

    def _listening(self) -> bool:
        local = f"0100007F:{self.port:04X}"
        table = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return any(row.split()[1] == local and row.split()[3] == "0A" for row in table)


def prepare(model: Model) -> None:
    """A home without logins, and a workspace with a little project."""
    model.workspace.mkdir(parents=True)
    (model.workspace / "README.md").write_text("# Demo\n\nA demo project.\n")
    subprocess.run(["git", "init", "-q", "."], cwd=model.workspace, check=True)
    (model.home / ".codex").mkdir(parents=True)
    (model.home / ".codex/config.toml").write_text(
        'model = "gpt-5.5"\nmodel_provider = "mock"\nmodel_reasoning_summary = "detailed"\n'
        '[model_providers.mock]\nname = "mock"\nenv_key = "OPENAI_API_KEY"\n'
        f'base_url = "{model.url}/v1"\nwire_api = "responses"\n'
        "request_max_retries = 1\nstream_max_retries = 1\n[analytics]\nenabled = false\n"
    )
    (model.home / ".gemini").mkdir()
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
    }
    (model.home / ".gemini/settings.json").write_text(json.dumps(settings))
    (model.home / ".qwen").mkdir()
    quiet = {"privacy": {"usageStatisticsEnabled": False}}
    (model.home / ".qwen/settings.json").write_text(json.dumps(quiet))


def run_task(server: ServerProcess, model: Model, agent: str, **more: Any) -> dict[str, Any]:
    """The run of a task in the model's workspace, once it has ended; ``env`` is added to."""
    env = {"HOME": str(model.home), **more.pop("env", {})}
    parameters = more.pop("parameters", {})
    task = {
        "name": f"squares by {agent}",
        "spec": {"agent": {"type": agent, "parameters": parameters, **more.pop("facts", {})}},
        "prompt": PROMPT,
        "env": env,
        "workspace": {"type": "local", "local": {"path": str(model.workspace)}},
        **more,
    }
    made = server.post("/api/v1/tasks", task)
    run_id = server.post(f"/api/v1/tasks/{made['id']}/runs")["id"]
    run: dict[str, Any] = server.wait_for_run(run_id, "done", "failed", limit_s=120)
    return run
