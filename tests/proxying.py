"""Real proxies and targets on loopback for tests: HTTP CONNECT (also over TLS), SOCKS5, HTTP(S)."""

import asyncio
import base64
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """What a proxy or target was asked."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    """Of proxies ``host:port``, of targets the request line and the Host header."""
    logins: list[str] = field(default_factory=list)


@asynccontextmanager
async def serving(
    handler: Handler, trust: ssl.SSLContext | None = None, *, listen: str = HOST
) -> AsyncIterator[int]:
    """A listener; gives its port."""

    async def shielded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(shielded, listen, 0, ssl=trust)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def target(
    *,
    status: int = 200,
    body: bytes = b"hello\n",
    more: str = "",
    trust: ssl.SSLContext | None = None,
) -> AsyncIterator[Seen]:
    """An HTTP server that answers everything alike."""
    seen = Seen()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        host = next((line for line in lines if line.lower().startswith("host:")), "")
        seen.asked.append(f"{lines[0]} | {host}")
        text = (
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
        )
        writer.write(text.encode() + body)
        await writer.drain()

    async with serving(answer, trust) as port:
        seen.port = port
        yield seen


@asynccontextmanager
async def http_proxy(
    *,
    login: str = "",
    trust: ssl.SSLContext | None = None,
    reach: dict[str, str] | None = None,
    listen: str = HOST,
) -> AsyncIterator[Seen]:
    """A proxy for CONNECT and absolute URLs.

    Args:
        login: ``user:password`` it asks for.
        reach: Where it goes instead for some hosts.
    """
    seen = Seen()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        method, place, _ = lines[0].split(" ", 2)
        given = next((line for line in lines if line.lower().startswith("proxy-auth")), "")
        told = base64.b64decode(given.rpartition(" ")[2]).decode() if given else ""
        if told:
            seen.logins.append(told)
        if login and told != login:
            writer.write(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        if method == "CONNECT":
            host, _, port = place.rpartition(":")
            rest = b""
        else:
            where, _, path = place.removeprefix("http://").partition("/")
            host, _, port = where.rpartition(":") if ":" in where else (where, "", "80")
            rest = head.replace(place, f"/{path}", 1).encode()
        seen.asked.append(f"{host}:{port}")
        await _tunnel(reader, writer, (reach or {}).get(host, host), int(port), rest, method)

    async with serving(answer, trust, listen=listen) as port:
        seen.port = port
        yield seen


@asynccontextmanager
async def socks5_proxy(
    *, login: str = "", reach: dict[str, str] | None = None, refuse: int = 0
) -> AsyncIterator[Seen]:
    """A SOCKS5 proxy (RFC 1928, 1929)."""
    seen = Seen()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if login else 0
        writer.write(bytes([5, wanted if wanted in methods else 255]))
        if wanted not in methods:
            await writer.drain()
            return
        if login:
            _, size = await reader.readexactly(2)
            name = await reader.readexactly(size)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            seen.logins.append(f"{name.decode()}:{password.decode()}")
            writer.write(bytes([1, int(seen.logins[-1] != login)]))
            if seen.logins[-1] != login:
                await writer.drain()
                return
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        seen.asked.append(f"{host}:{port}")
        writer.write(bytes([5, refuse, 0, 1, 0, 0, 0, 0, 0, 0]))
        if not refuse:
            await _tunnel(reader, writer, (reach or {}).get(host, host), port, b"", "")

    async with serving(answer) as port:
        seen.port = port
        yield seen


async def _tunnel(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str,
    port: int,
    first: bytes,
    method: str,
) -> None:
    there, back = await asyncio.open_connection(host, port)
    if method == "CONNECT":
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
    back.write(first)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, back))
            group.create_task(_pump(there, writer))
    finally:
        back.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
