"""Recorded sessions of Claude Code, played by a stand-in `claude`, through a real node and server.

The stand-in is called as the real program would be, prints what that program printed and ends as it
ended. Then the server must have every line of it and the totals the agent told itself.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.agents.claude_stream import ClaudeAdapter
from tests.nodemanager.recordings import (
    ENDINGS,
    SAMPLES,
    exit_codes,
    fold_usage,
    play,
    read_lines,
    recording_paths,
    told_by_result,
)
from tests.processes import NodeProcess, ServerProcess

pytestmark = pytest.mark.timeout(120)
paths = recording_paths("claude-stream")

# Its prompt is what to play: a file and an exit status.
STAND_IN = """#!/bin/sh
if [ "$*" = --version ]; then echo "0.0.0 (a stand-in)"; exit 0; fi
if [ $# -ne 5 ] || [ "$1" != -p ] || [ "$3 $4 $5" != "--output-format stream-json --verbose" ]; then
    echo "called as: claude $*" >&2
    exit 64
fi
cat "${2% *}" && exit "${2##* }"
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Any]]:
    """The server, and for each recording the id of the run that is to play it."""
    data_dir = tmp_path_factory.mktemp("played")
    programs = data_dir / "bin"
    programs.mkdir()
    (programs / "claude").write_text(STAND_IN)
    (programs / "claude").chmod(0o755)
    with ServerProcess(data_dir) as server:
        node = NodeProcess(server, "--capacity", "8")
        node.environment["PATH"] = f"{programs}:{node.environment['PATH']}"
        with node:
            codes = exit_codes("claude-stream")
            found = (SAMPLES / "claude-stream").glob("*.jsonl")
            yield server, {path: make_run(server, path, codes.get(path.name, 0)) for path in found}


def make_run(server: ServerProcess, path: Path, code: int) -> str:
    task = {"name": path.stem, "type": "claude", "prompt": f"{path} {code}"}
    made = server.post("/api/v1/tasks", task)
    run_id: str = server.post(f"/api/v1/tasks/{made['id']}/runs")["id"]
    return run_id


def stored(server: ServerProcess, run_id: str) -> list[dict[str, Any]]:
    page = server.get(f"/api/v1/runs/{run_id}/events?limit=1000&include=raw")
    assert page["next_from_seq"] is None
    events: list[dict[str, Any]] = page["events"]
    return events


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
def test_every_line_of_a_session_is_stored_and_its_totals_are_the_agents_own(
    played: tuple[ServerProcess, dict[Path, str]], path: Path
) -> None:
    server, runs = played
    run = server.wait_for_run(runs[path], "done", "failed", limit_s=60)
    events = stored(server, run["id"])
    lines = read_lines(path)
    reader = ClaudeAdapter(None)
    drafts = [draft for of_line in play(lines, reader) for draft in of_line]
    between = events[1:-1]

    assert events[0]["type"] == "run_started"
    assert [event["raw"] for event in between if "raw" in event] == lines
    assert [event["type"] for event in between] == [draft.type for draft in drafts]
    assert events[-1]["payload"].get("unknown_lines", 0) == reader.unknown_lines
    assert run["usage"] is not None
    counted = {name: n for name, n in run["usage"].items() if name in fold_usage(drafts)}
    assert counted == pytest.approx(told_by_result(lines) or fold_usage(drafts))


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
def test_a_session_ends_on_the_server_as_it_ended(
    played: tuple[ServerProcess, dict[Path, str]], path: Path
) -> None:
    server, runs = played
    run = server.wait_for_run(runs[path], "done", "failed", limit_s=60)
    code = exit_codes("claude-stream").get(path.name, 0)
    results = [
        value for line in read_lines(path) if (value := json.loads(line))["type"] == "result"
    ]
    failed = code != 0 or any(result["is_error"] for result in results)
    case = path.stem.rpartition("-")[2]
    expected, _ = ENDINGS.get(case, ("run_failed" if failed else "run_completed", code))

    assert run["exit_code"] == code
    assert run["status"] == ("failed" if failed else "done"), run
    assert stored(server, run["id"])[-1]["type"] == expected
