"""A server over a generated store, and the ways `scale` asks it: one connection, kept open."""

import asyncio
import http.client
import json
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect

from tests.processes import ServerProcess

PATIENT: Final = {
    # Nothing runs out while it is measured: there is no node behind the fleet.
    "RUNWATCH_LEASE": json.dumps({"ttl_s": 10**7, "node_offline_s": 10**7}),
    # What it does in the background for q is not what is measured.
    "RUNWATCH_SEARCH": "false",
    "RUNWATCH_LIMITS": json.dumps(
        {"reads_per_s": 10**6, "reads_burst": 10**6, "sockets_per_credential": 1000}
    ),
}
SETTLE_S: Final = 15.0
TRIES: Final = 5
CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class ScaleServer:
    """A server whose database is there already, in ``folder`` or at a URL; stopped when the block
    ends.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self._process = ServerProcess(
            folder, "--no-tls", "--log-level", "warning", database=database
        )
        self._process.environment.update(PATIENT)
        self._connection: http.client.HTTPConnection | None = None
        self.start_s = 0.0

    def __enter__(self) -> Self:
        begun = time.monotonic()
        self._process.start()
        self.start_s = time.monotonic() - begun
        self._connection = http.client.HTTPConnection("127.0.0.1", self._process.port, timeout=60)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stop()

    def restart(self) -> float:
        """Stop and start again; seconds until it is ready."""
        self.__exit__()
        self.__enter__()
        return self.start_s

    def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        return json.loads(self._body(path))

    def seconds(self, path: str) -> float:
        """How long a GET takes until its body is here: the quickest of `TRIES`, as whatever else
        the machine does only adds.
        """
        taken = []
        for _ in range(TRIES):
            begun = time.perf_counter()
            self._body(path)
            taken.append(time.perf_counter() - begun)
        return min(taken)

    def first_chunk_s(self) -> float:
        """From the dial to the first part of a snapshot, in delta mode."""
        return asyncio.run(self._first_chunk())

    def rss_bytes(self) -> int:
        """Memory of the process that is in RAM."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * PAGE_BYTES

    def cpu_s(self) -> float:
        """Processor time the process took so far."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def idle_cpu_share(self, consoles: int, seconds: float) -> float:
        """The share of a core it takes with so many consoles that are told nothing new."""
        return asyncio.run(self._idle(consoles, seconds))

    def _body(self, path: str) -> bytes:
        assert self._connection is not None
        headers = {"Authorization": f"Bearer {self._process.token}"}
        self._connection.request("GET", path, headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status, body[:500])
        return body

    def _dial(self) -> connect:
        return connect(
            f"ws://127.0.0.1:{self._process.port}/ws/monitor?mode=delta",
            additional_headers={"Authorization": f"Bearer {self._process.token}"},
            max_size=None,
            compression=None,
            ping_interval=None,
        )

    async def _first_chunk(self) -> float:
        begun = time.perf_counter()
        async with asyncio.timeout(60), self._dial() as socket:
            await _until_snapshot(socket)
            return time.perf_counter() - begun

    async def _idle(self, consoles: int, seconds: float) -> float:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            readers = []
            for _ in range(consoles):
                socket = await stack.enter_async_context(self._dial())
                await _until_snapshot(socket)
                readers.append(group.create_task(_read(socket), name="console"))
            await asyncio.sleep(min(SETTLE_S, seconds))
            begun, cpu = time.monotonic(), self.cpu_s()
            await asyncio.sleep(seconds)
            share = (self.cpu_s() - cpu) / (time.monotonic() - begun)
            for reader in readers:
                reader.cancel()
        return share


async def _until_snapshot(socket: ClientConnection) -> None:
    async for frame in socket:
        text = frame if isinstance(frame, str) else frame.decode()
        if json.loads(text[:200].partition(',"')[0] + "}")["type"] == "snapshot":
            return
    raise AssertionError("closed without a snapshot")


async def _read(socket: ClientConnection) -> None:
    async for _ in socket:
        pass
