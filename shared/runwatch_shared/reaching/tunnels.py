"""Through a proxy to an address: CONNECT (RFC 9110, 9.3.6) and SOCKS5 (RFC 1928, 1929), as bytes on
an open connection; opens and resolves nothing.
"""

import asyncio
import base64
import ipaddress
from dataclasses import dataclass
from typing import Final

from runwatch_shared.errors import RunwatchError

HEAD_BYTES: Final = 4096
"""Most that is read of any answer."""
PROXY_AUTHENTICATION: Final = 407
_SOCKS: Final = 5
_NO_LOGIN, _BY_PASSWORD = 0, 2
_ADDRESS_BYTES: Final = {1: 4, 4: 16}
_SOCKS_REFUSALS: Final = {2: "forbidden", 3: "unreachable", 4: "unreachable", 5: "unreachable"}


class TunnelError(RunwatchError):
    """A proxy that does not lead on. ``code`` is one of `trying.MESSAGES`."""

    def __init__(self, code: str, status: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Streams:
    """An open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """What a proxy asks for; secret."""

    username: str
    password: str

    @property
    def header(self) -> str:
        """As ``Proxy-Authorization`` carries it (RFC 7617)."""
        both = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(both).decode()}"


async def connect(streams: Streams, host: str, port: int, login: Login | None) -> None:
    """Have an HTTP proxy open a tunnel.

    Raises:
        TunnelError: It does not.
    """
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", "User-Agent: runwatch"]
    if login is not None:
        head.append(f"Proxy-Authorization: {login.header}")
    streams.writer.write("\r\n".join([*head, "", ""]).encode())
    await streams.writer.drain()
    status = status_of(await _read_until(streams, b"\r\n\r\n"))
    if status == PROXY_AUTHENTICATION:
        raise TunnelError("proxy_login", status)
    if not 200 <= status < 300:
        raise TunnelError("proxy_refused", status)


async def socks5(streams: Streams, host: str, port: int, login: Login | None) -> None:
    """Have a SOCKS5 proxy connect.

    Raises:
        TunnelError: It does not.
    """
    methods = bytes([_NO_LOGIN] if login is None else [_NO_LOGIN, _BY_PASSWORD])
    streams.writer.write(bytes([_SOCKS, len(methods)]) + methods)
    version, method = await _exactly(streams, 2)
    if version != _SOCKS:
        raise TunnelError("bad_answer")
    if method == _BY_PASSWORD and login is not None:
        name, password = login.username.encode()[:255], login.password.encode()[:255]
        streams.writer.write(bytes([1, len(name)]) + name + bytes([len(password)]) + password)
        if (await _exactly(streams, 2))[1] != 0:
            raise TunnelError("proxy_login")
    elif method != _NO_LOGIN:
        raise TunnelError("proxy_login")
    streams.writer.write(bytes([_SOCKS, 1, 0]) + _place(host) + port.to_bytes(2, "big"))
    version, reply, _, kind = await _exactly(streams, 4)
    if version != _SOCKS:
        raise TunnelError("bad_answer")
    if reply != 0:
        raise TunnelError(_SOCKS_REFUSALS.get(reply, "proxy_refused"))
    size = _ADDRESS_BYTES.get(kind)
    if size is None:
        size = (await _exactly(streams, 1))[0]
    await _exactly(streams, size + 2)


async def read_status(streams: Streams) -> int:
    """The status of an HTTP answer; nothing behind its first line is looked at.

    Raises:
        TunnelError: It is none.
    """
    return status_of(await _read_until(streams, b"\n"))


def status_of(head: bytes) -> int:
    """The status in the first line of an answer.

    Raises:
        TunnelError: There is none.
    """
    version, _, rest = head.partition(b"\r\n")[0].strip().partition(b" ")
    code = rest.strip()[:3]
    if not version.startswith(b"HTTP/1.") or len(code) != 3 or not code.isdigit():
        raise TunnelError("bad_answer")
    return int(code)


def _place(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return bytes([3, len(name)]) + name
    return bytes([1 if address.version == 4 else 4]) + address.packed


async def _read_until(streams: Streams, end: bytes) -> bytes:
    try:
        return await streams.reader.readuntil(end)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise TunnelError("bad_answer") from None


async def _exactly(streams: Streams, count: int) -> bytes:
    try:
        return await streams.reader.readexactly(count)
    except asyncio.IncompleteReadError:
        raise TunnelError("bad_answer") from None
