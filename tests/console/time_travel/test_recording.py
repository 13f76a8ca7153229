"""A recording: what is in the file, who may read it, what is masked, and reading it anywhere."""

import gzip
import stat
from pathlib import Path

import msgspec
import pytest

from runwatch_console.held.holdings import Holdings
from runwatch_console.ports import EventBatch, Frame, Gap, RunStatus
from runwatch_console.recording import writer as writing
from runwatch_console.recording.format import FrameLine, Header, RecordingError, feed_line
from runwatch_console.recording.reader import Recording
from runwatch_console.recording.writer import RecordingWriter, aside
from tests.console import records
from tests.console.time_travel.stories import moment, record, run_line, story


def fold_until(lines, at_s: float) -> Holdings:
    fleet = Holdings()
    for line in lines:
        if isinstance(line, FrameLine) and line.at_s <= at_s:
            fleet.take(line.frame)
    return fleet


def rows_of(fleet: Holdings):
    return fleet.runs, fleet.nodes, fleet.total, fleet.revision, fleet.loaded


@pytest.fixture
def many_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHECKPOINT_LEAST_BYTES", 1_000)
    monkeypatch.setattr(writing, "CHECKPOINT_SHARE", 0)


@pytest.mark.parametrize("name", ["fleet.jsonl", "fleet.jsonl.gz"])
def test_the_fleet_at_any_moment_is_what_folding_up_to_it_gives(
    tmp_path: Path, name: str, many_checkpoints: None
) -> None:
    lines = story()
    path = tmp_path / name
    record(path, lines)
    recording = Recording(path)
    assert len(recording.index.checkpoints) > 3
    for at_s in (0.0, 0.05, 0.1, 17.0, 59.5, 61.0, 63.0, 100.2, 119.0, 500.0):
        assert rows_of(recording.moment(at_s).fleet) == rows_of(fold_until(lines, at_s)), at_s
    recording.close()


def test_a_moment_in_a_loss_is_lost_and_one_after_it_is_not(tmp_path: Path) -> None:
    record(tmp_path / "f", story())
    recording = Recording(tmp_path / "f")
    lost = recording.moment(61.0).loss
    assert lost is not None
    assert lost.loss.detail == "1013 try again"
    assert recording.moment(59.0).loss is None
    assert recording.moment(64.0).loss is None
    recording.close()


def test_nobody_else_may_read_a_recording_and_none_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "fleet.jsonl"
    record(path, story(5))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        RecordingWriter(path, console="x", context="x")


@pytest.mark.requirement("headless.record")
def test_the_header_says_format_server_store_and_start(tmp_path: Path) -> None:
    path = tmp_path / "fleet.jsonl"
    record(path, story(5))
    header = msgspec.json.decode(path.read_bytes().split(b"\n")[0], type=Header)
    assert (header.format, header.store, header.server_version) == (1, "9f3c2b1a77e0d415", "0.1.0")
    assert header.started_at == moment(0)


@pytest.mark.parametrize("cut", [1, 7, 300])
def test_a_cut_last_line_is_tolerated(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "fleet.jsonl"
    lines = story(30)
    record(path, lines, close=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    recording = Recording(path)
    kept = recording.length_s
    assert 25 < kept < 30
    assert rows_of(recording.moment(kept).fleet) == rows_of(fold_until(lines, kept))
    recording.close()


def test_a_cut_compressed_recording_is_read_up_to_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "fleet.gz"
    writer = RecordingWriter(path, console="x", context="x")
    lines = story(60, runs=300)
    flushed = 0
    for number, line in enumerate(lines):
        writer.feed(line)
        if number == 30:
            writer.flush()
            flushed = path.stat().st_size
    writer.close()
    path.write_bytes(path.read_bytes()[: flushed + 10])
    recording = Recording(path)
    assert recording.length_s >= lines[30].at_s
    recording.close()


def test_a_recording_without_its_index_is_read_all_the_same(
    tmp_path: Path, many_checkpoints: None
) -> None:
    lines = [*story(), run_line(119.5, "run-000000000001", EventBatch(events=(records.event(1),)))]
    record(tmp_path / "ended", lines)
    record(tmp_path / "killed", lines, close=False)
    ended, killed = Recording(tmp_path / "ended"), Recording(tmp_path / "killed")
    assert killed.index.line() == ended.index.line()
    assert ended.index.marks
    ended.close()
    killed.close()


def test_what_is_no_recording_is_refused_in_words(tmp_path: Path) -> None:
    for name, text in (("empty", b""), ("other", b"hello\n"), ("binary", bytes(range(256)))):
        (tmp_path / name).write_bytes(text)
        with pytest.raises(RecordingError) as refused:
            Recording(tmp_path / name)
        assert refused.value.word == "replay.no_recording"
    with pytest.raises(RecordingError) as refused:
        Recording(tmp_path / "absent")
    assert refused.value.word == "replay.unreadable"
    header = Header(
        format=99, console="9", server_version="", store="", context="", started_at=moment(0)
    )
    (tmp_path / "newer").write_bytes(msgspec.json.encode(header) + b"\n")
    with pytest.raises(RecordingError) as refused:
        Recording(tmp_path / "newer")
    assert refused.value.word == "replay.newer"


@pytest.mark.requirement("screen.auth.masked")
def test_login_codes_and_addresses_are_masked_wherever_they_stand(tmp_path: Path) -> None:
    secret = "https://auth.example.com/device?user_code=WDJB-MJHT"
    login = records.summary(
        "auth-000000000001",
        waiting=records.waiting(f"open {secret}", kind="login"),
        activity_text="code QQQQ1111",
        metadata={"user_code": "QQQQ1111", "verify_url": "https://x.example/y", "method": "device"},
    )
    talkative = records.summary(activity_text=f"go to {secret}", error="code WDJB-MJHT")
    payload = b'{"content":"visit https:\\/\\/auth.example.com\\/login?a=1 \\u0057DJB-MJHT now"}'
    event = records.event(1, payload=None)
    event = msgspec.structs.replace(event, payload=msgspec.Raw(payload), raw=secret)
    lines = [
        *story(3),
        feed_line(Frame(frame=records.change([login, talkative])), 4.0),
        run_line(5.0, "run-000000000001", EventBatch(events=(event,))),
    ]
    path = tmp_path / "fleet"
    record(path, lines)
    text = path.read_text()
    for part in ("WDJB", "MJHT", "QQQQ1111", "auth.example.com", "x.example", "user_code=W"):
        assert part not in text, part
    assert "now" in text
    assert '"method":"device"' in text
    recording = Recording(path)
    assert recording.moment(9.0).fleet.runs["auth-000000000001"].metadata["user_code"] == "***"
    recording.close()


def test_a_long_recording_goes_on_in_the_next_file_which_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "fleet"
    writer = RecordingWriter(path, console="x", context="x", max_bytes=120_000, keep=2)
    lines = story(400, runs=50)
    for line in lines:
        writer.feed(line)
        writer.flush()
    writer.close()
    names = {each.name for each in tmp_path.iterdir()}
    assert names == {"fleet", "fleet.1", "fleet.2"}
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in tmp_path.iterdir())
    newest, older = Recording(path), Recording(aside(path, 1))
    assert newest.moment(1e9).fleet.runs == fold_until(lines, 1e9).runs
    assert older.moment(1e9).fleet.revision == newest.moment(0.0).fleet.revision
    assert newest.began_s > older.began_s
    newest.close()
    older.close()


def test_a_limit_below_the_size_of_a_fleet_does_not_make_a_file_of_every_line(
    tmp_path: Path,
) -> None:
    writer = RecordingWriter(tmp_path / "f", console="x", context="x", max_bytes=10, keep=50)
    for line in story(100, runs=100):
        writer.feed(line)
        writer.flush()
    writer.close()
    assert len(list(tmp_path.iterdir())) < 5


def test_events_of_a_run_are_found_from_either_end_up_to_a_moment(tmp_path: Path) -> None:
    run = "run-000000000001"
    batches = [
        run_line(10.0 + n, run, EventBatch(events=tuple(records.run_events(5, n * 5 + 1))))
        for n in range(20)
    ]
    other = run_line(15.5, "run-000000000002", EventBatch(events=(records.event(7),)))
    end = [
        run_line(40.0, run, Gap(from_seq=101, to_seq=110, reason="expired")),
        run_line(41.0, run, RunStatus(status="done", last_seq=110)),
    ]
    record(tmp_path / "f", [*story(9), *batches, other, *end])
    recording = Recording(tmp_path / "f")
    log = recording.events(run, 14.5)
    assert (log.first_seq, log.last_seq) == (1, 25)
    assert [event.seq for event in log.rising(22)] == [23, 24, 25]
    assert [event.seq for event in log.falling(4)] == [3, 2, 1]
    assert [event.seq for event in log.falling(None)][:2] == [25, 24]
    kinds = [type(line.record).__name__ for line in recording.run_lines(run, 100, 0.0)]
    assert kinds[-2:] == ["GapRecord", "EndRecord"]
    assert recording.events("run-none", 50.0).last_seq == 0
    recording.close()


def test_a_compressed_recording_is_gzip(tmp_path: Path) -> None:
    record(tmp_path / "f.gz", story(10))
    record(tmp_path / "f", story(10))
    assert gzip.decompress((tmp_path / "f.gz").read_bytes()) == (tmp_path / "f").read_bytes()
