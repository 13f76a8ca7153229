"""What a resumed session had used before, read from the files its agent keeps."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.agents import carried
from runwatch_nodemanager.agents.carried import claude_carried, codex_carried
from runwatch_nodemanager.agents.claude import ClaudeAgent
from runwatch_nodemanager.agents.codex import CodexAgent
from runwatch_nodemanager.agents.programs import RUNTIME_VARIABLE
from runwatch_shared.models import Agent, Snapshot, TaskId
from tests.nodemanager.feeding import feed
from tests.nodemanager.recordings import fold_usage

SESSION = "01a20ab8-1950-76a0-b304-4511b64092d4"
MODEL = {
    "inputTokens": 84,
    "outputTokens": 399,
    "cacheReadInputTokens": 21000,
    "cacheCreationInputTokens": 3500,
}


def write(path: Path, *values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values))


def rollout(home: Path, *values: Any) -> None:
    name = f"rollout-2026-11-24T00-00-00-{SESSION}.jsonl"
    write(home / "sessions/2026/11/24" / name, *values)


def token_count(given: int, written: int) -> dict[str, Any]:
    usage = {"input_tokens": given, "cached_input_tokens": 0, "output_tokens": written}
    return {"type": "event_msg", "payload": {"info": {"total_token_usage": usage}}}


def snapshot(agent_type: str, **parameters: Any) -> Snapshot:
    agent = Agent(type=agent_type, parameters=parameters)
    return Snapshot(task_id=TaskId("task-0"), name="t", agent=agent, prompt="go on", labels={})


def stand_in(folder: Path, name: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return str(folder)


def test_the_last_count_of_a_rollout_is_what_a_thread_had_used(tmp_path: Path) -> None:
    rollout(tmp_path, token_count(10, 1), token_count(90, 9), {"type": "other"})
    found = codex_carried({"CODEX_HOME": str(tmp_path)}, SESSION)
    assert found == {"input_tokens": 90, "cached_input_tokens": 0, "output_tokens": 9}


def test_a_thread_that_had_used_nothing_is_known_to_and_another_is_not(tmp_path: Path) -> None:
    rollout(tmp_path, {"type": "session_meta"})
    env = {"CODEX_HOME": str(tmp_path)}
    assert codex_carried(env, SESSION) == {}
    assert codex_carried(env, SESSION.replace("0", "1")) is None


def test_a_count_far_from_the_end_and_across_blocks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "BLOCK_BYTES", 64)
    rollout(tmp_path, token_count(90, 9), *[{"type": "x", "text": "y" * 200}] * 5)
    found = codex_carried({"CODEX_HOME": str(tmp_path)}, SESSION)
    assert found is not None
    assert found["output_tokens"] == 9


@pytest.mark.parametrize("name", ["../../etc/passwd", "*", "", "-x", "a/b"])
def test_what_is_no_session_id_is_never_looked_for(tmp_path: Path, name: str) -> None:
    rollout(tmp_path, token_count(1, 1))
    assert codex_carried({"CODEX_HOME": str(tmp_path)}, name) is None
    assert claude_carried({"CLAUDE_CONFIG_DIR": str(tmp_path)}, name) is None


def test_lines_that_are_torn_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / f"projects/p/{SESSION}.jsonl"
    write(path, {"type": "cost-state", "totalCostUSD": 0.5, "modelUsage": {"m": MODEL}})
    with path.open("a") as file:
        file.write('{"type":"cost-state","totalCostUSD":0.')
    found = claude_carried({"CLAUDE_CONFIG_DIR": str(tmp_path)}, SESSION)
    assert found is not None
    assert (found["cost_usd"], found["input_tokens"]) == (0.5, 84)


def test_of_a_container_no_file_of_this_machine_is_read(tmp_path: Path) -> None:
    rollout(tmp_path / ".codex", token_count(5, 6))
    (tmp_path / ".codex" / "config.toml").write_text('model = "of this machine"')
    here = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
    inside = {**here, RUNTIME_VARIABLE: "podman"}
    assert codex_carried(here, SESSION) == {
        "input_tokens": 5,
        "cached_input_tokens": 0,
        "output_tokens": 6,
    }
    assert codex_carried(inside, SESSION) is None
    wanted = Snapshot(
        task_id=TaskId("t"), name="n", agent=Agent(type="openai-codex"), prompt="", labels={}
    )
    launch = CodexAgent().launch(wanted, cwd=tmp_path, env=inside)
    assert launch.memory == {"model": None}


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    name = f"rollout-2026-11-24T00-00-00-{SESSION}.jsonl"
    folder = tmp_path / "sessions/2026/11/24"
    folder.mkdir(parents=True)
    os.mkfifo(folder / name)
    os.mkfifo(tmp_path / "config.toml")
    env = {"PATH": stand_in(tmp_path / "bin", "codex"), "CODEX_HOME": str(tmp_path)}
    wanted = snapshot("openai-codex", resume=SESSION)
    launch = CodexAgent().launch(wanted, cwd=tmp_path, env=env)
    assert launch.memory == {"model": None, "carried": None}


def test_a_count_below_what_was_carried_is_this_runs_alone(tmp_path: Path) -> None:
    rollout(tmp_path / "codex", token_count(90000, 9000))
    env = {"PATH": stand_in(tmp_path / "bin", "codex"), "CODEX_HOME": str(tmp_path / "codex")}
    wanted = snapshot("openai-codex", resume=SESSION)
    reader = CodexAgent().adapter(wanted, CodexAgent().launch(wanted, cwd=tmp_path, env=env).memory)
    usage = {"input_tokens": 100, "output_tokens": 7}
    told = fold_usage(feed(reader, {"type": "turn.completed", "usage": usage}))
    assert (told["input_tokens"], told["output_tokens"]) == (100, 7)


def test_a_resumed_codex_run_counts_from_where_its_thread_stood(tmp_path: Path) -> None:
    rollout(tmp_path / "codex", token_count(21072, 384))
    env = {"PATH": stand_in(tmp_path / "bin", "codex"), "CODEX_HOME": str(tmp_path / "codex")}
    wanted = snapshot("openai-codex", resume=SESSION)
    launch = CodexAgent().launch(wanted, cwd=tmp_path, env=env)
    assert launch.argv[-3:] == ("resume", SESSION, "-")
    reader = CodexAgent().adapter(wanted, launch.memory)
    usage = {"input_tokens": 24584, "cached_input_tokens": 0, "output_tokens": 448}
    drafts = feed(reader, {"type": "thread.started"}, {"type": "turn.completed", "usage": usage})
    told = fold_usage(drafts)
    assert (told["input_tokens"], told["output_tokens"]) == (3512, 64)


def test_a_resumed_claude_run_counts_and_costs_from_where_its_session_stood(tmp_path: Path) -> None:
    """Numbers of claude 2.1.330 resumed once, as its own files and lines had them."""
    state = {"type": "cost-state", "totalCostUSD": 0.030016, "modelUsage": {"m": MODEL}}
    write(tmp_path / f"claude/projects/p/{SESSION}.jsonl", state)
    env = {
        "PATH": stand_in(tmp_path / "bin", "claude"),
        "CLAUDE_CONFIG_DIR": str(tmp_path / "claude"),
    }
    wanted = snapshot("claude-code", resume=SESSION)
    launch = ClaudeAgent().launch(wanted, cwd=tmp_path, env=env)
    after = {
        "inputTokens": 96,
        "outputTokens": 456,
        "cacheReadInputTokens": 24000,
        "cacheCreationInputTokens": 4000,
        "contextWindow": 1000000,
    }
    result = {"type": "result", "total_cost_usd": 0.034304, "modelUsage": {"m": after}}
    told = feed(ClaudeAgent().adapter(wanted, launch.memory), result)[-1].payload["usage"]
    assert told["cost_usd"] == pytest.approx(0.004288)
    counts = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    assert [told[name] for name in counts] == [12, 57, 3000, 500]
    assert told["context_limit"] == 1000000

    older = {**after, "inputTokens": 12, "outputTokens": 57}
    result = {"type": "result", "total_cost_usd": 0.004, "modelUsage": {"m": older}}
    told = feed(ClaudeAgent().adapter(wanted, launch.memory), result)[-1].payload["usage"]
    assert (told["input_tokens"], told["cost_usd"]) == (12, 0.004)
