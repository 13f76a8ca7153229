"""The endpoint of ``/ws/runs/{id}/events``: from the address to a seat in the hub.

Source: contract 2.5 and 10. What clients are told is in `fanout`; the credential was checked
before.
"""

from functools import partial
from typing import Final

import msgspec
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from runwatch_server.accounts.rows import ActionRow, action_id_of
from runwatch_server.api.queries import whole_number
from runwatch_server.fanout.conversation import converse
from runwatch_server.fanout.logins import LoginFollower
from runwatch_server.fanout.stream import Follower
from runwatch_server.hub import Hub
from runwatch_server.ids import is_id
from runwatch_server.monitor_feed import FeedServices, accept, log_closed, ping_only, wire_of
from runwatch_server.principals import Principal
from runwatch_server.rows import RunRow
from runwatch_server.storage.protocols import ReadTx
from runwatch_shared.errors import RefusedError, not_found

_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


class RunWish(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks for; ``seq`` is the number of the last event the client has."""

    run_id: str
    seq: int
    raw: bool
    batch: bool


async def serve_run_events(
    websocket: WebSocket, services: FeedServices, principal: Principal, run_id: str
) -> None:
    """Upgrade and serve one client of a run's events until the run is over or the client goes.

    ``/ws/workflows/run/{id}/events`` is the same.

    Args:
        websocket: Not accepted yet; routing, ``Origin``, ``Host`` and credential were checked.
        principal: At least a viewer.

    Raises:
        RefusedError: Before the upgrade only (400, 404, 409, 429, 503): answer it as ordinary HTTP.
        StoreError: Before the upgrade only: 503.
    """
    hub = services.hub
    wish = await check_run_wish(hub, run_id, websocket.query_params)
    with hub.sockets.seat(principal):
        await accept(websocket)
        async with wire_of(websocket) as wire:
            follower = Follower(
                wire,
                principal,
                run_id=run_id,
                seq=wish.seq,
                raw=wish.raw,
                batch=wish.batch,
            )
            opened_us = hub.clock.now_us()
            with hub.sockets.member(follower):
                hub.streams.join(follower)
                try:
                    await converse(follower, hub.settings.limits, partial(ping_only, wire))
                finally:
                    hub.streams.leave(follower)
                    now_us = hub.clock.now_us()
                    log_closed(follower, opened_us, now_us, run_id=run_id, seq=follower.seq)


async def serve_login_events(
    websocket: WebSocket, services: FeedServices, principal: Principal, some_id: str
) -> None:
    """Upgrade and serve one client of a login's phases until it is over or the client goes.

    Args:
        some_id: Of its action or operation.

    Raises:
        RefusedError: As `serve_run_events`.
        StoreError: Before the upgrade only: 503.
    """
    hub = services.hub
    query = websocket.query_params
    from_seq, batch = _from_seq(query), _boolean(query, "batch")
    _raw(query)
    if not is_id(some_id):
        raise not_found("workflow")
    _require_store(hub, query)
    action_id = action_id_of(some_id)
    row = await hub.reader.read(lambda tx: tx.kept(ActionRow).get(action_id))
    if row is None:
        raise not_found("workflow")
    seq = _begin(from_seq, row.phases_total)
    with hub.sockets.seat(principal):
        await accept(websocket)
        async with wire_of(websocket) as wire:
            follower = LoginFollower(wire, principal, action_id=action_id, seq=seq, batch=batch)
            opened_us = hub.clock.now_us()
            with hub.sockets.member(follower):
                try:
                    await hub.logins.join(follower)
                    await converse(follower, hub.settings.limits, partial(ping_only, wire))
                finally:
                    hub.logins.leave(follower)
                    log_closed(follower, opened_us, hub.clock.now_us(), seq=follower.seq)


async def check_run_wish(hub: Hub, run_id: str, query: QueryParams) -> RunWish:
    """What the address asks for, compared with the store.

    Raises:
        RefusedError: 400 for a parameter, 404 for the run, 409 ``store_changed`` or ``seq_ahead``.
        StoreError: The store failed.
    """
    from_seq = _from_seq(query)
    batch = _boolean(query, "batch")
    raw = _raw(query)
    if not is_id(run_id):
        raise not_found("run")
    _require_store(hub, query)
    row = await hub.reader.read(partial(_run, run_id=run_id))
    if row is None:
        raise not_found("run")
    seq = _begin(from_seq, row.last_seq)
    return RunWish(run_id=run_id, seq=seq, raw=raw, batch=batch)


def _require_store(hub: Hub, query: QueryParams) -> None:
    store = query.get("store")
    if store is not None and store != hub.store_id:
        raise RefusedError(
            "store_changed", "the history is another", details={"store": hub.store_id}
        )


def _begin(from_seq: int | None, last_seq: int) -> int:
    """The number of the last event a client has."""
    if from_seq is not None and from_seq > last_seq:
        raise RefusedError(
            "seq_ahead",
            "from_seq is beyond the last event",
            field="from_seq",
            details={"last_seq": last_seq},
        )
    return last_seq if from_seq is None else from_seq


def _run(tx: ReadTx, run_id: str) -> RunRow | None:
    return tx.runs.get(run_id)


def _from_seq(query: QueryParams) -> int | None:
    name = "from_seq" if "from_seq" in query else "after_seq"
    text = query.get(name)
    return None if text is None else whole_number(name, text)


def _boolean(query: QueryParams, name: str) -> bool:
    text = query.get(name, "false")
    if text not in _BOOLEANS:
        raise RefusedError("invalid_parameter", f"{name} must be true or false", field=name)
    return _BOOLEANS[text]


def _raw(query: QueryParams) -> bool:
    include = query.get("include")
    if include is None:
        return False
    if include != "raw":
        raise RefusedError(
            "invalid_value",
            "include must be raw",
            field="include",
            details={"allowed": ["raw"]},
        )
    return True
