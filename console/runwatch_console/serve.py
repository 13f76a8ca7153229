"""`--serve`: the console in a browser, by way of textual-serve; who may come in is `serve_plan`'s.

Of textual-serve the page, its script and the protocol to the child process are used. Its own start
of the child (a shell line), its open door and its endless sessions are replaced here.
"""

import asyncio
import json
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp_jinja2
import jinja2
from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from runwatch_console.serve_plan import ServePlan, same_origin

MOST_SESSIONS: Final = 8
"""Browsers at once; each has a process of its own."""
LONGEST_MESSAGE_BYTES: Final = 64 * 1024
HEARTBEAT_S: Final = 15
END_S: Final = 5.0
"""How long a console may take to end before it is made to."""
SMALLEST: Final = (20, 5)
LARGEST: Final = (500, 200)
POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws://{host} wss://{host}; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Nothing is loaded from elsewhere: the page of textual-serve asks for a font of Google's."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BrowserConsole(AppService):
    """One console process of one browser."""

    def __init__(self, program: tuple[str, ...], **wiring: Any) -> None:
        super().__init__("monitor-tui", **wiring)
        self._program = program

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        """The terminal is the browser, whatever this program was started in."""
        environment = super()._build_environment(width, height)
        for name in ("TMUX", "TMUX_PANE", "STY", "RUNWATCH_SERVE_TOKEN"):
            environment.pop(name, None)
        return {
            **environment,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "PYTHONUTF8": "1",
        }

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        """Start the program itself; no shell reads a line."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self._program,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=self._build_environment(width, height),
        )
        self._stdin = process.stdin
        return process

    async def on_meta(self, data: bytes) -> None:
        """What the console asks of the browser: to end, or to open an address of the web."""
        asked = json.loads(data)
        kind = asked.get("type")
        if kind == "exit" or (kind == "open_url" and _of_the_web(str(asked.get("url")))):
            await super().on_meta(data)

    async def end(self) -> None:
        """End the process with its socket; it is asked first."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(END_S):
                await self.stop()
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            if process.returncode is None:
                process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()


class BrowserServer(Server):
    """Pages and sockets of one start."""

    def __init__(self, plan: ServePlan) -> None:
        super().__init__("monitor-tui", host=plan.host, port=plan.port, title="Runwatch")
        self._plan = plan
        self._cookie = f"runwatch-serve-{plan.port}"
        self._open: set[web.WebSocketResponse] = set()

    async def make_app(self) -> web.Application:
        """The page, its files and the socket, behind the door."""
        app = web.Application(middlewares=[self._door], client_max_size=LONGEST_MESSAGE_BYTES)
        aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(self.templates_path))
        app.add_routes(
            [
                web.get("/", self.handle_index),
                web.get("/ws", self.handle_websocket),
                web.get("/favicon.ico", self._no_icon),
                web.static("/static", self.statics_path),
            ]
        )
        app.on_shutdown.append(self.on_shutdown)
        return app

    async def _no_icon(self, request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def on_shutdown(self, app: web.Application) -> None:
        """Close the sockets; each ends its process."""
        for websocket in tuple(self._open):
            await websocket.close()

    @web.middleware
    async def _door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Host, token and headers of every request."""
        if not self._plan.known_host(request.headers.get("Host")):
            raise web.HTTPForbidden(text="this name is not served here\n")
        given = request.query.get("token")
        if request.path == "/" and self._plan.known_token(given):
            found = web.HTTPSeeOther("/", headers=self._headers(request))
            found.set_cookie(
                self._cookie, self._plan.token, httponly=True, samesite="Strict", path="/"
            )
            raise found
        if not self._plan.known_token(request.cookies.get(self._cookie)):
            raise web.HTTPUnauthorized(text="open the address that monitor-tui --serve printed\n")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(self._headers(request))
        return response

    def _headers(self, request: web.Request) -> dict[str, str]:
        return {
            "Content-Security-Policy": POLICY.format(host=request.host),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def handle_index(self, request: web.Request) -> web.Response:
        """The page, with addresses as the browser reached us: a tunnel has another port."""
        scheme = "wss" if request.secure else "ws"
        size = _whole(request.query.get("fontsize"), 16, 6, 60)
        facts = {
            "font_size": size,
            "app_websocket_url": f"{scheme}://{request.host}/ws",
            "config": {"static": {"url": "/static/"}},
            "application": {"name": self.title},
        }
        return aiohttp_jinja2.render_template("app_index.html", request, facts)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One browser, and its console for as long as the socket is open."""
        if not same_origin(request.headers.get("Origin"), request.headers.get("Host")):
            raise web.HTTPForbidden(text="not from this page\n")
        if len(self._open) >= MOST_SESSIONS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_SESSIONS} browsers are connected\n")
        websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=LONGEST_MESSAGE_BYTES)
        self._open.add(websocket)
        console = BrowserConsole(
            self._plan.command,
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=websocket.close,
            download_manager=self.download_manager,
        )
        try:
            await websocket.prepare(request)
            query = request.query
            await console.start(*_size(query.get("width"), query.get("height")))
            await self._process_messages(websocket, console)
        finally:
            self._open.discard(websocket)
            await asyncio.shield(console.end())
        return websocket

    async def _process_messages(
        self, websocket: web.WebSocketResponse, app_service: AppService
    ) -> None:
        """What the browser sends; whatever else comes ends the session."""
        async for message in websocket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                await _give(message.json(), websocket, app_service)
            except (ValueError, TypeError, LookupError, AttributeError):
                await websocket.close(code=1003)


async def _give(envelope: Any, websocket: web.WebSocketResponse, console: AppService) -> None:
    kind = envelope[0]
    match kind:
        case "stdin":
            await console.send_bytes(envelope[1].encode("utf-8"))
        case "resize":
            size = envelope[1]
            await console.set_terminal_size(*_size(size["width"], size["height"]))
        case "ping":
            await websocket.send_json(["pong", envelope[1]])
        case "blur":
            await console.blur()
        case "focus":
            await console.focus()
        case _:
            pass


def _of_the_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False


def _size(width: object, height: object) -> tuple[int, int]:
    return (
        _whole(width, 80, SMALLEST[0], LARGEST[0]),
        _whole(height, 24, SMALLEST[1], LARGEST[1]),
    )


def _whole(value: object, otherwise: int, smallest: int, largest: int) -> int:
    try:
        return max(smallest, min(largest, int(str(value))))
    except ValueError:
        return otherwise


async def serve_until_told(plan: ServePlan, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `say` is given the address to open once it is reachable.

    Raises:
        OSError: The address cannot be listened on.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    server = BrowserServer(plan)
    runner = web.AppRunner(await server.make_app(), shutdown_timeout=2 * END_S, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, plan.host, plan.port)
        await site.start()
        say(_address(plan, runner))
        await ended.wait()
    finally:
        await runner.cleanup()


def _address(plan: ServePlan, runner: web.AppRunner) -> str:
    port = runner.addresses[0][1]
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    return f"http://{host}:{port}/?token={quote(plan.token)}"
