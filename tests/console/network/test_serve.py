"""Door, sockets and processes of `--serve`, with a small program in the console's place."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from runwatch_console import serve
from runwatch_console.serve import BrowserServer
from runwatch_console.serve_plan import ServePlan

TOKEN = "the-token-of-this-test"
LIMIT_S = 5.0
PROGRAM = r"""
import json, os, sys
out, inp = sys.stdout.buffer, sys.stdin.buffer
def send(kind, data):
    out.write(kind + len(data).to_bytes(4, "big") + data); out.flush()
out.write(b"__GANGLION__\n"); out.flush()
send(b"D", json.dumps({
    "pid": os.getpid(), "size": [os.environ["COLUMNS"], os.environ["ROWS"]],
    "tmux": os.environ.get("TMUX"), "token": os.environ.get("RUNWATCH_SERVE_TOKEN"),
}).encode())
while kind := inp.read(1):
    data = inp.read(int.from_bytes(inp.read(4), "big"))
    if kind == b"M" and json.loads(data)["type"] == "quit" and "stubborn" not in sys.argv:
        break
    send(b"D", kind + data)
    if data == b"open":
        for url in ("javascript:alert(1)", "https://example.org/"):
            send(b"M", json.dumps({"type": "open_url", "url": url, "new_tab": True}).encode())
"""


@dataclass
class Served:
    """A running server."""

    url: str
    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connect(self, *, origin: str | None = "", token: str = TOKEN, query: str = "") -> connect:
        own = f"http://{self.host}" if origin == "" else origin
        headers = {"Cookie": f"runwatch-serve-0={token}"}
        return connect(
            f"ws://{self.host}/ws{query}",
            origin=None if own is None else Origin(own),
            additional_headers=headers,
            proxy=None,
        )


@asynccontextmanager
async def served(*arguments: str) -> AsyncIterator[Served]:
    command = (sys.executable, "-c", PROGRAM, *arguments)
    plan = ServePlan(host="127.0.0.1", port=0, token=TOKEN, command=command)
    runner = web.AppRunner(await BrowserServer(plan).make_app(), shutdown_timeout=LIMIT_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, plan.host, plan.port).start()
        port = runner.addresses[0][1]
        yield Served(f"http://127.0.0.1:{port}", port)
    finally:
        await runner.cleanup()


async def hello(socket: ClientConnection) -> dict[str, object]:
    async with asyncio.timeout(LIMIT_S):
        message: dict[str, object] = json.loads(await socket.recv())
        return message


async def gone(pid: object) -> None:
    async with asyncio.timeout(2 * LIMIT_S):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.02)


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url, headers=headers)


async def test_nobody_comes_in_without_the_token() -> None:
    async with served() as server:
        for path in (
            "/",
            "/static/js/textual.js",
            "/ws",
            "/?token=wrong",
            "/static/?token=" + TOKEN,
        ):
            assert (await get(server.url + path)).status_code == 401
        with pytest.raises(InvalidStatus) as refused:
            await server.connect(token="wrong")
        assert refused.value.response.status_code == 401


async def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address() -> None:
    async with served() as server:
        answer = await get(f"{server.url}/?token={TOKEN}")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
        assert TOKEN in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        page = await get(f"{server.url}/", Cookie=cookie.partition(";")[0])
        assert page.status_code == 200
        assert f"ws://{server.host}/ws" in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert TOKEN not in page.text


async def test_a_name_that_was_pointed_here_is_refused_even_with_the_token() -> None:
    async with served() as server:
        cookie = f"runwatch-serve-0={TOKEN}"
        answer = await get(f"{server.url}/", Host="evil.example", Cookie=cookie)
        assert answer.status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null", None])
async def test_a_page_from_elsewhere_opens_no_socket(origin: str | None) -> None:
    async with served() as server:
        with pytest.raises(InvalidStatus) as refused:
            await server.connect(origin=origin)
        assert refused.value.response.status_code == 403


async def test_keys_go_to_the_process_and_its_screen_to_the_browser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux")
    monkeypatch.setenv("RUNWATCH_SERVE_TOKEN", TOKEN)
    async with served() as server, server.connect(query="?width=9999&height=x") as socket:
        first = await hello(socket)
        assert (first["size"], first["tmux"], first["token"]) == (["500", "24"], None, None)
        await socket.send(json.dumps(["stdin", "j"]))
        assert await socket.recv() == b"Dj"
        await socket.send(json.dumps(["resize", {"width": -5, "height": 10**9}]))
        told = await socket.recv()
        assert json.loads(told[1:]) == {"type": "resize", "width": 20, "height": 200}


async def test_the_process_ends_with_its_socket() -> None:
    async with served() as server:
        async with server.connect() as socket:
            pid = (await hello(socket))["pid"]
        await gone(pid)


async def test_a_process_that_does_not_end_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "END_S", 0.1)
    async with served("stubborn") as server:
        async with server.connect() as socket:
            pid = (await hello(socket))["pid"]
        await gone(pid)


async def test_the_processes_end_with_the_server() -> None:
    async with AsyncExitStack() as sockets:
        async with served() as server:
            socket = await sockets.enter_async_context(server.connect())
            pid = (await hello(socket))["pid"]
        await gone(pid)


async def test_there_are_only_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "MOST_SESSIONS", 1)
    async with served() as server:
        async with server.connect() as socket:
            pid = (await hello(socket))["pid"]
            with pytest.raises(InvalidStatus) as refused:
                await server.connect()
            assert refused.value.response.status_code == 503
        await gone(pid)
        async with server.connect() as again:
            assert (await hello(again))["pid"]


@pytest.mark.parametrize(
    "message", ["{", "[]", "5", '["stdin", 5]', '["resize", []]', "x" * 70_000]
)
async def test_what_is_no_message_ends_the_session_and_no_other(message: str) -> None:
    async with served() as server, server.connect() as other:
        await hello(other)
        async with server.connect() as socket:
            pid = (await hello(socket))["pid"]
            await socket.send(message)
            async with asyncio.timeout(LIMIT_S):
                await socket.wait_closed()
        await gone(pid)
        await other.send(json.dumps(["stdin", "k"]))
        assert await other.recv() == b"Dk"


async def test_only_addresses_of_the_web_are_opened_in_the_browser() -> None:
    async with served() as server, server.connect() as socket:
        await hello(socket)
        await socket.send(json.dumps(["stdin", "open"]))
        assert await socket.recv() == b"Dopen"
        opened = json.loads(await socket.recv())
        assert opened == ["open_url", {"url": "https://example.org/", "new_tab": True}]
