"""Recorded sessions of all agents: no line vanishes, calls are paired, totals are the agents' own.

The summaries in ``golden`` were each read against their recording. ``RUNWATCH_GOLDEN=write`` writes
them anew: read what changed before it is kept.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.agents.prices import Prices
from runwatch_nodemanager.agents.protocol import Draft, End, Line
from runwatch_shared.prices import ModelPrice
from runwatch_shared.states import EVENT_TYPES
from tests.nodemanager.recordings import (
    AGENTS,
    READERS,
    exit_codes,
    fold_usage,
    play,
    read_lines,
    recording_paths,
    told_by_result,
)
from tests.nodemanager.summaries import call_facts, summary_of

GOLDEN = Path(__file__).parent / "golden"
paths: list[Any] = [path for kind in READERS for path in recording_paths(kind)]
new_paths: list[Any] = [
    path for kind in READERS if kind != "claude-stream" for path in recording_paths(kind)
]


def named(path: Path) -> str:
    return f"{AGENTS.get(path.parent.name, '')}:{path.stem}"


def whole(path: Path) -> tuple[list[str], list[Draft], int]:
    lines = read_lines(path)
    reader = READERS[path.parent.name](None)
    drafts = [draft for of_line in play(lines, reader) for draft in of_line]
    code = exit_codes(path.parent.name).get(path.name, 0)
    return lines, [*drafts, *reader.end(End(code=code))], reader.unknown_lines


def golden(kind: str) -> dict[str, Any]:
    file = GOLDEN / f"{kind}.json"
    return json.loads(file.read_text()) if file.exists() else {}


@pytest.mark.parametrize("path", paths, ids=named)
def test_all_lines_are_in_the_raw_text_of_the_events_in_their_order(path: Path) -> None:
    lines, drafts, _ = whole(path)
    raws = [draft.raw for draft in drafts if draft.raw is not None]
    assert [line for raw in raws for line in raw.split("\n")] == lines


@pytest.mark.parametrize("path", paths, ids=named)
def test_every_event_can_be_sent(path: Path) -> None:
    own = f"x_{AGENTS[path.parent.name]}_"
    for draft in whole(path)[1]:
        assert draft.type in EVENT_TYPES or draft.type.startswith(own)
        json.dumps(draft.payload, allow_nan=False)


@pytest.mark.parametrize("path", paths, ids=named)
def test_calls_and_their_results_are_those_the_recording_has(path: Path) -> None:
    lines, drafts, _ = whole(path)
    begun, ended, strays = call_facts(drafts)
    values = [json.loads(line) for line in lines]
    tell = {"codex-exec": told_items, "gemini-stream": told_tools}.get(
        path.parent.name, told_blocks
    )
    calls, results = tell(values)
    assert list(begun) == calls
    assert set(ended) == set(calls) & set(results)
    assert sorted(strays) == sorted(set(results) - set(calls))


def told_blocks(values: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Ids of calls and of results, as Claude Code and Qwen Code tell them."""
    contents = [value["message"]["content"] for value in values if "message" in value]
    blocks = [block for one in contents if isinstance(one, list) for block in one]
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    return calls, [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]


def told_tools(values: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    calls = [value["tool_id"] for value in values if value["type"] == "tool_use"]
    return calls, [value["tool_id"] for value in values if value["type"] == "tool_result"]


def told_items(values: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Ids begin anew with each thread; the first thread's are as they are."""
    threads, calls, results = 0, [], []
    for value in values:
        threads += value["type"] == "thread.started"
        item = value.get("item", {})
        if item.get("type") not in {"command_execution", "file_change"}:
            continue
        name = item["id"] if threads == 1 else f"{item['id']}@{threads}"
        if name not in calls:
            calls.append(name)
        if value["type"] == "item.completed":
            results.append(name)
    return calls, results


@pytest.mark.parametrize("path", paths, ids=named)
def test_a_session_comes_to_what_its_summary_says(path: Path) -> None:
    found = summary_of(*whole(path))
    kind = path.parent.name
    known = golden(kind)
    if os.environ.get("RUNWATCH_GOLDEN") == "write":
        known = dict(sorted({**known, path.stem: found}.items()))
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / f"{kind}.json").write_text(f"{json.dumps(known, indent=1)}\n")
    assert found == json.loads(json.dumps(known.get(path.stem)))


def test_there_is_a_summary_for_each_recording_and_for_no_other() -> None:
    for kind in READERS:
        present = {p.stem for p in recording_paths(kind) if isinstance(p, Path)}
        if present:
            assert golden(kind).keys() == present


@pytest.mark.parametrize("path", new_paths, ids=named)
def test_totals_equal_what_the_recording_tells_itself(path: Path) -> None:
    lines, drafts, _ = whole(path)
    values = [json.loads(line) for line in lines]
    told = {
        "codex-exec": told_by_codex,
        "gemini-stream": told_by_gemini,
        "qwen-stream": told_by_qwen,
    }[path.parent.name](values)
    if told is None:
        # Nothing told a total: what there is comes from single turns.
        assert not any(draft.type == "result" for draft in drafts)
        return
    usage = fold_usage(drafts)
    whole_input = usage["input_tokens"] + usage.get("cache_read_tokens", 0)
    assert (whole_input, usage["output_tokens"]) == (told[0], told[1])
    assert usage.get("cache_read_tokens") == told[2]


def told_by_codex(values: list[dict[str, Any]]) -> tuple[int, int, int | None] | None:
    """Input, output and cached tokens: the last count of each thread, added up."""
    last: dict[str, dict[str, int]] = {}
    thread = ""
    for value in values:
        thread = value.get("thread_id", thread)
        if value["type"] == "turn.completed":
            last[thread] = value["usage"]
    if not last:
        return None
    names = ("input_tokens", "output_tokens", "cached_input_tokens")
    given, written, cached = (sum(usage[name] for usage in last.values()) for name in names)
    return given, written, cached


def told_by_gemini(values: list[dict[str, Any]]) -> tuple[int, int, int | None] | None:
    """Each result counts its own process; output is all of the total that is no input."""
    stats = [value["stats"] for value in values if value["type"] == "result"]
    if not stats:
        return None
    given = sum(one["input_tokens"] for one in stats)
    total = sum(one["total_tokens"] for one in stats)
    cached = [one["cached"] for one in stats if "cached" in one]
    return given, total - given, sum(cached) if cached else None


def told_by_qwen(values: list[dict[str, Any]]) -> tuple[int, int, int | None] | None:
    """The last result counts the session from its beginning."""
    results = [value["usage"] for value in values if value["type"] == "result"]
    if not results:
        return None
    last = results[-1]
    return last["input_tokens"], last["output_tokens"], last.get("cache_read_input_tokens")


@pytest.mark.parametrize("path", new_paths, ids=named)
def test_reading_on_from_any_saved_state_gives_the_same_events(path: Path) -> None:
    make = READERS[path.parent.name]
    whole_reader, saved = make(None), None
    for number, text in enumerate(read_lines(path)):
        line = Line(stream="stdout", text=text, moment_us=1_700_000_000_000_000 + number * 1000)
        again = make(json.loads(json.dumps(saved)) if saved is not None else None)
        assert again.line(line) == whole_reader.line(line)
        saved = again.save()
    assert make(saved).end(End(code=0)) == whole_reader.end(End(code=0))


@pytest.mark.parametrize("path", new_paths, ids=named)
def test_a_recording_of_ours_ends_as_it_ended(path: Path) -> None:
    code = exit_codes(path.parent.name).get(path.name)
    if code is None:
        return
    last = whole(path)[1][-1]
    assert last.payload["exit_code"] == code
    assert last.type == ("run_completed" if code == 0 else "run_failed")


@pytest.mark.parametrize("path", new_paths, ids=named)
def test_with_prices_what_has_tokens_has_a_cost_from_the_table(path: Path) -> None:
    prices = Prices({"*": ModelPrice(input=2.0, output=10.0, cache_read=0.5, cache_write=4.0)})
    make: Any = READERS[path.parent.name]
    reader = make({"model": "some-model"}, prices=prices)
    usage = fold_usage([draft for of_line in play(read_lines(path), reader) for draft in of_line])
    if not usage:
        return
    priced = {"input_tokens": 2.0, "output_tokens": 10.0, "cache_read_tokens": 0.5}
    expected = sum(usage.get(name, 0) * price for name, price in priced.items()) / 1_000_000
    assert usage["cost_usd"] == pytest.approx(expected)


def test_the_totals_of_claude_are_still_its_own() -> None:
    for path in recording_paths("claude-stream"):
        if isinstance(path, Path):
            lines, drafts, _ = whole(path)
            told = told_by_result(lines)
            assert told is None or fold_usage(drafts) == pytest.approx(told)
