"""The endpoint of ``/ws/monitor``: from the address to a seat in the hub, and the client's frames.

Source: contract 2.5 and 7. What clients are told is in `fanout`; the credential was checked before.
"""

import logging
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, Protocol

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from runwatch_server.api.queries import whole_number
from runwatch_server.fanout.compatible import CompatibleViewer
from runwatch_server.fanout.conversation import converse
from runwatch_server.fanout.frames import frame_of
from runwatch_server.fanout.groups import Viewer
from runwatch_server.fanout.sockets import BAD_FRAME, SERVER_ERROR, Socket
from runwatch_server.fanout.subscriptions import (
    Subscription,
    UnknownFrameError,
    default_subscription,
    frame_id,
    read_client_frame,
    subscription_in_query,
    subscription_of,
)
from runwatch_server.fanout.wires import Wire, open_wire
from runwatch_server.hub import Hub
from runwatch_server.principals import Principal
from runwatch_shared.errors import RefusedError, StoreError
from runwatch_shared.logs import log
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import (
    MONITOR_HEARTBEAT_S,
    PROTOCOL,
    PROTOCOL_MIN,
    SUBPROTOCOL,
    ErrorFrame,
    HelloFrame,
    PingFrame,
    PongFrame,
    SubscribeFrame,
)

logger: Final = logging.getLogger(__name__)

_PONG: Final = frame_of({"type": "pong"})


class FeedServices(Protocol):
    """What the sockets need of the server's services."""

    @property
    def hub(self) -> Hub: ...


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks for."""

    subscription: Subscription
    since: int | None
    store: str | None


async def serve_monitor(websocket: WebSocket, services: FeedServices, principal: Principal) -> None:
    """Upgrade and serve one client of the monitor until it goes.

    Args:
        websocket: Not accepted yet; routing, ``Origin``, ``Host`` and credential were checked.
        principal: At least a viewer.

    Raises:
        RefusedError: Before the upgrade only (400, 429, 503): answer it as ordinary HTTP.
    """
    hub = services.hub
    wish = _wish(websocket, hub)
    with hub.sockets.seat(principal):
        await accept(websocket)
        async with wire_of(websocket) as wire:
            if wish is None:
                await _serve_lists(hub, wire, principal)
            else:
                await _serve_changes(hub, wire, principal, wish)


async def accept(websocket: WebSocket) -> None:
    """Upgrade, with our subprotocol if the client offered it; never with its token."""
    offered = websocket.scope.get("subprotocols", [])
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)


def wire_of(websocket: WebSocket) -> AbstractAsyncContextManager[Wire]:
    """The wire of an accepted socket."""

    async def send(message: dict[str, Any]) -> None:
        try:
            await websocket.send(message)
        except WebSocketDisconnect as error:
            raise ConnectionError("the client is gone") from error

    return open_wire(websocket.scope, websocket.receive, send)


def ping_only(wire: Wire, payload: bytes) -> None:
    """Answer ``ping`` and ignore the rest (contract 7.1 and 10)."""
    if frame_id(payload)[0] == "ping":
        wire.offer(_PONG)


def log_closed(socket: Socket, opened_us: int, now_us: int, **facts: int | str) -> None:
    """One line for the life of a socket."""
    log(
        logger,
        logging.INFO,
        "ws",
        "A socket closed",
        channel=socket.channel,
        event="close",
        code=socket.code,
        frames=socket.frames,
        duration_ms=(now_us - opened_us) // 1000,
        by=socket.principal.name,
        run_id=facts.get("run_id"),
        revision=facts.get("revision"),
        seq=facts.get("seq"),
    )


def _wish(websocket: WebSocket, hub: Hub) -> Wish | None:
    query = websocket.query_params
    mode = query.get("mode")
    if mode is None:
        return None
    if mode != "delta":
        raise RefusedError(
            "invalid_value",
            "mode must be delta",
            field="mode",
            details={"allowed": ["delta"]},
        )
    limits, now_us = hub.settings.limits, hub.clock.now_us()
    text = query.get("subscribe")
    if text is None:
        subscription = default_subscription(limits, now_us)
    else:
        subscription = subscription_in_query(text, limits, now_us)
    since = query.get("since")
    return Wish(
        subscription=subscription,
        since=None if since is None else whole_number("since", since),
        store=query.get("store"),
    )


async def _serve_lists(hub: Hub, wire: Wire, principal: Principal) -> None:
    viewer = CompatibleViewer(wire, principal)
    opened_us = hub.clock.now_us()
    with hub.sockets.member(viewer):
        hub.compatible.join(viewer)
        try:
            await converse(viewer, hub.settings.limits, partial(ping_only, wire))
        finally:
            hub.compatible.leave(viewer)
            log_closed(viewer, opened_us, hub.clock.now_us(), revision=hub.revision)


async def _serve_changes(hub: Hub, wire: Wire, principal: Principal, wish: Wish) -> None:
    viewer = Viewer(wire, principal, wish.subscription)
    opened_us = hub.clock.now_us()
    with hub.sockets.member(viewer):
        try:
            resumed = await hub.monitor.join(viewer, since=wish.since, store=wish.store)
            hub.monitor.begin(viewer, _hello(hub, principal, resumed=resumed))
            await converse(viewer, hub.settings.limits, partial(_answer, hub, viewer))
        except StoreError:
            logger.exception("Could not read what a client missed")
            viewer.close(SERVER_ERROR, "the store failed")
        finally:
            hub.monitor.leave(viewer)
            log_closed(viewer, opened_us, hub.clock.now_us(), revision=viewer.cursor.revision)


def _hello(hub: Hub, principal: Principal, *, resumed: bool) -> bytes:
    limits: dict[str, int] = msgspec.to_builtins(hub.settings.limits)
    hello = HelloFrame(
        protocol=PROTOCOL,
        protocol_min=PROTOCOL_MIN,
        revision=hub.revision,
        store=hub.store_id,
        server_time=format_time(hub.clock.now_us()),
        heartbeat_s=MONITOR_HEARTBEAT_S,
        version=hub.version,
        scope=principal.scope,
        limits=limits,
        resumed=resumed,
    )
    return frame_of(hello)


def _answer(hub: Hub, viewer: Viewer, payload: bytes) -> None:
    try:
        frame = read_client_frame(payload)
        match frame:
            case SubscribeFrame():
                hub.observer.received("subscribe")
                now_us = hub.clock.now_us()
                subscription = subscription_of(frame, hub.settings.limits, now_us)
                hub.monitor.subscribe(viewer, subscription)
            case PingFrame():
                hub.observer.received("ping")
                pong = PongFrame(
                    id=frame.id,
                    revision=viewer.cursor.revision,
                    server_time=format_time(hub.clock.now_us()),
                )
                hub.monitor.tell(viewer, "pong", frame_of(pong))
    except UnknownFrameError:
        hub.observer.received("other")
        viewer.close(BAD_FRAME, "not JSON, or of no known type")
    except RefusedError as error:
        refusal = ErrorFrame(
            code=error.code,
            error=error.message,
            field=error.field,
            details=error.details,
            id=frame_id(payload)[1],
        )
        hub.monitor.tell(viewer, "error", frame_of(refusal))
