"""A TCP proxy in front of several servers, that cuts connections: at once or in mid-message."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

CHUNK: Final = 65536
END_S: Final = 20.0
POLL_S: Final = 0.01
MOST_MORE: Final = 3000
"""A cut in mid-message lets as many bytes through first."""


class Link:
    """One connection: a client's side and a server's."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._sides = (client, server)
        self.more: int | None = None
        """How many bytes still go to the client before it is cut; None for no end."""

    def cut(self) -> None:
        """Both sides find their connection reset."""
        for side in self._sides:
            side.transport.abort()

    def allowed(self, chunk: bytes) -> bytes:
        """What of it still goes to the client."""
        if self.more is None:
            return chunk
        part = chunk[: self.more]
        self.more -= len(part)
        return part


class CuttingProxy:
    """Each connection goes to the next of the ports.

    Attributes:
        port: Where it listens.
        cuts: How many connections were cut so far.
    """

    def __init__(self, ports: Sequence[int], dice: random.Random) -> None:
        self.port = 0
        self.cuts = 0
        self._ports = ports
        self._dice = dice
        self._turn = 0
        self._links: set[Link] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen; every connection is cut in the end."""
        listening = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            listening.close()
            for link in list(self._links):
                link.cut()
            async with asyncio.timeout(END_S):
                while self._links:
                    await asyncio.sleep(POLL_S)

    def cut_one(self) -> None:
        """Cut any connection, or have it cut within the next message; none where there is none."""
        links = [link for link in self._links if link.more is None]
        if not links:
            return
        link = self._dice.choice(links)
        link.more = 0
        if self._dice.random() < 0.5:
            link.more = self._dice.randrange(1, MOST_MORE)
        else:
            self._cut(link)

    def _cut(self, link: Link) -> None:
        self.cuts += 1
        link.cut()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        port = self._ports[self._turn % len(self._ports)]
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, up_writer)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(reader, up_writer, None), self._pump(up_reader, writer, link)
            )
        finally:
            self._links.discard(link)
            link.cut()

    async def _pump(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, link: Link | None
    ) -> None:
        """Pass on until either end is gone. With a link it counts what may still pass."""
        with suppress(OSError):
            while chunk := await source.read(CHUNK):
                part = chunk if link is None else link.allowed(chunk)
                to.write(part)
                await to.drain()
                if link is not None and link.more == 0:
                    self._cut(link)
                    return
        with suppress(OSError, RuntimeError):
            to.write_eof()
