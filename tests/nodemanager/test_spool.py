"""The log on disk: what was written comes back; damage is told and never guessed over."""

import os
import random
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_nodemanager.spool import (
    HEADER,
    MAGIC_BYTES,
    Hole,
    Position,
    Record,
    list_segments,
    remove_before,
    segment_path,
    used_bytes,
)
from runwatch_nodemanager.spool_reader import SpoolReader, next_index
from runwatch_nodemanager.spool_writer import SpoolWriter


def write(folder, payloads, *, segment_bytes=512):
    writer = SpoolWriter(folder, segment_bytes=segment_bytes)
    for number, payload in enumerate(payloads):
        writer.append([(number % 7, 1_000_000 + number, payload)])
    writer.close()


def read_all(folder, position=None):
    reader = SpoolReader(folder, position)
    found = []
    while (item := reader.read(writer_gone=True)) is not None:
        found.append(item)
        assert len(found) < 100_000
    reader.close()
    return found


def random_payloads(seed, count=60):
    rng = random.Random(seed)
    return [rng.randbytes(rng.randrange(0, 120)) for _ in range(count)]


@settings(max_examples=60, deadline=None)
@given(
    payloads=st.lists(st.binary(max_size=200), max_size=40),
    segment_bytes=st.integers(min_value=1, max_value=2000),
)
def test_what_was_written_is_read_in_order(tmp_path_factory, payloads, segment_bytes):
    folder = tmp_path_factory.mktemp("log")
    write(folder, payloads, segment_bytes=segment_bytes)
    found = read_all(folder)
    assert [record.payload for record in found] == payloads
    assert [record.index for record in found] == list(range(1, len(payloads) + 1))
    assert next_index(folder) == len(payloads) + 1


@pytest.mark.parametrize("seed", range(150))
def test_a_flipped_bit_costs_at_most_its_record_and_is_told(tmp_path, seed):
    rng = random.Random(seed)
    payloads = random_payloads(seed)
    write(tmp_path, payloads)
    path = segment_path(tmp_path, rng.choice(list_segments(tmp_path)))
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    found = read_all(tmp_path)
    records = [item for item in found if isinstance(item, Record)]
    assert len(records) == len(payloads) - 1
    assert all(record.payload == payloads[record.index - 1] for record in records)
    assert [r.index for r in records] == sorted(r.index for r in records)
    assert any(isinstance(item, Hole) for item in found)


@pytest.mark.parametrize("seed", range(150))
def test_a_torn_tail_leaves_the_valid_prefix_and_is_told(tmp_path, seed):
    rng = random.Random(seed)
    payloads = random_payloads(seed)
    write(tmp_path, payloads)
    path = segment_path(tmp_path, list_segments(tmp_path)[-1])
    size = path.stat().st_size
    cut = rng.randrange(size)
    os.truncate(path, cut)
    found = read_all(tmp_path)
    records = [item for item in found if isinstance(item, Record)]
    assert [r.payload for r in records] == payloads[: len(records)]
    holes = [item for item in found if isinstance(item, Hole)]
    first = list_segments(tmp_path)[-1]
    kept = sum(HEADER.size + len(r.payload) for r in records if r.index >= first)
    assert sum(hole.lost_bytes for hole in holes) == cut - kept


@pytest.mark.parametrize("seed", range(60))
def test_a_segment_cut_in_the_middle_of_the_log_is_a_hole_and_the_rest_is_read(tmp_path, seed):
    rng = random.Random(seed)
    payloads = random_payloads(seed)
    write(tmp_path, payloads)
    segments = list_segments(tmp_path)
    victim = rng.choice(segments[:-1])
    path = segment_path(tmp_path, victim)
    os.truncate(path, rng.randrange(path.stat().st_size))
    found = read_all(tmp_path)
    records = [item for item in found if isinstance(item, Record)]
    assert all(record.payload == payloads[record.index - 1] for record in records)
    assert records[-1].index == len(payloads)
    assert any(isinstance(item, Hole) for item in found)


def test_a_segment_that_is_gone_is_told_with_the_number_of_its_records(tmp_path):
    payloads = random_payloads(1)
    write(tmp_path, payloads)
    segments = list_segments(tmp_path)
    segment_path(tmp_path, segments[1]).unlink()
    found = read_all(tmp_path)
    assert Hole(lost_bytes=0, records=segments[2] - segments[1]) in found


@settings(max_examples=100, deadline=None)
@given(garbage=st.lists(st.binary(max_size=300) | st.just(MAGIC_BYTES * 20), max_size=6))
def test_garbage_is_never_a_record(tmp_path_factory, garbage):
    folder = tmp_path_factory.mktemp("log")
    for number, data in enumerate(garbage):
        segment_path(folder, number + 1).write_bytes(data)
    assert not [item for item in read_all(folder) if isinstance(item, Record)]


def test_a_writer_never_continues_a_torn_segment(tmp_path):
    write(tmp_path, [b"one", b"two"])
    path = segment_path(tmp_path, 1)
    os.truncate(path, path.stat().st_size - 1)
    write(tmp_path, [b"three"])
    found = read_all(tmp_path)
    assert [item.payload for item in found if isinstance(item, Record)] == [b"one", b"three"]
    assert any(isinstance(item, Hole) for item in found)


def test_a_reader_that_stands_behind_a_torn_beginning_sees_what_is_written_later(tmp_path):
    write(tmp_path, [b"one"])
    segment_path(tmp_path, 2).write_bytes(b"torn")
    reader = SpoolReader(tmp_path)
    assert isinstance(reader.read(writer_gone=True), Record)
    assert isinstance(reader.read(writer_gone=True), Hole)
    assert reader.read(writer_gone=True) is None
    write(tmp_path, [b"late"])
    found = []
    while (item := reader.read(writer_gone=True)) is not None:
        found.append(item)
    assert isinstance(found[-1], Record)
    assert found[-1].payload == b"late"


def test_an_unfinished_tail_is_waited_for_while_its_writer_lives(tmp_path):
    write(tmp_path, [b"one", b"two"])
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])
    reader = SpoolReader(tmp_path)
    assert isinstance(reader.read(writer_gone=False), Record)
    assert reader.read(writer_gone=False) is None
    path.write_bytes(whole)
    record = reader.read(writer_gone=False)
    assert isinstance(record, Record)
    assert record.payload == b"two"


def test_reading_goes_on_at_a_position_and_the_prefix_can_be_removed(tmp_path):
    payloads = random_payloads(3)
    write(tmp_path, payloads)
    reader = SpoolReader(tmp_path)
    for _ in range(30):
        reader.read(writer_gone=False)
    position = reader.position
    before = used_bytes(tmp_path)
    remove_before(tmp_path, position)
    assert used_bytes(tmp_path) < before
    assert list_segments(tmp_path)[0] == position.segment
    assert [record.payload for record in read_all(tmp_path, position)] == payloads[30:]
    assert next_index(tmp_path) == len(payloads) + 1


def test_a_full_disk_loses_nothing_and_leaves_no_half_record(tmp_path, monkeypatch):
    writer = SpoolWriter(tmp_path)
    writer.append([(1, 1, b"one")])
    real_write = os.write
    room = 10

    def write_some(descriptor, data):
        if room <= 0:
            raise OSError(28, "No space left on device")
        return real_write(descriptor, bytes(data)[:room])

    def fail_after_some(descriptor, data):
        nonlocal room
        written = write_some(descriptor, data)
        room -= written
        return written

    monkeypatch.setattr(os, "write", fail_after_some)
    with pytest.raises(OSError, match="No space"):
        writer.append([(1, 2, b"two" * 20)])
    monkeypatch.setattr(os, "write", real_write)
    writer.append([(1, 2, b"two" * 20)])
    writer.close()
    assert [item.payload for item in read_all(tmp_path)] == [b"one", b"two" * 20]


WRITER = """
import sys
from pathlib import Path
from runwatch_nodemanager.spool_writer import SpoolWriter
writer = SpoolWriter(Path(sys.argv[1]), segment_bytes=4096)
number = 0
while True:
    writer.append([(1, 0, b"record %d" % (number + n)) for n in range(10)])
    number += 10
    if number == 100:
        print("ready", flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_readable_prefix(tmp_path):
    rng = random.Random(7)
    for round_number in range(8):
        folder = tmp_path / str(round_number)
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(rng.randrange(3)):
            used_bytes(folder)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        records = [item for item in read_all(folder) if isinstance(item, Record)]
        assert len(records) >= 100
        assert [r.payload for r in records] == [b"record %d" % n for n in range(len(records))]


def test_a_position_is_where_the_next_record_begins(tmp_path):
    write(tmp_path, [b"a", b"b"], segment_bytes=10_000)
    reader = SpoolReader(tmp_path)
    reader.read(writer_gone=False)
    assert reader.position == Position(segment=1, offset=HEADER.size + 1, index=2)
