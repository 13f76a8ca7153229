"""A server that follows a script: real sockets, real HTTP, answers written by the test."""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from runwatch_shared.tasks import TaskOwner

LIMIT_S = 5.0
METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]

Scene = Callable[[WebSocket], Awaitable[None]]


@dataclass(frozen=True)
class Refusal:
    """An answer over HTTP instead of an upgrade, and of a request instead of success."""

    status: int
    code: str
    error: str = "no"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def response(self) -> Response:
        body = self.body
        if body is None:
            body = msgspec.json.encode({"error": self.error, "code": self.code})
        return Response(body, self.status, dict(self.headers), "application/json")


@dataclass(frozen=True)
class Seen:
    """One request or upgrade that arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


class ScriptedServer:
    """Answers and scenes are used up in order; the last one stays."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self.scenes: deque[Scene | Refusal] = deque()
        self.answers: dict[str, deque[object]] = {}
        self.app = Starlette(
            routes=[
                Route("/{path:path}", self._request, methods=METHODS),
                WebSocketRoute("/{path:path}", self._socket),
            ]
        )

    def answer(self, path: str, *answers: object) -> None:
        """What requests of this path get: records, `Refusal`s, or callables giving one."""
        self.answers[path] = deque(answers)

    def play(self, *scenes: Scene | Refusal) -> None:
        """What sockets get, one after the other; after the last one they are refused with 503."""
        self.scenes.extend(scenes)

    async def _request(self, request: Request) -> Response:
        body = await request.body()
        path = request.url.path
        headers = dict(request.headers)
        self.seen.append(Seen(request.method, path, dict(request.query_params), headers, body))
        queue = self.answers.get(path)
        if queue is None:
            return Refusal(404, "not_found", "no such path").response()
        answer = queue[0] if len(queue) == 1 else queue.popleft()
        if callable(answer) and not isinstance(answer, Response):
            answer = await answer(request)
        if isinstance(answer, Refusal):
            return answer.response()
        if isinstance(answer, Response):
            return answer
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def _socket(self, websocket: WebSocket) -> None:
        self.seen.append(
            Seen(
                "WEBSOCKET",
                websocket.url.path,
                dict(websocket.query_params),
                dict(websocket.headers),
            )
        )
        scene = self.scenes.popleft() if self.scenes else Refusal(503, "not_ready")
        if isinstance(scene, Refusal):
            await websocket.send_denial_response(scene.response())
            return
        await websocket.accept(subprotocol="runwatch.v1")
        with suppress(WebSocketDisconnect):
            await scene(websocket)

    @property
    def upgrades(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == "WEBSOCKET"]


@asynccontextmanager
async def serving(
    script: ScriptedServer, *, port: int = 0, certificate: tuple[Path, Path] | None = None
) -> AsyncIterator[ScriptedServer]:
    """The script behind a real port; stops at the end of the block."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        script.app,
        log_level="critical",
        ws="websockets-sansio",
        lifespan="off",
        timeout_graceful_shutdown=0,
        ssl_certfile=certificate[0] if certificate else None,
        ssl_keyfile=certificate[1] if certificate else None,
    )
    server = uvicorn.Server(config)
    async with TaskOwner("scripted") as owner:
        task = owner.spawn(server.serve(sockets=[listener]), name="scripted server")
        async with asyncio.timeout(LIMIT_S):
            while not server.started:
                await asyncio.sleep(0.005)
        scheme = "https" if certificate else "http"
        script.url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield script
        finally:
            server.should_exit = True
            await asyncio.wait([task], timeout=LIMIT_S)


async def send(websocket: WebSocket, *frames: Any) -> None:
    """Send records as text frames."""
    for frame in frames:
        await websocket.send_text(msgspec.json.encode(frame).decode())


async def hold(websocket: WebSocket) -> None:
    """Stay open until the client goes."""
    while True:
        await websocket.receive_text()
