"""The vendors' own programs as a node's agents: whole sessions, and their failures without a login.

Not part of `make test`; `make test-agents` installs the programs and runs this on loopback alone.
"""

import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.real_agents import (
    LINUX,
    PROGRAMS,
    Model,
    needs_programs,
    prepare,
    run_task,
    telemetry,
)
from tests.processes import NodeProcess, ServerProcess, wait_until

pytestmark = [needs_programs, pytest.mark.timeout(240)]


@dataclass(frozen=True)
class Case:
    """A program, what it needs to talk to the scripted model, and what its session comes to.

    Args:
        usage: Input, output and cached tokens: so many model calls of what the script tells.
        resuming: Parameters beside those of the first run; ``{}`` in it is the session's id.
        again: The same three of one more model call in the session resumed.
    """

    agent: str
    version: str
    variables: dict[str, str]
    parameters: dict[str, Any]
    calls: int
    failures: int
    usage: tuple[int, int, int]
    resuming: str
    again: tuple[int, int, int]
    flavour: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case(
        agent="claude-code",
        version="2.1.330",
        variables={"ANTHROPIC_BASE_URL": "{}", "ANTHROPIC_API_KEY": "dummy", "IS_SANDBOX": "1"},
        parameters={"dangerously_skip_permissions": True},
        calls=6,
        failures=1,
        usage=(84, 399, 21000),
        resuming="{}",
        again=(12, 57, 3000),
    ),
    Case(
        agent="openai-codex",
        version="0.169.0",
        variables={"OPENAI_API_KEY": "dummy"},
        parameters={"sandbox": "danger-full-access"},
        calls=5,
        failures=1,
        usage=(3072, 384, 18000),
        resuming="{}",
        again=(512, 64, 3000),
    ),
    Case(
        agent="gemini-cli",
        version="0.61.0",
        variables={"GOOGLE_GEMINI_BASE_URL": "{}", "GEMINI_API_KEY": "dummy"},
        parameters={"approval_mode": "yolo"},
        facts={"model": "gemini-2.5-flash"},
        calls=7,
        failures=1,
        usage=(4096, 512, 24000),
        resuming="latest",
        again=(512, 64, 3000),
        flavour="gemini",
    ),
    Case(
        agent="qwen-code",
        version="0.24.4",
        variables={
            "OPENAI_BASE_URL": "{}/v1",
            "OPENAI_API_KEY": "dummy",
            "OPENAI_MODEL": "qwen3-coder-plus",
        },
        parameters={"approval_mode": "yolo", "auth_type": "openai"},
        calls=6,
        failures=2,
        usage=(3584, 448, 21000),
        resuming="{}",
        again=(512, 64, 3000),
        flavour="qwen",
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data_dir = tmp_path_factory.mktemp("agents")
    with ServerProcess(data_dir) as server:
        node = NodeProcess(server, "--capacity", "2")
        folders = ":".join(map(str, LINUX))
        node.environment["PATH"] = f"{folders}:{node.environment['PATH']}"
        node.environment["RUNWATCH_WORKSPACE_ROOTS"] = str(data_dir.parent)
        node.environment["HOME"] = str(data_dir / "home")
        # What the node itself may use to log in must not help the runs.
        for name in list(node.environment):
            if name.endswith(("_API_KEY", "_AUTH_TOKEN", "_ACCESS_TOKEN")):
                del node.environment[name]
        with node:
            yield server


@pytest.fixture
def model(tmp_path: Path, server: ServerProcess) -> Model:
    made = Model(tmp_path, server.data_dir / "home")
    prepare(made, server)
    return made


def counts(usage: dict[str, Any]) -> tuple[int, int, int]:
    return usage["input_tokens"], usage["output_tokens"], usage["cache_read_tokens"]


def variables(case: Case, model: Model, server: ServerProcess) -> dict[str, str]:
    own = {name: text.replace("{}", model.url) for name, text in case.variables.items()}
    return {**telemetry(server), **own}


def records_taken(server: ServerProcess) -> float:
    """Of telemetry that said something, since the server began."""
    request = urllib.request.Request(
        f"{server.url}/metrics", headers={"Authorization": f"Bearer {server.token}"}
    )
    with urllib.request.urlopen(request, timeout=10, context=server.tls()) as answer:
        text = answer.read().decode()
    rows = re.findall(r"^runwatch_otlp_records_total\{(.*?)\} (\S+)$", text, re.MULTILINE)
    return sum(float(n) for labels, n in rows if 'outcome="stored"' in labels)


def test_the_node_offers_the_programs_with_their_versions(server: ServerProcess) -> None:
    offers = {offer["type"]: offer for offer in server.get("/api/v1/nodes/n1")["agents"]}
    told = {case.agent: offers[case.agent].get("version") for case in CASES}
    assert told == {case.agent: case.version for case in CASES}
    assert all(offers[case.agent]["ready"] for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.agent)
def test_a_whole_session_arrives_with_its_calls_tokens_and_end(
    server: ServerProcess, model: Model, case: Case
) -> None:
    exported = records_taken(server)
    with model.serving(flavour=case.flavour):
        run = run_task(
            server,
            model,
            case.agent,
            env=variables(case, model, server),
            parameters=case.parameters,
            facts=case.facts,
        )
        again = run_task(
            server,
            model,
            case.agent,
            env=variables(case, model, server),
            parameters={
                **case.parameters,
                "resume": case.resuming.replace("{}", str(run["agent_session_id"])),
            },
            facts=case.facts,
        )
    wait_until(lambda: records_taken(server) > exported, "telemetry", 60)
    run, again = (server.get(f"/api/v1/runs/{one['id']}") for one in (run, again))
    events = server.events(run["id"])
    begun = events[0]["payload"]["agent"]
    assert run["status"] == "done", run
    assert begun["version"] == case.version
    assert (run["tool_calls"], run["tool_failures"]) == (case.calls, case.failures)
    assert counts(run["usage"]) == case.usage
    assert (model.workspace / "squares.py").read_text() == "for i in range(8):\n    print(i*i)\n"
    assert "unknown_lines" not in events[-1]["payload"]
    types = {event["type"] for event in events}
    assert {"message", "file_write", "tool_result", "result", "system_info"} <= types
    said = [e["payload"]["content"] for e in events if e["type"] == "message"]
    assert any(text.startswith("Done: `squares.py` prints") for text in said)

    assert again["status"] == "done", again
    assert again["agent_session_id"] == run["agent_session_id"]
    assert counts(again["usage"]) == case.again, "what came before this run is not its own"
    if case.agent == "claude-code":
        assert again["usage"]["cost_usd"] == pytest.approx(run["usage"]["cost_usd"] / 7, rel=0.01)


@pytest.mark.parametrize(
    ("agent", "words", "exit_code"),
    [
        ("claude-code", "Not logged in", 1),
        ("openai-codex", "Missing environment variable: `OPENAI_API_KEY`", 1),
        ("gemini-cli", "must specify the GEMINI_API_KEY", 41),
        ("qwen-code", "No auth type is selected", 1),
    ],
)
def test_without_a_login_a_run_fails_in_the_programs_own_words(
    server: ServerProcess, model: Model, agent: str, words: str, exit_code: int
) -> None:
    run = run_task(server, model, agent)
    last = server.events(run["id"])[-1]
    assert run["status"] == "failed"
    assert (run["exit_code"], run["error_code"]) == (exit_code, "login_missing"), run
    assert words in run["error"]
    assert (last["type"], last["payload"]["error"]) == ("run_failed", run["error"])


def test_bad_arguments_fail_in_the_programs_own_words(server: ServerProcess, model: Model) -> None:
    run = run_task(server, model, "openai-codex", parameters={"args": ["--no-such-flag"]})
    assert (run["status"], run["error_code"], run["exit_code"]) == ("failed", "start_failed", 2)
    assert "--no-such-flag" in run["error"]


def test_the_programs_tested_are_those_installed_for_it() -> None:
    assert (PROGRAMS / "node_modules").is_dir()


def test_neither_telemetry_nor_transcripts_show_a_session_of_the_nodes_as_another_run(
    server: ServerProcess,
) -> None:
    """Last: of the sessions above, which were exported and left transcripts in the node's home."""
    rows = server.get("/api/v1/monitor/workflows?limit=1000")["workflows"]
    runs = [server.get(f"/api/v1/runs/{row['id']}") for row in rows]
    assert {run["origin"] for run in runs} == {"scheduled"}
    sessions = [run["agent_session_id"] for run in runs if run["status"] == "done"]
    assert len(sessions) == 2 * len(CASES)
