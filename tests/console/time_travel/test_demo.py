"""The made-up fleet: believable, the same for the same seed, alive, and obedient."""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from runwatch_console.app import ConsoleApp
from runwatch_console.demo.api import DemoApi
from runwatch_console.demo.feed import DemoFeed, DemoRunEvents
from runwatch_console.demo.machines import LOGIN_ID
from runwatch_console.demo.server import DemoServer
from runwatch_console.demo.starting import demo_connection
from runwatch_console.demo.wish import Wish, demo_target, wish_of
from runwatch_console.demo.world import SECOND, World
from runwatch_console.fleet import Fleet
from runwatch_console.folding import fold
from runwatch_console.locale.words import Words
from runwatch_console.ports import ApiError, EventBatch, EventQuery, Frame, NewTask, RunStatus
from runwatch_console.state import Preferences
from runwatch_shared.errors import SettingsError
from runwatch_shared.wire import ChangeFrame, SnapshotFrame, SubscribeFrame
from tests.console.driving import Driven, HandClock
from tests.console.scripted import Script

START_US = 1_795_000_000 * SECOND
EVERY_TYPE = {
    "run_started", "run_completed", "run_failed", "message", "thinking", "progress",
    "tool_use_start", "tool_result", "command", "command_output", "file_read", "file_write",
    "file_delete", "approval_request", "approval_response", "checkpoint", "heartbeat",
    "system_info", "result", "error", "warning",
}  # fmt: skip


class DemoClock(HandClock):
    """A clock of the time the fleets of these tests begin at."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = START_US / SECOND


class HastyClock(DemoClock):
    """Each look at it takes half a minute."""

    def now_us(self) -> int:
        self.now_s += 30
        return super().now_us()


def said(world: World) -> list[Any]:
    return [run.summary(world.now_us) for run in world.runs.values()]


@pytest.mark.requirement("headless.demo")
def test_the_same_seed_gives_the_same_fleet_and_the_same_life_however_often_it_is_looked_at() -> (
    None
):
    once, often, other = (
        World(Wish(), START_US),
        World(Wish(), START_US),
        World(Wish(seed=8), START_US),
    )
    assert said(once) == said(often)
    assert {run.id for run in once.runs.values()}.isdisjoint(other.runs)
    end_us = START_US + 110 * SECOND
    for second in range(1, 60):
        once.advance(START_US + second * SECOND)
    for fifth in range(1, 550):
        often.advance(START_US + fifth * SECOND // 5)
    once.advance(end_us)
    often.advance(end_us)
    assert once.events > World(Wish(), START_US).events + 300
    assert said(once) == said(often)


def test_there_is_something_of_everything_at_once() -> None:
    server = DemoServer(Wish(), clock=DemoClock())
    rows = list(server.holdings().runs.values())
    assert {row.state for row in rows} == {
        "pending", "running", "waiting", "completed", "failed", "unknown",
    }  # fmt: skip
    assert {row.health for row in rows} >= {"stalled", "looping", "slow", "stuck_queued"}
    assert {row.agent_type for row in rows} >= {
        "claude-code", "openai-codex", "gemini-cli", "qwen-code", "command",
    }  # fmt: skip
    reasons = {row.queue_reason_code for row in rows if row.status == "queued"}
    assert reasons >= {"full", "login_missing", "labels"}
    assert any(not row.name.isascii() for row in rows)
    login = next(row for row in rows if row.type == "auth")
    assert login.metadata["user_code"] in (login.waiting.prompt if login.waiting else "")
    nodes = list(server.holdings().nodes.values())
    assert [node.status for node in nodes].count("offline") == 1
    assert len(nodes) == 6
    assert server.stats().burn.cost_usd_per_h
    history = server.history(30)
    assert {len(values) for values in history.series.values()} == {30}
    assert None not in history.series["running"]


def test_events_of_every_type_come_by() -> None:
    world = World(Wish(runs=300), START_US)
    seen = {event.type for run in world.runs.values() for event in run.events}
    for second in range(0, 300, 10):
        world.advance(START_US + second * SECOND)
        seen |= {event.type for run in world.runs.values() for event in run.events}
    assert seen >= EVERY_TYPE
    assert any(kind.startswith("x_") for kind in seen)


def test_a_long_life_stays_bounded_and_lively() -> None:
    world = World(Wish(runs=60, changes_per_s=50), START_US)
    for second in range(0, 1_800, 5):
        world.advance(START_US + second * SECOND)
    assert len(world.runs) <= 60 + 20
    assert len(world.changed) == len(world.runs)
    assert len(world._due) < 1_000
    active = [run for run in world.runs.values() if run.status == "running"]
    assert len(active) > 5
    assert world.events > 20_000


async def test_frames_fold_to_what_the_fleet_is() -> None:
    clock = DemoClock()
    server = DemoServer(Wish(changes_per_s=50), clock=clock)
    feed = DemoFeed(server, SubscribeFrame(id=1, limit=5_000))
    fleet, changes, previous = Fleet(), 0, None
    async with aclosing(feed.frames()) as items:
        async for item in items:
            if not isinstance(item, Frame):
                continue
            msgspec.json.decode(msgspec.json.encode(item.frame), type=type(item.frame))
            if isinstance(item.frame, ChangeFrame):
                assert item.frame.previous == previous
                changes += 1
            if isinstance(item.frame, SnapshotFrame | ChangeFrame):
                previous = item.frame.revision
            fleet = fold(fleet, [item.frame])
            clock.now_s += 0.5
            if changes == 60:
                break
    ids = {row.id for row in server.holdings().runs.values()}
    assert set(fleet.runs) == ids
    states = {row.id: row.status for row in server.holdings().runs.values()}
    assert {run.id: run.status for run in fleet.runs.values()} == states


async def test_what_is_written_acts_on_it() -> None:
    clock = DemoClock()
    server = DemoServer(Wish(), clock=clock)
    api = DemoApi(server)
    running = next(
        run for run in server.world.runs.values() if run.status == "running" and not run.node_silent
    )
    assert (await api.cancel_run(running.id)).cancelling
    clock.now_s += 5
    assert (await api.workflow(running.id)).status == "cancelled"
    again = await api.retry_run(running.id)
    assert again.parent_id == running.id
    task = await api.create_task(NewTask(name="mine", agent_type="command", argv=("echo", "hi")))
    run = await api.create_run(task.id)
    row = await api.workflow(run.id)
    for _ in range(2_000):
        clock.now_s += 1
        row = await api.workflow(run.id)
        if row.end_time is not None:
            break
    assert row.name == "mine"
    assert row.status in ("done", "failed")
    page = await api.events(run.id, EventQuery(after_seq=0, limit=500))
    assert any(b'"echo","hi"' in bytes(event.payload) for event in page.events)
    done = next(run for run in server.world.runs.values() if run.status == "done")
    with pytest.raises(ApiError, match="run_finished"):
        await api.cancel_run(done.id)
    with pytest.raises(ApiError, match="not_found"):
        await api.cancel_run("run-none")
    looking = DemoApi(DemoServer(Wish(), clock=clock, read_only=True))
    with pytest.raises(ApiError, match="read-only"):
        await looking.create_task(NewTask(name="x", agent_type="command"))


async def test_a_run_can_be_followed_to_its_end() -> None:
    clock = HastyClock()
    server = DemoServer(Wish(), clock=clock)
    run = next(
        run
        for run in server.world.runs.values()
        if run.agent.type == "command" and run.status == "running"
    )
    seqs: list[int] = []
    end = None
    async with asyncio.timeout(5), aclosing(DemoRunEvents(server).follow(run.id, 0)) as items:
        async for item in items:
            if isinstance(item, EventBatch):
                seqs += [event.seq for event in item.events]
            elif isinstance(item, RunStatus):
                end = item
    assert end is not None
    assert seqs == list(range(1, end.last_seq + 1))


@pytest.mark.requirement("headless.demo")
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_screen_works_on_it(language: str) -> None:
    clock = DemoClock()
    wish = Wish()
    app = ConsoleApp(
        target=demo_target(wish),
        connect=lambda: demo_connection(wish, rows=5_000),
        preferences=Preferences(words=Words(language)),
        clock=clock,
        environment={},
    )
    async with app.run_test(size=(160, 50), notifications=True) as pilot:
        driven = Driven(app, pilot, Script(), clock)
        await driven.until(lambda: app.state.fleet.loaded)
        await driven.until_text("demo", "WAIT" if language == "en" else "等待")
        for key in "2456711":
            await driven.press(key)
            await driven.until(lambda: len(driven.text.strip()) > 500)
        looping = next(run for run in app.state.fleet.runs.values() if run.health == "looping")
        await app.show_screen("run", run_id=looping.id)
        await driven.until_text("pytest -q tests/billing", "Bash")
        assert LOGIN_ID in app.state.fleet.runs


async def test_its_login_has_a_log_as_long_as_its_row_says_and_without_the_code() -> None:
    server = DemoServer(Wish(), clock=DemoClock())
    api = DemoApi(server)
    row = await api.workflow(LOGIN_ID)
    page = await api.events(LOGIN_ID, EventQuery(tail=True))
    assert page.last_seq == row.last_seq == len(page.events) == row.event_count
    assert row.metadata is not None
    assert page.events[-1].type == row.metadata["phase"]
    assert str(row.metadata["user_code"]) not in str([bytes(e.payload) for e in page.events])
    assert (await api.steps(LOGIN_ID, after_seq=0, limit=10)).steps == []
    async with asyncio.timeout(20), aclosing(DemoRunEvents(server).follow(LOGIN_ID, 1)) as items:
        batch = await anext(items)
        assert isinstance(batch, EventBatch)
        assert [event.seq for event in batch.events] == [2, 3]


def test_the_flags_are_read_and_what_is_no_number_is_refused() -> None:
    assert wish_of({"demo": True}) == Wish()
    wish = wish_of({"demo_seed": "3", "demo_rate": "50", "demo_runs": "500"})
    assert (wish.seed, wish.changes_per_s, wish.runs) == (3, 50.0, 500)
    for typed in ({"demo_seed": "x"}, {"demo_runs": "3"}, {"demo_rate": "-1"}):
        with pytest.raises(SettingsError, match="--demo-"):
            wish_of(typed)
