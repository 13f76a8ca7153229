"""`record` and `replay` as they are typed: what is written, said and refused."""

import math
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest
from starlette.websockets import WebSocket

from runwatch_console.contexts import Context
from runwatch_console.headless.exits import ExitCode
from runwatch_console.recording.format import RecordingError
from runwatch_console.recording.reader import Recording
from runwatch_console.replay.playback import begin_of, speed_of
from runwatch_shared import wire
from tests.console.network.commanding import command
from tests.console.network.conftest import context_for
from tests.console.network.records import (
    change,
    event,
    event_view,
    hello,
    snapshot,
    summary,
)
from tests.console.network.scripted import Refusal, ScriptedServer, hold, send, serving
from tests.console.time_travel.stories import record, story

RUN = "run-000000000001"


@pytest.fixture
async def server():
    async with serving(ScriptedServer()) as script:
        yield script


@pytest.fixture
def context(server: ScriptedServer, tmp_path: Path) -> Context:
    return context_for(server.url, tmp_path)


def scene(*frames: object, close: bool = False):
    async def play(websocket: WebSocket) -> None:
        await send(websocket, *frames)
        if close:
            await websocket.close(1013)
        else:
            await hold(websocket)

    return play


async def test_a_feed_is_recorded_with_its_losses_until_its_time_is_over(
    server: ScriptedServer, context: Context, tmp_path: Path
) -> None:
    row = summary(waiting=None)
    server.play(
        scene(hello(), snapshot(workflows=[row]), change(812, 815), close=True),
        scene(hello(resumed=True), change(815, 820)),
    )
    file = tmp_path / "fleet.jsonl"
    done = await command(context, "record", str(file), "--duration", "1.5")
    assert done.code == ExitCode.DONE
    assert str(file) in done.err
    text = file.read_text(encoding="utf-8")
    kinds = [line.split('"')[3] for line in text.splitlines()]
    assert kinds[0] == "header"
    assert kinds[-1] == "index"
    assert kinds.count("connected") == 2
    assert "lost" in kinds
    recording = Recording(file)
    assert recording.moment(9.0).fleet.revision == 820
    recording.close()


async def test_events_of_a_named_run_are_recorded_its_tail_first(
    server: ScriptedServer, context: Context, tmp_path: Path
) -> None:
    server.answer(
        f"/api/v1/monitor/workflows/run/{RUN}/events",
        wire.EventViewPage(
            events=[event_view(1)],
            total=1,
            first_seq=1,
            last_seq=1,
            has_before=False,
            has_after=False,
            server_time="2026-11-23T10:31:22.000000Z",
        ),
    )
    server.play(
        scene(hello(), snapshot(workflows=[summary()])),
        scene(wire.EventsFrame(data=[event(2)])),
    )
    file = tmp_path / "fleet.jsonl"
    done = await command(context, "record", str(file), "--runs", RUN, "--duration", "1.5")
    assert done.code == ExitCode.DONE
    recording = Recording(file)
    assert [each.seq for each in recording.events(RUN, 9.0).rising(0)] == [1, 2]
    recording.close()


async def test_a_file_that_is_there_stays_and_a_server_that_never_answers_leaves_none(
    server: ScriptedServer, context: Context, tmp_path: Path
) -> None:
    file = tmp_path / "mine"
    file.write_text("precious")
    done = await command(context, "record", str(file))
    assert done.code == ExitCode.USAGE
    assert file.read_text() == "precious"
    server.play(Refusal(401, "unauthorized"))
    done = await command(context, "record", str(tmp_path / "none"))
    assert done.code == ExitCode.AUTH
    assert not (tmp_path / "none").exists()
    done = await command(context, "record", str(tmp_path / "no" / "folder"))
    assert done.code == ExitCode.FAILED


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_what_cannot_be_replayed_is_refused_in_words(
    context: Context, tmp_path: Path, language: str
) -> None:
    other, good = tmp_path / "other", tmp_path / "good"
    other.write_text("hello\n")
    record(good, story(20))
    for arguments in (
        ("replay", str(other)),
        ("replay", str(tmp_path / "absent")),
        ("replay", str(good), "--speed", "1000"),
        ("replay", str(good), "--from", "99:99"),
        ("replay", str(good), "--from", "10h"),
        ("record", str(tmp_path / "x"), "--max-bytes", "many"),
    ):
        done = await command(context, *arguments, language=language)
        assert done.code == ExitCode.USAGE, arguments
        assert done.err.startswith("monitor-tui"), arguments
        assert "Traceback" not in done.err


def test_a_time_to_begin_at_is_a_time_of_day_or_a_span(tmp_path: Path) -> None:
    record(tmp_path / "f", story(600))
    recording = Recording(tmp_path / "f")  # it begins at 10:31:22 UTC
    assert begin_of("", recording) == 0.0
    assert begin_of("10:31", recording, UTC) == 0.0
    assert begin_of("10:31:22", recording, UTC) == 0.0
    assert begin_of("10:32", recording, UTC) == 38.0
    assert begin_of("10:35:22", recording, UTC) == 240.0
    assert begin_of("18:32", recording, timezone(timedelta(hours=8))) == 38.0
    assert begin_of("90s", recording) == 90.0
    assert begin_of("5m", recording) == 300.0
    for text in ("10:30", "10:42", "25:00", "x", "2h", "10:31:99"):
        with pytest.raises(RecordingError):
            begin_of(text, recording, UTC)
    recording.close()
    assert speed_of("max") == math.inf
    assert speed_of("0.25") == 0.25
    for text in ("0", "65", "nan", "x", "-1"):
        with pytest.raises(RecordingError):
            speed_of(text)
