"""A request through real proxies, and through a network that tries to lead it elsewhere."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runwatch_shared.reaching.addresses import Address, Allowed
from runwatch_shared.reaching.trying import Outcome, SystemNet, Way, target_of, try_proxy
from runwatch_shared.reaching.tunnels import Login, Streams
from runwatch_shared.tls import client_context
from tests.console.network.authorities import served
from tests.proxying import HOST, Seen, http_proxy, serving, socks5_proxy, target

LOCAL = Allowed.of([HOST])
PUBLIC = "93.184.216.34"


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server and a client use of one authority."""
    files = served(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*files.pair)
    return server, client_context(files.ca_pem)


def way(kind: Any, port: int, login: Login | None = None, host: str = HOST) -> Way:
    return Way(kind, host, port, login)


async def attempt(way_: Way, url: str, **more: Any) -> Outcome:
    return await try_proxy(way_, target_of(url), **{"allowed": LOCAL, **more})


PROXIES: list[tuple[str, Callable[..., AbstractAsyncContextManager[Seen]]]] = [
    ("http", http_proxy),
    ("socks5", socks5_proxy),
]


@pytest.mark.parametrize(("kind", "proxy"), PROXIES)
async def test_a_target_is_asked_through_the_proxy(
    kind: str, proxy: Callable[..., AbstractAsyncContextManager[Seen]]
) -> None:
    async with target() as there, proxy() as seen:
        outcome = await attempt(way(kind, seen.port), f"http://localhost:{there.port}/a?b=1")
        assert (outcome.code, outcome.status, outcome.success) == ("ok", 200, True)
        assert seen.asked == [f"{HOST}:{there.port}"] or seen.asked == [f"::1:{there.port}"]
        assert there.asked == [f"GET /a?b=1 HTTP/1.1 | Host: localhost:{there.port}"]


@pytest.mark.parametrize(("kind", "proxy"), PROXIES)
async def test_a_proxy_that_asks_for_a_login_gets_it(
    kind: str, proxy: Callable[..., AbstractAsyncContextManager[Seen]]
) -> None:
    async with target() as there, proxy(login="ann:s3cret") as seen:
        url = f"http://{HOST}:{there.port}/"
        assert (await attempt(way(kind, seen.port, Login("ann", "s3cret")), url)).code == "ok"
        for login in (None, Login("ann", "wrong")):
            assert (await attempt(way(kind, seen.port, login), url)).code == "proxy_login"


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
async def test_tls_goes_through_the_tunnel_and_is_verified(
    kind: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, client = tls
    proxy: Any = {
        "http": http_proxy,
        "https": lambda: http_proxy(trust=server),
        "socks5": socks5_proxy,
    }[kind]
    async with target(trust=server) as there, proxy() as seen:
        url = f"https://{HOST}:{there.port}/"
        outcome = await attempt(way(kind, seen.port), url, trust=client)
        assert (outcome.code, outcome.status) == ("ok", 200)
        strict = await attempt(way(kind, seen.port), url, trust=client_context(None))
        assert strict.code == ("proxy_tls" if kind == "https" else "target_tls")


async def test_a_redirect_is_not_followed() -> None:
    more = "Location: http://169.254.169.254/latest/meta-data/\r\n"
    async with target(status=302, more=more) as there, http_proxy() as seen:
        outcome = await attempt(way("http", seen.port), f"http://{HOST}:{there.port}/")
        assert (outcome.code, outcome.status) == ("ok", 302)
        assert seen.asked == [f"{HOST}:{there.port}"]
        assert len(there.asked) == 1


async def test_an_error_of_the_target_is_told_by_its_status() -> None:
    async with target(status=503, body=b"x" * 100_000) as there, http_proxy() as seen:
        outcome = await attempt(way("http", seen.port), f"http://{HOST}:{there.port}/")
        assert (outcome.code, outcome.status, outcome.success) == ("bad_status", 503, False)


@pytest.mark.parametrize(
    ("kind", "said", "code"),
    [
        ("http", b"HTTP/1.1 403 No\r\n\r\n", "proxy_refused"),
        ("http", b"SSH-2.0-OpenSSH_9\r\n\r\n", "bad_answer"),
        ("http", b"HTTP/1.1 200 " + b"x" * 9000, "bad_answer"),
        ("http", b"", "bad_answer"),
        ("socks5", b"\x05\x00\x05\x02\x00\x01", "forbidden"),
        ("socks5", b"\x05\x00\x05\x04\x00\x01", "unreachable"),
        ("socks5", b"\x05\xff", "proxy_login"),
        ("socks5", b"HTTP/1.1 400 No\r\n\r\n", "bad_answer"),
        ("socks5", b"\x05", "bad_answer"),
    ],
)
async def test_what_is_no_such_proxy_is_told_without_its_words(
    kind: str, said: bytes, code: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(said)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with serving(answer) as port:
        outcome = await attempt(way(kind, port), f"https://{HOST}:1/")
        assert outcome.code == code
        assert "SSH" not in outcome.message


async def test_what_does_not_answer_ends_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        outcome = await attempt(way("http", port), f"https://{HOST}:1/", limit_s=0.2)
        assert outcome.code == "timeout"


async def test_a_proxy_that_is_not_there_is_told() -> None:
    async with http_proxy() as seen:
        port = seen.port
    assert (await attempt(way("http", port), f"http://{HOST}:1/")).code == "proxy_unreachable"


class Trap:
    """A network whose names mean something else each time they are asked for; opens go to
    ``port`` on loopback, whatever the address."""

    def __init__(self, answers: dict[str, list[list[str]]], port: int = 0) -> None:
        self.answers = answers
        self.port = port
        self.asked: list[str] = []
        self.opened: list[str] = []

    async def resolve(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        left = self.answers.get(host)
        if not left:
            raise OSError("no such name")
        found = left.pop(0) if len(left) > 1 else left[0]
        return [ipaddress.ip_address(text) for text in found]

    async def open(self, address: Address, port: int) -> Streams:
        self.opened.append(str(address))
        return await SystemNet().open(ipaddress.ip_address(HOST), self.port)


@asynccontextmanager
async def trapped(answers: dict[str, list[list[str]]]) -> AsyncIterator[tuple[Trap, Seen]]:
    async with http_proxy(reach={PUBLIC: HOST}) as seen:
        yield Trap(answers, seen.port), seen


async def test_nothing_but_the_pinned_address_is_contacted_however_names_change() -> None:
    async with target() as there:
        answers = {
            "proxy.corp": [["10.0.0.7"], ["127.0.0.1"], ["169.254.169.254"]],
            "site.test": [[PUBLIC], ["127.0.0.1"], ["10.0.0.1"]],
        }
        async with trapped(answers) as (net, seen):
            outcome = await try_proxy(
                Way("http", "proxy.corp", 3128),
                target_of(f"http://site.test:{there.port}/"),
                allowed=Allowed(),
                net=net,
            )
            assert outcome.code == "ok"
            assert net.opened == ["10.0.0.7"]
            assert net.asked == ["proxy.corp", "site.test"]
            assert seen.asked == [f"{PUBLIC}:{there.port}"]
            assert there.asked == [f"GET / HTTP/1.1 | Host: site.test:{there.port}"]


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        [PUBLIC, "10.0.0.1"],
        [PUBLIC, "::ffff:169.254.169.254"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::", PUBLIC],
        ["fd00::1"],
    ],
)
async def test_one_bad_answer_of_a_name_is_enough_and_nothing_is_contacted(
    found: list[str],
) -> None:
    net = Trap({"proxy.corp": [["10.0.0.7"]], "site.test": [found]})
    outcome = await try_proxy(
        Way("http", "proxy.corp", 3128), target_of("https://site.test/"), allowed=Allowed(), net=net
    )
    assert outcome.code == "target_denied"
    assert net.opened == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0251.0376.0251.0376", "[::1]", "10.1"])
async def test_a_target_written_as_an_address_is_checked_without_a_resolver(host: str) -> None:
    net = Trap({"proxy.corp": [["10.0.0.7"]]})
    outcome = await try_proxy(
        Way("socks5", "proxy.corp", 1080), target_of(f"http://{host}/"), allowed=Allowed(), net=net
    )
    assert (outcome.code, net.opened, net.asked) == ("target_denied", [], ["proxy.corp"])


@pytest.mark.parametrize("found", ["127.0.0.1", "169.254.169.254", "fe80::1", "224.0.0.1"])
async def test_a_proxy_on_this_machine_or_its_link_is_not_contacted(found: str) -> None:
    net = Trap({"proxy.corp": [[found]], "site.test": [[PUBLIC]]})
    outcome = await try_proxy(
        Way("http", "proxy.corp", 3128), target_of("https://site.test/"), allowed=Allowed(), net=net
    )
    assert (outcome.code, net.opened) == ("proxy_denied", [])


async def test_names_that_cannot_be_resolved_are_told_apart() -> None:
    net = Trap({"proxy.corp": [["10.0.0.7"]]})
    for host, code in (("nowhere.test", "proxy_name"), ("proxy.corp", "target_name")):
        outcome = await try_proxy(
            Way("http", host, 1), target_of("https://site.test/"), allowed=Allowed(), net=net
        )
        assert (outcome.code, net.opened) == (code, [])


async def test_an_allowed_name_is_left_to_the_proxy() -> None:
    async with target() as there, http_proxy(reach={"inner.test": HOST}) as seen:
        net = Trap({"proxy.corp": [["10.0.0.7"]]}, seen.port)
        outcome = await try_proxy(
            Way("http", "proxy.corp", 1),
            target_of(f"http://inner.test:{there.port}/"),
            allowed=Allowed.of(["inner.test"]),
            net=net,
        )
        assert outcome.code == "ok"
        assert seen.asked == [f"inner.test:{there.port}"]


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://a/", "file:///etc/passwd", "http://", "http://u:p@a/", "http://a b/", "a.example"),
        *(
            "http://a:0/",
            "http://a:99999/",
            "http://a\r\nX: y/",
            "http://a/\r\nX",
            "http://[::1%1]/",
        ),
        *("gopher://a/", "http://a\\@b/", "http://a/" + "x" * 3000, "https://a/ü"),
    ],
)
def test_what_is_no_target_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        target_of(url)
