"""Recorded sessions of Claude Code: no line vanishes, and the totals are the agent's own."""

import json

import pytest

from runwatch_nodemanager.agents.claude_stream import ClaudeAdapter
from runwatch_nodemanager.agents.protocol import End, Line
from runwatch_shared.states import EVENT_TYPES
from tests.nodemanager.recordings import (
    ENDINGS,
    fold_usage,
    play,
    read_lines,
    recording_paths,
    told_by_result,
)

paths = recording_paths("claude-stream")


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
def test_every_line_becomes_at_least_one_event_that_carries_it(path):
    lines = read_lines(path)
    for line, drafts in zip(lines, play(lines), strict=True):
        assert drafts, line[:200]
        assert drafts[0].raw == line
        for draft in drafts:
            assert draft.type in EVENT_TYPES or draft.type.startswith("x_claude_")
            json.dumps(draft.payload, allow_nan=False)


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
def test_every_content_block_becomes_an_event_of_its_own(path):
    lines = read_lines(path)
    for line, drafts in zip(lines, play(lines), strict=True):
        value = json.loads(line)
        if value["type"] not in {"assistant", "user"}:
            continue
        content = value["message"]["content"]
        blocks = content if isinstance(content, list) else [content]
        derived = {"file_read", "file_write", "progress"}
        assert len([d for d in drafts if d.type not in derived]) == len(blocks)


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
def test_totals_equal_those_of_the_recordings_own_result_line(path):
    lines = read_lines(path)
    told = told_by_result(lines)
    drafts = [draft for drafts in play(lines) for draft in drafts]
    if told is None:
        assert not any(draft.type == "result" for draft in drafts)
        return
    assert fold_usage(drafts) == pytest.approx(told)


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
def test_reading_on_from_a_saved_state_gives_the_same_events(path):
    lines = read_lines(path)
    whole = ClaudeAdapter(None)
    expected = [*play(lines, whole), whole.end(End(code=0))]
    told = []
    saved = None
    for number, line in enumerate(lines):
        reader = ClaudeAdapter(json.loads(json.dumps(saved)) if saved is not None else None)
        moment = 1_700_000_000_000_000 + number * 1000
        told.append(reader.line(Line(stream="stdout", text=line, moment_us=moment)))
        saved = reader.save()
    told.append(ClaudeAdapter(saved).end(End(code=0)))
    assert told == expected


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
def test_the_local_recordings_end_as_they_did(path):
    case = path.stem.rpartition("-")[2]
    if not path.stem.startswith("local-run__") or case not in ENDINGS:
        return
    expected, code = ENDINGS[case]
    adapter = ClaudeAdapter(None)
    play(read_lines(path), adapter)
    last = adapter.end(End(code=code))[-1]
    assert (last.type, last.payload["exit_code"]) == (expected, code)
    assert adapter.unknown_lines == 0
