"""Both sockets over a real server and real clients: what arrives, how they close, who is slow."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from runwatch_server.hub import Hub
from runwatch_shared.settings import Limits
from runwatch_shared.timestamps import parse_time
from tests.server.sockets.serving import LIMITS, Served, serving, until

RUN = "run-000000000001"
DELTA = "/ws/monitor?mode=delta"
WAYS = pytest.mark.parametrize("fast", [True, False], ids=["frames", "messages"])


@asynccontextmanager
async def client(served: Served, path: str, **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(served.url(path), compression=None, **options) as connection:
        yield connection


async def frame(connection: ClientConnection, *wanted: str) -> Any:
    """The next frame of one of these types; the next of any without."""
    async with asyncio.timeout(5):
        while True:
            found = json.loads(await connection.recv())
            if not wanted or found["type"] in wanted:
                return found


async def code_of(connection: ClientConnection) -> int | None:
    """With which the server closes, whatever it says before."""
    async with asyncio.timeout(5):
        try:
            while True:
                await connection.recv()
        except ConnectionClosed as closed:
            return None if closed.rcvd is None else closed.rcvd.code


@WAYS
async def test_a_fleet_is_greeted_shown_and_followed(fast: bool) -> None:
    async with serving(fast=fast) as served:
        served.commit(served.fleet.making(status="running"), served.fleet.beating("n1"))
        async with client(served, DELTA, subprotocols=["runwatch.v1"]) as monitor:
            assert monitor.subprotocol == "runwatch.v1"
            hello = await frame(monitor)
            assert (hello["type"], hello["resumed"]) == ("hello", False)
            assert hello["store"] == served.fleet.store.store_id
            assert hello["limits"]["sockets"] == LIMITS.sockets
            snapshot = await frame(monitor)
            assert [row["id"] for row in snapshot["workflows"]] == [RUN]
            assert [row["id"] for row in snapshot["nodes"]] == ["n1"]
            assert (snapshot["part"], snapshot["last"], snapshot["total"]) == (1, True, 1)
            assert snapshot["stats"]["total_runs"] == 1
            served.commit(served.fleet.changing(RUN, status="done"))
            change = await frame(monitor, "change")
            assert change["previous"] == snapshot["revision"]
            assert change["workflows"]["upsert"][0]["status"] == "done"
            served.commit(served.fleet.deleting(RUN))
            gone = await frame(monitor, "change")
            assert gone["previous"] == change["revision"]
            assert gone["workflows"]["remove"] == [{"type": "run", "id": RUN}]
            assert (gone["entered"], gone["left"]) == (0, 1)


@WAYS
async def test_a_client_that_lost_its_socket_gets_what_it_missed(fast: bool) -> None:
    async with serving(fast=fast) as served:
        fleet = served.fleet
        served.commit(fleet.making(), fleet.making())
        since = fleet.revision
        served.commit(fleet.deleting(RUN))
        served.commit(fleet.making())
        place = f"{DELTA}&since={since}&store={fleet.store.store_id}"
        async with client(served, place) as monitor:
            assert (await frame(monitor))["resumed"] is True
            change = await frame(monitor)
            assert (change["previous"], change["revision"]) == (since, fleet.revision)
            assert change["total"] == 2
            assert [row["id"] for row in change["workflows"]["upsert"]] == ["run-000000000003"]
            assert change["workflows"]["remove"] == [{"type": "run", "id": RUN}]


@pytest.mark.parametrize(
    ("since", "store"),
    [(99, None), (0, "0123456789abcdef")],
    ids=["beyond the store", "of another store"],
)
async def test_a_place_of_another_history_starts_over(since: int, store: str | None) -> None:
    async with serving() as served:
        served.commit(served.fleet.making())
        place = f"{DELTA}&since={since}&store={store or served.fleet.store.store_id}"
        async with client(served, place) as monitor:
            assert (await frame(monitor))["resumed"] is False
            assert (await frame(monitor))["reason"] == "store_changed"
            assert (await frame(monitor))["total"] == 1


async def test_a_new_subscription_is_answered_by_its_own_snapshot_and_a_bad_one_by_an_error() -> (
    None
):
    async with serving() as served:
        fleet = served.fleet
        served.commit(fleet.making(status="running"), fleet.making(status="done"))
        async with client(served, DELTA) as monitor:
            await frame(monitor, "snapshot")
            wish = {"type": "subscribe", "id": 7, "filter": {"status": ["done"]}}
            await monitor.send(json.dumps(wish))
            snapshot = await frame(monitor, "snapshot")
            assert (snapshot["sub"], snapshot["total"]) == (7, 1)
            await monitor.send('{"type":"subscribe","id":8,"filter":{"health":["odd"]}}')
            error = await frame(monitor)
            assert (error["type"], error["code"], error["id"]) == ("error", "invalid_value", 8)
            assert error["field"] == "filter.health[0]"
            await monitor.send('{"type":"subscribe","id":9,"filter":{"state":["odd"]}}')
            error = await frame(monitor)
            assert (error["code"], error["field"]) == ("invalid_value", "filter.state[0]")
            await monitor.send('{"type":"ping","id":3}')
            assert (await frame(monitor, "pong"))["id"] == 3
            served.commit(fleet.changing(RUN, status="done"))
            change = await frame(monitor, "change")
            assert (change["sub"], change["entered"]) == (7, 1)


async def test_statistics_come_at_most_once_a_second_and_the_last_ones_always_come() -> None:
    async with serving() as served:
        fleet = served.fleet
        async with client(served, DELTA) as monitor:
            await frame(monitor, "snapshot")
            seen: list[Any] = []
            for _ in range(8):
                served.commit(fleet.making())
                await asyncio.sleep(0.06)
            while not seen or seen[-1]["total_runs"] < 8:
                change = await frame(monitor, "change")
                if "stats" in change:
                    seen.append(change["stats"])
            moments = [parse_time(stats["server_time"]) for stats in seen]
            assert all(later - earlier > 900_000 for earlier, later in pairwise(moments))


@WAYS
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (["not json"], 4400),
        (['{"type":"dance"}'], 4400),
        (['{"type":"ping"}'] * 40, 4429),
        (["x" * 70_000], 1009),
    ],
)
async def test_a_client_that_breaks_the_rules_is_told_by_the_code(
    sent: list[str], code: int, fast: bool
) -> None:
    async with serving(fast=fast) as served, client(served, DELTA) as monitor:
        await frame(monitor, "snapshot")
        for text in sent:
            await monitor.send(text)
        assert await code_of(monitor) == code


@WAYS
async def test_a_run_is_replayed_followed_and_closed_at_its_end(fast: bool) -> None:
    async with serving(fast=fast) as served:
        fleet = served.fleet
        served.commit(fleet.making(status="running"))
        served.commit(fleet.appending(RUN, 700))
        async with client(served, f"/ws/runs/{RUN}/events?from_seq=0") as run:
            got = [(await frame(run))["data"]["seq"] for _ in range(700)]
            served.commit(fleet.appending(RUN, 2))
            served.commit(fleet.appending(RUN, 1, status="done"))
            got += [(await frame(run))["data"]["seq"] for _ in range(3)]
            assert got == list(range(1, 704))
            end = await frame(run)
            assert (end["type"], end["data"]["status"]) == ("status", "done")
            assert end["data"]["last_seq"] == 703
            assert await code_of(run) == 1000


async def test_a_batch_reader_gets_many_events_a_frame_with_raw_where_asked() -> None:
    async with serving(heartbeat_s=0.2) as served:
        fleet = served.fleet
        served.commit(fleet.making(status="running"))
        served.commit(fleet.appending(RUN, 1200))
        place = f"/ws/runs/{RUN}/events?from_seq=10&batch=true&include=raw"
        async with client(served, place) as run:
            got: list[int] = []
            while len(got) < 1190:
                found = await frame(run, "events")
                assert 0 < len(found["data"]) <= 500
                assert all(event["raw"] for event in found["data"])
                got += [event["seq"] for event in found["data"]]
            assert got == list(range(11, 1201))
            beat = await frame(run, "heartbeat")
            assert beat["data"]["last_seq"] == 1200
            await run.send('{"type":"ping"}')
            assert await frame(run, "pong") == {"type": "pong"}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/ws/runs/run-ffffffffffff/events", 404, "not_found"),
        (f"/ws/runs/{RUN}/events?from_seq=5", 409, "seq_ahead"),
        (f"/ws/runs/{RUN}/events?store=0000000000000000", 409, "store_changed"),
        (f"/ws/runs/{RUN}/events?from_seq=minus", 400, "invalid_parameter"),
        (f"/ws/runs/{RUN}/events?batch=perhaps", 400, "invalid_parameter"),
        ("/ws/monitor?mode=odd", 400, "invalid_value"),
        ('/ws/monitor?mode=delta&subscribe={"topics":["nodes","pods"]}', 400, "invalid_value"),
        ("/ws/monitor?mode=delta&since=now", 400, "invalid_parameter"),
        ("/ws/monitor?mode=delta&subscribe={", 400, "invalid_parameter"),
        ('/ws/monitor?mode=delta&subscribe={"sort":"odd"}', 400, "invalid_value"),
    ],
)
async def test_what_cannot_be_served_is_refused_before_the_upgrade(
    path: str, status: int, code: str
) -> None:
    async with serving() as served:
        served.commit(served.fleet.making(status="running"))
        with pytest.raises(InvalidStatus) as refused:
            async with client(served, path):
                pass
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body or b"")["code"] == code


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (f"/ws/runs/{RUN}/events?from_seq=-1", "from_seq must not be negative"),
        (f"/ws/runs/{RUN}/events?after_seq=ten", "after_seq must be a number"),
        (f"/ws/runs/{RUN}/events?from_seq={9**20}", "from_seq is too large"),
        ("/ws/monitor?mode=delta&since=-5", "since must not be negative"),
        ("/ws/monitor?mode=delta&since=now", "since must be a number"),
    ],
)
async def test_a_number_that_does_not_fit_is_told_why(path: str, error: str) -> None:
    async with serving() as served:
        served.commit(served.fleet.making(status="running"))
        with pytest.raises(InvalidStatus) as refused:
            async with client(served, path):
                pass
    problem = json.loads(refused.value.response.body or b"")
    assert (problem["code"], problem["error"]) == ("invalid_parameter", error)


async def test_an_unknown_value_of_a_subscription_names_those_that_are_known() -> None:
    async with serving() as served, client(served, DELTA) as monitor:
        await frame(monitor, "snapshot")
        for wish, field, known in (
            ({"topics": ["nodes", "pods"]}, "topics[1]", "workflows"),
            ({"filter": {"state": ["odd"]}}, "filter.state[0]", "running"),
            ({"filter": {"status": ["done", "odd"]}}, "filter.status[1]", "queued"),
            ({"sort": "-odd"}, "sort", "-attention"),
        ):
            await monitor.send(json.dumps({"type": "subscribe", "id": 8, **wish}))
            error = await frame(monitor, "error")
            assert (error["code"], error["field"], error["id"]) == ("invalid_value", field, 8)
            assert known in error["details"]["allowed"]
        await monitor.send('{"type":"subscribe","id":9,"limit":"ten"}')
        error = await frame(monitor, "error")
        assert (error["code"], error["error"]) == (
            "invalid_field",
            "limit does not fit: expected int | null",
        )


async def test_places_are_limited_by_server_and_by_credential() -> None:
    limits = Limits(sockets=3, sockets_per_credential=2)
    async with serving(limits=limits) as served:
        async with client(served, DELTA), client(served, DELTA):
            with pytest.raises(InvalidStatus) as refused:
                async with client(served, DELTA):
                    pass
            assert refused.value.response.status_code == 429
        await until(lambda: not len(served.hub.sockets))
        async with client(served, DELTA) as again:
            assert (await frame(again))["type"] == "hello"


async def test_without_parameters_whole_lists_come_with_events_between_them() -> None:
    async with serving() as served:
        fleet = served.fleet
        served.commit(fleet.making(status="running"))
        async with client(served, "/ws/monitor") as monitor:
            first, second = await frame(monitor), await frame(monitor)
            assert {first["type"], second["type"]} == {"workflows", "stats"}
            listed = first if first["type"] == "workflows" else second
            assert [row["id"] for row in listed["data"]] == [RUN]
            served.commit(fleet.changing(RUN, status="done"))
            event = await frame(monitor)
            assert event["type"] == "event"
            assert event["data"]["id"] == RUN
            assert (event["data"]["previous_state"], event["data"]["state"]) == (
                "running",
                "completed",
            )
            await monitor.send("anything")
            await monitor.send('{"type":"ping"}')
            assert await frame(monitor) == {"type": "pong"}
            again = await frame(monitor, "workflows")
            assert again["data"][0]["status"] == "done"


async def test_a_stopping_server_says_1001_to_everybody() -> None:
    async with serving() as served:
        served.commit(served.fleet.making(status="running"))
        async with (
            client(served, DELTA) as monitor,
            client(served, "/ws/monitor") as lists,
            client(served, f"/ws/runs/{RUN}/events") as run,
        ):
            await until(lambda: len(served.hub.sockets) == 3)
            served.server.should_exit = True
            codes = await asyncio.gather(*map(code_of, (monitor, lists, run)))
            assert codes == [1001, 1001, 1001]


async def test_a_credential_that_no_longer_holds_closes_its_sockets() -> None:
    async with (
        serving(heartbeat_s=0.05, recheck_s=0.05) as served,
        client(served, DELTA) as monitor,
    ):
        await frame(monitor, "snapshot")
        served.allowed = False
        assert await code_of(monitor) == 1008


class Stalled:
    """A client that opens a socket and never reads."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def read_until(self, end: bytes) -> bytes:
        self.socket.settimeout(5)
        found = b""
        while end not in found and (chunk := self.socket.recv(65536)):
            found += chunk
        return found


async def test_stalled_readers_do_not_slow_others_and_cost_bounded_memory() -> None:
    async with serving() as served:
        fleet = served.fleet
        served.commit(fleet.making(status="running"))
        path = f"/ws/runs/{RUN}/events?from_seq=0"
        stalled = [await asyncio.to_thread(Stalled, served.port, path) for _ in range(5)]
        await until(lambda: len(served.hub.sockets) == 5)
        async with client(served, path, max_queue=None) as healthy:
            for _ in range(100):
                served.commit(fleet.appending(RUN, 10, size=10_000))
                await asyncio.sleep(0)
            got = [(await frame(healthy))["data"]["seq"] for _ in range(1000)]
            assert got == list(range(1, 1001))
            buffered = [pressure(member) for member in served.hub.sockets._open]
            assert sum(1 for size in buffered if size) == 5
            # A part beyond the transport's own limit, however much there was to send.
            assert max(buffered) < 256 * 1024
            assert served.hub.streams.ring_bytes <= 4 * 1024 * 1024
        for peer in stalled:
            peer.socket.close()


def pressure(member: Any) -> int:
    return member.wire.pressure() or 0


async def test_a_stalled_monitor_gets_one_merged_change_when_it_reads_again() -> None:
    async with serving() as served:
        fleet = served.fleet
        served.commit(*(fleet.making(status="running") for _ in range(200)))
        async with connect(
            served.url(DELTA), compression=None, max_queue=1, open_timeout=5
        ) as monitor:
            await frame(monitor, "snapshot")
            shrink(monitor)
            rounds = 0
            while not any(map(pressure, served.hub.sockets._open)):
                rounds += 1
                assert rounds < 2000
                for row_id in list(fleet.runs):
                    fleet.write(fleet.changing(row_id, tool_calls=rounds))
                served.publish()
                await asyncio.sleep(0.06)
            newest = rounds + 5
            for number in range(rounds + 1, newest + 1):
                served.commit(*(fleet.changing(row, tool_calls=number) for row in fleet.runs))
                await asyncio.sleep(0.06)
            calls: dict[str, int] = {}
            sizes = []
            while set(calls.values()) != {newest} or len(calls) < 200:
                change = await frame(monitor, "change")
                upserted = change["workflows"]["upsert"]
                sizes.append(len(upserted))
                calls.update({row["id"]: row["tool_calls"] for row in upserted})
            assert len(sizes) < newest * 3


def shrink(connection: ClientConnection) -> None:
    raw = connection.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)


async def test_who_takes_nothing_for_too_long_is_closed_with_1013() -> None:
    limits = msgspec.structs.replace(LIMITS, stuck_socket_s=1)
    async with serving(limits=limits, heartbeat_s=0.1) as served:
        fleet = served.fleet
        served.commit(fleet.making(status="running"))
        path = f"/ws/runs/{RUN}/events?from_seq=0"
        peer = await asyncio.to_thread(Stalled, served.port, path)
        await until(lambda: len(served.hub.sockets) == 1)
        for _ in range(60):
            served.commit(fleet.appending(RUN, 10, size=10_000))
            await asyncio.sleep(0)
        await until(lambda: not len(served.hub.sockets), timeout_s=5)
        closing = (1013).to_bytes(2, "big") + b"nothing could be written"
        found = await asyncio.to_thread(peer.read_until, closing)
        peer.socket.close()
        assert found.endswith(closing)


async def test_more_readers_at_once_than_the_store_lets_wait_are_all_let_in() -> None:
    async with serving() as served:
        fleet = served.fleet
        served.commit(fleet.making(status="running"))
        served.commit(fleet.appending(RUN, 3))
        path = f"/ws/runs/{RUN}/events?from_seq=0"
        peers = [await asyncio.to_thread(Stalled, served.port, path) for _ in range(700)]
        await until(lambda: live(served.hub) == 700, timeout_s=20)
        for peer in peers:
            peer.socket.close()
        await until(lambda: not len(served.hub.sockets), timeout_s=20)


def live(hub: Hub) -> int:
    streams = hub.streams._streams.values()
    return sum(len(members) for stream in streams for members in stream.live.values())


@WAYS
async def test_what_the_library_tells_of_a_socket_goes_where_it_is_not_written(
    fast: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lines hold the query; `logs` leaves out what ``uvicorn.error`` tells."""
    caplog.set_level(logging.INFO)
    async with serving(fast=fast) as served, client(served, DELTA + "&since=0") as monitor:
        await frame(monitor, "hello")
    told = [record.name for record in caplog.records if "since=0" in record.getMessage()]
    assert set(told) == {"uvicorn.error"}
