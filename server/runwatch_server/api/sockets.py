"""The sockets' paths: let in as any request is, before the upgrade; served by the feeds.

A plain GET on one is told to upgrade (426). Source: contract 2.5, 7 and 10.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from runwatch_server.access.table import Need
from runwatch_server.api.audited import is_denial, refusal_entry
from runwatch_server.api.call import Call, Route
from runwatch_server.api.resource import TEMPLATE
from runwatch_server.monitor_feed import serve_monitor
from runwatch_server.principals import Principal
from runwatch_server.problems import Answer
from runwatch_server.run_feed import serve_login_events, serve_run_events
from runwatch_server.services import Services
from runwatch_shared.errors import RefusedError

Feed = Callable[[WebSocket, Services, Principal], Awaitable[None]]


async def monitor(websocket: WebSocket, services: Services, principal: Principal) -> None:
    await serve_monitor(websocket, services, principal)


async def run_events(websocket: WebSocket, services: Services, principal: Principal) -> None:
    await serve_run_events(websocket, services, principal, websocket.path_params["id"])


async def workflow_events(websocket: WebSocket, services: Services, principal: Principal) -> None:
    match websocket.path_params["type"]:
        case "run":
            await run_events(websocket, services, principal)
        case "auth":
            await serve_login_events(websocket, services, principal, websocket.path_params["id"])
        case _:
            raise RefusedError(
                "invalid_value",
                "type has an unknown value",
                field="type",
                details={"allowed": ["run", "auth"]},
            )


FEEDS: Final[Mapping[str, Feed]] = {
    "/ws/monitor": monitor,
    "/ws/runs/{id}/events": run_events,
    "/ws/workflows/{type}/{id}/events": workflow_events,
}


class SocketResource:
    """One socket's path as an ASGI application."""

    def __init__(self, path: str, feed: Feed, need: Need, services: Services) -> None:
        self._path = path
        self._feed = feed
        self._need = need
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[TEMPLATE] = self._path
        services = self._services
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            principal = await services.admission.admit(scope, headers, self._need)
        except RefusedError as error:
            if is_denial(error):
                services.audit.refused(
                    refusal_entry(services.clock, "WEBSOCKET", self._path, scope, error)
                )
            raise
        if services.readiness.stopping:
            raise RefusedError("not_ready", "the server is stopping")
        await self._feed(WebSocket(scope, receive, send), services, principal)


async def upgrade_required(_: Call) -> Answer:
    raise RefusedError("upgrade_required", "this is a WebSocket: ask for an upgrade")


def _plain(path: str) -> Route:
    nothing: dict[int, Any] = {}
    return Route(
        method="GET",
        path=path,
        handler=upgrade_required,
        summary="A WebSocket; a plain GET is told to upgrade",
        answers=nothing,
        errors=("upgrade_required",),
    )


ROUTES: Final = tuple(_plain(path) for path in FEEDS)
