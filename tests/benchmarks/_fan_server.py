"""The server side of `fan_out`: `python -m tests.benchmarks._fan_server WAY MESSAGES`.

Prints its port; publishes when a line comes; on the next prints how many events wait for the
slowest reader, and ends. ``broadcast`` is the websockets library's own `broadcast()`; ``hub`` is
our stack: uvicorn, the protocol of `websocket_protocol`, Starlette, the run socket's endpoint and
the hub, fed with one event a commit. ``each`` is the same made to write every event by itself. All
send the same frames, each encoded once.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import msgspec
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from runwatch_server import records
from runwatch_server.fanout.frames import encode
from runwatch_server.rows import EventRow, RunRow
from runwatch_server.storage.protocols import Commit, RunChange
from runwatch_shared.models import RunId
from runwatch_shared.wire import EventFrame
from tests.server.sockets.serving import serving

RUN = "run-000000000001"
PAYLOAD = b'{"role":"assistant","content":"%s"}' % (b"x" * 160)


def event(seq: int) -> EventRow:
    moment_us = 1_795_500_000_000_000 + seq
    return EventRow(seq, 1, "message", moment_us, moment_us, "info", PAYLOAD, None)


Publish = Callable[[int], None]


Listening = tuple[int, Publish, Callable[[], int]]
"""The port, what sends an event, and how many wait for the slowest reader."""
Way = Callable[[], AbstractAsyncContextManager[Listening]]


@asynccontextmanager
async def library() -> AsyncIterator[Listening]:
    connections: set[ServerConnection] = set()

    async def handler(connection: ServerConnection) -> None:
        connections.add(connection)
        await connection.wait_closed()
        connections.discard(connection)

    def publish(seq: int) -> None:
        record = EventFrame(data=records.event_record(RUN, event(seq), raw=False))
        broadcast(connections, encode(record).decode())

    async with serve(
        handler, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=2048
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1], publish, lambda: 0


@asynccontextmanager
async def ours(*, each: bool) -> AsyncIterator[Listening]:
    async with serving() as served:
        fleet = served.fleet
        served.commit(fleet.making(status="running"))
        row = fleet.runs[RUN]

        def publish(seq: int) -> None:
            served.hub.publish(commit_of(row, seq))
            if each:
                served.hub.streams.flush()

        yield served.port, publish, lambda: served.hub.streams.backlog()[1]


def commit_of(row: RunRow, seq: int) -> Commit:
    after = msgspec.structs.replace(row, last_seq=seq, event_count=seq, revision=seq + 1)
    return Commit(
        revision=seq + 1,
        at_us=after.updated_us,
        runs=[RunChange(row, after)],
        nodes=[],
        tasks=[],
        events={RunId(RUN): [event(seq)]},
        counts=[],
    )


async def main(way: str, messages: int) -> None:
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.buffer.readline()))
    wait: Callable[[], Awaitable[bytes]] = lines.get
    ways: dict[str, Way] = {
        "broadcast": library,
        "hub": partial(ours, each=False),
        "each": partial(ours, each=True),
    }
    async with ways[way]() as (port, publish, backlog):
        print(port, flush=True)
        await wait()
        for seq in range(1, messages + 1):
            publish(seq)
            await asyncio.sleep(0)
        await wait()
        print(backlog(), flush=True)
        await wait()
    loop.remove_reader(sys.stdin)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
