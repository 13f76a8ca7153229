"""Replay: a recording shown as if live, in the real app."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runwatch_console.locale.words import Words
from runwatch_console.ports import ApiError, EventBatch, NewTask, RunStatus
from runwatch_console.recording.reader import Recording
from runwatch_console.replay.api import RecordedApi
from runwatch_console.replay.player import Player
from runwatch_console.replay.playhead import Playhead
from runwatch_console.replay_app import ReplayApp
from runwatch_console.state import Preferences
from tests.console import records
from tests.console.driving import Driven, HandClock
from tests.console.scripted import Script
from tests.console.time_travel.stories import record, run_line, story

RUN = "run-000000000001"


def recorded(path: Path) -> list[Any]:
    """Two minutes with a loss, and a run whose events were recorded."""
    log = records.run_events(60)
    events = [run_line(0.5 + n, RUN, EventBatch(events=(event,))) for n, event in enumerate(log)]
    lines = [*story(), *events, run_line(70.0, RUN, RunStatus(status="done", last_seq=60))]
    lines.sort(key=lambda line: line.at_s)
    record(path, lines)
    return lines


@asynccontextmanager
async def replaying(
    path: Path,
    *,
    size: tuple[int, int] = (120, 40),
    language: str = "en",
    at_s: float = 0.0,
    speed: float = 1.0,
    paused: bool = True,
) -> AsyncIterator[tuple[Driven, Player]]:
    """A replay whose room's clock the test moves."""
    clock = HandClock()
    recording = Recording(path)
    playhead = Playhead(
        recording.length_s, speed=speed, position_s=at_s, paused=paused, monotonic=clock.monotonic
    )
    player = Player(recording, playhead)
    app = ReplayApp(
        player,
        name="fleet.jsonl",
        preferences=Preferences(words=Words(language)),
        clock=clock,
        environment={},
    )
    async with app.run_test(size=size, notifications=True) as pilot:
        driven = Driven(app, pilot, Script(), clock)
        await driven.until_text("fleet.jsonl")
        yield driven, player


def statuses(path: Path, at_s: float) -> dict[str, str]:
    recording = Recording(path)
    found = {run: row.status for run, row in recording.moment(at_s).fleet.runs.items()}
    recording.close()
    return found


def shown(driven: Driven) -> dict[str, str]:
    return {run: row.status for run, row in driven.app.state.fleet.runs.items()}


@pytest.mark.requirement("headless.replay")
@pytest.mark.parametrize(("language", "word"), [("en", "REPLAY"), ("zh", "回放")])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_a_recording_is_shown_under_a_banner_and_a_line(
    tmp_path: Path, language: str, word: str, size: tuple[int, int]
) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", size=size, language=language, at_s=30.0) as (driven, _):
        await driven.until_text(word, "×1 ▮▮", "0:30 / 1:59", "●")
        await driven.until(lambda: shown(driven) == statuses(tmp_path / "f", 30.0))
        line = driven.lines[driven.lines.index(driven.line_with(word)) + 1]
        assert "●" in line
        assert "✕" in line
        for key in "23456":
            await driven.press(key)
            await driven.until_text(word, "fleet.jsonl")


async def test_what_was_recorded_comes_when_its_time_has_come_and_stands_while_it_is_held(
    tmp_path: Path,
) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", at_s=10.0) as (driven, player):
        await driven.until(lambda: shown(driven) == statuses(tmp_path / "f", 10.0))
        age = driven.app.state.server_now_s
        driven.clock.now_s += 30
        await driven.pilot.pause(0.2)
        assert player.playhead.position_s == 10.0
        assert driven.app.state.server_now_s == age
        await driven.press("space", "+", "+")
        driven.clock.now_s += 5
        await driven.until(lambda: player.playhead.position_s == 30.0)
        player._tell()
        await driven.until(lambda: shown(driven) == statuses(tmp_path / "f", 30.0))
        await driven.until_text("×4 ▶")
        await driven.press("P")
        await driven.until_text("×4 ▮▮")


async def test_the_age_of_a_row_is_that_of_the_recording(tmp_path: Path) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", at_s=10.4) as (driven, _player):
        await driven.until(lambda: driven.app.state.fleet.loaded)
        await driven.until(
            lambda: abs(driven.app.state.server_now_s - (records.NOW_S + 10.4)) < 0.5
        )
        await driven.press(">")
        await driven.until(
            lambda: abs(driven.app.state.server_now_s - (records.NOW_S + 20.4)) < 0.5
        )


async def test_a_loss_plays_as_it_was(tmp_path: Path) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", at_s=59.0) as (driven, player):
        await driven.until(lambda: driven.app.state.link.connected)
        driven.clock.now_s += 0
        await driven.press("space")
        driven.clock.now_s += 2
        player._tell()
        await driven.until_text("DISCONNECTED", "1013 try again")
        driven.clock.now_s += 4
        player._tell()
        await driven.until_no_text("DISCONNECTED")
        assert driven.app.state.link.resumed


@pytest.mark.requirement("headless.replay")
@pytest.mark.parametrize("keys", [["<"], ["{"], ["left"] * 9, ["0"]])
async def test_keys_seek_back_to_exactly_what_was(tmp_path: Path, keys: list[str]) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", at_s=90.0) as (driven, player):
        await driven.until(lambda: shown(driven) == statuses(tmp_path / "f", 90.0))
        await driven.press(*keys)
        assert player.playhead.position_s < 81.0
        at_s = player.playhead.position_s
        await driven.until(lambda: shown(driven) == statuses(tmp_path / "f", at_s))
        assert driven.app.state.caught_up is None


async def test_the_mouse_on_the_line_seeks(tmp_path: Path) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", at_s=90.0) as (driven, player):
        await driven.until(lambda: shown(driven) == statuses(tmp_path / "f", 90.0))
        await driven.pilot.mouse_down("#replay-line", offset=(60, 0))
        await driven.pilot.mouse_up("#replay-line", offset=(60, 0))
        await driven.until(lambda: 58 < player.playhead.position_s < 62)
        at_s = player.playhead.position_s
        await driven.until(lambda: shown(driven) == statuses(tmp_path / "f", at_s))


async def test_a_run_shows_its_recorded_events_up_to_the_moment_and_begins_anew_after_a_seek(
    tmp_path: Path,
) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", at_s=20.0) as (driven, player):
        await driven.until(lambda: driven.app.state.fleet.loaded)
        await driven.app.show_screen("run", run_id=RUN)
        await driven.until_text("seq 20 ")
        await driven.press("space")
        driven.clock.now_s += 5
        player._tell()
        await driven.until_text("seq 25 ")
        await driven.press("space", "<")
        await driven.until_text("seq 15 ")
        await driven.press("{")
        await driven.until(lambda: player.playhead.position_s == 0.0)
        await driven.until_no_text("seq 15 ")


async def test_nothing_can_be_done_to_a_recording(tmp_path: Path) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", at_s=20.0) as (driven, player):
        await driven.until(lambda: driven.app.state.fleet.loaded)
        await driven.press("2", "ctrl+k")
        await driven.until_text("this is a recording")
        await driven.press("ctrl+n")
        assert driven.app.screen is driven.app.console_screen
    api = RecordedApi(player)
    for call in (
        api.cancel_run(RUN),
        api.retry_run(RUN),
        api.create_run("t"),
        api.create_task(NewTask(name="x", agent_type="command")),
    ):
        with pytest.raises(ApiError, match="read_only"):
            await call


async def test_help_names_the_keys_of_the_replay(tmp_path: Path) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", size=(160, 60), at_s=20.0) as (driven, _):
        await driven.until(lambda: driven.app.state.fleet.loaded)
        await driven.press("question_mark")
        await driven.until_text("hold it, let it go on", "ten seconds earlier")


async def test_keys_of_the_replay_are_letters_where_one_types(tmp_path: Path) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", at_s=20.0) as (driven, player):
        await driven.until(lambda: driven.app.state.fleet.loaded)
        await driven.press("2", "f", "a", "space", "minus", "b")
        assert player.playhead.paused
        assert player.playhead.speed == 1.0
        await driven.until_text("a -b")


async def test_the_end_is_said_and_going_on_from_there_begins_anew(tmp_path: Path) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", speed=math.inf, paused=False) as (driven, player):
        await driven.until_text("END", "×max")
        await driven.until(lambda: shown(driven) == statuses(tmp_path / "f", 1e9))
        await driven.press("-", "space")
        assert player.playhead.position_s < 100.0
        await driven.until_text("REPLAY 1")


async def test_requests_are_answered_as_of_the_moment(tmp_path: Path) -> None:
    recorded(tmp_path / "f")
    async with replaying(tmp_path / "f", at_s=30.0) as (driven, player):
        await driven.until(lambda: shown(driven) == statuses(tmp_path / "f", 30.0))
        api = RecordedApi(player)
        detail = await api.workflow(RUN)
        assert detail.events[-1].seq == 30
        assert {tool.tool for tool in detail.tools} >= {"Bash", "Edit"}
        said = {step.detail for step in detail.steps if step.kind == "tool"}
        assert said
        assert not any(text and text.startswith("{") for text in said)
        page = await api.workflows({"sort": "-attention"}, limit=5)
        assert len(page.workflows) == 5
        assert page.next_cursor is not None
        after = await api.workflows({"sort": "-attention"}, limit=50, cursor=page.next_cursor)
        assert len(after.workflows) == 15
        assert len((await api.nodes()).nodes) == 6
        with pytest.raises(ApiError, match="not_found"):
            await api.workflow("run-none")
        with pytest.raises(ApiError, match="not_recorded"):
            await api.server_info()


async def test_a_run_that_had_ended_by_then_says_so_and_its_follower_ends(tmp_path: Path) -> None:
    recorded(tmp_path / "f")
    recording = Recording(tmp_path / "f")
    player = Player(recording, Playhead(recording.length_s, position_s=80.0, paused=True))
    items = [item async for item in player.follow(RUN, 58)]
    assert [type(item).__name__ for item in items] == ["EventBatch", "EventBatch", "RunStatus"]
    recording.close()
