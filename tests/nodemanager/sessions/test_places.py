"""Which paths are transcripts, of which session; nothing outside the roots is looked at."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from runwatch_nodemanager.sessions import watch
from runwatch_nodemanager.sessions.discovery import files_in, folders_of, parts_of
from runwatch_nodemanager.sessions.roots import Place, Root, find_roots, place_of
from runwatch_nodemanager.sessions.watch import Watcher
from runwatch_shared.tasks import TaskOwner
from tests.nodemanager.sessions.desk import spoken

UUID = "c63737ef-b198-43a0-97a3-4839813148c7"
PATHS = {
    f".claude/projects/-home-demo/{UUID}.jsonl": Place(agent_type="claude-code", session=UUID),
    f".claude/projects/-home-demo/{UUID}/subagents/agent-ab6dbf29c450f2a3d.jsonl": Place(
        agent_type="claude-code", session=UUID, lane="agent-ab6dbf2"
    ),
    f".codex/sessions/2026/11/23/rollout-2026-11-23T23-22-33-{UUID}.jsonl": Place(
        agent_type="openai-codex", session=UUID
    ),
    ".gemini/tmp/demo/chats/session-2026-11-23T23-25-239c03e4.jsonl": Place(
        agent_type="gemini-cli", session="demo.239c03e4"
    ),
    ".gemini/tmp/demo/chats/session-2026-11-23T23-25-239c03e4.json": Place(
        agent_type="gemini-cli", session="demo.239c03e4"
    ),
    ".gemini/tmp/demo/chats/239c03e4-e9fe-437a-98d7-7d6031423893/0123456789.jsonl": Place(
        agent_type="gemini-cli", session="demo.239c03e4", lane="agent-0123456"
    ),
    f".qwen/projects/-home-demo/chats/{UUID}.jsonl": Place(agent_type="qwen-code", session=UUID),
}
OTHERS = (
    ".claude/projects/-home-demo/notes.txt",
    f".claude/projects/-home-demo/{UUID}/tool-results/big.jsonl",
    f".claude/projects/-home-demo/{UUID}/subagents/agent-1.meta.json",
    ".claude/projects/stray.jsonl",
    ".codex/sessions/2026/11/23/notes.jsonl",
    ".gemini/tmp/demo/logs.json",
    ".gemini/tmp/demo/shell_history",
    f".qwen/projects/-home-demo/{UUID}.jsonl",
)


def root_of(home: Path, path: Path) -> Root:
    return next(root for root in find_roots(home, {}) if path.is_relative_to(root.path))


def put(home: Path, name: str, text: str = "{}\n") -> Path:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found_in(home: Path) -> dict[str, Place]:
    return {
        str(found.path.relative_to(home)): found.place
        for root in find_roots(home, {})
        for folder in folders_of(root)
        for found in files_in(root, folder)
    }


@pytest.mark.parametrize("name", PATHS)
def test_a_transcripts_path_names_its_session(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    assert place_of(root_of(tmp_path, path), path) == PATHS[name]


def test_transcripts_are_found_and_other_files_are_not(tmp_path: Path) -> None:
    for name in (*PATHS, *OTHERS):
        put(tmp_path, name)
    assert found_in(tmp_path) == PATHS


def test_the_agents_own_variables_move_their_directories(tmp_path: Path) -> None:
    moved = {
        "CLAUDE_CONFIG_DIR": "/a",
        "CODEX_HOME": "/b",
        "GEMINI_CLI_HOME": "/c",
        "QWEN_HOME": "relative",
    }
    assert [str(root.path) for root in find_roots(tmp_path, moved)] == [
        "/a/projects",
        "/b/sessions",
        "/c/.gemini/tmp",
        f"{tmp_path}/.qwen/projects",
    ]


def test_an_external_id_fits_whatever_a_folder_is_called(tmp_path: Path) -> None:
    strange = put(tmp_path, ".gemini/tmp/pröject é/chats/session 1 .jsonl")
    place = place_of(root_of(tmp_path, strange), strange)
    assert place is not None
    assert place.external_id.isascii()
    long = put(tmp_path, f".claude/projects/p/{'x' * 200}.jsonl")
    named = place_of(root_of(tmp_path, long), long)
    assert named is not None
    assert len(named.external_id) <= 128


def test_links_are_followed_within_a_root_and_never_out_of_it(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    inside = put(home, f".claude/projects/real/{UUID}.jsonl")
    put(outside, "projects/secret.jsonl")
    put(outside, "secret.jsonl")
    projects = inside.parents[1]
    (projects / "linked").symlink_to(projects / "real")
    (projects / "away").symlink_to(outside / "projects")
    (projects / "real" / "stolen.jsonl").symlink_to(outside / "secret.jsonl")
    (projects / "real" / "broken.jsonl").symlink_to(outside / "nothing")
    os.mkfifo(projects / "real" / "pipe.jsonl")
    names = {Path(name).name for name in found_in(home)}
    assert names == {f"{UUID}.jsonl"}


def test_a_root_that_is_itself_a_link_is_a_root(tmp_path: Path) -> None:
    put(tmp_path / "dotfiles", f"projects/p/{UUID}.jsonl")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".claude").symlink_to(tmp_path / "dotfiles")
    assert len(found_in(home)) == 1


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    put(tmp_path, f".codex/sessions/2026/rollout-1-{UUID}.jsonl")
    (tmp_path / ".codex/sessions/2026/again").symlink_to(tmp_path / ".codex/sessions")
    assert len(found_in(tmp_path)) >= 1


def test_an_older_sub_agent_beside_its_session_belongs_to_it(tmp_path: Path) -> None:
    lead = put(tmp_path, f".claude/projects/p/{UUID}.jsonl")
    beside = put(tmp_path, ".claude/projects/p/agent-deadbeef00.jsonl", spoken(1, sessionId=UUID))
    put(tmp_path, ".claude/projects/p/agent-of-nobody.jsonl")
    root = root_of(tmp_path, lead)
    found = {one.path: one for one in files_in(root, lead.parent)}
    assert set(found) == {lead, beside}
    assert found[beside].place == Place(
        agent_type="claude-code", session=UUID, lane="agent-deadbee"
    )
    for first in (lead, beside):
        assert {part.path for part in parts_of(found[first])} == {lead, beside}


def test_a_session_has_all_its_files_whichever_is_seen_first(tmp_path: Path) -> None:
    lead = put(tmp_path, f".claude/projects/p/{UUID}.jsonl")
    agent = put(tmp_path, f".claude/projects/p/{UUID}/subagents/agent-1.jsonl")
    put(tmp_path, ".claude/projects/p/other.jsonl")
    root = root_of(tmp_path, lead)
    for first in (lead, agent):
        found = next(one for one in files_in(root, first.parent) if one.path == first)
        assert {part.path for part in parts_of(found)} == {lead, agent}


async def is_told(watcher: Watcher, path: Path) -> bool:
    """Whether a change of a file is told, maybe after others."""
    async with asyncio.timeout(20):
        while path not in {one.path for one in await watcher.changes()}:
            pass
    return True


@pytest.mark.parametrize("polled", [False, True])
async def test_changes_are_told_in_old_and_new_folders(
    polled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_S", 0.05)
    monkeypatch.setattr(watch, "LOOK_AGAIN_S", 0.05)
    if polled:
        monkeypatch.setattr(watch, "Inotify", unavailable)
    old = put(tmp_path, ".claude/projects/p/old.jsonl", spoken(1))
    with Watcher(find_roots(tmp_path, {})) as watcher:
        async with TaskOwner("test") as tasks:
            tasks.spawn(watcher.listen(), name="listen")
            assert [one.path for one in watcher.look_everywhere()] == [old]
            with old.open("a") as file:
                file.write(spoken(2))
            assert await is_told(watcher, old)
            new = put(tmp_path, f".claude/projects/new/{UUID}/subagents/agent-1.jsonl")
            assert await is_told(watcher, new)
            # A root that was not there at the start.
            late = put(tmp_path, f".codex/sessions/2026/11/24/rollout-1-{UUID}.jsonl")
            assert await is_told(watcher, late)
            with late.open("a") as file:
                file.write(spoken(3))
            assert await is_told(watcher, late)


async def test_folders_that_move_or_come_anew_are_watched_on(tmp_path: Path) -> None:
    name = f".claude/projects/{{}}/{UUID}/subagents/agent-1.jsonl"
    first = put(tmp_path, name.format("first"), spoken(1))
    with Watcher(find_roots(tmp_path, {})) as watcher:
        async with TaskOwner("test") as tasks:
            tasks.spawn(watcher.listen(), name="listen")
            watcher.look_everywhere()
            (tmp_path / ".claude/projects/first").rename(tmp_path / ".claude/projects/second")
            moved = tmp_path / name.format("second")
            assert await is_told(watcher, moved)
            with moved.open("a") as file:
                file.write(spoken(2))
            assert await is_told(watcher, moved)
            shutil.rmtree(tmp_path / ".claude/projects/second")
            put(tmp_path, name.format("first"), spoken(3))
            assert await is_told(watcher, first)
            with first.open("a") as file:
                file.write(spoken(4))
            assert await is_told(watcher, first)


async def test_changes_that_were_missed_are_looked_for(tmp_path: Path) -> None:
    old = put(tmp_path, ".claude/projects/p/old.jsonl", spoken(1))
    with Watcher(find_roots(tmp_path, {})) as watcher:
        async with TaskOwner("test") as tasks:
            watcher.look_everywhere()
            watcher.miss()
            tasks.spawn(watcher.listen(), name="listen")
            assert await is_told(watcher, old)


def unavailable() -> None:
    raise OSError("no inotify here")
