import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from runwatch_console.client import HttpApi
from runwatch_console.contexts import Context
from runwatch_console.fleet_feed import MonitorFeed
from runwatch_console.headless.exits import api_error, loss_error
from runwatch_console.headless.words import HeadlessWords
from runwatch_console.ports import (
    ApiError,
    Connected,
    Disconnected,
    LossReason,
    Target,
    UntrustedCertificateError,
)
from runwatch_server.certificates import TlsFiles, ensure_certificates
from runwatch_shared.clock import SystemClock
from runwatch_shared.tls import fingerprint
from tests.console.network.conftest import context_for
from tests.console.network.records import hello, snapshot, stats
from tests.console.network.scripted import LIMIT_S, ScriptedServer, hold, send, serving

STATS = "/api/v1/monitor/stats"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """The certificate of an authority nobody knows yet."""
    directory = tmp_path_factory.mktemp("data") / "tls"
    return ensure_certificates(directory, ["localhost", "127.0.0.1"], SystemClock())


@pytest.fixture
async def secure(files: TlsFiles):
    async with serving(ScriptedServer(), certificate=(files.cert_pem, files.key_pem)) as script:
        script.answer(STATS, stats())

        async def scene(websocket) -> None:
            await send(websocket, hello(), snapshot())
            await hold(websocket)

        script.play(scene)
        yield script


async def first(feed: MonitorFeed) -> Connected | Disconnected:
    async with asyncio.timeout(LIMIT_S), aclosing(feed.frames()) as items:
        async for item in items:
            if isinstance(item, Connected | Disconnected):
                return item
    raise AssertionError("the feed ended")


async def test_an_unknown_authority_is_refused_before_anything_is_sent_and_named_by_fingerprint(
    secure: ScriptedServer, files: TlsFiles, tmp_path: Path
) -> None:
    expected = f"SHA256:{fingerprint(files.ca_pem.read_text())}"
    context = context_for(secure.url, tmp_path, given_token="secret")
    lost = await first(MonitorFeed(context))
    assert isinstance(lost, Disconnected)
    assert lost.reason is LossReason.UNTRUSTED_CERTIFICATE
    assert lost.fingerprint == expected
    assert lost.retry_in_s is None
    api = HttpApi(context)
    with pytest.raises(UntrustedCertificateError) as caught:
        await api.stats()
    await api.aclose()
    assert caught.value.loss.fingerprint == expected
    assert secure.seen == []


@pytest.mark.parametrize("by", ["flag", "data directory"])
@pytest.mark.requirement("trust.ca")
async def test_the_authority_is_trusted_when_named_or_found_in_the_data_directory(
    secure: ScriptedServer, files: TlsFiles, tmp_path: Path, by: str
) -> None:
    if by == "flag":
        context = context_for(secure.url, tmp_path, given_ca=files.ca_pem)
    else:
        context = context_for(secure.url, files.ca_pem.parent.parent)
    assert isinstance(await first(MonitorFeed(context)), Connected)
    api = HttpApi(context)
    assert await api.stats() == stats()
    await api.aclose()


async def test_another_name_than_the_certificates_is_refused(
    files: TlsFiles, tmp_path: Path
) -> None:
    other = ensure_certificates(tmp_path / "tls", ["elsewhere.example"], SystemClock())
    async with serving(ScriptedServer(), certificate=(other.cert_pem, other.key_pem)) as script:
        api = HttpApi(context_for(script.url, tmp_path))
        with pytest.raises(UntrustedCertificateError) as caught:
            await api.stats()
        await api.aclose()
    assert "127.0.0.1" in caught.value.error


async def test_a_certificate_trusted_meanwhile_is_accepted_by_the_next_request(
    secure: ScriptedServer, files: TlsFiles, tmp_path: Path
) -> None:
    api = HttpApi(context_for(secure.url, tmp_path))
    with pytest.raises(UntrustedCertificateError):
        await api.stats()
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_bytes(files.ca_pem.read_bytes())
    assert await api.stats() == stats()
    await api.aclose()


async def refusal(context: Context) -> str:
    api = HttpApi(context)
    try:
        with pytest.raises(ApiError) as caught:
            await api.stats()
    finally:
        await api.aclose()
    url = "https" if caught.value.code == "no_tls" else "http"
    target = Target(context="prod", server_url=f"{url}://h:1", credential="none")
    return api_error(caught.value, HeadlessWords("en"), target).text


async def test_plain_http_where_tls_is_spoken_is_said_with_the_address_to_use(
    secure: ScriptedServer, tmp_path: Path
) -> None:
    plain = context_for(secure.url.replace("https", "http"), tmp_path)
    lost = await first(MonitorFeed(plain))
    assert isinstance(lost, Disconnected)
    assert lost.reason is LossReason.NEEDS_TLS
    assert "speaks TLS" in (await refusal(plain))
    assert "--server https://" in (await refusal(plain))


async def test_tls_where_plain_http_is_spoken_is_said_and_no_matter_of_trust(
    server: ScriptedServer, tmp_path: Path
) -> None:
    secure = context_for(server.url.replace("http", "https"), tmp_path)
    lost = await first(MonitorFeed(secure))
    assert isinstance(lost, Disconnected)
    assert lost.reason is LossReason.NO_TLS
    assert "does not speak TLS" in (await refusal(secure))


async def test_where_nobody_listens_no_scheme_is_blamed(tmp_path: Path) -> None:
    lost = await first(MonitorFeed(context_for("http://127.0.0.1:1", tmp_path)))
    assert isinstance(lost, Disconnected)
    assert lost.reason is LossReason.REFUSED


@pytest.mark.parametrize("reason", [LossReason.NEEDS_TLS, LossReason.NO_TLS])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_end_of_a_command_names_the_other_address(reason: LossReason, language: str) -> None:
    for url, other in (("http://h:1", "https://h:1"), ("https://h:1", "http://h:1")):
        target = Target(context="prod", server_url=url, credential="none")
        said = loss_error(Disconnected(reason=reason), HeadlessWords(language), target)
        assert f"--server {other}" in said.text


async def test_an_authority_file_that_holds_none_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    lost = await first(MonitorFeed(context_for("https://127.0.0.1:1", tmp_path, given_ca=broken)))
    assert isinstance(lost, Disconnected)
    assert lost.reason is LossReason.REFUSED


def test_only_the_look_that_sends_nothing_goes_without_verification() -> None:
    root = Path(__file__).parents[3]
    packages = (root / "console", root / "nodemanager", root / "shared")
    for path in (path for package in packages for path in package.rglob("*.py")):
        text = path.read_text()
        assert text.count("CERT_NONE") == (1 if path.name == "offered.py" else 0), path
        assert "verify=False" not in text, path
        assert "_create_unverified" not in text, path
    look = (root / "shared/runwatch_shared/offered.py").read_text()
    assert "def _look(" in look[: look.index("CERT_NONE")]
    for sending in (".send", ".write(", ".writelines", "sendfile"):
        assert sending not in look
