"""A thousand readers of one run from its beginning, ten of them slow: each gets all, once."""

import asyncio
import json
import tempfile
import time
from pathlib import Path

import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.benchmarks._long_store import fill, opened, run_id
from tests.benchmarks.figures import Figure
from tests.benchmarks.long_run import FRAMES, resident_kb
from tests.processes import ServerProcess

READERS = 1000
SLOW = 10
EVENTS = 3000
OPENING = 50


def main() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="runwatch-bench-") as name:
        folder = Path(name)
        store = opened(folder)
        fill(store, 1, EVENTS, rare_every=37)
        store.close()
        server = ServerProcess(folder, "--no-tls")
        limits = {"sockets": 2 * READERS, "sockets_per_credential": 2 * READERS}
        limits |= {"reads_per_s": 5000, "reads_burst": 5000}
        server.environment["RUNWATCH_LIMITS"] = json.dumps(limits)
        with server:
            before = resident_kb(server.pid)
            seconds = uvloop.run(read_all(server))
            grown_mb = (resident_kb(server.pid) - before) / 1024
    return [
        Figure(
            name="1,000 readers from 0, 10 slow: all got all, once",
            value=(READERS - SLOW) * EVENTS / seconds / 1000,
            unit="k events/s",
        ),
        Figure(name="… server memory grown", value=grown_mb, unit="MB"),
    ]


async def read_all(server: ServerProcess) -> float:
    """Seconds until all but the slow have everything; the slow are awaited after that."""
    gate = asyncio.Semaphore(OPENING)
    url = f"{server.url.replace('http', 'ws', 1)}/ws/runs/{run_id(1)}/events?from_seq=0&batch=true"
    headers = {"Authorization": f"Bearer {server.token}"}
    go_on = asyncio.Event()

    async def reader(slow: bool) -> None:
        async with gate:
            socket = await connect(
                url,
                additional_headers=headers,
                compression=None,
                max_size=None,
                max_queue=1 if slow else 16,
                open_timeout=60,
                ping_interval=None,
            )
        if slow:
            await go_on.wait()
        last = 0
        try:
            while True:
                frame = FRAMES.decode(await socket.recv())
                if isinstance(frame.data, list):
                    seqs = [event.seq for event in frame.data]
                    assert seqs == list(range(last + 1, last + 1 + len(seqs)))
                    last = seqs[-1]
        except ConnectionClosed:
            assert last == EVENTS, last

    async with asyncio.TaskGroup() as group:
        for _ in range(SLOW):
            group.create_task(reader(slow=True))
        begun = time.perf_counter()
        fast = [group.create_task(reader(slow=False)) for _ in range(READERS - SLOW)]
        await asyncio.wait(fast)
        seconds = time.perf_counter() - begun
        go_on.set()
    return seconds
