"""The application behind the server's own listener on a free port, in the test's loop."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runwatch_server import serving
from runwatch_server.admission import Mode
from runwatch_server.certificates import TlsFiles
from runwatch_shared.settings import Limits
from runwatch_shared.tasks import TaskOwner
from tests.server.http.house import House, open_house

QUICK = Limits(header_time_s=1, body_time_s=1, reads_burst=10_000, writes_burst=10_000)
DEADLINE_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """A server that listens."""

    house: House
    server: serving.Server
    port: int
    done: "asyncio.Task[None]"
    opened: "list[Raw]"

    async def connect(self, tls: ssl.SSLContext | None = None) -> "Raw":
        name = None if tls is None else "localhost"
        raw = Raw(
            *await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname=name)
        )
        self.opened.append(raw)
        return raw


class Raw:
    """A connection on which a test writes bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        async with asyncio.timeout(DEADLINE_S):
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = text.strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), headers

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        status, headers = await self.head()
        async with asyncio.timeout(DEADLINE_S):
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return status, headers, body

    async def closed(self) -> bytes:
        """Whatever still comes until the server closes."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                return await self.reader.read(-1)
            except ConnectionResetError:
                return b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(DEADLINE_S):
                await self.writer.wait_closed()


@asynccontextmanager
async def listening(
    mode: Mode = "on",
    *,
    limits: Limits = QUICK,
    certificates: TlsFiles | None = None,
    **settings: Any,
) -> AsyncIterator[Listening]:
    """Listen until the block ends or the server is told to stop."""
    chosen = {"drain_s": 0.0, "stop_s": 5.0, "tls": certificates is not None, **settings}
    async with open_house(mode, limits=limits, **chosen) as house:
        listener = serving.listen("127.0.0.1", 0)
        port: int = listener.getsockname()[1]
        server = serving.Server(
            serving._config(house.services.settings, house.services, certificates), house.services
        )
        async with TaskOwner("listener") as owner:
            done = owner.spawn(server.serve_announced(listener, "", ()), name="server")
            await until(lambda: server.started)
            opened: list[Raw] = []
            try:
                yield Listening(house=house, server=server, port=port, done=done, opened=opened)
            finally:
                for raw in opened:
                    await raw.close()
                server.should_exit = True
            async with asyncio.timeout(10):
                await done


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition, bounded."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


def certificates_in(directory: Path) -> TlsFiles:
    """Certificates of a fresh authority for this machine."""
    from runwatch_server.certificates import ensure_certificates
    from runwatch_shared.clock import SystemClock

    return ensure_certificates(directory, ["localhost", "127.0.0.1"], SystemClock())
