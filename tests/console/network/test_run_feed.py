import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.websockets import WebSocket

from runwatch_console.contexts import Context
from runwatch_console.ports import (
    Disconnected,
    EventBatch,
    Gap,
    LossReason,
    Reconnected,
    RunGone,
    RunItem,
    RunStatus,
)
from runwatch_console.retries import Retries
from runwatch_console.run_feed import RunReading, RunSockets
from runwatch_shared import wire
from tests.console.network.records import NOW, STORE, event
from tests.console.network.scripted import LIMIT_S, Refusal, Scene, ScriptedServer, hold, send

RUN = "run-000000000001"
Quick = Callable[[], Retries]


def events(*seqs: int) -> wire.EventsFrame:
    return wire.EventsFrame(data=[event(seq) for seq in seqs])


def end(last_seq: int) -> wire.StatusFrame:
    return wire.StatusFrame(
        data=wire.RunEnd(run_id=RUN, status="done", exit_code=0, last_seq=last_seq)  # type: ignore[arg-type]
    )


def beat(last_seq: int) -> wire.RunHeartbeatFrame:
    return wire.RunHeartbeatFrame(data=wire.RunHeartbeat(server_time=NOW, last_seq=last_seq))


def scene(*frames: object, code: int = 1001) -> Scene:
    async def play(websocket: WebSocket) -> None:
        await send(websocket, *frames)
        await websocket.close(code)

    return play


@asynccontextmanager
async def following(
    sockets: RunSockets, from_seq: int | None
) -> AsyncIterator[AsyncGenerator[RunItem, None]]:
    async with asyncio.timeout(LIMIT_S * 2), aclosing(sockets.follow(RUN, from_seq)) as items:
        yield items


async def all_of(sockets: RunSockets, from_seq: int | None) -> list[RunItem]:
    async with following(sockets, from_seq) as items:
        return [item async for item in items]


def seqs_of(items: list[RunItem]) -> list[int]:
    return [e.seq for item in items if isinstance(item, EventBatch) for e in item.events]


async def test_a_run_is_read_to_its_end_over_three_connections_each_event_once(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    server.play(
        scene(events(1, 2, 3)),
        # What was sent already may come again; it must not be seen twice.
        scene(events(3, 4), wire.EventFrame(data=event(5)), code=1013),
        scene(events(6), end(6), code=1000),
    )
    sockets = RunSockets(context, store=lambda: STORE, retries=quick)
    items = await all_of(sockets, 0)
    assert seqs_of(items) == [1, 2, 3, 4, 5, 6]
    assert items[-1] == RunStatus(status="done", last_seq=6, exit_code=0)
    assert [item.from_seq for item in items if isinstance(item, Reconnected)] == [0, 3, 5]
    assert [seen.query["from_seq"] for seen in server.upgrades] == ["0", "3", "5"]
    assert all(seen.query["store"] == STORE for seen in server.upgrades)
    assert all(seen.query["batch"] == "true" for seen in server.upgrades)
    assert server.upgrades[0].path == f"/ws/runs/{RUN}/events"


async def test_removed_history_is_a_gap_in_its_place_and_is_not_asked_for_again(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    gap = wire.GapFrame(data=wire.Gap(from_seq=1, to_seq=4200, reason="expired"))
    server.play(scene(gap), scene(events(4201), end(4201), code=1000))
    items = await all_of(RunSockets(context, retries=quick), 0)
    assert Gap(from_seq=1, to_seq=4200, reason="expired") in items
    assert seqs_of(items) == [4201]
    assert server.upgrades[1].query["from_seq"] == "4200"


async def test_live_from_now_on_resumes_from_what_the_heartbeat_named(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    server.play(scene(beat(40)), scene(events(41), end(41), code=1000))
    items = await all_of(RunSockets(context, retries=quick), None)
    assert "from_seq" not in server.upgrades[0].query
    assert server.upgrades[1].query["from_seq"] == "40"
    assert seqs_of(items) == [41]


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(404, "not_found", "no such run"),
        Refusal(409, "store_changed", "the history is another"),
        Refusal(409, "seq_ahead", "the run has 12 events"),
    ],
)
async def test_a_run_that_is_not_there_ends_the_following_with_the_servers_words(
    server: ScriptedServer, context: Context, quick: Quick, refusal: Refusal
) -> None:
    server.play(refusal)
    items = await all_of(RunSockets(context, retries=quick), 5)
    assert items == [RunGone(detail=refusal.error)]


async def test_a_run_deleted_meanwhile_ends_the_following(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    server.play(scene(events(1), code=4404))
    items = await all_of(RunSockets(context, retries=quick), 0)
    assert isinstance(items[-1], RunGone)


async def test_a_refused_credential_is_said_and_tried_again_only_after_long(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    server.play(Refusal(401, "invalid_credential"))
    async with following(RunSockets(context, retries=quick), 0) as items:
        lost = await anext(items)
    assert isinstance(lost, Disconnected)
    assert lost.reason is LossReason.UNAUTHORIZED
    assert lost.retry_in_s == 30.0


async def test_unknown_frames_are_ignored_and_wrong_ones_are_a_defect(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    async def odd(websocket: WebSocket) -> None:
        await websocket.send_text('{"type":"weather"}')
        await send(websocket, events(1))
        await websocket.send_text('{"type":"events","data":7}')
        await hold(websocket)

    server.play(odd)
    async with following(RunSockets(context, retries=quick), 0) as items:
        assert isinstance(await anext(items), Reconnected)
        assert isinstance(await anext(items), EventBatch)
        lost = await anext(items)
    assert isinstance(lost, Disconnected)
    assert lost.reason is LossReason.DEFECT


async def test_an_id_cannot_leave_its_place_in_the_path(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    server.play(Refusal(404, "not_found"))
    sockets = RunSockets(context, retries=quick)
    async with asyncio.timeout(LIMIT_S), aclosing(sockets.follow("../x?y", None)) as items:
        assert isinstance(await anext(items), RunGone)
    assert server.upgrades[-1].path.startswith("/ws/runs/")
    assert "y" not in server.upgrades[-1].query


@given(
    total=st.integers(0, 30),
    start=st.integers(0, 30),
    cuts=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=6),
)
def test_however_often_the_history_is_sent_again_each_event_is_given_once_and_in_order(
    total: int, start: int, cuts: list[tuple[int, int]]
) -> None:
    reading = RunReading(RUN, start, None)
    given_seqs: list[int] = []

    def feed(first: int, last: int, size: int) -> None:
        seqs = list(range(first, last + 1))
        for at in range(0, len(seqs), size):
            item = reading.take(events(*seqs[at : at + size]))
            if item is not None:
                given_seqs.extend(e.seq for e in item.events)  # type: ignore[union-attr]

    sent = start
    for upto, size in cuts:
        last = min(max(sent, upto), total)
        # The server may repeat any part of what was read already.
        feed(max(1, sent - size), last, size)
        sent = max(sent, last)
    feed(sent + 1, total, 3)
    assert given_seqs == list(range(start + 1, total + 1))
