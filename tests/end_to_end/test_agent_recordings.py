"""Recorded sessions of Codex, Gemini CLI and Qwen Code through a real node and server.

A stand-in for each program is called as the real one would be, is given what the real one would be
given, prints what that printed and ends as it ended. By default one session that went well and one
that did not of each; ``RUNWATCH_ALL_RECORDINGS=1`` plays all.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodemanager.recordings import (
    AGENTS,
    READERS,
    exit_codes,
    fold_usage,
    play,
    read_lines,
    recording_paths,
)
from tests.processes import NodeProcess, ServerProcess, wait_until

pytestmark = pytest.mark.timeout(180)

ALL = bool(os.environ.get("RUNWATCH_ALL_RECORDINGS"))
FEW = (
    "local-run__codex-0.169.0-ok",
    "local-run__codex-0.169.0-err401",
    "local-run__gemini-0.61.0-retry",
    "local-run__gemini-0.61.0-maxturns",
    "local-run__qwen-0.24.4-ok",
    "local-run__qwen-0.24.4-maxtools",
)
SECRET = "canary-9f3c51d2-not-a-real-key"
KINDS = [kind for kind in READERS if kind != "claude-stream"]
paths: list[Any] = [
    path
    for kind in KINDS
    for path in recording_paths(kind)
    if ALL or not isinstance(path, Path) or path.stem in FEW
]

# Its standard input is what to play: a file and an exit status.
STAND_IN = """#!/bin/sh
if [ "$*" = --version ]; then echo "stand-in 0.0.7"; exit 0; fi
read -r file code
{ echo "$*"; echo "$STAND_IN_KEY"; tr '\\0' ' ' < /proc/$$/cmdline; } > "$file.called"
while [ -e "$file.wait" ]; do sleep 0.05; done
cat "$file.played" && exit "$code"
"""


class Stage:
    """A server and a node whose agents are stand-ins."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def begin(self, path: Path, **task: Any) -> str:
        """The id of a run that plays the recording; the stand-in waits for ``….wait`` to go."""
        played = self.folder / path.stem
        played.with_name(f"{path.stem}.played").write_bytes(path.read_bytes())
        code = exit_codes(path.parent.name).get(path.name, 0)
        task = {
            "name": path.stem,
            "type": AGENTS[path.parent.name],
            "prompt": f"{played} {code}",
            **task,
        }
        made = self.server.post("/api/v1/tasks", task)
        run_id: str = self.server.post(f"/api/v1/tasks/{made['id']}/runs")["id"]
        return run_id

    def events(self, run_id: str) -> list[dict[str, Any]]:
        page = self.server.get(f"/api/v1/runs/{run_id}/events?limit=1000&include=raw")
        assert page["next_from_seq"] is None
        events: list[dict[str, Any]] = page["events"]
        return events


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    data_dir = tmp_path_factory.mktemp("played")
    programs = data_dir / "bin"
    programs.mkdir()
    for kind in KINDS:
        program = programs / AGENTS[kind]
        program.write_text(STAND_IN)
        program.chmod(0o755)
    with ServerProcess(data_dir) as server:
        node = NodeProcess(server, "--capacity", "8")
        node.environment["PATH"] = f"{programs}:{node.environment['PATH']}"
        node.environment["RUNWATCH_PRICES"] = json.dumps({"*": {"input": 1.0, "output": 2.0}})
        with node:
            yield Stage(server, data_dir)


@pytest.fixture(scope="module")
def runs(stage: Stage) -> dict[Path, str]:
    return {path: stage.begin(path) for path in paths if isinstance(path, Path)}


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
def test_a_session_is_stored_line_by_line_and_ends_with_its_own_totals(
    stage: Stage, runs: dict[Path, str], path: Path
) -> None:
    run = stage.server.wait_for_run(runs[path], "done", "failed", limit_s=90)
    events = stage.events(run["id"])
    lines = read_lines(path)
    reader = READERS[path.parent.name](None)
    drafts = [draft for of_line in play(lines, reader) for draft in of_line]
    code = exit_codes(path.parent.name).get(path.name, 0)
    cut = not any(draft.type in {"result", "error"} for draft in drafts)

    raws = [event["raw"] for event in events[1:-1] if "raw" in event]
    assert [line for raw in raws for line in raw.split("\n")] == lines
    assert [event["type"] for event in events[1:-1]] == [draft.type for draft in drafts]
    assert events[0]["payload"]["agent"]["version"] == "0.0.7"
    assert run["exit_code"] == code
    assert run["status"] == ("failed" if code or cut else "done"), run
    called = (stage.folder / f"{path.stem}.called").read_text()
    assert str(stage.folder / path.stem) not in called, "the prompt is no argument"

    counted = fold_usage(drafts)
    if not counted:
        assert run["usage"] is None
        return
    assert {name: run["usage"][name] for name in counted} == counted
    begun = sum(draft.type in {"tool_use_start", "command"} for draft in drafts)
    assert run["tool_calls"] == begun


@pytest.mark.skipif(not any(isinstance(path, Path) for path in paths), reason="no recordings")
@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_of_the_run_reaches_the_agent_and_is_in_no_argument_list(
    stage: Stage, kind: str
) -> None:
    path = next(path for path in recording_paths(kind) if isinstance(path, Path))
    hold = stage.folder / f"{path.stem}.wait"
    hold.touch()
    called = stage.folder / f"{path.stem}.called"
    called.unlink(missing_ok=True)
    run_id = stage.begin(path, name="secret", env={"STAND_IN_KEY": SECRET})
    wait_until(lambda: called.exists() and SECRET in called.read_text(), "the agent", 60)
    seen = argument_lists()
    hold.unlink()
    stage.server.wait_for_run(run_id, "done", "failed", limit_s=60)
    assert called.read_text().splitlines()[1] == SECRET
    assert any(b"nodemanager" in arguments for arguments in seen)
    assert not any(SECRET.encode() in arguments for arguments in seen)


def argument_lists() -> list[bytes]:
    """What every user of this machine can read of every process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
    return found


@pytest.mark.skipif(not any(isinstance(path, Path) for path in paths), reason="no recordings")
def test_tokens_of_a_model_that_has_a_price_cost_what_the_table_says(stage: Stage) -> None:
    path = next(p for p in paths if isinstance(p, Path) and p.stem == FEW[0])
    spec = {"agent": {"type": "codex", "model": "gpt-x"}}
    run_id = stage.begin(path, name="priced", spec=spec)
    run = stage.server.wait_for_run(run_id, "done", limit_s=60)
    usage = run["usage"]
    assert usage["cost_source"] == "price_table"
    # 3,072 new tokens and 18,000 of the cache at 1, 384 written at 2 USD a million.
    assert usage["cost_usd"] == pytest.approx((3072 + 18000 + 384 * 2) / 1e6)
    assert usage["partial"] is False
