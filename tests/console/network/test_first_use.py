"""Trust on first use: what is asked, what is remembered, and that nothing is sent before."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from runwatch_console.client import HttpApi
from runwatch_console.contexts import Context
from runwatch_console.fleet_feed import MonitorFeed
from runwatch_console.headless.exits import api_error, loss_error
from runwatch_console.headless.words import HeadlessWords
from runwatch_console.known_hosts import KnownHosts
from runwatch_console.pins import OfferedCertificate, PinKind
from runwatch_console.ports import (
    Connected,
    Disconnected,
    LossReason,
    Target,
    UntrustedCertificateError,
)
from tests.console.network.authorities import (
    Served,
    renewed,
    self_signed,
    served,
    with_authority_of,
    without_authority,
)
from tests.console.network.conftest import context_for
from tests.console.network.records import hello, snapshot, stats
from tests.console.network.scripted import LIMIT_S, ScriptedServer, hold, send, serving

STATS = "/api/v1/monitor/stats"
SECRET = "runwatch_viewer_hunter2"


class Recorder:
    """A TLS server that keeps every byte that reaches it after the handshake."""

    def __init__(self) -> None:
        self.port = 0
        self.handshakes = 0
        self.received = bytearray()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handshakes += 1
        try:
            while data := await reader.read(65536):
                self.received += data
        except OSError:
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def recording(what: Served, port: int = 0) -> AsyncIterator[Recorder]:
    recorder = Recorder()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*what.pair)
    server = await asyncio.start_server(recorder.take, "127.0.0.1", port, ssl=tls)
    recorder.port = server.sockets[0].getsockname()[1]
    async with server:
        yield recorder


@asynccontextmanager
async def running(what: Served) -> AsyncIterator[ScriptedServer]:
    async with serving(ScriptedServer(), certificate=what.pair) as script:
        script.answer(STATS, stats())

        async def scene(websocket) -> None:
            await send(websocket, hello(), snapshot())
            await hold(websocket)

        script.play(scene)
        yield script


def context_of(url: str, home: Path, **values: object) -> Context:
    hosts = home / "config" / "known_hosts"
    return context_for(url, home, known_hosts=hosts, given_token=SECRET, **values)


async def outcome(context: Context) -> Connected | Disconnected:
    feed = MonitorFeed(context)
    async with asyncio.timeout(2 * LIMIT_S), aclosing(feed.frames()) as items:
        async for item in items:
            if isinstance(item, Connected | Disconnected):
                return item
    raise AssertionError("the feed ended")


async def refusal(context: Context) -> Disconnected:
    """Both clients refuse alike; gives what the feed says."""
    lost = await outcome(context)
    assert isinstance(lost, Disconnected)
    assert lost.retry_in_s is None
    api = HttpApi(context)
    with pytest.raises(UntrustedCertificateError) as caught:
        await api.stats()
    await api.aclose()
    assert caught.value.loss == lost
    return lost


def trust(context: Context, offered: OfferedCertificate | None) -> None:
    assert offered is not None
    assert offered.may_be_trusted
    assert context.known_hosts is not None
    KnownHosts(context.known_hosts).add(offered.host, offered.port, offered.pin)


def remember(context: Context, what: Served, url: str) -> None:
    """As if a person had said yes to this authority before."""
    from runwatch_console.pins import Pin
    from tests.console.network.authorities import der_of

    assert context.known_hosts is not None
    pin = Pin(kind=PinKind.AUTHORITY, certificate=der_of(what.ca_pem))
    KnownHosts(context.known_hosts).add("127.0.0.1", int(url.rpartition(":")[2]), pin)


async def accepted(context: Context) -> None:
    assert isinstance(await outcome(context), Connected)
    api = HttpApi(context)
    assert await api.stats() == stats()
    await api.aclose()


def said(lost: Disconnected, language: str = "en") -> str:
    target = Target(context="prod", server_url="https://box:1", credential="none")
    words = HeadlessWords(language)
    text = loss_error(lost, words, target).text
    assert api_error(UntrustedCertificateError(lost), words, target).text == text
    return text


@pytest.mark.requirement("trust.first_use")
async def test_first_use_offers_the_authority_and_after_a_yes_both_clients_connect(
    tmp_path: Path,
) -> None:
    what = served(tmp_path / "tls-of-the-server")
    async with running(what) as script:
        context = context_of(script.url, tmp_path)
        lost = await refusal(context)
        assert lost.reason is LossReason.UNTRUSTED_CERTIFICATE
        assert lost.fingerprint == what.ca_fingerprint
        assert lost.offered is not None
        assert lost.offered.pin.kind is PinKind.AUTHORITY
        assert script.seen == []
        trust(context, lost.offered)
        await accepted(context)
        assert script.seen[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_without_a_screen_the_command_that_trusts_is_said(
    tmp_path: Path, language: str
) -> None:
    what = served(tmp_path / "s")
    async with running(what) as script:
        lost = await refusal(context_of(script.url, tmp_path))
    command = f"monitor-tui trust https://box:1 --fingerprint {what.ca_fingerprint}"
    assert command in said(lost, language)


async def test_no_byte_reaches_a_server_that_is_not_trusted(tmp_path: Path) -> None:
    first, other = served(tmp_path / "a"), served(tmp_path / "b")
    async with recording(first) as recorder:
        url = f"https://127.0.0.1:{recorder.port}"
        context = context_of(url, tmp_path)
        await refusal(context)
        assert recorder.handshakes > 0
        assert recorder.received == b""
        remember(context, other, url)
        assert (await refusal(context)).reason is LossReason.CHANGED_CERTIFICATE
        assert recorder.received == b""
    alone = without_authority(first)
    async with recording(alone, recorder.port) as recorder:
        assert context.known_hosts is not None
        context.known_hosts.unlink()
        lost = await refusal(context)
        trust(context, lost.offered)
    another = without_authority(renewed(first))
    async with recording(another, recorder.port) as recorder:
        assert (await refusal(context)).reason is LossReason.CHANGED_CERTIFICATE
        assert recorder.handshakes > 0
        assert recorder.received == b""


async def test_a_renewed_certificate_of_the_same_authority_goes_unnoticed(tmp_path: Path) -> None:
    what = served(tmp_path / "s")
    async with running(what) as script:
        context = context_of(script.url, tmp_path)
        trust(context, (await refusal(context)).offered)
        port = int(script.url.rpartition(":")[2])
    before = what.fingerprint
    again = renewed(what)
    assert again.fingerprint != before
    async with recording(again, port) as recorder:
        api = HttpApi(context, request_s=0.5)
        with pytest.raises(Exception, match="no answer"):
            await api.stats()
        await api.aclose()
        assert SECRET.encode() in recorder.received


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.requirement("trust.changed")
async def test_another_authority_is_refused_with_both_fingerprints_and_the_line(
    tmp_path: Path, language: str
) -> None:
    first, other = served(tmp_path / "a"), served(tmp_path / "b")
    async with running(other) as script:
        context = context_of(script.url, tmp_path)
        remember(context, first, script.url)
        lost = await refusal(context)
        assert lost.reason is LossReason.CHANGED_CERTIFICATE
        assert lost.offered is None
        text = said(lost, language)
        for part in (first.ca_fingerprint, other.ca_fingerprint, f"{context.known_hosts}:2"):
            assert part in text
        assert script.seen == []


async def test_an_authority_that_is_only_shown_and_did_not_sign_is_refused(tmp_path: Path) -> None:
    first, thief = served(tmp_path / "a"), served(tmp_path / "b")
    async with running(with_authority_of(thief, first)) as script:
        context = context_of(script.url, tmp_path)
        fresh = await refusal(context)
        assert fresh.offered is not None
        assert fresh.offered.pin.kind is PinKind.CERTIFICATE
        remember(context, first, script.url)
        assert (await refusal(context)).reason is LossReason.CHANGED_CERTIFICATE
        assert script.seen == []


async def test_a_certificate_for_another_host_cannot_be_trusted(tmp_path: Path) -> None:
    what = served(tmp_path / "s", "elsewhere.example")
    async with running(what) as script:
        context = context_of(script.url, tmp_path)
        lost = await refusal(context)
        assert lost.offered is not None
        assert not lost.offered.may_be_trusted
        assert "127.0.0.1" in lost.detail
        assert "trust https" not in said(lost)
        remember(context, what, script.url)
        lost = await refusal(context)
        assert lost.reason is LossReason.UNTRUSTED_CERTIFICATE
        assert "127.0.0.1" in lost.detail


async def test_an_expired_certificate_cannot_be_trusted_and_is_no_other_one(tmp_path: Path) -> None:
    what = served(tmp_path / "s", days=-200)
    async with running(what) as script:
        context = context_of(script.url, tmp_path)
        lost = await refusal(context)
        assert lost.offered is not None
        assert not lost.offered.may_be_trusted
        assert "expired" in lost.detail
        remember(context, what, script.url)
        lost = await refusal(context)
        assert lost.reason is LossReason.UNTRUSTED_CERTIFICATE
        assert "expired" in lost.detail
        assert lost.offered is not None
        assert not lost.offered.may_be_trusted


async def test_without_an_authority_the_certificate_itself_is_remembered(tmp_path: Path) -> None:
    whole = served(tmp_path / "s")
    async with running(without_authority(whole)) as script:
        context = context_of(script.url, tmp_path)
        lost = await refusal(context)
        assert lost.offered is not None
        assert lost.offered.pin.kind is PinKind.CERTIFICATE
        assert lost.fingerprint == whole.fingerprint
        trust(context, lost.offered)
        await accepted(context)


async def test_a_remembered_certificate_may_carry_any_name(tmp_path: Path) -> None:
    async with running(self_signed(tmp_path / "s", "box.internal")) as script:
        context = context_of(script.url, tmp_path)
        trust(context, (await refusal(context)).offered)
        await accepted(context)


async def test_an_expired_certificate_of_its_own_cannot_be_trusted(tmp_path: Path) -> None:
    async with running(self_signed(tmp_path / "s", "127.0.0.1", days=-1)) as script:
        lost = await refusal(context_of(script.url, tmp_path))
    assert lost.offered is not None
    assert not lost.offered.may_be_trusted
    assert "expired" in lost.detail


async def test_beside_a_named_authority_nobody_is_asked(tmp_path: Path) -> None:
    named, other = served(tmp_path / "a"), served(tmp_path / "b")
    async with running(other) as script:
        lost = await refusal(context_of(script.url, tmp_path, given_ca=named.ca_pem))
    assert lost.offered is not None
    assert not lost.offered.may_be_trusted


@pytest.mark.parametrize(
    "line", ["ca", "ca !!!", "other AAAA", "ca AAAA", f"ca {'A' * 40_000}", "cert"]
)
async def test_a_damaged_line_trusts_nobody_and_is_named(tmp_path: Path, line: str) -> None:
    async with running(served(tmp_path / "s")) as script:
        context = context_of(script.url, tmp_path)
        assert context.known_hosts is not None
        context.known_hosts.parent.mkdir()
        context.known_hosts.write_text(f"# mine\n{script.url.removeprefix('https://')} {line}\n")
        lost = await refusal(context)
        assert lost.offered is None
        assert f"{context.known_hosts}:2" in lost.detail
        assert script.seen == []


async def test_a_file_others_can_write_trusts_nobody(tmp_path: Path) -> None:
    what = served(tmp_path / "s")
    async with running(what) as script:
        context = context_of(script.url, tmp_path)
        remember(context, what, script.url)
        assert context.known_hosts is not None
        context.known_hosts.chmod(0o666)
        lost = await refusal(context)
        assert f"chmod 600 {context.known_hosts}" in lost.detail
        assert script.seen == []


async def test_the_local_administrators_token_does_not_go_to_a_server_a_person_decided_about(
    tmp_path: Path,
) -> None:
    (tmp_path / "token").write_text(SECRET)
    what = served(tmp_path / "s")
    async with running(what) as script:
        hosts = tmp_path / "known_hosts"
        context = context_for(script.url, tmp_path, known_hosts=hosts)
        remember(context, what, script.url)
        await accepted(context)
        assert all("authorization" not in each.headers for each in script.seen)


async def test_the_local_servers_own_authority_decides_alone(tmp_path: Path) -> None:
    served(tmp_path / "tls")
    impostor = served(tmp_path / "b")
    async with running(impostor) as script:
        (tmp_path / "server.url").write_text(script.url)
        lost = await refusal(context_of("", tmp_path))
        assert lost.offered is not None
        assert not lost.offered.may_be_trusted
        assert script.seen == []
