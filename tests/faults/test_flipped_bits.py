"""Bits that flip in a run's log on the disk: produced = delivered + declared lost, nothing wrong.

``RUNWATCH_FLIPS`` asks for more than a few.
"""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.agents.command import CommandAgent
from runwatch_nodemanager.assignment import Assignment
from runwatch_nodemanager.changes.report import Changes
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.run_reader import RunReader
from runwatch_nodemanager.spool import list_segments, segment_path
from runwatch_nodemanager.spool_writer import SpoolWriter
from runwatch_shared.models import Agent, Snapshot, TaskId
from tests.faults.following import check_events
from tests.faults.numbered import count_of, declared_lost, printed

FLIPS = count_of("RUNWATCH_FLIPS", 40)
LINES = 400
SEED = int(os.environ.get("RUNWATCH_TEST_SEED", random.randrange(2**32)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The segments of a run with numbered lines."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    writer = SpoolWriter(folder.log, segment_bytes=8192)
    records = [(kinds.STARTED, b'{"pid": 1, "argv0": "x"}')]
    records += [(kinds.LINE, f"line {n}".encode()) for n in range(1, LINES + 1)]
    records += [(kinds.EXITED, b'{"code": 0, "duration_ms": 1}')]
    for kind, payload in records:
        writer.append([(kind, 1_700_000_000_000_000, payload)])
    writer.close()
    paths = [segment_path(folder.log, first) for first in list_segments(folder.log)]
    return {path.name: path.read_bytes() for path in paths}


def read_all(folder: RunFolder) -> list[dict[str, Any]]:
    """The events of a run whose supervisor is gone, as a node manager makes them."""
    snapshot = Snapshot(
        task_id=TaskId("t"), name="n", agent=Agent(type="command"), prompt="", labels={}
    )
    assignment = Assignment(run_id="run-1", phase="claimed", epoch=1, snapshot=snapshot)
    reader = RunReader(
        folder,
        assignment,
        CommandAgent(),
        runtime_name="process",
        event_limit_bytes=4096,
        known_seq=0,
    )
    reader.tell_changes(Changes())
    events: list[dict[str, Any]] = []
    while True:
        batch = reader.fill(max_events=1000, max_bytes=1 << 20, writer_gone=True, give_up=False)
        events += [
            {
                "seq": event.seq,
                "epoch": assignment.epoch,
                "type": event.type,
                "payload": json.loads(bytes(event.payload)),
            }
            for event in batch.events
        ]
        if batch.ended:
            reader.close()
            return events
        if not batch.events:
            writer = SpoolWriter(folder.log)
            writer.append([(kinds.GONE, 1, b'{"error": "gone"}')])
            writer.close()


def test_each_flipped_bit_costs_what_is_declared_and_no_more(
    tmp_path: Path, written: dict[str, bytes]
) -> None:
    dice = random.Random(SEED)
    for number in range(FLIPS):
        folder = RunFolder(tmp_path / str(number))
        folder.create()
        folder.log.mkdir()
        name = dice.choice(list(written))
        place = dice.randrange(len(written[name]) * 8)
        for other, data in written.items():
            changed = bytearray(data)
            if other == name:
                changed[place // 8] ^= 1 << place % 8
            (folder.log / other).write_bytes(changed)
        events = read_all(folder)
        lines = [int(line.removeprefix("line ")) for line in printed(events)]
        types = [event["type"] for event in events]
        ends = [kind for kind in types if kind in {"run_completed", "run_failed"}]
        told = (SEED, name, place, types)
        check_events(events, told)
        assert lines == sorted(set(lines)), told
        assert len(ends) == 1, told
        assert types[-1] == ends[0], told
        whole = ends[0] == "run_completed"
        records = len(lines) + types.count("run_started") + whole
        missing = LINES + 2 - records
        # Of the very last record none is left that could tell its number.
        assert declared_lost(events) == missing - (not whole), told
        assert missing <= 1, told
        corrupt = [e for e in events if e["payload"].get("code") == "spool_corrupt"]
        assert bool(corrupt) == bool(missing), told
