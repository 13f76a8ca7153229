"""What a node keeps of its sessions: positions on disk, and whose runs they are."""

from pathlib import Path

import msgspec

from runwatch_nodemanager.assignment import Assignment, save_assignment
from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.sessions.head import Head
from runwatch_nodemanager.sessions.ownership import is_own
from runwatch_nodemanager.sessions.positions import (
    KEPT_GONE_US,
    Position,
    Positions,
    Source,
    Told,
    Underway,
)
from runwatch_shared.models import Agent, Snapshot, TaskId

NOW_US = 1_795_500_000_000_000


def position(**head: object) -> Position:
    return Position(
        agent_type="claude-code",
        external_id="claude-code:s1",
        head=Head(**{"cwd": "/srv/work", "started_us": 2**60, **head}),  # type: ignore[arg-type]
    )


def test_positions_come_back_as_they_were_and_active_ones_are_found(tmp_path: Path) -> None:
    positions = Positions(tmp_path / "sessions")
    assert positions.active(now_us=NOW_US) == []
    kept = position()
    kept.run_id, kept.epoch = "run-1", 3
    kept.underway = Underway(last_seq=9, after=Told(next_seq=10, ended=True))
    positions.save(kept)
    assert positions.load("claude-code:s1") == kept
    assert positions.active(now_us=NOW_US) == [kept]
    kept.told.ended = True
    positions.save(kept)
    assert positions.active(now_us=NOW_US) == []


def test_what_is_long_over_and_gone_from_its_place_is_forgotten(tmp_path: Path) -> None:
    positions = Positions(tmp_path / "sessions")
    transcript = tmp_path / "projects" / "p" / "s1.jsonl"
    transcript.parent.mkdir(parents=True)
    transcript.touch()
    kept = position()
    kept.run_id = "run-1"
    kept.told = Told(ended=True, moment_us=NOW_US, sources={str(transcript): Source()})
    positions.save(kept)
    later_us = NOW_US + KEPT_GONE_US + 1
    positions.active(now_us=later_us)
    assert positions.load("claude-code:s1") == kept
    transcript.unlink()
    positions.active(now_us=NOW_US)
    assert positions.load("claude-code:s1") == kept
    transcript.parent.rmdir()
    transcript.parents[1].rename(tmp_path / "unmounted")
    positions.active(now_us=later_us)
    assert positions.load("claude-code:s1") == kept
    (tmp_path / "unmounted").rename(transcript.parents[1])
    positions.active(now_us=later_us)
    assert positions.load("claude-code:s1") is None


def test_a_position_that_is_damaged_or_anothers_is_none(tmp_path: Path) -> None:
    positions = Positions(tmp_path)
    positions.save(position())
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    for damaged in (b"", content[:50], b"[]", content.replace(b"claude-code:s1", b"other")):
        file.write_bytes(damaged)
        assert positions.load("claude-code:s1") is None
        assert positions.active(now_us=NOW_US) == []


def test_sessions_of_this_nodes_runs_are_its_own_and_a_persons_are_not(tmp_path: Path) -> None:
    node = NodeFolder(tmp_path)
    node.create()
    inside = str(node.workspaces / "run-7" / "src")
    assert is_own(node, position(cwd=inside, entrypoint="cli"))
    assert not is_own(node, position())
    snapshot = Snapshot(
        task_id=TaskId("t"), name="n", agent=Agent(type="claude-code"), prompt="p", labels={}
    )
    for kept_in in (node.runs, node.ended):
        folder = node.run("run-8")
        folder.create()
        folder.supervisor.write_text("{}")
        given = Assignment(
            run_id="run-8", phase="claimed", snapshot=snapshot, workspace="/srv/work"
        )
        save_assignment(folder, given)
        if kept_in == node.ended:
            folder.path.rename(node.ended / "run-8")
        assert is_own(node, position(entrypoint="sdk-cli"))
        assert is_own(node, position(cwd="/srv/work/sub"))
        assert not is_own(node, position(entrypoint="cli")), "a person sits there"
        assert not is_own(node, position(started_us=1)), "it began before the run"
        assert not is_own(node, position(cwd="/srv"))
        other = msgspec.structs.replace(position(), agent_type="openai-codex")
        assert not is_own(node, other)
