"""A run's log as numbered events: the same at every reading, wherever it was broken off."""

import json
import random
from typing import Any

import pytest

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.agents.claude import ClaudeAgent
from runwatch_nodemanager.agents.command import CommandAgent
from runwatch_nodemanager.agents.gemini import GeminiAgent
from runwatch_nodemanager.agents.protocol import Agent as AgentProtocol
from runwatch_nodemanager.assignment import Assignment
from runwatch_nodemanager.changes.report import Change, Changes
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.run_reader import RunReader
from runwatch_nodemanager.spool import list_segments, segment_path
from runwatch_nodemanager.spool_writer import SpoolWriter
from runwatch_shared.models import Agent, Snapshot, TaskId
from runwatch_shared.wire import EventInput
from tests.nodemanager.recordings import recording_paths


def make_folder(path, records):
    folder = RunFolder(path)
    folder.create()
    writer = SpoolWriter(folder.log, segment_bytes=700)
    for number, (kind, payload) in enumerate(records):
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        writer.append([(kind, 1_700_000_000_000_000 + number * 1000, data)])
    writer.close()
    return folder


def open_reader(
    folder,
    *,
    known_seq=0,
    agent: AgentProtocol | None = None,
    first_seq=1,
    rules: Rules | None = None,
):
    snapshot = Snapshot(
        task_id=TaskId("t"), name="n", agent=Agent(type="command"), prompt="", labels={}
    )
    assignment = Assignment(
        run_id="run-1", phase="claimed", epoch=1, snapshot=snapshot, first_seq=first_seq
    )
    return RunReader(
        folder,
        assignment,
        agent or CommandAgent(),
        runtime_name="process",
        event_limit_bytes=4096,
        known_seq=known_seq,
        rules=rules,
    )


def fill(reader, *, max_events=1000, max_bytes=10**6):
    """What a `Follower` would get, of a run that changed nothing."""
    limits: dict[str, Any] = {"max_events": max_events, "max_bytes": max_bytes}
    batch = reader.fill(**limits, writer_gone=True, give_up=False)
    if batch.ending and not batch.events:
        reader.tell_changes(Changes())
        batch = reader.fill(**limits, writer_gone=True, give_up=False)
    return batch


def read_all(folder, agent=None):
    reader = open_reader(folder, agent=agent)
    events = []
    while True:
        batch = fill(reader)
        events += batch.events
        if batch.ended or not batch.events:
            reader.close()
            return events


STARTED = (kinds.STARTED, {"pid": 1, "argv0": "x"})
EXITED = (kinds.EXITED, {"code": 0, "signal": None, "reason": None, "duration_ms": 5})


def command_records(seed):
    rng = random.Random(seed)
    records: list[tuple[int, Any]] = [STARTED]
    for n in range(rng.randrange(5, 60)):
        pieces = rng.choice([0, 0, 0, 2])
        records += [(rng.choice([kinds.PART, kinds.ERROR_PART]), b"piece ")] * pieces
        records.append((rng.choice([kinds.LINE, kinds.ERROR_LINE]), b"line %d" % n))
    return [*records, EXITED]


def play_with_crashes(folder, rng, agent=None):
    """Deliver with random batches, lost answers and restarts; gives what the server stored."""
    stored: dict[int, EventInput] = {}
    reader = open_reader(folder, agent=agent)
    for _ in range(5000):
        batch = fill(reader, max_events=rng.randrange(1, 9), max_bytes=rng.choice([300, 5000]))
        for event in batch.events:
            assert event.seq not in stored or stored[event.seq] == event
            stored[event.seq] = event
        if batch.ended:
            break
        fate = rng.random()
        if fate < 0.6 and batch.after is not None:
            reader.acknowledge(batch.after)
        elif fate > 0.75:
            reader.close()
            reader = open_reader(folder, known_seq=max(stored, default=0), agent=agent)
    else:
        raise AssertionError("no end")
    reader.close()
    return [stored[seq] for seq in sorted(stored)]


@pytest.mark.parametrize("seed", range(40))
def test_restarts_at_any_moment_give_the_same_events_each_once(tmp_path, seed):
    records = command_records(seed)
    expected = read_all(make_folder(tmp_path / "whole", records))
    assert [event.seq for event in expected] == list(range(1, len(expected) + 1))
    folder = make_folder(tmp_path / "broken", records)
    assert play_with_crashes(folder, random.Random(seed)) == expected


@pytest.mark.parametrize("path", recording_paths("claude-stream"), ids=lambda path: path.stem)
def test_a_recorded_session_survives_restarts_line_by_line(tmp_path, path):
    lines = path.read_bytes().splitlines()
    records = [STARTED, *((kinds.LINE, line) for line in lines), EXITED]
    agent = ClaudeAgent()
    expected = read_all(make_folder(tmp_path / "whole", records), agent)
    folder = make_folder(tmp_path / "broken", records)
    assert play_with_crashes(folder, random.Random(1), agent) == expected


def test_what_is_acknowledged_is_removed_from_the_disk(tmp_path):
    folder = make_folder(tmp_path, [STARTED, *[(kinds.LINE, b"x" * 100)] * 100])
    before = len(list_segments(folder.log))
    reader = open_reader(folder)
    batch = fill(reader, max_events=50)
    assert len(list_segments(folder.log)) == before
    assert batch.after is not None
    reader.acknowledge(batch.after)
    assert len(list_segments(folder.log)) < before


def test_a_damaged_record_is_a_warning_in_its_place(tmp_path):
    folder = make_folder(tmp_path, [STARTED, (kinds.LINE, b"one"), (kinds.LINE, b"two"), EXITED])
    path = segment_path(folder.log, 1)
    path.write_bytes(path.read_bytes().replace(b"one", b"0ne"))
    events = read_all(folder)
    kinds_of = [event.type for event in events]
    assert kinds_of == [
        "run_started",
        "command",
        "warning",
        "command_output",
        "command_output",
        "run_completed",
    ]
    assert b"spool_corrupt" in bytes(events[2].payload)


def test_a_later_attempt_goes_on_where_the_earlier_one_ended(tmp_path):
    folder = make_folder(tmp_path, [STARTED, EXITED])
    reader = open_reader(folder, first_seq=101, known_seq=100)
    events = [*fill(reader).events, *fill(reader).events]
    assert [event.seq for event in events] == [101, 102, 103, 104]


def test_the_terminal_event_gets_through_when_the_log_lost_what_the_server_has(tmp_path):
    folder = make_folder(tmp_path, [STARTED, (kinds.GONE, {"error": "power cut"})])
    reader = open_reader(folder, known_seq=50)
    (last,) = fill(reader).events
    assert (last.seq, last.type) == (51, "run_failed")


def test_a_cancelled_run_whose_supervisor_died_is_cancelled(tmp_path):
    records = [STARTED, (kinds.STOPPING, {"reason": "user"}), (kinds.GONE, {"error": "gone"})]
    last = read_all(make_folder(tmp_path, records))[-1]
    assert json.loads(bytes(last.payload))["status"] == "cancelled"


def test_a_line_whose_end_was_lost_is_told_before_the_end(tmp_path):
    records = [STARTED, (kinds.PART, b'{"type":'), (kinds.GONE, {"error": "gone"})]
    events = read_all(make_folder(tmp_path, records), ClaudeAgent())
    assert [event.type for event in events] == ["run_started", "message", "warning", "run_failed"]
    assert json.loads(bytes(events[1].payload))["content"] == '{"type":'


def test_what_a_run_changed_is_told_before_its_end_and_no_checkpoint_lies_between(tmp_path):
    folder = make_folder(tmp_path / "run", [STARTED, (kinds.LINE, b"x"), EXITED])
    reader = open_reader(folder)
    limits: dict[str, Any] = {"max_bytes": 10**6, "writer_gone": True, "give_up": False}
    first = reader.fill(max_events=100, **limits)
    assert first.ending
    assert first.after is None
    assert not first.ended
    assert not reader.fill(max_events=100, **limits).events
    change = Change(path="a/b", kind="modified", size_bytes=3, diff="@@", lines_changed=1)
    reader.tell_changes(Changes(files=[change, Change(path="c", kind="deleted")]))
    last = reader.fill(max_events=100, **limits)
    assert [event.type for event in last.events][-3:] == [
        "file_write",
        "file_delete",
        "run_completed",
    ]
    ended = json.loads(bytes(last.events[-1].payload))
    assert ended["artifacts"] == [{"name": "b", "path": "a/b", "size_bytes": 3}]
    assert last.ended
    assert last.after is not None
    reader.close()


def test_a_secret_that_an_answer_puts_together_is_in_no_event_and_no_note(tmp_path):
    def piece(text):
        return {"type": "message", "role": "assistant", "content": text, "delta": True}

    secret = "hunter2-hunter2"
    lines = [piece("it is hunter2-"), piece("hunter2, as"), piece(" you said")]
    last = [piece("so: hunter2-"), piece("hunter2")]
    call = {"type": "tool_use", "tool_name": "a", "tool_id": "1", "parameters": {"b": secret}}
    odd = json.dumps(call).replace("r2-h", "r2\\u002dh")
    output = [*map(json.dumps, lines), odd, *map(json.dumps, last)]
    records = [STARTED, *((kinds.LINE, line.encode()) for line in output), EXITED]
    folder = make_folder(tmp_path / "run", records)
    reader = open_reader(folder, agent=GeminiAgent(), rules=Rules([secret]))
    told = []
    while batch := fill(reader, max_events=1):
        told += batch.events
        if batch.after is not None:
            reader.acknowledge(batch.after)
            assert secret not in folder.checkpoint.read_text()
        if batch.ended or not batch.events:
            break
    reader.close()
    payloads = [json.loads(bytes(event.payload)) for event in told]
    assert payloads[1]["content"] == "it is ***, as you said"
    assert payloads[2]["input"] == {"b": "***"}
    assert not any(secret in str(payload) for payload in payloads)
    assert [event.raw for event in told if event.type in {"message", "tool_use_start"}] == [
        None
    ] * 3


@pytest.mark.parametrize(
    ("streams", "told"),
    [
        (["stdout"], ["begun", "whole"]),
        (["stdout", "stderr"], ["begun", "whole"]),
        (["stderr"], ['begun{"type": "result"}']),
    ],
)
def test_a_line_after_dropped_output_is_not_joined_to_what_was_before(tmp_path, streams, told):
    records = [
        STARTED,
        (kinds.PART, b"begun"),
        (kinds.DROPPED, {"bytes": 9, "lines": 1, "streams": streams}),
        (kinds.LINE, b'{"type": "result"}'),
        EXITED,
    ]
    events = read_all(make_folder(tmp_path / "run", records), agent=ClaudeAgent())
    assert [event.type for event in events].count("warning") == 1
    messages = [json.loads(bytes(e.payload))["content"] for e in events if e.type == "message"]
    assert messages[0] == told[0]
    ends = json.loads(bytes(events[-1].payload))
    assert ("without a result" in str(ends.get("error"))) == (len(told) == 1)
