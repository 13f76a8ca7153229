"""Every recorded transcript through the follower: each line accounted for, each call with its
result, the recording's own totals; a summary of each that a person has read.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.agents.json_values import dict_at, text_at
from runwatch_nodemanager.sessions.formats.entries import objects_of
from tests.nodemanager.sessions.desk import AGENT_OF_FOLDER, SAMPLES, TOKENS, Desk

GOLDEN = Path(__file__).with_name("golden.json")
RECORDINGS = [
    path for folder in AGENT_OF_FOLDER for path in sorted((SAMPLES / folder).glob("*.json*"))
]
if not RECORDINGS:
    pytest.skip("the recordings are not beside this checkout", allow_module_level=True)

each_recording = pytest.mark.parametrize(
    "recording", RECORDINGS, ids=[f"{path.parent.name}/{path.name}" for path in RECORDINGS]
)


def entries_of(recording: Path) -> Iterator[Any]:
    text = recording.read_text(encoding="utf-8", errors="replace")
    if recording.suffix == ".json":
        document = json.loads(text)
        yield document
        yield from document["messages"]
        return
    for line in text.split("\n"):
        if line.strip():
            yield from objects_of(line)


def read_through(recording: Path) -> Desk:
    desk = Desk(AGENT_OF_FOLDER[recording.parent.name])
    desk.add(recording)
    desk.read()
    desk.read(last=True)
    return desk


def summary(recording: Path) -> tuple[dict[str, Any], Desk]:
    desk = read_through(recording)
    tally = desk.tally()
    return {
        "entries": {name: getattr(tally, name) for name in tally.__struct_fields__},
        "events": desk.types,
        "open_calls": len(desk.open_calls()),
        "failed": sum(1 for one in desk.payloads("tool_result") if one.get("success") is False),
        "usage": desk.usage(),
        "turn": desk.told.turn,
    }, desk


@each_recording
def test_a_recording_gives_the_summary_that_was_read(recording: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert summary(recording)[0] == golden[f"{recording.parent.name}/{recording.name}"]


@each_recording
def test_every_entry_of_a_recording_is_accounted_for(recording: Path) -> None:
    tally = read_through(recording).tally()
    assert tally.entries == len(list(entries_of(recording)))
    assert tally.entries == tally.told + tally.quiet + tally.unknown + tally.damaged


@each_recording
def test_tokens_are_the_recordings_own(recording: Path) -> None:
    used = read_through(recording).usage()
    own = {
        "claude-transcript": claude_usage,
        "codex-rollout": codex_usage,
        "gemini-session": gemini_usage,
        "qwen-session": qwen_usage,
    }[recording.parent.name](list(entries_of(recording)))
    assert {name: used.get(name, 0) for name in TOKENS} == {name: own[name] for name in TOKENS}


@each_recording
def test_a_recording_read_again_gives_the_same_events(recording: Path) -> None:
    assert read_through(recording).moved == read_through(recording).moved


def claude_usage(entries: list[Any]) -> Counter[str]:
    """The newest usage of each message; where there is a cost state, that of all its models."""
    states = [entry for entry in entries if text_at(entry, "type") == "cost-state"]
    names = {
        "input_tokens": ("input_tokens", "inputTokens"),
        "output_tokens": ("output_tokens", "outputTokens"),
        "cache_read_tokens": ("cache_read_input_tokens", "cacheReadInputTokens"),
        "cache_write_tokens": ("cache_creation_input_tokens", "cacheCreationInputTokens"),
    }
    total: Counter[str] = Counter()
    if states and states[-1]["modelUsage"]:
        for model in states[-1]["modelUsage"].values():
            total.update({ours: model.get(theirs, 0) for ours, (_, theirs) in names.items()})
        return total
    messages: dict[Any, Counter[str]] = {}
    for entry in entries:
        message = dict_at(entry, "message")
        usage = dict_at(message, "usage")
        if text_at(entry, "type") == "assistant" and usage and text_at(message, "id"):
            counts = Counter({ours: usage.get(theirs, 0) for ours, (theirs, _) in names.items()})
            key = (message["id"], entry.get("requestId"))
            messages[key] = messages.get(key, Counter()) | counts
    for counts in messages.values():
        total.update(counts)
    return total


def codex_usage(entries: list[Any]) -> Counter[str]:
    """The last totals of the thread."""
    totals = [
        found
        for entry in entries
        if (found := dict_at(entry, "payload", "info", "total_token_usage"))
    ]
    if not totals:
        return Counter()
    last = totals[-1]
    read, written = last["cached_input_tokens"], last.get("cache_write_input_tokens", 0)
    return Counter(
        input_tokens=last["input_tokens"] - read - written,
        output_tokens=last["output_tokens"],
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def gemini_usage(entries: list[Any]) -> Counter[str]:
    """The tokens of each message, once."""
    tokens = {entry["id"]: entry["tokens"] for entry in entries if dict_at(entry, "tokens")}
    total: Counter[str] = Counter()
    for told in tokens.values():
        total["input_tokens"] += told["input"] - told["cached"] + told["tool"]
        total["output_tokens"] += told["output"] + told["thoughts"]
        total["cache_read_tokens"] += told["cached"]
        assert told["total"] == told["input"] + told["output"] + told["thoughts"] + told["tool"]
    return total


def qwen_usage(entries: list[Any]) -> Counter[str]:
    """Of each model call that gave an answer."""
    total: Counter[str] = Counter()
    for entry in entries:
        usage = dict_at(entry, "usageMetadata")
        cached = usage.get("cachedContentTokenCount", 0)
        total["input_tokens"] += usage.get("promptTokenCount", 0) - cached
        total["output_tokens"] += usage.get("candidatesTokenCount", 0)
        total["cache_read_tokens"] += cached
    return total


def test_a_session_tells_what_was_asked_and_answered() -> None:
    """The same work was recorded of all four: a question, two texts, an answer."""
    done = "Done: `squares.py` prints the squares of 0..7."
    for recording in RECORDINGS:
        if "local-run" not in recording.name or "-ok." not in recording.name:
            continue
        desk = read_through(recording)
        asked = [one for one in desk.payloads("message") if one["role"] == "user"]
        answers = [one for one in desk.payloads("message") if one["role"] == "assistant"]
        assert asked[0]["content"].startswith("Write a script that prints squares"), recording
        assert len(asked) == 1, recording
        assert answers[-1]["content"].startswith(done), recording
        tools = Counter(one["tool"] for one in desk.payloads("tool_use_start"))
        failures = [one for one in desk.payloads("tool_result") if one.get("success") is False]
        assert sum(tools.values()) == len(desk.payloads("tool_result")) >= 3, recording
        assert failures, recording
        assert all(one["duration_ms"] >= 0 for one in desk.payloads("tool_result")), recording


def test_what_a_program_tells_its_model_is_not_taken_for_a_persons_words() -> None:
    for recording in RECORDINGS:
        if "local-run" in recording.name:
            said = read_through(recording).contents()
            assert not [text for text in said if "<environment_context" in text], recording
            assert not [text for text in said if "<session_context" in text], recording


def test_a_resumed_session_tells_nothing_twice() -> None:
    for recording in RECORDINGS:
        if "resume" in recording.name:
            asked = [
                one["content"]
                for one in read_through(recording).payloads("message")
                if one["role"] == "user"
            ]
            assert len(asked) == 2, recording
            assert asked[1] == "and again"
