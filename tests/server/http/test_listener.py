"""What the listener itself bounds and refuses, and how it stops (contract 1.3, 2.5 and 3)."""

import asyncio
import json
import os
import random
import signal
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from runwatch_server import handshakes, http_protocol, serving
from runwatch_server.addresses import access_mode, base_url
from runwatch_server.serving import listen
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import Limits, ServerSettings
from runwatch_shared.tls import client_context
from tests.clock import ManualClock
from tests.server.http.house import event
from tests.server.http.listener import Listening, Raw, certificates_in, listening, until

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def refused(raw: Raw, status: int, code: str) -> None:
    """The next answer is this refusal, in the form all have, and the connection closes."""
    found, headers, body = await raw.answer()
    assert (found, json.loads(body)["code"]) == (status, code)
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    assert "server" not in headers
    assert await raw.closed() == b""


async def test_many_requests_go_over_one_connection_without_a_server_header() -> None:
    async with listening() as server:
        raw = await server.connect()
        for _ in range(3):
            await raw.send(GET)
            status, headers, body = await raw.answer()
            assert (status, body) == (200, b'{"status":"ok"}')
            assert "server" not in headers
        await raw.send(GET * 3)
        assert [(await raw.answer())[0] for _ in range(3)] == [200] * 3


SLOW = int(os.environ.get("RUNWATCH_SLOW_CLIENTS", "200"))
MALFORMED = int(os.environ.get("RUNWATCH_MALFORMED", "300"))
DRIPS = (b"", b"GET /health HTTP/1.1\r\nHost: x\r\n", b"G", b"\r\n\r\n", b"GET / HTTP/1.1\r\nA")


async def test_a_request_whose_headers_do_not_come_is_cut_off() -> None:
    """On a fresh connection and on one that served before, whatever little comes."""

    async def cut_off(drip: bytes) -> None:
        raw = await server.connect()
        await raw.send(drip)
        kept = await server.connect()
        await kept.send(GET)
        assert (await kept.answer())[0] == 200
        await kept.send(drip or b"G")
        assert await raw.closed() == b""
        assert await kept.closed() == b""

    async with listening() as server:
        await asyncio.gather(*(cut_off(drip) for drip in DRIPS))


async def test_hundreds_that_drip_their_headers_are_cut_off_while_others_are_served() -> None:
    async with listening() as server:
        slow = [await server.connect() for _ in range(SLOW)]

        async def drip(raw: Raw) -> bytes:
            for byte in GET[:-2]:
                if raw.reader.at_eof():
                    break
                with suppress(ConnectionError):
                    await raw.send(bytes([byte]))
                await asyncio.sleep(0.1)
            return await raw.closed()

        async def ask() -> None:
            for _ in range(20):
                raw = await server.connect()
                await raw.send(GET)
                assert (await raw.answer())[0] == 200
                await raw.close()

        *answers, _ = await asyncio.gather(*(drip(raw) for raw in slow), ask())
        assert set(answers) == {b""}
        await until(lambda: not server.server.server_state.connections)


async def test_a_body_that_does_not_come_is_refused_in_time() -> None:
    async with listening() as server:
        raw = await server.connect()
        token = server.house.tokens["admin"].encode()
        await raw.send(
            b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + token + b"\r\nContent-Length: 100\r\n\r\n{"
        )
        status, _, body = await raw.answer()
        assert (status, json.loads(body)["code"]) == (408, "request_timeout")
        assert await raw.closed() == b""


async def test_what_is_too_long_is_refused_before_it_is_a_request() -> None:
    async with listening() as server:
        for data, status, code in (
            (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
            (b"GET / HTTP/1.1\r\nX: " + b"a" * 17_000 + b"\r\n\r\n", 431, "headers_too_large"),
            (b"GET / HTTP/1.1\r\n" + b"X: aaaaaaaaaa\r\n" * 2000, 431, "headers_too_large"),
            (b"GET / HTTP/1.1\r\nX: " + b"a" * 30_000, 431, "headers_too_large"),
            (b"\x16\x03\x01 not HTTP at all\r\n\r\n", 400, "invalid_parameter"),
            (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, "invalid_parameter"),
        ):
            raw = await server.connect()
            await raw.send(data)
            await refused(raw, status, code)
        text = await server.house.metrics()
        assert 'runwatch_requests_rejected_total{code="headers_too_large"} 3.0' in text
        assert 'http_requests_total{method="OTHER",path="unmatched",status="414"} 1.0' in text


async def test_one_connection_too_many_is_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = http_protocol.Guard

    def guard(*given: Any, **named: Any) -> http_protocol.Guard:
        return made(*given, **named, most_connections=2, reserved=1)

    monkeypatch.setattr("runwatch_server.serving.Guard", guard)
    async with listening() as server:
        held = [await server.connect() for _ in range(2)]
        for raw in held:
            await raw.send(GET)
            await raw.answer()
        reserved = await server.connect()
        await refused(await server.connect(), 503, "overloaded")
        await reserved.send(GET)
        await refused(reserved, 503, "overloaded")
        await held[0].close()
        await until(lambda: len(server.server.server_state.connections) == 1)
        raw = await server.connect()
        await raw.send(GET)
        assert (await raw.answer())[0] == 200


async def test_a_heartbeat_is_answered_where_others_hold_all_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = http_protocol.Guard

    def guard(*given: Any, **named: Any) -> http_protocol.Guard:
        return made(*given, **named, most_connections=2)

    monkeypatch.setattr("runwatch_server.serving.Guard", guard)
    async with listening() as server:
        for _ in range(2):
            raw = await server.connect()
            await raw.send(GET)
            await raw.answer()
        beat = json.dumps(
            {"node_id": "n1", "process_id": "p", "capacity": {"max_concurrent": 1}}
        ).encode()
        raw = await server.connect()
        for _ in range(2):
            await raw.send(
                b"POST /api/v1/nodes/heartbeat HTTP/1.1\r\nHost: x\r\nX-Node-Token: "
                + server.house.tokens["node"].encode()
                + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(beat), beat)
            )
            assert (await raw.answer())[0] == 200


async def test_a_storm_of_malformed_requests_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rng = random.Random(5)
    async with listening() as server:
        for number in range(MALFORMED):
            raw = await server.connect()
            data = bytearray(GET)
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            await raw.send(bytes(data) + (b"" if number % 2 else rng.randbytes(50)))
            await raw.close()
        await until(lambda: not server.server.server_state.connections)
        assert not server.server.server_state.tasks
        raw = await server.connect()
        await raw.send(GET)
        assert (await raw.answer())[0] == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def address(server: Listening, path: str) -> str:
    return f"ws://127.0.0.1:{server.port}{path}"


async def refusal_of(server: Listening, path: str, who: str | None, **headers: str) -> Any:
    """(status, code) of a socket that is refused before the upgrade."""
    given = {**server.house.headers(who), **headers}
    with pytest.raises(InvalidStatus) as caught:
        async with connect(address(server, path), additional_headers=given):
            pass
    response = caught.value.response
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    return response.status_code, json.loads(response.body or b"")["code"]


async def test_sockets_are_checked_before_the_upgrade_as_any_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = Limits(sockets_per_credential=1, reads_burst=10_000, writes_burst=1000)
    async with listening(limits=limits) as server:
        run = await server.house.run()
        events = f"/ws/runs/{run['id']}/events"
        expected: list[tuple[str, str | None, dict[str, str], tuple[int, str]]] = [
            ("/ws/monitor", None, {}, (401, "unauthenticated")),
            ("/ws/monitor", None, {"Authorization": "Bearer x"}, (401, "invalid_credential")),
            ("/ws/monitor", "node", {}, (403, "forbidden")),
            (
                "/ws/monitor",
                "viewer",
                {"Origin": "http://evil.example"},
                (403, "origin_not_allowed"),
            ),
            ("/ws/monitor?token=x", "viewer", {}, (400, "token_in_query")),
            ("/ws/monitor?mode=other", "viewer", {}, (400, "invalid_value")),
            ("/ws/nothing", "viewer", {}, (404, "not_found")),
            ("/ws/runs/run-000000000000/events", "viewer", {}, (404, "not_found")),
            ("/ws/workflows/auth/act-000000000000/events", "viewer", {}, (404, "not_found")),
            ("/ws/workflows/other/x/events", "viewer", {}, (400, "invalid_value")),
            (f"{events}?from_seq=9", "viewer", {}, (409, "seq_ahead")),
            (f"{events}?store=other", "viewer", {}, (409, "store_changed")),
        ]
        for path, who, headers, answer in expected:
            assert await refusal_of(server, path, who, **headers) == answer, path
        async with connect(
            address(server, "/ws/monitor"), additional_headers=server.house.headers("viewer")
        ):
            code = await refusal_of(server, "/ws/monitor", "viewer")
            assert code == (429, "too_many_connections")
        text = await server.house.metrics()
        assert 'path="/ws/monitor",status="101"} 1.0' in text
        assert 'path="/ws/monitor",status="429"} 1.0' in text
    assert not [record.message for record in caplog.records if record.levelname == "ERROR"]


async def test_in_local_mode_a_socket_needs_this_machines_name_and_the_own_origin() -> None:
    async with listening("local") as server:
        async with connect(address(server, "/ws/monitor?mode=delta")) as socket:
            assert json.loads(await socket.recv())["scope"] == "viewer"
        own = f"http://127.0.0.1:{server.port}"
        async with connect(address(server, "/ws/monitor"), origin=own):  # type: ignore[arg-type]
            pass
        for headers, code in (
            ({"Origin": "http://evil.example"}, "origin_not_allowed"),
            ({"Origin": "null"}, "origin_not_allowed"),
            ({"Origin": "http://127.0.0.1"}, "origin_not_allowed"),
        ):
            assert await refusal_of(server, "/ws/monitor", None, **headers) == (403, code)
        raw = await server.connect()
        await raw.send(
            b"GET /ws/monitor HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        status, _, body = await raw.answer()
        assert (status, json.loads(body)["code"]) == (403, "host_not_allowed")


async def test_a_browser_brings_its_token_as_a_subprotocol_and_never_gets_it_back() -> None:
    async with listening() as server:
        token = server.house.tokens["viewer"]
        async with connect(
            address(server, "/ws/monitor?mode=delta"),
            subprotocols=["runwatch.v1", f"runwatch.bearer.{token}"],  # type: ignore[list-item]
        ) as socket:
            assert socket.subprotocol == "runwatch.v1"
            hello = json.loads(await socket.recv())
            assert (hello["type"], hello["scope"]) == ("hello", "viewer")


async def test_events_reach_a_socket_of_their_run_through_the_whole_server() -> None:
    async with listening() as server:
        house = server.house
        run_id, epoch = await house.held_run()
        async with connect(
            address(server, f"/ws/workflows/run/{run_id}/events?from_seq=0"),
            additional_headers=house.headers("viewer"),
        ) as socket:
            body = {"epoch": epoch, "events": [event(1), event(2, "run_completed", status="done")]}
            await house.make(f"/api/v1/runs/{run_id}/events", body, who="node")
            frames = [json.loads(frame) async for frame in socket]
        assert [frame["type"] for frame in frames] == ["event", "event", "status"]
        assert socket.close_code == 1000


async def test_a_stop_fails_readiness_first_answers_polls_and_closes_sockets_with_1001() -> None:
    async with listening(drain_s=0.5) as server:
        house = server.house
        await house.beat()
        polling = asyncio.ensure_future(  # noqa: TID251 - awaited below, whatever happens
            house.get("/api/v1/nodes/node-1/runs", who="node", wait=25)
        )
        socket = await connect(
            address(server, "/ws/monitor"), additional_headers=house.headers("viewer")
        )
        await asyncio.sleep(0.05)
        server.server.handle_exit(signal.SIGTERM, None)
        async with asyncio.timeout(5):
            assert (await polling)["runs"] == []
        raw = await server.connect()
        await raw.send(GET.replace(b"/health", b"/readyz"))
        assert (await raw.answer())[0] == 503
        await raw.send(GET)
        assert (await raw.answer())[0] == 200
        async with asyncio.timeout(5):
            await socket.wait_closed()
        assert socket.close_code == 1001
        async with asyncio.timeout(5):
            await server.done
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset, by the system's choice
            await server.connect()


async def test_a_stop_waits_for_no_peer_that_does_not_read_or_shake_hands(tmp_path: Path) -> None:
    """uvicorn would wait: for the peer's close_notify, and for handshakes that were begun."""
    files = certificates_in(tmp_path)
    async with listening(certificates=files, drain_s=0) as server:
        loop = asyncio.get_running_loop()
        context = client_context(files.ca_pem)
        deaf = ssl.create_default_context(cafile=files.ca_pem)

        def asked() -> ssl.SSLSocket:
            plain = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            wrapped = deaf.wrap_socket(plain, server_hostname="localhost")
            wrapped.sendall(GET)
            assert wrapped.recv(65536).startswith(b"HTTP/1.1 200")
            return wrapped

        idle = await asyncio.to_thread(asked)
        half = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        outgoing = ssl.MemoryBIO()
        shaking = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        with suppress(ssl.SSLWantReadError):
            shaking.do_handshake()
        half.sendall(outgoing.read()[:100])
        try:
            await until(lambda: len(server.server.server_state.connections) == 1)
            server.server.handle_exit(signal.SIGTERM, None)
            began = loop.time()
            async with asyncio.timeout(5):
                await server.done
            assert loop.time() - began < 5
        finally:
            idle.close()
            half.close()


async def test_https_is_served_with_the_own_authority(tmp_path: Path) -> None:
    files = certificates_in(tmp_path)
    async with listening(certificates=files) as server:
        raw = await server.connect(client_context(files.ca_pem))
        await raw.send(GET)
        assert (await raw.answer())[0] == 200
        plain = await server.connect()
        await plain.send(GET)
        assert b"HTTP" not in await plain.closed()


async def test_a_certificate_is_renewed_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(datetime.now(UTC) - timedelta(days=61))
    settings = ServerSettings(data_dir=str(tmp_path))
    files = serving.certificates_of(settings, tmp_path, clock)
    assert files is not None
    monkeypatch.setattr(handshakes, "LOOK_S", 0.01)
    ends: list[float] = []
    shown = handshakes.Handshakes(
        lambda: serving.pair_of(settings, data_dir=tmp_path, clock=clock), ends.append
    )
    shown.take(shown.read())
    async with listening(certificates=files) as server:
        assert server.server.config.ssl is not None
        shown.attach(server.server.config.ssl)
        before = await serial_served(server, files.ca_pem)
        await shown.look()
        assert await serial_served(server, files.ca_pem) == before
        clock.advance(61 * 86400)
        await shown.look()
        assert await serial_served(server, files.ca_pem) != before
    assert len(ends) == 2
    assert ends[1] > ends[0]


async def serial_served(server: Listening, ca_pem: Path) -> str:
    """The serial number of the certificate a new connection gets."""
    raw = await server.connect(client_context(ca_pem))
    certificate: dict[str, Any] = raw.writer.get_extra_info("peercert")
    return str(certificate["serialNumber"])


@pytest.mark.parametrize(
    ("host", "auth", "mode"),
    [
        ("127.0.0.1", "", "local"),
        ("localhost", "", "local"),
        ("::1", "", "local"),
        ("127.0.0.1", "on", "on"),
        ("0.0.0.0", "", "on"),
        ("10.1.2.3", "", "on"),
        ("example.org", "", "on"),
        ("0.0.0.0", "local", None),
        ("example.org", "local", None),
    ],
)
def test_local_mode_is_for_loopback_alone(host: str, auth: Any, mode: str | None) -> None:
    settings = ServerSettings(host=host, auth=auth)
    if mode is None:
        with pytest.raises(SettingsError, match="loopback"):
            access_mode(settings)
    else:
        assert access_mode(settings) == mode


def test_the_address_is_one_this_machine_can_use() -> None:
    for host, shown in (("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")):
        with listen(host, 0) as listener:
            port = listener.getsockname()[1]
            url = base_url(ServerSettings(host=host), listener)
            assert url == f"https://{shown}:{port}"
    for port in (-1, 65_536):
        with pytest.raises(SettingsError, match="port must be 0 to 65535"):
            listen("127.0.0.1", port)
