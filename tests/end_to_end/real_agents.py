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
    """The scripted model server for one workspace.

    Args:
        home: Of the agents, and of the node, which looks there for sessions it did not begin.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workspace = folder / "workspace"
        self.home = home
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


def telemetry(server: ServerProcess) -> dict[str, str]:
    """What makes agents export to this server; Codex has it in its settings."""
    headers = f"authorization=Bearer {server.token}"
    return {
        "NODE_EXTRA_CA_CERTS": str(server.data_dir / "tls/ca.pem"),
        "OTEL_EXPORTER_OTLP_HEADERS": headers,
        "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        **{
            f"{name}_TELEMETRY_{setting}": value
            for name in ("GEMINI", "QWEN")
            for setting, value in (
                ("ENABLED", "true"),
                ("TARGET", "local"),
                ("OTLP_PROTOCOL", "http"),
                ("OTLP_ENDPOINT", server.url),
                ("LOG_PROMPTS", "false"),
            )
        },
    }


def prepare(model: Model, server: ServerProcess) -> None:
    """A home without logins, and a workspace with a little project."""
    headers = f'headers = {{ authorization = "Bearer {server.token}" }}'
    tls = f'tls = {{ ca-certificate = "{server.data_dir}/tls/ca.pem" }}'
    otlp = f'endpoint = "{server.url}/v1/logs", protocol = "binary", {headers}, {tls}'
    model.workspace.mkdir(parents=True)
    (model.workspace / "README.md").write_text("# Demo\n\nA demo project.\n")
    subprocess.run(["git", "init", "-q", "."], cwd=model.workspace, check=True)
    for folder in (".codex", ".gemini", ".qwen"):
        (model.home / folder).mkdir(parents=True, exist_ok=True)
    (model.home / ".codex/config.toml").write_text(
        'model = "gpt-5.5"\nmodel_provider = "mock"\nmodel_reasoning_summary = "detailed"\n'
        '[model_providers.mock]\nname = "mock"\nenv_key = "OPENAI_API_KEY"\n'
        f'base_url = "{model.url}/v1"\nwire_api = "responses"\n'
        "request_max_retries = 1\nstream_max_retries = 1\n[analytics]\nenabled = false\n"
        f"[otel]\nexporter = {{ otlp-http = {{ {otlp} }} }}\n"
    )
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
    }
    (model.home / ".gemini/settings.json").write_text(json.dumps(settings))
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
