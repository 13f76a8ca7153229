"""The feeds behind a real uvicorn on a free port, over a store in memory; no routing, no auth."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from runwatch_server.hub import Hub
from runwatch_server.monitor_feed import serve_monitor
from runwatch_server.reads import ReaderPool
from runwatch_server.run_feed import serve_login_events, serve_run_events
from runwatch_server.websocket_protocol import websocket_options
from runwatch_shared.clock import SystemClock
from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import Limits, ServerSettings
from runwatch_shared.tasks import TaskOwner
from tests.server.sockets.fleet import Fleet
from tests.server.sockets.peers import VIEWER

LIMITS = Limits(sockets=2000, sockets_per_credential=2000)


class Served:
    """A hub that listens, and its fleet; ``commit`` writes and publishes."""

    def __init__(self, fleet: Fleet, hub: Hub, server: uvicorn.Server) -> None:
        self.fleet = fleet
        self.hub = hub
        self.server = server
        self.allowed = True

    @property
    def port(self) -> int:
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def commit(self, *works: object) -> None:
        self.fleet.write(*works)
        self.publish()

    def publish(self) -> None:
        while (commit := self.fleet.next_published()) is not None:
            self.hub.publish(commit)


@asynccontextmanager
async def serving(
    *,
    limits: Limits = LIMITS,
    fast: bool = True,
    heartbeat_s: float = 5.0,
    recheck_s: float = 60.0,
) -> AsyncIterator[Served]:
    """Listen until the block ends; ``fast`` False: through uvicorn's own protocol."""
    fleet = Fleet()
    fleet.clock = SystemClock()  # type: ignore[assignment]
    reader = ReaderPool(fleet.store)
    served: Served

    async def still_valid(principals: Sequence[object]) -> list[bool]:
        return [served.allowed for _ in principals]

    hub = Hub(
        reader=reader,
        projection=fleet.projection,
        clock=fleet.clock,
        settings=ServerSettings(limits=limits),
        store_id=fleet.store.store_id,
        version="0",
        recheck=still_valid,
        heartbeat_s=heartbeat_s,
        recheck_s=recheck_s,
    )

    class Services:
        pass

    services: Any = Services()
    services.hub = hub

    async def answered(websocket: WebSocket, feed: Any) -> None:
        try:
            await feed(websocket)
        except RefusedError as error:
            body = {"error": error.message, "code": error.code}
            await websocket.send_denial_response(JSONResponse(body, error.status))

    async def monitor(websocket: WebSocket) -> None:
        await answered(websocket, lambda ws: serve_monitor(ws, services, VIEWER))

    async def run(websocket: WebSocket) -> None:
        run_id = websocket.path_params["id"]
        await answered(websocket, lambda ws: serve_run_events(ws, services, VIEWER, run_id))

    async def login(websocket: WebSocket) -> None:
        some_id = websocket.path_params["id"]
        await answered(websocket, lambda ws: serve_login_events(ws, services, VIEWER, some_id))

    app = Starlette(
        routes=[
            WebSocketRoute("/ws/monitor", monitor),
            WebSocketRoute("/ws/runs/{id}/events", run),
            WebSocketRoute("/ws/workflows/auth/{id}/events", login),
        ]
    )
    options = websocket_options(limits)
    if not fast:
        options["ws"] = "websockets-sansio"
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            lifespan="off",
            log_config=None,
            access_log=False,
            backlog=2048,
            timeout_graceful_shutdown=5,
            **options,
        )
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    served = Served(fleet, hub, server)
    try:
        async with TaskOwner("serving") as owner:
            owner.spawn(hub.run(), name="hub")
            listening = owner.spawn(server._serve(), name="uvicorn")
            await until(lambda: server.started)
            try:
                yield served
            finally:
                hub.stop()
                server.should_exit = True
                await asyncio.wait({listening}, timeout=10)
    finally:
        await reader.stop()
        fleet.close()


async def until(condition: Any, timeout_s: float = 5.0) -> None:
    """Wait for a condition, bounded."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)
