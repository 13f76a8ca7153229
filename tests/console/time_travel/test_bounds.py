"""A long recording played at full speed through the real app holds no more for being long."""

import asyncio
import math
import tracemalloc
from contextlib import aclosing
from pathlib import Path

from runwatch_console.locale.words import Words
from runwatch_console.ports import FeedItem
from runwatch_console.recording.format import CHECKPOINT_HEAD, INDEX_HEAD
from runwatch_console.recording.reader import Recording
from runwatch_console.replay.player import Player
from runwatch_console.replay.playhead import Playhead
from runwatch_console.replay_app import ReplayApp
from runwatch_console.state import Preferences
from runwatch_shared.tasks import TaskOwner
from tests.benchmarks._replay_story import make_recording
from tests.console.driving import Driven, HandClock
from tests.console.scripted import Script
from tests.console.time_travel.stories import record, story

RUNS = 60
EVENTS = 8_000


async def test_what_a_replay_holds_is_bounded_by_the_fleet_not_by_what_was_played(
    tmp_path: Path,
) -> None:
    path = tmp_path / "day.jsonl"
    made, _, seconds = make_recording(path, runs=RUNS, events=EVENTS, hours=1)
    assert made >= EVENTS
    recording = Recording(path)
    player = Player(recording, Playhead(recording.length_s, speed=math.inf))
    clock = HandClock()
    app = ReplayApp(
        player,
        name="day",
        preferences=Preferences(words=Words("en")),
        clock=clock,
        environment={},
    )
    async with app.run_test(size=(120, 40)) as pilot:
        driven = Driven(app, pilot, Script(), clock)
        await driven.press("2")
        await driven.until(lambda: player.playhead.ended)
        await driven.until_text("END")
        await driven.until(lambda: app.state.fleet.revision == player.fleet.revision)
        assert player.playhead.position_s >= seconds - 10
        assert len(app.state.fleet.runs) == len(player.fleet.runs) <= RUNS + 20
        assert set(app.state.fleet.runs) == set(player.fleet.runs)
        assert app._feeding is not None
        assert app._feeding.rewind.size_bytes == 0
        assert len(player._listeners) <= 3
        assert len(player.minutes._newest) <= seconds / 60 + 2
        assert len(recording.index.marks) <= seconds * 2
        lines = sum(len(places.offset) for places in recording.index.runs.values())
        assert 0 < lines < made / 10


async def test_at_the_highest_speed_nothing_is_read_far_ahead_of_what_is_folded(
    tmp_path: Path,
) -> None:
    record(tmp_path / "f", story(120))
    recording = Recording(tmp_path / "f")
    player = Player(recording, Playhead(recording.length_s, speed=math.inf))
    player.ahead = 20
    given: list[FeedItem] = []
    async with aclosing(player.frames()) as items, TaskOwner("test") as owner:

        async def read() -> None:
            async for item in items:
                given.append(item)  # noqa: PERF401 - it is looked at while it grows

        owner.spawn(read(), name="reading")
        async with asyncio.timeout(5):
            while player.unfolded < player.ahead:
                await asyncio.sleep(0)
            for _ in range(200):
                await asyncio.sleep(0)
            assert len(given) <= player.ahead + 1
            while not player.playhead.ended:
                player.folded(given)
                given.clear()
                await asyncio.sleep(0)
        await owner.stop()
    recording.close()


async def test_what_is_as_long_as_the_recording_is_passed_by_without_being_held(
    tmp_path: Path,
) -> None:
    record(tmp_path / "short", story(20))
    *told, _ = (tmp_path / "short").read_bytes().splitlines(keepends=True)
    padding = b',"pad":"' + b"x" * (8 * 1024 * 1024) + b'"}\n'
    parts = [*told[:10], CHECKPOINT_HEAD + padding, *told[10:], INDEX_HEAD + padding]
    (tmp_path / "long").write_bytes(b"".join(parts))
    short, long = Recording(tmp_path / "short"), Recording(tmp_path / "long")
    wanted = [line for _, line in short.lines(0)]
    assert len(wanted) == sum(not line.startswith(CHECKPOINT_HEAD) for line in told)
    tracemalloc.start()
    try:
        count = sum(1 for _ in long.lines(0))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    short.close()
    long.close()
    assert count == len(wanted)
    assert most < 4 * 1024 * 1024
