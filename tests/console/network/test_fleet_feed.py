import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosedError

from runwatch_console.contexts import Context
from runwatch_console.feed import SocketLostError, closed, open_socket
from runwatch_console.fleet_feed import MonitorFeed, fleet_subscription
from runwatch_console.ports import (
    Cause,
    Connected,
    Connecting,
    Disconnected,
    FeedItem,
    Frame,
    LossReason,
)
from runwatch_console.retries import Retries
from runwatch_shared.wire import ChangeFrame, ResyncFrame, SnapshotFrame, SubscribeFrame
from tests.console.network.conftest import context_for
from tests.console.network.records import (
    NOW,
    STORE,
    change,
    heartbeat,
    hello,
    snapshot,
    summary,
    workflows,
)
from tests.console.network.scripted import LIMIT_S, Refusal, ScriptedServer, hold, send

T = TypeVar("T")
Quick = Callable[[], Retries]


@asynccontextmanager
async def opened(feed: MonitorFeed) -> AsyncIterator[AsyncGenerator[FeedItem, None]]:
    async with asyncio.timeout(LIMIT_S * 2), aclosing(feed.frames()) as items:
        yield items


async def until(items: AsyncGenerator[FeedItem, None], kind: type[T]) -> T:
    """The next item of a kind; what lies between is passed over."""
    async with asyncio.timeout(LIMIT_S):
        async for item in items:
            if isinstance(item, kind):
                return item
    raise AssertionError("the feed ended")


async def next_frame(items: AsyncGenerator[FeedItem, None], kind: type[T]) -> T:
    frame = (await until(items, Frame)).frame
    assert isinstance(frame, kind)
    return frame


async def test_a_connection_says_hello_and_then_gives_the_snapshot_and_changes(
    server: ScriptedServer, context: Context
) -> None:
    async def scene(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot(workflows=[summary()]))
        await send(websocket, change(812, 813, workflows=workflows(summary(state="waiting"))))
        await hold(websocket)

    server.play(scene)
    async with opened(MonitorFeed(context)) as items:
        assert await until(items, Connecting) == Connecting(attempt=1)
        assert (await until(items, Connected)).hello.revision == 812
        assert (await next_frame(items, SnapshotFrame)).revision == 812
        changed = await next_frame(items, ChangeFrame)
        assert changed.workflows is not None
        assert changed.workflows.upsert[0].state == "waiting"
    upgrade = server.upgrades[0]
    assert upgrade.path == "/ws/monitor"
    assert upgrade.query["mode"] == "delta"
    assert '"limit":5000' in upgrade.query["subscribe"]
    assert "since" not in upgrade.query
    assert upgrade.headers["sec-websocket-protocol"] == "runwatch.v1"
    assert "sec-websocket-extensions" not in upgrade.headers


@pytest.mark.parametrize("close_code", [1001, 1011, 1013])
async def test_a_lost_connection_is_resumed_from_the_last_revision(
    server: ScriptedServer, context: Context, quick: Quick, close_code: int
) -> None:
    async def first(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot(), change(812, 815), heartbeat(820))
        await websocket.close(close_code)

    async def second(websocket: WebSocket) -> None:
        await send(websocket, hello(830, resumed=True), change(820, 830, total=3))
        await hold(websocket)

    server.play(first, second)
    async with opened(MonitorFeed(context, retries=quick())) as items:
        lost = await until(items, Disconnected)
        assert lost.reason is LossReason.CLOSED
        assert lost.retry_in_s is not None
        assert (await until(items, Connected)).hello.resumed
        assert (await next_frame(items, ChangeFrame)).revision == 830
    assert server.upgrades[1].query["since"] == "820"
    assert server.upgrades[1].query["store"] == STORE


async def test_a_silence_and_a_cut_carry_their_cause_to_the_screen(
    server: ScriptedServer, context: Context
) -> None:
    server.play(hold)
    async with open_socket(context, "/ws/monitor") as socket:
        with pytest.raises(SocketLostError) as silence:
            await socket.receive(0.05)
    lost = silence.value.loss.disconnected(1.0)
    assert (lost.reason, lost.cause) == (LossReason.CLOSED, Cause.SILENT)
    cut = closed(ConnectionClosedError(None, None)).disconnected(1.0)
    assert (cut.reason, cut.cause) == (LossReason.CLOSED, Cause.CUT)


async def test_a_connection_lost_within_the_snapshot_begins_anew(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    async def cut(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot(last=False), heartbeat(812))
        await websocket.close(1001)

    async def whole(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot())
        await hold(websocket)

    server.play(cut, whole)
    async with opened(MonitorFeed(context, retries=quick())) as items:
        await until(items, Disconnected)
        await until(items, Connected)
    assert "since" not in server.upgrades[1].query


async def test_a_connection_lost_between_the_parts_of_a_resume_resumes_from_where_it_was(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    async def first(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot())
        await websocket.close(1001)

    async def half(websocket: WebSocket) -> None:
        await send(websocket, hello(900, resumed=True), change(812, 900))
        await websocket.close(1001)

    async def whole(websocket: WebSocket) -> None:
        await send(websocket, hello(900, resumed=True), change(812, 850), change(850, 900, total=7))
        await websocket.close(1001)

    server.play(first, half, whole)
    async with opened(MonitorFeed(context, retries=quick())) as items:
        for _ in range(4):
            await until(items, Disconnected)
    assert [seen.query.get("since") for seen in server.upgrades[:4]] == [None, "812", "812", "900"]


async def test_a_change_that_does_not_follow_makes_the_feed_resume_from_what_it_has(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    async def torn(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot(), change(813, 814))
        await hold(websocket)

    server.play(torn)
    async with opened(MonitorFeed(context, retries=quick())) as items:
        await next_frame(items, SnapshotFrame)
        lost = await until(items, Disconnected)
        assert lost.reason is LossReason.DEFECT
        await until(items, Disconnected)
    assert server.upgrades[1].query["since"] == "812"


async def test_a_resync_drops_the_place_until_the_new_snapshot_is_whole(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    async def scene(websocket: WebSocket) -> None:
        resync = ResyncFrame(reason="lagging", revision=900, server_time=NOW)
        await send(websocket, hello(), snapshot(), resync, heartbeat(900))
        await websocket.close(1001)

    server.play(scene)
    async with opened(MonitorFeed(context, retries=quick())) as items:
        await until(items, Disconnected)
        await until(items, Disconnected)
    assert "since" not in server.upgrades[1].query


@pytest.mark.parametrize(
    ("refusal", "reason", "comes_back"),
    [
        (Refusal(401, "invalid_credential"), LossReason.UNAUTHORIZED, False),
        (Refusal(403, "forbidden"), LossReason.FORBIDDEN, False),
        (Refusal(404, "not_found"), LossReason.DEFECT, True),
        (Refusal(429, "too_many_connections"), LossReason.BUSY, True),
        (Refusal(503, "overloaded"), LossReason.BUSY, True),
        (Refusal(502, "", body=b"<html>bad gateway"), LossReason.REFUSED, True),
    ],
)
async def test_a_refused_upgrade_says_why_and_whether_it_is_tried_again(
    server: ScriptedServer,
    context: Context,
    quick: Quick,
    refusal: Refusal,
    reason: LossReason,
    comes_back: bool,
) -> None:
    server.play(refusal)
    async with opened(MonitorFeed(context, retries=quick())) as items:
        lost = await until(items, Disconnected)
    assert lost.reason is reason
    assert (lost.retry_in_s is not None) is comes_back


async def test_retry_after_is_obeyed(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    server.play(Refusal(503, "overloaded", headers={"Retry-After": "7"}))
    async with opened(MonitorFeed(context, retries=quick())) as items:
        lost = await until(items, Disconnected)
    assert lost.retry_in_s is not None
    assert lost.retry_in_s >= 7


async def test_a_credential_that_ends_meanwhile_is_told_apart(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    async def scene(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot())
        await websocket.close(1008)

    server.play(scene)
    async with opened(MonitorFeed(context, retries=quick())) as items:
        lost = await until(items, Disconnected)
    assert lost.reason is LossReason.UNAUTHORIZED
    assert lost.retry_in_s is None


async def test_retry_now_ends_the_wait_even_when_it_comes_before_it_began(
    server: ScriptedServer, context: Context
) -> None:
    async def scene(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot())
        await hold(websocket)

    server.play(Refusal(401, "invalid_credential"), scene)
    feed = MonitorFeed(context)
    async with opened(feed) as items:
        lost = await until(items, Disconnected)
        assert lost.retry_in_s is None
        feed.retry_now()
        await until(items, Connected)


async def test_nobody_listening_is_refused_and_tried_again(tmp_path: Path, quick: Quick) -> None:
    feed = MonitorFeed(context_for("http://127.0.0.1:1", tmp_path), retries=quick())
    async with opened(feed) as items:
        assert (await until(items, Connecting)).attempt == 1
        lost = await until(items, Disconnected)
        assert (lost.reason, lost.detail) == (LossReason.REFUSED, "Connection refused")
        assert (await until(items, Connecting)).attempt == 2


@pytest.mark.requirement("state.version")
async def test_a_server_of_another_protocol_is_named_with_its_versions(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    async def scene(websocket: WebSocket) -> None:
        await websocket.send_text('{"type":"hello","protocol":9,"protocol_min":7}')
        await hold(websocket)

    server.play(scene)
    async with opened(MonitorFeed(context, retries=quick())) as items:
        lost = await until(items, Disconnected)
    assert lost.reason is LossReason.VERSION
    assert lost.server_protocol == (7, 9)
    assert lost.retry_in_s is not None


async def test_unknown_frames_and_fields_are_ignored_and_wrong_ones_are_a_defect(
    server: ScriptedServer, context: Context, quick: Quick
) -> None:
    async def scene(websocket: WebSocket) -> None:
        await send(websocket, hello())
        await websocket.send_text('{"type":"weather","revision":1}')
        await websocket.send_text(
            f'{{"type":"snapshot","sub":1,"revision":812,"server_time":"{NOW}",'
            '"part":1,"last":true,"moon":"full"}'
        )
        await websocket.send_text('{"type":"heartbeat","revision":"many"}')
        await hold(websocket)

    server.play(scene)
    async with opened(MonitorFeed(context, retries=quick())) as items:
        assert (await next_frame(items, SnapshotFrame)).revision == 812
        lost = await until(items, Disconnected)
    assert lost.reason is LossReason.DEFECT
    assert "heartbeat" in lost.detail


@pytest.mark.parametrize("message", ["", "[]", '{"type":"snapshot"}', "not json", '"hello"'])
async def test_a_first_frame_that_is_no_hello_is_a_defect(
    server: ScriptedServer, context: Context, quick: Quick, message: str
) -> None:
    async def scene(websocket: WebSocket) -> None:
        await websocket.send_text(message)
        await hold(websocket)

    server.play(scene)
    async with opened(MonitorFeed(context, retries=quick())) as items:
        lost = await until(items, Disconnected)
    assert lost.reason is LossReason.DEFECT


async def test_a_new_subscription_is_sent_and_frames_of_the_old_one_are_passed_over(
    server: ScriptedServer, context: Context
) -> None:
    received: list[str] = []

    async def scene(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot())
        received.append(await websocket.receive_text())
        await send(websocket, change(812, 813), snapshot(814, sub=2), change(814, 815, sub=2))
        await hold(websocket)

    server.play(scene)
    feed = MonitorFeed(context)
    async with opened(feed) as items:
        await next_frame(items, SnapshotFrame)
        await feed.subscribe(SubscribeFrame(id=2, topics=["stats"]))
        assert (await next_frame(items, SnapshotFrame)).sub == 2
        assert (await next_frame(items, ChangeFrame)).revision == 815
    assert received == ['{"type":"subscribe","id":2,"topics":["stats"]}']


async def test_another_number_of_rows_is_asked_for_once_and_before_the_socket_with_its_address(
    server: ScriptedServer, context: Context
) -> None:
    received: list[str] = []

    async def scene(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot(sub=2))
        received.append(await websocket.receive_text())
        await send(websocket, snapshot(814, sub=3))
        await hold(websocket)

    server.play(scene)
    feed = MonitorFeed(context, subscription=fleet_subscription(5000))
    await feed.limit_rows(300)
    async with opened(feed) as items:
        assert (await next_frame(items, SnapshotFrame)).sub == 2
        await feed.limit_rows(300)
        await feed.limit_rows(5000)
        assert (await next_frame(items, SnapshotFrame)).sub == 3
    assert '"limit":300' in server.upgrades[0].query["subscribe"]
    assert [('"id":3' in text, '"limit":5000' in text) for text in received] == [(True, True)]


async def test_the_credential_goes_in_the_header_and_never_in_the_address(
    server: ScriptedServer, tmp_path: Path, quick: Quick
) -> None:
    context = context_for(server.url, tmp_path, given_token="runwatch_viewer_secret")
    async with opened(MonitorFeed(context, retries=quick())) as items:
        await until(items, Disconnected)
    upgrade = server.upgrades[0]
    assert upgrade.headers["authorization"] == "Bearer runwatch_viewer_secret"
    assert "secret" not in str(upgrade.query)


async def test_a_token_written_anew_is_used_by_the_next_attempt(
    server: ScriptedServer, tmp_path: Path, quick: Quick
) -> None:
    (tmp_path / "token").write_text("old\n")
    async with opened(MonitorFeed(context_for(server.url, tmp_path), retries=quick())) as items:
        await until(items, Disconnected)
        (tmp_path / "token").write_text("new\n")
        await until(items, Disconnected)
    sent = [upgrade.headers["authorization"] for upgrade in server.upgrades[:2]]
    assert sent == ["Bearer old", "Bearer new"]


async def test_closing_the_frames_closes_the_socket(
    server: ScriptedServer, context: Context
) -> None:
    gone = asyncio.Event()

    async def scene(websocket: WebSocket) -> None:
        await send(websocket, hello(), snapshot())
        try:
            await hold(websocket)
        finally:
            gone.set()

    server.play(scene)
    async with opened(MonitorFeed(context)) as items:
        await next_frame(items, SnapshotFrame)
    async with asyncio.timeout(LIMIT_S):
        await gone.wait()
