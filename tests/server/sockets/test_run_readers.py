"""The socket of a run as contract 10 has it, and a hundred of them on one run."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from runwatch_server import retention
from tests.server.sockets.serving import Served, serving

RUN = "run-000000000001"
READERS = 100
SLOW = 10


async def opened(served: Served, query: str = "", **more: Any) -> ClientConnection:
    path = served.url(f"/ws/runs/{RUN}/events{query}")
    return await connect(path, compression=None, max_size=None, **more)


async def told(socket: ClientConnection) -> list[dict[str, Any]]:
    """Every frame until the server closes."""
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        with suppress(ConnectionClosed):
            while True:
                frames.append(json.loads(await socket.recv()))
    return frames


async def test_without_a_number_a_run_that_is_over_gives_its_status_alone() -> None:
    async with serving() as served:
        served.commit(served.fleet.making(status="running"))
        served.commit(served.fleet.appending(RUN, 3, status="failed"))
        socket = await opened(served)
        (frame,) = await told(socket)
        assert frame["type"] == "status"
        assert (frame["data"]["status"], frame["data"]["last_seq"]) == ("failed", 3)
        assert socket.close_code == 1000


async def test_a_ping_is_answered_and_whatever_else_a_client_sends_is_ignored() -> None:
    async with serving() as served:
        served.commit(served.fleet.making(status="running"))
        socket = await opened(served, "?from_seq=0")
        await socket.send("no json")
        await socket.send('{"type":"subscribe","id":1}')
        await socket.send('{"type":"ping"}')
        async with asyncio.timeout(5):
            assert json.loads(await socket.recv())["type"] == "pong"
        served.commit(served.fleet.appending(RUN, 1))
        async with asyncio.timeout(5):
            assert json.loads(await socket.recv())["data"]["seq"] == 1
        await socket.close()


async def test_what_was_removed_is_a_gap_in_its_place_and_a_hole_is_none() -> None:
    async with serving() as served:
        served.commit(served.fleet.making(status="running"))
        served.commit(served.fleet.appending(RUN, 4))
        served.commit(served.fleet.appending(RUN, 2, hole=5))

        def remove(tx: Any) -> None:
            retention.remove_events(tx, tx.runs.get(RUN), limit=4)

        served.commit(remove)
        served.commit(served.fleet.appending(RUN, 1, status="done"))
        frames = await told(await opened(served, "?from_seq=0&batch=true"))
        assert [frame["type"] for frame in frames] == ["gap", "events", "status"]
        assert frames[0]["data"] == {"from_seq": 1, "to_seq": 4, "reason": "expired"}
        assert [event["seq"] for event in frames[1]["data"]] == [10, 11, 12]
        at_the_hole = await told(await opened(served, "?from_seq=4&batch=true"))
        assert [frame["type"] for frame in at_the_hole] == ["events", "status"]


async def test_a_hundred_readers_of_one_run_get_all_once_and_the_slow_hold_nobody_back() -> None:
    async with serving() as served:
        served.commit(served.fleet.making(status="running"))
        for _ in range(6):
            served.commit(served.fleet.appending(RUN, 500, size=400))
        slow = [await opened(served, "?from_seq=0", max_queue=1) for _ in range(SLOW)]
        fast = [
            await opened(served, f"?from_seq={index % 7}&batch=true")
            for index in range(READERS - SLOW)
        ]
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(told(socket)) for socket in fast]
            for _ in range(4):
                served.commit(served.fleet.appending(RUN, 250, size=400))
                await asyncio.sleep(0)
            served.commit(served.fleet.appending(RUN, 1, status="done"))
        for index, task in enumerate(reading):
            frames = task.result()
            batches = [frame["data"] for frame in frames if frame["type"] == "events"]
            seqs = [event["seq"] for batch in batches for event in batch]
            assert seqs == list(range(index % 7 + 1, 4002))
            assert frames[-1]["type"] == "status"
        # All the fast have all while the slow took nothing; now they read too.
        for socket in slow:
            frames = await told(socket)
            assert [f["data"]["seq"] for f in frames[:-1]] == list(range(1, 4002))
            assert frames[-1]["type"] == "status"
            assert socket.close_code == 1000
