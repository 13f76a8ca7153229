"""New settings are taken while the server runs, whole or not at all; sockets stay."""

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwatch_server import handshakes
from runwatch_server.certificates import TlsFiles
from runwatch_server.handshakes import Handshakes, Pair, served_of
from runwatch_server.live import FIXED_LIMITS, LIVE, LiveSettings, change_of
from runwatch_server.reloading import Reloading
from runwatch_shared.errors import SettingsError
from runwatch_shared.notify import Notifier
from runwatch_shared.settings import Limits, ServerSettings
from runwatch_shared.tls import client_context
from tests.server.http.listener import Listening, certificates_in, listening

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def settings_with(tmp_path: Path, **changes: Any) -> ServerSettings:
    return ServerSettings(data_dir=str(tmp_path), **changes)


def reloading(
    read: Callable[[], ServerSettings], live: LiveSettings, shown: Handshakes | None = None
) -> Reloading:
    return Reloading(read, live, shown, Notifier(), lambda settings: _pair(settings))


def _pair(settings: ServerSettings) -> Pair:
    return Pair(cert=Path(settings.tls_cert), key=Path(settings.tls_key))


async def test_limits_hosts_and_origins_of_a_running_server_change() -> None:
    async with listening("local") as server:
        live = server.house.services.live
        now = live.settings
        raw = await server.connect()

        async def status(text: str) -> int:
            await raw.send(text.replace("\n", "\r\n").encode())
            return (await raw.answer())[0]

        named = "GET /api/v1/server HTTP/1.1\nHost: runwatch.example\n\n"
        long = f"GET /health?{'a' * 200} HTTP/1.1\nHost: localhost\n\n"
        preflight = (
            "OPTIONS /api/v1/server HTTP/1.1\nHost: localhost\nOrigin: https://a.example\n"
            "Access-Control-Request-Method: GET\n\n"
        )
        assert [await status(text) for text in (named, long, preflight)] == [403, 200, 403]
        limits = msgspec.structs.replace(now.limits, url_bytes=100)
        changed = msgspec.structs.replace(
            now,
            allowed_hosts=["runwatch.example"],
            allowed_origins=["https://a.example"],
            limits=limits,
        )
        await reloading(lambda: changed, live).reload()
        assert [await status(text) for text in (named, preflight)] == [200, 204]
        assert await status(long) == 414


async def test_rates_change_and_what_was_used_stays_used() -> None:
    async with listening("local") as server:
        live = server.house.services.live
        raw = await server.connect()
        request = b"GET /api/v1/server HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for rate, wanted in ((1, 429), (1_000_000, 200)):
            limits = msgspec.structs.replace(
                live.settings.limits, reads_per_s=rate, reads_burst=rate
            )
            changed = msgspec.structs.replace(live.settings, limits=limits)
            await reloading(lambda changed=changed: changed, live).reload()  # type: ignore[misc]
            server.house.clock.advance(1)
            statuses = []
            for _ in range(3):
                await raw.send(request)
                statuses.append((await raw.answer())[0])
            assert statuses[-1] == wanted


@pytest.mark.parametrize(
    "bad",
    [
        {"port": 70_000, "log_level": "debug"},
        {"time_zone": "Nowhere/Never", "metrics_public": True},
        {"tls_cert": "/nowhere/cert.pem", "tls_key": "/nowhere/key.pem", "log_level": "error"},
        {"limits": Limits(reads_per_s=0), "log_level": "debug"},
    ],
)
async def test_settings_that_cannot_be_used_change_nothing(
    tmp_path: Path, bad: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    before = settings_with(tmp_path)
    live = LiveSettings(before)
    level = logging.getLogger().level
    await reloading(lambda: settings_with(tmp_path, **bad), live).reload()
    assert live.settings == before
    assert logging.getLogger().level == level
    assert "not taken, those before stay" in caplog.text


async def test_a_file_that_cannot_be_read_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def read() -> ServerSettings:
        raise SettingsError("[server] has no setting prot; did you mean port?")

    live = LiveSettings(settings_with(tmp_path))
    await reloading(read, live).reload()
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "did you mean port?" in str(vars(record))


def test_what_waits_for_a_start_is_named_and_not_taken(tmp_path: Path) -> None:
    old = settings_with(tmp_path)
    limits = Limits(sockets=7, ingest_queue_events=4096)
    new = settings_with(tmp_path, port=9, drain_s=1.0, limits=limits)
    change = change_of(old, new)
    assert change.taken == ("drain_s", "limits.sockets")
    assert change.waiting == ("port", "limits.ingest_queue_events")
    assert (change.settings.port, change.settings.limits.sockets) == (old.port, 7)
    assert change.settings.limits.ingest_queue_events == old.limits.ingest_queue_events


def test_every_setting_that_is_taken_live_exists() -> None:
    assert {field.name for field in msgspec.structs.fields(ServerSettings)} >= LIVE
    assert {field.name for field in msgspec.structs.fields(Limits)} >= FIXED_LIMITS


def test_who_is_gone_follows_no_more(tmp_path: Path) -> None:
    class Follower:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def follow(self, settings: ServerSettings) -> None:
            self.seen.append(settings.port)

    live, stays, goes = LiveSettings(settings_with(tmp_path)), Follower(), Follower()
    live.follow(stays.follow)
    live.follow(goes.follow)
    seen = goes.seen
    del goes
    live.replace(settings_with(tmp_path, port=1))
    assert (stays.seen, seen) == ([1], [])


def own_files(tmp_path: Path, name: str) -> TlsFiles:
    return certificates_in(tmp_path / name)


async def served_by(server: Listening, files: TlsFiles) -> bool:
    """Whether a new connection is answered with a certificate of this authority."""
    try:
        await server.connect(client_context(files.ca_pem))
    except OSError:
        return False
    return True


async def test_own_certificates_are_taken_when_their_files_change_and_no_socket_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(handshakes, "LOOK_S", 0.0)
    first, second = own_files(tmp_path, "first"), own_files(tmp_path, "second")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(files: TlsFiles, *, with_key: bool = True) -> None:
        for source, target in ((files.cert_pem, cert), (files.key_pem, key))[: 1 + with_key]:
            fresh = target.with_suffix(".new")
            fresh.write_bytes(source.read_bytes())
            fresh.replace(target)

    install(first)
    shown = Handshakes(lambda: Pair(cert=cert, key=key), lambda _: None)
    shown.take(shown.read())
    async with listening(certificates=first) as server:
        assert server.server.config.ssl is not None
        shown.attach(server.server.config.ssl)
        kept = await server.connect(client_context(first.ca_pem))

        install(second, with_key=False)
        await shown.look()
        await shown.look()
        assert await served_by(server, first)
        assert caplog.text.count("not taken, that before stays") == 1

        install(second)
        await shown.look()
        assert await served_by(server, second)
        assert not await served_by(server, first)
        await kept.send(GET)
        assert (await kept.answer())[0] == 200


async def test_a_reload_takes_a_certificate_of_another_name(tmp_path: Path) -> None:
    first, second = own_files(tmp_path, "first"), own_files(tmp_path, "second")

    def named(files: TlsFiles) -> ServerSettings:
        return settings_with(tmp_path, tls_cert=str(files.cert_pem), tls_key=str(files.key_pem))

    live = LiveSettings(named(first))
    shown = Handshakes(lambda: _pair(live.settings), lambda _: None)
    shown.take(shown.read())
    await reloading(lambda: named(second), live, shown).reload()
    async with listening(certificates=first) as server:
        assert server.server.config.ssl is not None
        shown.attach(server.server.config.ssl)
        assert await served_by(server, second)
        assert not await served_by(server, first)


def test_a_pair_that_does_not_belong_together_is_told_by_its_setting(tmp_path: Path) -> None:
    first, second = own_files(tmp_path, "first"), own_files(tmp_path, "second")
    with pytest.raises(SettingsError, match="tls_key does not belong to it"):
        served_of(Pair(cert=first.cert_pem, key=second.key_pem))
    with pytest.raises(SettingsError, match="tls_key: cannot read"):
        served_of(Pair(cert=first.cert_pem, key=tmp_path / "none"))
    with pytest.raises(SettingsError, match=r"tls_cert: .*cannot be served"):
        served_of(Pair(cert=first.key_pem, key=first.key_pem))


async def test_between_made_and_own_certificates_only_a_start_changes(tmp_path: Path) -> None:
    files = own_files(tmp_path, "first")
    made = settings_with(tmp_path)
    live = LiveSettings(made)
    shown = Handshakes(lambda: Pair(cert=files.cert_pem, key=files.key_pem), lambda _: None)
    own = settings_with(tmp_path, tls_cert=str(files.cert_pem), tls_key=str(files.key_pem))
    await reloading(lambda: own, live, shown).reload()
    assert live.settings == made


async def test_asking_twice_at_once_reloads_once_and_tells_the_manager(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(5)
        asked = Reloading(
            lambda: settings_with(tmp_path, drain_s=1.0),
            LiveSettings(settings_with(tmp_path)),
            None,
            Notifier(address),
            _pair,
        )
        asked.ask()
        asked.ask()
        running = asyncio.get_running_loop().run_in_executor(None, _two, manager)
        task = asyncio.ensure_future(asked.run())  # noqa: TID251
        try:
            first, second = await running
        finally:
            task.cancel()
        assert first.startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert second == "READY=1\nSTATUS=serving; 1 settings taken, 0 wait"
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(4096)


def _two(manager: socket.socket) -> tuple[str, str]:
    return manager.recv(4096).decode(), manager.recv(4096).decode()
