"""A log that is full: the agent waits, or what it loses is counted; nothing is lost in silence."""

import errno
import json
import os
import subprocess
import sys

import pytest

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.guarding import hold_lock
from runwatch_nodemanager.run_folder import RunFolder, write_atomically
from runwatch_nodemanager.run_log import LEAST_LIMIT_BYTES, RunLog
from runwatch_nodemanager.spool import Record, remove_before, used_bytes
from runwatch_nodemanager.spool_reader import SpoolReader


class Time:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run-1")
    made.create()
    return made


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def wake(folder):
    descriptor = os.open(folder.wake, os.O_RDWR | os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def open_log(folder, clock, wake):
    def make(*, drops):
        return RunLog(folder, wake=wake, limit_bytes=0, drops=drops, clock=clock)

    return make


def read_all(folder):
    reader = SpoolReader(folder.log)
    found = []
    while isinstance(item := reader.read(writer_gone=True), Record):
        found.append(item)
    reader.close()
    return found


def free_all(folder):
    reader = SpoolReader(folder.log)
    while reader.read(writer_gone=False) is not None:
        pass
    position = reader.position
    reader.close()
    remove_before(folder.log, position)


BLOCK = [(kinds.LINE, b"x" * 65535)] * 16
"""A MiB with its line ends."""


def test_what_finds_no_room_is_counted_and_the_count_stands_where_it_was_lost(
    folder, open_log, clock
):
    log = open_log(drops=True)
    written = 0
    for _ in range(20):
        log.output(BLOCK)
        clock.now += 0.001
    assert used_bytes(folder.log) < LEAST_LIMIT_BYTES + 3 * 1024 * 1024
    written = sum(1 for record in read_all(folder) if record.kind == kinds.LINE)
    free_all(folder)
    clock.now += 1
    log.output([(kinds.LINE, b"later")])
    log.fact(kinds.EXITED, {"code": 0})
    log.close()
    *_, told, later, exited = read_all(folder)
    assert (told.kind, later.payload, exited.kind) == (kinds.DROPPED, b"later", kinds.EXITED)
    facts = json.loads(told.payload)
    assert facts["lines"] + written == 20 * 16
    assert facts["bytes"] == facts["lines"] * 65536


def test_an_agent_is_read_on_while_output_is_dropped_and_not_while_it_blocks(
    folder, open_log, clock
):
    for drops in (True, False):
        log = open_log(drops=drops)
        for _ in range(12):
            log.output(BLOCK)
        assert log.full(ended=False) is not drops
        log.close()
        free_all(folder)
        clock.now += 10


def test_the_end_is_told_after_what_was_lost_though_there_was_never_room(folder, open_log):
    log = open_log(drops=True)
    for _ in range(20):
        log.output(BLOCK)
    log.fact(kinds.EXITED, {"code": 0})
    log.close()
    assert [record.kind for record in read_all(folder)][-2:] == [kinds.DROPPED, kinds.EXITED]


@pytest.mark.parametrize("drops", [True, False])
def test_a_disk_that_refuses_costs_nothing_in_silence(folder, open_log, clock, monkeypatch, drops):
    log = open_log(drops=drops)
    log.output([(kinds.LINE, b"first")])
    refusing = True
    write = os.write

    def maybe(descriptor, data):
        if refusing and len(data) > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", maybe)
    lost = kept = 0
    for number in range(10):
        if log.full(ended=False):
            break
        log.output([(kinds.LINE, b"line %d" % number)])
        if drops:
            lost += 1
        else:
            kept += 1
    log.fact(kinds.STOPPING, {"reason": "user"})
    refusing = False
    clock.now += 1
    log.write_pending()
    log.output([(kinds.LINE, b"last")])
    log.close()
    records = read_all(folder)
    lines = [record.payload for record in records if record.kind == kinds.LINE]
    counts = [json.loads(r.payload)["lines"] for r in records if r.kind == kinds.DROPPED]
    assert sum(counts) == lost
    assert lines[0] == b"first"
    assert lines[-1] == b"last"
    assert len(lines) == 2 + kept
    assert [r.kind for r in records].count(kinds.STOPPING) == 1
    assert log.pending is False


FULL = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
from runwatch_nodemanager.supervisor import main
main()
"""


@pytest.mark.parametrize("policy", ["block", "drop"])
def test_files_that_may_not_grow_end_no_supervisor(folder, policy):
    """`RLIMIT_FSIZE` as a disk that fills in the middle of a record."""
    order = {
        "argv": ["seq", "1", "200000"],
        "cwd": str(folder.path),
        "env": {"PATH": os.environ["PATH"]},
        "stdin": None,
        "log_limit_bytes": 1 << 30,
        "log": {"secrets": [], "expressions": [], "when_full": policy},
        "limits": {},
    }
    lock = hold_lock(folder)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(folder.path), str(lock)],
        pass_fds=(lock,),
        input=json.dumps(order).encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    os.close(lock)
    assert done.stdout.startswith(b"ready"), done.stderr
    assert done.returncode == 0, done.stderr
    records = read_all(folder)
    assert records[-1].kind == kinds.EXITED
    lines = [int(record.payload) for record in records if record.kind == kinds.LINE]
    lost = sum(json.loads(r.payload)["lines"] for r in records if r.kind == kinds.DROPPED)
    assert lines == sorted(set(lines))
    assert len(lines) + lost == 200_000
    assert len(list(folder.log.iterdir())) > 1


def test_a_small_file_is_whole_or_the_old_one_on_a_disk_that_takes_a_part(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.json"
    write_atomically(path, b"old")
    room = [3, 4]
    real = os.write

    def write(descriptor, data):
        if not room:
            raise OSError(errno.ENOSPC, "no space left")
        return real(descriptor, data[: room.pop(0)])

    monkeypatch.setattr(os, "write", write)
    write_atomically(path, b"seven b")
    assert path.read_bytes() == b"seven b"
    room = [3]
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"newer and longer")
    assert path.read_bytes() == b"seven b"
