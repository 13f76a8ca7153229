"""The application: all routes as data, joined with the access table, inside the edge."""

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.routing import BaseRoute, Router, WebSocketRoute
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from runwatch_server.access.forwarding import Forwarding
from runwatch_server.access.table import ACCESS, check_complete
from runwatch_server.api import (
    accounts,
    auth,
    documents,
    env_configs,
    events,
    health,
    instances,
    joining,
    later,
    logins,
    monitor,
    nodes,
    otlp,
    proxies,
    runs,
    sockets,
    tasks,
    tokens,
)
from runwatch_server.api.call import Guarded, Route
from runwatch_server.api.resource import Resource, by_path
from runwatch_server.edge import Edge
from runwatch_server.openapi import document
from runwatch_server.services import Services
from runwatch_server.version import VERSION
from runwatch_shared.errors import not_found

ROUTES: Final[tuple[Route, ...]] = (
    # What comes most often stands first: paths with a variable are tried in this order.
    *events.ROUTES,
    *joining.ROUTES,
    *nodes.ROUTES,
    *runs.ROUTES,
    *monitor.ROUTES,
    *tasks.ROUTES,
    *instances.ROUTES,
    *proxies.ROUTES,
    *env_configs.ROUTES,
    *health.ROUTES,
    *otlp.ROUTES,
    *documents.ROUTES,
    *auth.ROUTES,
    *tokens.ROUTES,
    *logins.ROUTES,
    *accounts.ROUTES,
    *sockets.ROUTES,
    *later.ROUTES,
)


def guarded_routes(routes: Sequence[Route] = ROUTES) -> list[Guarded]:
    """Each route with its row of the access table.

    Raises:
        SettingsError: A route has no row, or a row no route.
    """
    socket_keys = [("WEBSOCKET", path) for path in sockets.FEEDS]
    check_complete([*(route.key for route in routes), *socket_keys], ACCESS)
    return [Guarded(route=route, need=ACCESS[route.key]) for route in routes]


def openapi_document() -> bytes:
    """The OpenAPI document of this server."""
    return document(guarded_routes(), version=VERSION)


def build_app(services: Services) -> ASGIApp:
    """The whole ASGI application over open services."""
    settings = services.settings
    edge = Edge(
        _paths(guarded_routes(), services),
        observer=services.metrics.requests,
        allowed_origins=settings.allowed_origins,
        forwarding=Forwarding(settings.trusted_proxies),
    )
    services.live.follow(edge.follow)
    return edge if services.tracing is None else services.tracing.application(edge)


class Paths:
    """Paths without a variable are looked up; the others are tried in turn by the router."""

    def __init__(self, fixed: Mapping[str, ASGIApp], router: Router) -> None:
        self._fixed = fixed
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fixed = self._fixed.get(scope["path"]) if scope["type"] == "http" else None
        await (fixed or self._router)(scope, receive, send)


def _paths(guarded: Sequence[Guarded], services: Services) -> Paths:
    resources = {path: Resource(path, group, services) for path, group in by_path(guarded).items()}
    fixed = {path: resource for path, resource in resources.items() if "{" not in path}
    routes: list[BaseRoute] = [
        StarletteRoute(path, resource) for path, resource in resources.items() if path not in fixed
    ]
    routes += [
        WebSocketRoute(
            path, sockets.SocketResource(path, feed, ACCESS["WEBSOCKET", path], services)
        )
        for path, feed in sockets.FEEDS.items()
    ]
    return Paths(fixed, Router(routes, redirect_slashes=False, default=_unknown_path))


async def _unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
    raise not_found("path")
