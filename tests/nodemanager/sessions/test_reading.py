"""Transcripts as they grow: by half lines, written anew, cut, too large, in several files."""

import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_nodemanager.events import number_draft
from runwatch_nodemanager.sessions import cutting
from runwatch_nodemanager.sessions.formats.entries import read_line
from runwatch_nodemanager.sessions.formats.registry import FORMATS
from runwatch_nodemanager.sessions.head import read_head
from tests.nodemanager.sessions.desk import Desk, line, spoken


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s1.jsonl"


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


def opened(path: Path, *texts: str, first_bytes: int = 0) -> Desk:
    path.write_text("".join(texts))
    desk = Desk("claude-code", first_bytes=first_bytes)
    desk.add(path)
    return desk


def test_a_run_begins_with_who_and_where(path: Path) -> None:
    desk = opened(path, spoken(1))
    moved = desk.read()
    assert [draft.type for draft, _ in moved] == ["run_started", "system_info", "message"]
    assert moved[0].draft.payload["workspace"] == {"type": "local", "path": "/home/user/demo"}
    assert moved[1].draft.payload["session_id"] == "s1"
    assert moved[0].moment_us == moved[2].moment_us
    assert desk.read() == []


def test_half_a_line_is_told_when_its_other_half_is_there(path: Path) -> None:
    whole = spoken(2)
    desk = opened(path, spoken(1))
    desk.read()
    append(path, whole[:40])
    assert desk.read() == []
    append(path, whole[40:])
    desk.read()
    assert desk.contents() == ["message 1", "message 2"]


LINES = "".join(
    [
        *(spoken(n, role="assistant" if n % 2 else "user") for n in range(1, 12)),
        line(type="summary", summary="quiet"),
        line(type="brand-new", sessionId="s1", timestamp="2026-11-24T10:00:20Z"),
        "not json at all\n",
        "\n",
        spoken(13, extra="é漢😀"),
    ]
).encode()


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, len(LINES)), max_size=12))
def test_however_a_transcript_grows_its_events_are_the_same(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("grown")
    at_once, grown = folder / "a.jsonl", folder / "b.jsonl"
    at_once.write_bytes(LINES)
    expected = Desk("claude-code")
    expected.add(at_once)
    expected.read()
    desk = Desk("claude-code")
    places = [0, *sorted(cuts), len(LINES)]
    for start, end in pairwise(places):
        append(grown, LINES[start:end])
        desk.add(grown)
        desk.head = expected.head
        desk.read()
    assert desk.moved == expected.moved
    assert desk.tally() == expected.tally()


def test_a_file_put_in_the_place_of_itself_is_read_on(path: Path) -> None:
    desk = opened(path, spoken(1), spoken(2))
    desk.read()
    copy = path.with_suffix(".new")
    copy.write_text(path.read_text() + spoken(3))
    os.replace(copy, path)
    desk.read()
    assert desk.contents() == ["message 1", "message 2", "message 3"]
    assert "warning" not in desk.types


def test_a_file_written_anew_says_so_and_doubles_nothing(path: Path) -> None:
    desk = opened(path, spoken(1), spoken(2), spoken(3))
    desk.read()
    path.write_text(spoken(2) + spoken(3, changed=True) + spoken(4))
    desk.read()
    assert desk.contents() == ["message 1", "message 2", "message 3", "message 4"]
    assert [one["code"] for one in desk.payloads("warning")] == ["transcript_rewritten"]
    append(path, spoken(5))
    desk.read()
    assert desk.contents()[-1] == "message 5"
    assert len(desk.payloads("warning")) == 1


def test_a_file_cut_short_goes_on_with_what_is_newer(path: Path) -> None:
    desk = opened(path, spoken(1), spoken(2))
    desk.read()
    path.write_bytes(b"")
    assert [draft.type for draft, _ in desk.read()] == ["warning"]
    append(path, spoken(1))
    append(path, spoken(9))
    desk.read()
    assert desk.contents() == ["message 1", "message 2", "message 9"]


def test_a_file_that_is_gone_tells_nothing_and_may_come_back(path: Path) -> None:
    desk = opened(path, spoken(1))
    desk.read()
    path.unlink()
    assert desk.read() == []
    path.write_text(spoken(1) + spoken(2))
    desk.read()
    assert desk.contents() == ["message 1", "message 2"]


def test_of_a_large_file_the_end_is_read_and_the_rest_is_said_to_be_left_out(path: Path) -> None:
    texts = [spoken(n) for n in range(1, 301)]
    desk = opened(path, *texts, first_bytes=2000)
    desk.read()
    contents = desk.contents()
    assert contents[0].startswith("the transcript's first ")
    assert contents[-1] == "message 300"
    told = len(contents) - 1
    assert 1 <= told < 300
    assert contents[1:] == [f"message {n}" for n in range(301 - told, 301)]
    assert desk.told.skipped_bytes == sum(len(text) for text in texts[: 300 - told])


def test_two_objects_on_one_line_are_two_entries(path: Path) -> None:
    desk = opened(path, spoken(1).rstrip("\n") + spoken(2))
    desk.read()
    assert desk.contents() == ["message 1", "message 2"]


def test_a_line_too_long_to_be_kept_is_said_to_be_missing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "MOST_LINE_BYTES", 5000)
    monkeypatch.setattr(cutting, "CHUNK_BYTES", 1024)
    desk = opened(path, spoken(1), spoken(2, padding="x" * 20_000), spoken(3))
    desk.read()
    assert desk.contents() == ["message 1", "message 3"]
    assert [one["code"] for one in desk.payloads("warning")] == ["line_too_long"]


def test_a_last_line_without_an_end_is_told_when_nobody_will_end_it(path: Path) -> None:
    desk = opened(path, spoken(1), spoken(2).rstrip("\n"))
    desk.read()
    assert desk.contents() == ["message 1"]
    desk.read(last=True)
    desk.read(last=True)
    assert desk.contents() == ["message 1", "message 2"]
    append(path, "\n" + spoken(3))
    desk.read()
    assert desk.contents() == ["message 1", "message 2", "message 3"]


@pytest.mark.parametrize(
    "hostile",
    [
        b'{"type":"user","message":{"content":"\\ud800"}}\n',
        b"\xff\xfe\x00garbage\n",
        b"[" * 5000 + b"\n",
        b'{"type":"user","n":1e999,"message":{"content":[{"type":"text","text":7}]}}\n',
        b'{"type":"assistant","message":{"id":"m","usage":{"input_tokens":' + b"9" * 400 + b"}}}\n",
        b'{"type":"user","timestamp":"9999-99-99T99:99:99Z","message":{"content":"x"}}\n',
        b'{"type":{"a":1},"message":[[[]]]}\n',
    ],
)
def test_hostile_lines_become_events_that_can_be_sent(path: Path, hostile: bytes) -> None:
    desk = opened(path, spoken(1))
    append(path, hostile)
    append(path, spoken(2))
    desk.read()
    assert "message 2" in desk.contents()
    assert desk.tally().entries >= 3
    for draft, moment_us in desk.moved:
        assert json.loads(json.dumps(draft.payload, allow_nan=False)) is not None
        assert moment_us >= 0


NAMES = st.sampled_from(
    [
        "type", "subtype", "timestamp", "message", "payload", "content", "role", "usage", "id",
        "model", "parts", "text", "toolCalls", "tokens", "thoughts", "functionCall", "call_id",
        "toolCallResult", "systemPayload", "uiEvent", "event.name", "attachment", "modelUsage",
        "$set", "messages", "info", "total_token_usage", "rate_limits", "primary", "args",
        "usageMetadata", "sessionId", "item", "changes", "error", "output", "status", "name",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "user", "assistant", "system", "attachment", "cost-state", "gemini", "error", "info",
        "tool_result", "tool_use", "text", "thinking", "session_meta", "turn_context",
        "response_item", "event_msg", "function_call", "function_call_output", "token_count",
        "item_completed", "FileChange", "Reasoning", "ui_telemetry", "qwen-code.api_error",
        "queued_command", "task_complete", "patch_apply_end", "update_plan", "api_error",
        "2026-11-24T10:00:00Z", "", "{", "exec_command", "add",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**62) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)


@pytest.mark.parametrize("agent_type", FORMATS)
@settings(max_examples=30, deadline=None)
@given(entries=st.lists(st.dictionaries(NAMES, VALUES, max_size=6), min_size=1, max_size=6))
def test_no_entry_however_strange_stops_a_reader(
    agent_type: str, entries: list[dict[str, Any]]
) -> None:
    found = FORMATS[agent_type]
    reader = found.open(None)
    for entry in entries:
        for draft, moment_us in read_line(reader, json.dumps(entry), short=found.short):
            assert re.fullmatch(r"[a-z0-9_]{1,64}", draft.type)
            number_draft(draft, seq=1, moment_us=moment_us, limit_bytes=65536)
        # What is remembered is enough to go on from.
        reader = found.open(json.loads(json.dumps(reader.save())))
    tally = reader.state.tally
    assert tally.entries == len(entries)
    assert tally.entries == tally.told + tally.quiet + tally.unknown + tally.damaged


def test_a_count_of_codex_that_is_none_is_not_remembered_as_one() -> None:
    found = FORMATS["openai-codex"]
    reader = found.open(None)
    counts = {"input_tokens": True, "output_tokens": 5}
    payload = {"type": "token_count", "info": {"total_token_usage": counts}}
    entry = {"type": "event_msg", "timestamp": "2026-11-24T10:00:00Z", "payload": payload}
    told = read_line(reader, json.dumps(entry), short=found.short)
    assert [one.draft.payload["usage"]["output_tokens"] for one in told] == [5]
    found.open(json.loads(json.dumps(reader.save())))


def test_what_another_version_remembered_stops_no_session(path: Path) -> None:
    desk = opened(path, spoken(1))
    desk.read()
    desk.told.sources[str(path)].reader["moment_us"] = "yesterday"
    append(path, spoken(2))
    desk.read()
    assert desk.contents() == ["message 1", "message 2"]


def test_sub_agents_have_lanes_and_come_before_the_leads_totals(path: Path) -> None:
    agent = path.with_name("agent-ab12cd34.jsonl")
    agent.write_text(spoken(2, role="assistant", isSidechain=True, agentId="ab12cd34"))
    cost = line(
        type="cost-state",
        totalCostUSD=0.5,
        modelUsage={"claude-x": {"inputTokens": 30, "outputTokens": 5}},
    )
    desk = opened(path, spoken(1), spoken(3, role="assistant"), cost)
    desk.add(agent, lane="agent-ab12cd3")
    desk.read()
    lanes = [draft.payload.get("lane") for draft, _ in desk.moved if draft.type == "message"]
    assert lanes == ["agent-ab12cd3", None, None]
    assert desk.usage() == {"input_tokens": 30, "output_tokens": 5, "cost_usd": 0.5}


def test_a_document_written_anew_tells_only_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "session-1.json"
    stamp = "2026-11-24T10:00:0{}.000Z"

    def write(*messages: dict[str, Any], cut: int | None = None) -> None:
        text = json.dumps({"sessionId": "g1", "startTime": stamp.format(0), "messages": messages})
        path.write_text(text[:cut])

    asked: dict[str, Any] = {
        "id": "1",
        "timestamp": stamp.format(1),
        "type": "user",
        "content": "do it",
    }
    answer = {"id": "2", "timestamp": stamp.format(2), "type": "gemini", "content": "I look"}
    call = {"id": "c1", "name": "read_file", "args": {"file_path": "/a"}, "status": "executing"}
    done = {**call, "status": "success", "result": [{"text": "content"}]}
    tokens = {"input": 10, "output": 2, "cached": 4, "thoughts": 1, "tool": 0, "total": 13}
    write(asked)
    desk = Desk("gemini-cli")
    desk.add(path)
    desk.read()
    write(asked, answer, cut=120)
    assert desk.read() == []
    write(asked, {**answer, "toolCalls": [call], "tokens": tokens})
    desk.read()
    assert desk.open_calls() == {"c1"}
    write(asked, {**answer, "toolCalls": [done], "tokens": tokens})
    desk.read()
    assert desk.contents() == ["do it", "I look"]
    assert desk.open_calls() == set()
    assert desk.usage() == {"input_tokens": 6, "output_tokens": 3, "cache_read_tokens": 4}
    assert desk.payloads("file_read") == [{"path": "/a"}]


def test_a_pipe_in_the_place_of_a_transcript_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s1.jsonl")
    with pytest.raises(OSError, match=r"s1\.jsonl"):
        read_head(tmp_path / "s1.jsonl")
