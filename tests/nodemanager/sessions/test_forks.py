"""Histories that are told once: forks, sessions that move or go on elsewhere, later runs."""

import json
import shutil
from pathlib import Path

import pytest

from runwatch_nodemanager.sessions.forks import Forks, inherited_bytes
from runwatch_nodemanager.sessions.head import read_head
from tests.nodemanager.sessions.desk import SAMPLES, Desk, line, spoken
from tests.nodemanager.sessions.test_recordings import codex_usage, entries_of

PARENT_ID = "11111111-1111-4111-8111-111111111111"


def child_of(path: Path, parent: Path, agent_type: str) -> Desk:
    desk = Desk(agent_type)
    desk.add(path)
    desk.told.inherited[str(path)] = inherited_bytes(agent_type, path, parent)
    return desk


def test_a_fork_of_claude_tells_what_is_its_own(tmp_path: Path) -> None:
    shared = "".join(spoken(n, role="assistant") for n in (1, 2, 3))
    parent, child = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    parent.write_text(shared + spoken(4, role="assistant"))
    child.write_text(shared.replace('"s1"', '"s2"') + spoken(5, role="assistant", sessionId="s2"))
    told: set[Path] = {parent}
    forks = Forks(lambda path, other: path in told)
    assert forks.parent_of("claude-code", child, read_head(child)) == parent
    desk = child_of(child, parent, "claude-code")
    desk.read()
    assert desk.contents() == ["message 5"]
    assert desk.usage() == {"input_tokens": 10, "output_tokens": 5}
    assert desk.tally().entries == 4


def test_of_two_that_begin_alike_exactly_one_is_the_parent(tmp_path: Path) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path in paths:
        path.write_text(spoken(1) + spoken(2, uuid=path.name))
    other = tmp_path / "c.jsonl"
    other.write_text(spoken(9))
    forks = Forks(lambda path, child: False)
    parents = [forks.parent_of("claude-code", path, read_head(path)) for path in paths]
    assert sorted(parent is None for parent in parents) == [False, True]
    assert forks.parent_of("claude-code", other, read_head(other)) is None


def test_a_fork_of_codex_counts_its_own_tokens(tmp_path: Path) -> None:
    folder = SAMPLES / "codex-rollout"
    recorded = {
        "parent": folder / "steipete+CodexBar__token-count-parent.jsonl",
        "child": folder / "steipete+CodexBar__token-count-forked-child.jsonl",
    }
    if not recorded["child"].is_file():
        pytest.skip("the recordings are not beside this checkout")
    sessions = tmp_path / "sessions" / "2030" / "01" / "01"
    sessions.mkdir(parents=True)
    parent = sessions / f"rollout-2030-01-01T12-00-00-{PARENT_ID}.jsonl"
    child = sessions / "rollout-2030-01-01T15-00-00-22222222-2222-4222-8222-222222222222.jsonl"
    shutil.copyfile(recorded["parent"], parent)
    text = recorded["child"].read_text().replace('"parent-session"', f'"{PARENT_ID}"')
    child.write_text(text)
    head = read_head(child)
    assert Forks(lambda path, other: False).parent_of("openai-codex", child, head) == parent
    desk = child_of(child, parent, "openai-codex")
    desk.read()
    inherited = [
        entry
        for entry in entries_of(recorded["child"])
        if entry["payload"] in [known["payload"] for known in entries_of(recorded["parent"])]
    ]
    assert len(inherited) > 100
    whole, before = codex_usage(list(entries_of(child))), codex_usage(inherited)
    own = {name: count - before[name] for name, count in whole.items()}
    assert desk.usage() == {name: count for name, count in own.items() if count}
    assert desk.usage()["output_tokens"] < whole["output_tokens"] / 2


def test_a_fork_whose_parent_is_nowhere_is_told_whole(tmp_path: Path) -> None:
    path = tmp_path / "rollout-x.jsonl"
    meta = {"id": "c", "forked_from_id": "../../etc/passwd"}
    path.write_text(line(type="session_meta", payload=meta))
    head = read_head(path)
    assert Forks(lambda path, other: False).parent_of("openai-codex", path, head) is None


def test_a_transcript_that_moves_with_its_project_is_read_on(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "s1.jsonl", tmp_path / "new" / "s1.jsonl"
    old.parent.mkdir()
    old.write_text(spoken(1) + spoken(2))
    desk = Desk("claude-code")
    desk.add(old)
    desk.read()
    old.parent.rename(new.parent)
    with new.open("a") as file:
        file.write(spoken(3))
    desk.add(new)
    desk.read()
    assert desk.contents() == ["message 1", "message 2", "message 3"]
    assert list(desk.told.sources) == [str(new)]


def test_a_transcript_copied_with_its_project_tells_only_what_is_new_in_it(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "s1.jsonl", tmp_path / "new" / "s1.jsonl"
    for path in (old, new):
        path.parent.mkdir()
        path.write_text(spoken(1) + spoken(2, role="assistant"))
    desk = Desk("claude-code")
    desk.add(old)
    desk.add(new)
    desk.read()
    with new.open("a") as file:
        file.write(spoken(3))
    with old.open("a") as file:
        file.write(spoken(4))
    desk.read()
    assert sorted(desk.contents()) == [f"message {n}" for n in range(1, 5)]
    assert desk.tally().entries == 4


def test_a_session_that_goes_on_in_another_document_tells_its_history_once(tmp_path: Path) -> None:
    def message(number: int) -> dict[str, object]:
        stamp = f"2026-11-24T10:00:{number:02d}.000Z"
        return {"id": str(number), "timestamp": stamp, "type": "user", "content": f"say {number}"}

    desk = Desk("gemini-cli")
    for name, count in (("a.json", 2), ("b.json", 3)):
        path = tmp_path / name
        messages = [message(number) for number in range(1, count + 1)]
        path.write_text(json.dumps({"sessionId": "g", "messages": messages}))
        desk.add(path)
        desk.read()
    assert desk.contents() == ["say 1", "say 2", "say 3"]


def test_a_later_run_of_a_session_is_told_without_what_came_before(tmp_path: Path) -> None:
    def cost(usd: float, tokens: int) -> str:
        usage = {"claude-x": {"inputTokens": tokens, "outputTokens": 1}}
        return line(type="cost-state", totalCostUSD=usd, modelUsage=usage)

    path = tmp_path / "s1.jsonl"
    path.write_text(spoken(1, role="assistant") + cost(0.25, 100))
    desk = Desk("claude-code")
    desk.add(path)
    desk.read()
    assert desk.usage() == {"input_tokens": 100, "output_tokens": 1, "cost_usd": 0.25}
    with path.open("a") as file:
        file.write(spoken(2, role="assistant") + cost(0.75, 160))
    desk.begin_run()
    desk.read()
    assert desk.usage() == {"input_tokens": 60, "cost_usd": 0.5}
