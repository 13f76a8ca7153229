"""Sessions that agents keep on this machine, shown by a real node to a real server: while they
grow, through restarts and kills, and not beyond what is asked.
"""

import contextlib
import os
import shutil
import stat
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.nodemanager.sessions.desk import SAMPLES, line, spoken
from tests.processes import NodeProcess, ServerProcess, wait_until

LIMIT_S = 30.0
KILLS = int(os.environ.get("RUNWATCH_SESSION_KILLS", "2"))
FILES_AT_REST = 500
NUMBERS = count(1)
LISTED = "/api/v1/monitor/workflows?label=source:session&limit=1000"


class Machine:
    """A node of its own, and a home directory in which agents write."""

    def __init__(self, server: ServerProcess, home: Path) -> None:
        home.mkdir()
        self.home = home
        self.server = server
        self.node_id = f"n{next(NUMBERS)}"
        self.folder = server.data_dir / "node" / self.node_id
        self.node: NodeProcess | None = None

    @contextlib.contextmanager
    def watching(self, *flags: str, **environment: str) -> Iterator[NodeProcess]:
        """The node, for a while."""
        node = NodeProcess(self.server, *flags, node_id=self.node_id)
        node.environment |= {
            "HOME": str(self.home),
            "RUNWATCH_SESSIONS": "true",
            "RUNWATCH_SESSION_IDLE_S": "3600",
            **environment,
        }
        self.node = node
        # A session's process may be this one, so that none is taken as gone.
        with agent_in(self.home), node:
            yield node

    def transcript(self, session: str, text: str = "", *, project: str = "demo") -> Path:
        path = self.home / ".claude" / "projects" / project / f"{session}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        append(path, text)
        return path

    def rows(self) -> list[dict[str, Any]]:
        listed = self.server.get(f"{LISTED}&node={self.node_id}")
        rows: list[dict[str, Any]] = listed["workflows"]
        return rows

    def row(self, count: int = 1) -> dict[str, Any]:
        """The newest of so many sessions' runs."""
        wait_until(lambda: len(self.rows()) >= count, f"{count} sessions", LIMIT_S)
        rows = self.rows()
        assert len(rows) == count, rows
        return max(rows, key=lambda row: str(row["start_time"]))

    def said(self, run_id: str) -> list[str]:
        """The contents of the messages of a run, in order."""
        return [
            event["payload"]["content"]
            for event in self.server.events(run_id)
            if event["type"] == "message"
        ]

    def until_said(self, run_id: str, *contents: str) -> None:
        wait_until(lambda: self.said(run_id) == list(contents), f"{contents}", LIMIT_S)

    def until_more_than(self, events: int) -> None:
        wait_until(lambda: self.row()["event_count"] > events, f"more than {events}", LIMIT_S)

    def reads(self) -> float:
        """How often the node looked into transcripts."""
        assert self.node is not None
        return metric(self.node, "executor_session_reads_total")


def metric(node: NodeProcess, name: str) -> float:
    address = f"http://127.0.0.1:{node.metrics_port}/metrics"
    with urllib.request.urlopen(address, timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(row.split()[-1]) for row in text.splitlines() if row.startswith(name + "{"))


@contextlib.contextmanager
def agent_in(folder: Path) -> Iterator[None]:
    """A process that looks like Claude Code at work in a folder."""
    process = subprocess.Popen(["claude", "600"], executable=shutil.which("sleep"), cwd=folder)
    try:
        yield
    finally:
        process.kill()
        process.wait(LIMIT_S)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def numbered(first: int, last: int) -> str:
    return "".join(spoken(number) for number in range(first, last + 1))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("sessions") / "data") as made:
        yield made


@pytest.fixture
def machine(server: ServerProcess, tmp_path: Path) -> Machine:
    return Machine(server, tmp_path / "home")


def test_a_session_is_shown_while_it_grows_by_half_lines(machine: Machine) -> None:
    path = machine.transcript("s1", spoken(1))
    with machine.watching():
        row = machine.row()
        assert (row["state"], row["agent_type"], row["name"]) == (
            "running",
            "claude-code",
            "demo: message 1",
        )
        assert row["labels"] == {"source": "session", "project": "demo"}
        run = machine.server.get(f"/api/v1/runs/{row['id']}")
        assert (run["origin"], run["controllable"]) == ("found", False)
        machine.until_said(row["id"], "message 1")
        half = spoken(2)
        append(path, half[:50])
        append(path, half[50:] + spoken(3, role="assistant"))
        machine.until_said(row["id"], "message 1", "message 2", "message 3")
        usage = machine.row()["usage"]
        assert (usage["input_tokens"], usage["output_tokens"]) == (10, 3)
        # One that begins while the node watches, in a folder that was not there.
        machine.transcript("s2", spoken(60), project="another")
        assert machine.row(2)["name"] == "demo: message 60"


def test_a_killed_node_doubles_and_loses_nothing(machine: Machine) -> None:
    """Lines are written all the time; the node is killed wherever it is just then."""
    path = machine.transcript("s1", numbered(1, 50))
    written = 50
    for _ in range(KILLS):
        with machine.watching() as node:
            row = machine.row()
            for _ in range(4):
                append(path, numbered(written + 1, written + 50))
                written += 50
                machine.until_more_than(row["event_count"])
                row = machine.row()
            append(path, numbered(written + 1, written + 50))
            written += 50
            node.kill()
    with machine.watching():
        run_id = machine.row()["id"]
        wait_until(lambda: len(machine.said(run_id)) >= written, "all of it", LIMIT_S)
        assert machine.said(run_id) == [f"message {n}" for n in range(1, written + 1)]
    events = machine.server.events(run_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert Counter(event["type"] for event in events)["run_started"] == 1


def test_what_the_node_knew_may_be_lost_and_nothing_is_doubled(machine: Machine) -> None:
    path = machine.transcript("s1", numbered(1, 5))
    with machine.watching():
        run_id = machine.row()["id"]
        machine.until_said(run_id, *(f"message {n}" for n in range(1, 6)))
    shutil.rmtree(machine.folder / "sessions")
    append(path, numbered(6, 7))
    with machine.watching():
        machine.until_said(run_id, *(f"message {n}" for n in range(1, 8)))
        assert machine.row()["id"] == run_id


def test_a_session_ends_by_silence_and_goes_on_as_a_new_run(machine: Machine) -> None:
    path = machine.transcript("s1", spoken(1) + spoken(2, role="assistant"))
    with machine.watching(RUNWATCH_SESSION_IDLE_S="0"):
        wait_until(lambda: machine.rows() and machine.rows()[0]["state"] == "completed", "its end")
        first = machine.row()
        assert first["status_source"]["kind"] == "inferred"
        assert first["end_time"] == "2026-11-24T10:00:02.000000Z"
        assert machine.said(first["id"]) == ["message 1", "message 2"]
        append(path, spoken(3) + spoken(4, role="assistant"))
        second = machine.row(2)
        machine.until_said(second["id"], "message 3", "message 4")
        wait_until(lambda: machine.row(2)["state"] == "completed", "its end", LIMIT_S)
    run = machine.server.get(f"/api/v1/runs/{second['id']}")
    assert (run["parent_id"], run["attempt"]) == (first["id"], 2)
    assert run["usage"]["output_tokens"] == 4
    with machine.watching(RUNWATCH_SESSION_IDLE_S="0") as node:
        # What ended is not told again by the next process.
        wait_until(lambda: "Shows the agent sessions" in node.log(), "the sessions", LIMIT_S)
        append(path, spoken(5))
        machine.until_said(machine.row(3)["id"], "message 5")


def test_a_node_killed_in_a_session_that_went_on_doubles_nothing(machine: Machine) -> None:
    path = machine.transcript("s1", spoken(1) + spoken(2, role="assistant"))
    with machine.watching(RUNWATCH_SESSION_IDLE_S="0"):
        wait_until(lambda: machine.rows() and machine.rows()[0]["state"] == "completed", "its end")
    with machine.watching() as node:
        append(path, spoken(3) + spoken(4, role="assistant"))
        run_id = machine.row(2)["id"]
        machine.until_said(run_id, "message 3", "message 4")
        node.kill()
    with machine.watching():
        append(path, spoken(5))
        wait_until(lambda: "message 5" in machine.said(run_id), "what is new", LIMIT_S)
    assert machine.said(run_id) == ["message 3", "message 4", "message 5"]
    assert machine.row(2)["usage"]["output_tokens"] == 4


def test_a_living_session_waits_for_its_person(machine: Machine) -> None:
    """Its process runs in the session's own directory, and its turn is done."""
    facts = {"cwd": str(machine.home)}
    path = machine.transcript("s1", spoken(1, **facts) + spoken(2, role="assistant", **facts))
    with machine.watching():
        wait_until(
            lambda: machine.rows() and machine.rows()[0]["state"] == "waiting", "it", LIMIT_S
        )
        row = machine.row()
        assert (row["waiting"]["kind"], row["waiting"]["holds_slot"]) == ("input", False)
        append(path, spoken(3, **facts))
        wait_until(lambda: machine.row()["state"] == "running", "its going on", LIMIT_S)
        machine.until_said(row["id"], "message 1", "message 2", "message 3")


def test_a_session_that_was_deleted_is_not_shown_again(machine: Machine) -> None:
    path = machine.transcript("s1", spoken(1))
    other = machine.transcript("s2", spoken(2))
    with machine.watching():
        machine.row(2)
        gone = next(row for row in machine.rows() if row["name"] == "demo: message 1")
        status, _ = machine.server.request("DELETE", f"/api/v1/tasks/{gone['task_id']}?force=true")
        assert status == 204
        append(path, spoken(3))
        append(other, spoken(4))
        kept = machine.row()
        machine.until_said(kept["id"], "message 2", "message 4")
        append(path, spoken(5))
        append(other, spoken(6))
        machine.until_said(kept["id"], "message 2", "message 4", "message 6")
        assert [row["id"] for row in machine.rows()] == [kept["id"]]


def test_a_transcript_that_is_cut_or_turned_over_is_followed_on(machine: Machine) -> None:
    path = machine.transcript("s1", numbered(1, 3))
    with machine.watching():
        run_id = machine.row()["id"]
        machine.until_said(run_id, *(f"message {n}" for n in range(1, 4)))
        copy = path.with_suffix(".new")
        copy.write_text(path.read_text() + spoken(4))
        copy.replace(path)
        machine.until_said(run_id, *(f"message {n}" for n in range(1, 5)))
        path.write_text(spoken(4) + spoken(5))
        machine.until_said(run_id, *(f"message {n}" for n in range(1, 6)))
    kinds = Counter(event["type"] for event in machine.server.events(run_id))
    assert kinds["warning"] == 1


def test_hundreds_of_files_at_rest_are_not_looked_at(machine: Machine) -> None:
    """Whatever time passes: nothing is read but what changed."""
    for number in range(FILES_AT_REST):
        path = machine.transcript(f"s{number}", spoken(number), project=f"p{number % 50}")
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    with machine.watching():
        one = machine.transcript("fresh", spoken(1) + spoken(2, role="assistant"))
        machine.until_said(machine.row()["id"], "message 1", "message 2")
        assert machine.reads() < 20
        machine.until_said(machine.row()["id"], "message 1", "message 2")
        append(one, spoken(3))
        machine.until_said(machine.row()["id"], "message 1", "message 2", "message 3")
        assert machine.reads() < 40
    with machine.watching(
        RUNWATCH_SESSIONS_AGE_S="0", RUNWATCH_SESSIONS_MOST="7", RUNWATCH_SESSION_IDLE_S="0"
    ):
        # History on demand: the newest of them, as many as asked for.
        wait_until(lambda: len(machine.rows()) == 7, "the newest", LIMIT_S)
        names = {row["name"] for row in machine.rows()}
        assert "demo: message 499" in names


def test_nothing_is_shown_that_was_switched_off_or_is_a_run_of_the_node(machine: Machine) -> None:
    machine.transcript("s1", spoken(1))
    with machine.watching("--no-sessions") as node:
        wait_until(lambda: "The server knows this node" in node.log(), "the node", LIMIT_S)
        assert "[session]" not in node.log()
    workspaces = machine.folder / "workspaces"
    own = line(
        type="user",
        sessionId="own",
        cwd=str(workspaces / "run-1"),
        timestamp="2026-11-24T10:00:00Z",
        message={"role": "user", "content": "by the node"},
    )
    machine.transcript("own", own)
    outside = machine.home.parent / "elsewhere.jsonl"
    append(outside, spoken(9))
    machine.transcript("s1").with_name("link.jsonl").symlink_to(outside)
    with machine.watching():
        machine.until_said(machine.row()["id"], "message 1")
        machine.transcript("s2", spoken(2))
        row = machine.row(2)
        machine.until_said(row["id"], "message 2")
        assert {row["name"] for row in machine.rows()} == {"demo: message 1", "demo: message 2"}


def test_secrets_are_masked_and_the_transcripts_are_only_read(machine: Machine) -> None:
    secret = "sk-ant-api03-" + "Q7" * 45
    path = machine.transcript("s1", line(
        type="user",
        sessionId="s1",
        cwd="/home/user/demo",
        timestamp="2026-11-24T10:00:00Z",
        message={"role": "user", "content": f"use {secret} please"},
    ))  # fmt: skip
    before = snapshot(machine.home / ".claude")
    with machine.watching():
        run_id = machine.row()["id"]
        wait_until(lambda: machine.said(run_id), "the message", LIMIT_S)
        assert machine.said(run_id) == ["use *** please"]
        shown = str(machine.server.get(f"/api/v1/monitor/workflows/run/{run_id}"))
        assert secret not in shown
    assert snapshot(machine.home / ".claude") == before
    assert path.exists()
    kept = machine.folder / "sessions"
    files = list(kept.iterdir())
    assert files
    assert all(secret.encode() not in file.read_bytes() for file in files)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size, path.stat().st_mode)
        for path in sorted([folder, *folder.rglob("*")])
    }


def test_the_sessions_of_all_four_agents_are_shown_within_seconds(machine: Machine) -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the recordings are not beside this checkout")
    uuid = "c63737ef-b198-43a0-97a3-4839813148c7"
    agent = "local-run__claude-2.1.330-subagent-subagent-file.jsonl"
    recorded = {
        "claude-transcript/local-run__claude-2.1.330-ok.jsonl": f".claude/projects/p/{uuid}.jsonl",
        f"claude-transcript/{agent}": f".claude/projects/p/{uuid}/subagents/agent-ab6dbf29.jsonl",
        "codex-rollout/local-run__codex-0.169.0-ok.jsonl": (
            f".codex/sessions/2026/11/23/rollout-2026-11-23T23-22-33-{uuid}.jsonl"
        ),
        "gemini-session/local-run__gemini-0.61.0-resume.jsonl": (
            ".gemini/tmp/demo/chats/session-2026-11-23T23-25-239c03e4.jsonl"
        ),
        "qwen-session/local-run__qwen-0.24.4-ok.jsonl": f".qwen/projects/p/chats/{uuid}.jsonl",
    }
    for sample, name in recorded.items():
        path = machine.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((SAMPLES / sample).read_bytes())
    with machine.watching(RUNWATCH_SESSION_IDLE_S="0"):
        wait_until(
            lambda: [row["state"] for row in machine.rows()] == ["completed"] * 4, "all", LIMIT_S
        )
    rows = {row["agent_type"]: row for row in machine.rows()}
    assert {name: row["tool_calls"] for name, row in rows.items()} == {
        "claude-code": 7,
        "openai-codex": 5,
        "gemini-cli": 7,
        "qwen-code": 6,
    }
    assert all(row["open_tools"] == 0 for row in rows.values())
    assert rows["openai-codex"]["usage"]["total_tokens"] == 21456
    detail = machine.server.get(f"/api/v1/monitor/workflows/run/{rows['claude-code']['id']}")
    assert [lane["lane"] for lane in detail["lanes"]] == ["lead", "agent-ab6dbf2"]
