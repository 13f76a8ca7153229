"""One request through a proxy: names are resolved once, every answer is checked, and only the one
that was chosen is contacted. Of what comes back nothing but the status is told.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from runwatch_shared.proxies import NodeProxy, ProxyTestAnswer, ProxyType
from runwatch_shared.reaching.addresses import Address, Allowed, host_name, is_denied, literal
from runwatch_shared.reaching.tunnels import (
    HEAD_BYTES,
    Login,
    Streams,
    TunnelError,
    connect,
    read_status,
    socks5,
)
from runwatch_shared.tls import client_context

LIMIT_S: Final = 5.0
CLOSE_S: Final = 1.0
URL_CHARS: Final = 2000
DEFAULT_TARGET: Final = "https://example.com/"
GOOD_BELOW: Final = 400

MESSAGES: Final = {
    "ok": "the target answered",
    "bad_status": "the target answered with an error",
    "proxy_name": "the proxy's name cannot be resolved",
    "proxy_denied": "the proxy's address must not be contacted; see proxy_test_allow",
    "proxy_unreachable": "the proxy cannot be reached",
    "proxy_tls": "the proxy's certificate or its TLS is not accepted",
    "proxy_login": "the proxy wants another user name or password",
    "proxy_refused": "the proxy refuses to connect",
    "forbidden": "the proxy's rules forbid the target",
    "unreachable": "the proxy cannot reach the target",
    "target_name": "the target's name cannot be resolved here; see proxy_test_allow",
    "target_denied": "the target's address must not be contacted; see proxy_test_allow",
    "target_tls": "the target's certificate or its TLS is not accepted",
    "bad_answer": "what answers is no such proxy or no HTTP server",
    "closed": "the connection was closed",
    "timeout": "no answer in time",
}
"""All a test ever says: nothing of what it was sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for through the proxy."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def place(self) -> str:
        """Host and port as a ``Host`` header has them."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.secure else 80
        return name if self.port == usual else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Way:
    """A proxy."""

    kind: ProxyType
    host: str
    port: int
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. ``code`` is one of `MESSAGES`."""

    code: str
    latency_ms: int
    status: int | None = None

    @property
    def success(self) -> bool:
        return self.code == "ok"

    @property
    def message(self) -> str:
        return MESSAGES[self.code]


class Net(Protocol):
    """The network."""

    async def resolve(self, host: str, port: int) -> list[Address]:
        """All addresses of a name. Raises OSError where there are none."""
        ...

    async def open(self, address: Address, port: int) -> Streams:
        """A connection to exactly this address. Raises OSError."""
        ...


class SystemNet:
    """This machine's."""

    async def resolve(self, host: str, port: int) -> list[Address]:
        """See `Net`."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]

    async def open(self, address: Address, port: int) -> Streams:
        """See `Net`."""
        return Streams(*await asyncio.open_connection(str(address), port, limit=HEAD_BYTES))


def target_of(url: str) -> Target:
    """What a URL asks for.

    Raises:
        ValueError: It is no http or https URL of a host, or has a user name in it.
    """
    if len(url) > URL_CHARS or not url.isprintable() or any(char.isspace() for char in url):
        raise ValueError("no URL")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc or "\\" in url:
        raise ValueError("no URL of http or https without a user name")
    secure = parts.scheme == "https"
    port = parts.port if parts.port is not None else 443 if secure else 80
    if not 0 < port < 65536:
        raise ValueError("no port")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(secure, host_name(parts.hostname or ""), port, path.encode("ascii").decode())


def way_of(proxy: NodeProxy) -> Way:
    """A proxy as it is tried; an empty password is sent where there is a user name."""
    login = None if proxy.username is None else Login(proxy.username, proxy.password or "")
    return Way(proxy.type, proxy.host, proxy.port, login)


def told(outcome: Outcome) -> ProxyTestAnswer:
    """As the wire shows it."""
    return ProxyTestAnswer(
        success=outcome.success,
        latency_ms=outcome.latency_ms,
        status_code=outcome.status,
        message=outcome.message,
    )


async def try_proxy(
    way: Way,
    target: Target,
    *,
    allowed: Allowed,
    net: Net | None = None,
    trust: ssl.SSLContext | None = None,
    limit_s: float = LIMIT_S,
) -> Outcome:
    """Ask for the target through the proxy, once and without following anything.

    Args:
        trust: For the certificates of an https proxy and target; the system's unless given.
    """
    began_s = time.monotonic()
    status: int | None = None
    try:
        async with asyncio.timeout(limit_s):
            attempt = _Attempt(
                way, target, allowed, net or SystemNet(), trust or client_context(None)
            )
            status = await attempt.ask()
        code = "ok" if status < GOOD_BELOW else "bad_status"
    except TimeoutError:
        code = "timeout"
    except TunnelError as error:
        code, status = error.code, error.status
    except (ConnectionError, ssl.SSLError, EOFError):
        code = "closed"
    return Outcome(code, round((time.monotonic() - began_s) * 1000), status)


class _Attempt:
    """One of them."""

    def __init__(
        self, way: Way, target: Target, allowed: Allowed, net: Net, trust: ssl.SSLContext
    ) -> None:
        self._way = way
        self._target = target
        self._allowed = allowed
        self._net = net
        self._trust = trust

    async def ask(self) -> int:
        """The status the target answers with."""
        way, target = self._way, self._target
        proxy = await self._chosen(way.host, way.port, "proxy", inside=True)
        end: Address | str = target.host
        if target.host not in self._allowed.names:
            end = await self._chosen(target.host, target.port, "target", inside=False)
        async with self._opened(proxy) as streams:
            if way.kind == "https":
                await _secure(streams, self._trust, way.host, "proxy_tls")
            if way.kind == "socks5":
                await socks5(streams, str(end), target.port, way.login)
            elif target.secure:
                await connect(streams, str(end), target.port, way.login)
            if target.secure:
                await _secure(streams, self._trust, target.host, "target_tls")
            self._write_request(streams, str(end))
            await streams.writer.drain()
            status = await read_status(streams)
            if status == 407 and way.kind != "socks5" and not target.secure:
                raise TunnelError("proxy_login", status)
            return status

    def _write_request(self, streams: Streams, end: str) -> None:
        way, target = self._way, self._target
        asked, login = target.path, None
        if way.kind != "socks5" and not target.secure:
            asked = f"http://{f'[{end}]' if ':' in end else end}:{target.port}{target.path}"
            login = way.login
        head = [
            f"GET {asked} HTTP/1.1",
            f"Host: {target.place}",
            "User-Agent: runwatch",
            "Accept: */*",
            "Connection: close",
        ]
        if login is not None:
            head.append(f"Proxy-Authorization: {login.header}")
        streams.writer.write("\r\n".join([*head, "", ""]).encode())

    async def _chosen(self, host: str, port: int, whose: str, *, inside: bool) -> Address:
        """The one address of a host that will be contacted; all of them must be such that may be.

        Raises:
            TunnelError: There is none, or one must not be contacted.
        """
        written = literal(host)
        try:
            found = [written] if written is not None else await self._net.resolve(host, port)
        except (OSError, UnicodeError):
            raise TunnelError(f"{whose}_name") from None
        if not found:
            raise TunnelError(f"{whose}_name")
        named = whose == "proxy" and host in self._allowed.names
        if not named and any(is_denied(each, self._allowed, inside=inside) for each in found):
            raise TunnelError(f"{whose}_denied")
        return found[0]

    @contextlib.asynccontextmanager
    async def _opened(self, address: Address) -> AsyncIterator[Streams]:
        try:
            streams = await self._net.open(address, self._way.port)
        except OSError:
            raise TunnelError("proxy_unreachable") from None
        try:
            yield streams
        finally:
            # The answer counts, not how the other side takes the end.
            streams.writer.transport.abort()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await streams.writer.wait_closed()


async def _secure(streams: Streams, trust: ssl.SSLContext, name: str, code: str) -> None:
    """Go on with TLS.

    Raises:
        TunnelError: With ``code``.
    """
    try:
        await streams.writer.start_tls(trust, server_hostname=name)
    except (ssl.SSLError, ConnectionError, ValueError):
        raise TunnelError(code) from None
