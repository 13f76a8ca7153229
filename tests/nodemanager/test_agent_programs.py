"""How the programs of vendors are found, asked for a version and given what a run asks for."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.agents.claude import ClaudeAgent
from runwatch_nodemanager.agents.codex import CodexAgent
from runwatch_nodemanager.agents.command import CommandAgent
from runwatch_nodemanager.agents.gemini import GeminiAgent
from runwatch_nodemanager.agents.programs import version_of
from runwatch_nodemanager.agents.protocol import AgentError
from runwatch_nodemanager.agents.qwen import QwenAgent
from runwatch_nodemanager.agents.registry import Agents
from runwatch_shared.models import Agent, Snapshot, TaskId

KINDS: list[Any] = [ClaudeAgent, CodexAgent, GeminiAgent, QwenAgent]


def program(folder: Path, name: str, printed: str = "", code: int = 0) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' '{printed}'\nexit {code}\n")
    path.chmod(0o755)
    return path


def snapshot(prompt: str = "do it", model: str | None = None, **parameters: Any) -> Snapshot:
    agent = Agent(type="any", model=model, parameters=parameters)
    return Snapshot(task_id=TaskId("task-0"), name="t", agent=agent, prompt=prompt, labels={})


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    for kind in KINDS:
        program(tmp_path, kind.program)
    return {"PATH": str(tmp_path), "HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("codex-cli 0.169.0", "0.169.0"),
        ("2.1.330 (Claude Code)", "2.1.330"),
        ("0.61.0", "0.61.0"),
        ("", None),
        ("no number here", None),
    ],
)
def test_the_version_is_the_first_word_with_a_number(
    tmp_path: Path, printed: str, version: str | None
) -> None:
    assert version_of(str(program(tmp_path, "agent", printed))) == version


def test_a_program_that_cannot_tell_its_version_has_none(tmp_path: Path) -> None:
    assert version_of(str(program(tmp_path, "agent", "1.2.3", code=1))) is None
    assert version_of(str(tmp_path / "absent")) is None


def test_each_agent_is_offered_with_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "codex", "codex-cli 0.169.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    agents = Agents([CommandAgent(), *(kind() for kind in KINDS)], default="codex")
    offers = {offer.type: offer for offer in agents.offers()}
    assert set(offers) == {
        "command", "claude-code", "openai-codex", "gemini-cli", "qwen-code", "general",
    }  # fmt: skip
    assert offers["openai-codex"].version == offers["general"].version == "0.169.0"
    assert agents.version("openai-codex") == "0.169.0"
    if not offers["gemini-cli"].ready:
        assert offers["gemini-cli"].reason == "gemini is not on the PATH"


def test_a_program_may_lie_where_a_setting_says(tmp_path: Path) -> None:
    path = program(tmp_path, "my-codex", "codex-cli 1.0.0")
    agent = CodexAgent(str(path))
    assert agent.offer().version == "1.0.0"
    assert agent.launch(snapshot(), cwd=tmp_path, env={"PATH": ""}).argv[0] == str(path)
    absent = CodexAgent(str(tmp_path / "nowhere")).offer()
    assert (absent.ready, absent.reason) == (False, f"{tmp_path}/nowhere is not there")


@pytest.mark.parametrize("kind", KINDS)
def test_an_absent_program_is_said_to_be_missing(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(AgentError) as caught:
        kind().launch(snapshot(), cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert caught.value.code == "agent_missing"


@pytest.mark.parametrize(
    ("kind", "argv"),
    [
        (
            CodexAgent,
            ["codex", "exec", "--json", "--skip-git-repo-check", "--model=m", "--x y", "-"],
        ),
        (GeminiAgent, ["gemini", "--output-format=stream-json", "--model=m", "--x y"]),
        (QwenAgent, ["qwen", "--output-format=stream-json", "--model=m", "--x y"]),
    ],
)
def test_the_command_line_is_the_documented_one_and_the_prompt_is_input(
    kind: Any, argv: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    prompt = "--yolo $(rm) " + "x" * 200_000
    launch = kind().launch(snapshot(prompt, "m", args=["--x y"]), cwd=tmp_path, env=env)
    assert [os.path.basename(launch.argv[0]), *launch.argv[1:]] == argv
    assert launch.stdin == prompt


@pytest.mark.parametrize(
    ("kind", "parameters", "flags"),
    [
        (
            CodexAgent,
            {"sandbox": "workspace-write", "add_dir": ["/a", "/b"], "ephemeral": True, "x": 1},
            ["--sandbox=workspace-write", "--add-dir=/a", "--add-dir=/b", "--ephemeral"],
        ),
        (
            CodexAgent,
            {"config": {"a.b": True, "c": "d e"}, "effort": "high"},
            ["--config=a.b=true", '--config=c="d e"', '--config=model_reasoning_effort="high"'],
        ),
        (CodexAgent, {"resume": "last"}, ["resume", "--last"]),
        (
            GeminiAgent,
            {"approval_mode": "yolo", "resume": "latest", "yolo": False},
            ["--approval-mode=yolo", "--resume=latest"],
        ),
        (
            QwenAgent,
            {"approval_mode": "auto-edit", "max_tool_calls": 5, "allowed_tools": ["a", "b"]},
            ["--approval-mode=auto-edit", "--max-tool-calls=5", "--allowed-tools=a",
             "--allowed-tools=b"],
        ),
        (ClaudeAgent, {"max_turns": 3, "args": ["--bare"]}, ["--max-turns=3", "--bare"]),
    ],
)  # fmt: skip
def test_parameters_become_flags(
    kind: Any, parameters: dict[str, Any], flags: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    plain = kind().launch(snapshot(), cwd=tmp_path, env=env).argv
    launched = kind().launch(snapshot(**parameters), cwd=tmp_path, env=env).argv
    added = [part for part in launched if part not in plain]
    assert sorted(added) == sorted(flags)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"args": "--yolo"},
        {"args": ["a", 1]},
        {"args": ["a\0b"]},
        {"args": ["x" * 200_000]},
        {"sandbox": {"a": 1}, "permission_mode": {"a": 1}},
        {"add_dir": [["nested"]], "include_directories": [{}]},
    ],
)
def test_what_no_command_line_can_hold_is_refused_by_name(
    kind: Any, parameters: dict[str, Any], env: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(AgentError) as caught:
        kind().launch(snapshot(**parameters), cwd=tmp_path, env=env)
    assert caught.value.code == "start_failed"
    assert "agent.parameters." in str(caught.value)


@pytest.mark.parametrize("resume", ["--last", "-x", 7, ["a"]])
def test_a_session_that_is_an_option_or_no_text_is_refused(
    resume: Any, env: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(AgentError):
        CodexAgent().launch(snapshot(resume=resume), cwd=tmp_path, env=env)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_with_a_zero_byte_is_refused(
    kind: Any, env: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(AgentError):
        kind().launch(snapshot("a\0b"), cwd=tmp_path, env=env)


def test_the_runs_own_environment_wins_over_what_an_agent_needs(
    env: dict[str, str], tmp_path: Path
) -> None:
    own = {**env, "GEMINI_CLI_TRUST_WORKSPACE": "false"}
    assert GeminiAgent().launch(snapshot(), cwd=tmp_path, env=own).env == own
    launched = GeminiAgent().launch(snapshot(), cwd=tmp_path, env=env).env
    assert launched["GEMINI_CLI_TRUST_WORKSPACE"] == "true"


def test_the_model_codex_is_set_to_is_the_one_that_is_priced(
    env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex/config.toml").write_text('model = "gpt-5.5"\n')
    memory = CodexAgent().launch(snapshot(), cwd=tmp_path, env=env).memory
    assert memory == {"model": "gpt-5.5"}
    (tmp_path / ".codex/config.toml").write_text("model = [broken")
    memory = CodexAgent().launch(snapshot(), cwd=tmp_path, env=env).memory
    assert memory == {"model": None}


def test_values_reach_the_program_as_they_are_whatever_a_shell_would_make_of_them(
    tmp_path: Path,
) -> None:
    echo = tmp_path / "qwen"
    echo.write_text('#!/bin/sh\nfor a in "$@"; do printf \'<%s>\' "$a"; done\n')
    echo.chmod(0o755)
    wanted = ["$(touch pwned)", "a b", "`id`", "*", "; true"]
    launch = QwenAgent(str(echo)).launch(snapshot(args=wanted), cwd=tmp_path, env={"PATH": "/bin"})
    printed = subprocess.run(launch.argv, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert printed.stdout.endswith("".join(f"<{part}>" for part in wanted))
    assert not (tmp_path / "pwned").exists()
