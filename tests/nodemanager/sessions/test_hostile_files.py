"""Files that are not what they were, or grow on and on: nothing outside is read, nothing twice."""

import os
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.sessions import cutting, long_lines
from runwatch_nodemanager.sessions.discovery import files_in, folders_of
from runwatch_nodemanager.sessions.head import read_head
from runwatch_nodemanager.sessions.roots import find_roots
from tests.nodemanager.sessions.desk import Desk, spoken


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / ".claude" / "projects"
    (folder / "p").mkdir(parents=True)
    return folder


def test_a_transcript_replaced_by_a_link_out_of_its_root_is_not_read(
    root: Path, tmp_path: Path
) -> None:
    path, outside = root / "p" / "s1.jsonl", tmp_path / "outside.jsonl"
    path.write_text(spoken(1))
    desk = Desk("claude-code", root=root)
    desk.add(path)
    desk.read()
    outside.write_text(spoken(1) + spoken(2))
    path.unlink()
    path.symlink_to(outside)
    assert desk.read(last=True) == []
    with pytest.raises(PermissionError):
        read_head(path, root=root)
    path.unlink()
    path.write_text(spoken(1) + spoken(3))
    desk.read()
    assert desk.contents() == ["message 1", "message 3"]


def test_a_folder_replaced_by_a_link_out_of_its_root_is_not_read(
    root: Path, tmp_path: Path
) -> None:
    path = root / "p" / "s1.jsonl"
    path.write_text(spoken(1))
    desk = Desk("claude-code", root=root)
    desk.add(path)
    desk.read()
    (root / "p").rename(tmp_path / "moved")
    (root / "p").symlink_to(tmp_path / "moved")
    with path.open("a") as file:
        file.write(spoken(2))
    assert desk.read() == []


def test_a_root_that_is_a_link_itself_is_read(root: Path, tmp_path: Path) -> None:
    (root / "p" / "s1.jsonl").write_text(spoken(1))
    linked = tmp_path / "linked"
    linked.symlink_to(root)
    desk = Desk("claude-code", root=linked)
    desk.add(linked / "p" / "s1.jsonl")
    desk.read()
    assert desk.contents() == ["message 1"]


def test_a_name_that_is_no_text_is_no_transcripts(root: Path, tmp_path: Path) -> None:
    (root / "p" / os.fsdecode(b"s-\xff.jsonl")).write_text(spoken(1))
    strange = root / os.fsdecode(b"-\xff")
    strange.mkdir()
    (strange / "s2.jsonl").write_text(spoken(1))
    claude = find_roots(tmp_path / "home", {})[0]
    assert [one for folder in folders_of(claude) for one in files_in(claude, folder)] == []


def test_a_line_that_grows_by_and_by_is_not_read_again_each_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "CHUNK_BYTES", 1024)
    monkeypatch.setattr(long_lines, "CHUNK_BYTES", 1024)
    path = root / "p" / "s1.jsonl"
    path.write_text(spoken(1))
    desk = Desk("claude-code")
    desk.add(path)
    desk.read()
    taken = 0
    plain = os.pread

    def counting(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal taken
        content = plain(descriptor, size, offset)
        taken += len(content)
        return content

    monkeypatch.setattr(os, "pread", counting)
    whole = spoken(2, padding="x" * 100_000)
    for at in range(0, len(whole), 1000):
        with path.open("a") as file:
            file.write(whole[at : at + 1000])
        desk.read()
    assert desk.contents() == ["message 1", "message 2"]
    assert taken < 5 * len(whole)


@pytest.mark.parametrize("end", ["", "\n"])
def test_of_a_large_file_whose_last_line_is_long_the_rest_is_left_out(root: Path, end: str) -> None:
    path = root / "p" / "s1.jsonl"
    texts = [spoken(n) for n in range(1, 101)]
    path.write_text("".join(texts) + spoken(101, padding="x" * 5000).rstrip("\n") + end)
    desk = Desk("claude-code", first_bytes=2000)
    desk.add(path)
    desk.read(last=True)
    left_out = sum(len(text) for text in texts)
    assert desk.told.skipped_bytes == left_out
    assert desk.contents()[1:] == ["message 101"]


def test_a_file_that_can_be_read_only_later_is_begun_with_its_end(root: Path) -> None:
    lead, sub = root / "p" / "s1.jsonl", root / "p" / "agent-a.jsonl"
    lead.write_text(spoken(1))
    sub.write_text(spoken(1))
    desk = Desk("claude-code", first_bytes=2000)
    desk.add(lead)
    desk.add(sub, "agent-a")
    lead.unlink()
    os.mkfifo(lead)
    assert len(desk.read()) == 3
    lead.unlink()
    lead.write_text("".join(spoken(n) for n in range(1, 101)))
    desk.read()
    assert len(desk.contents()) < 20
    assert desk.contents()[-1] == "message 100"


def test_an_unknown_entry_is_kept_whole_and_counts_nothing(root: Path) -> None:
    """A kind of entry that comes with a later version may repeat what was counted."""
    path = root / "p" / "s1.jsonl"
    repeated: dict[str, Any] = {
        "usage": {"input_tokens": 10**6, "output_tokens": 1},
        "total_cost_usd": 7.5,
    }
    path.write_text(
        spoken(1) + spoken(2, role="assistant") + spoken(3, type="recap", lane="x", **repeated)
    )
    desk = Desk("claude-code")
    desk.add(path)
    desk.read()
    (payload,) = desk.payloads("x_claude_recap")
    assert payload.keys() == {"entry"}
    assert payload["entry"]["total_cost_usd"] == 7.5
    assert desk.usage() == {"input_tokens": 10, "output_tokens": 2}
