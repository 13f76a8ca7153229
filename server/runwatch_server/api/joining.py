"""Nodes that join (ADR 49); no part of the contract."""

import logging
from pathlib import Path
from typing import Final

import msgspec

from runwatch_server.access.joining import issue_join_token, join
from runwatch_server.admission import address_of
from runwatch_server.api.call import Call, Route, json
from runwatch_server.problems import Answer
from runwatch_shared.errors import RefusedError
from runwatch_shared.joining import JoinAnswer, JoinRequest, JoinToken, JoinTokenRequest
from runwatch_shared.logs import log
from runwatch_shared.models import NodeId
from runwatch_shared.timestamps import format_time
from runwatch_shared.tls import fingerprint

logger: Final = logging.getLogger(__name__)

_MAKE: Final = msgspec.json.Decoder(JoinTokenRequest)
_JOIN: Final = msgspec.json.Decoder(JoinRequest)
_CALLER: Final = "join"


async def make(call: Call) -> Answer:
    request, by = call.decode(_MAKE), call.principal.name
    row, text = await call.services.writer.write(
        lambda tx: issue_join_token(
            tx,
            name=request.name,
            node_id=request.node_id,
            life_s=request.expires_in_s,
            by_name=by,
        )
    )
    log(
        logger,
        logging.INFO,
        "auth",
        "A token for joining was made",
        event="token_created",
        id=row.id,
        scope="join",
        node_id=row.node_id,
        by=by,
    )
    assert row.expires_us is not None
    answer = JoinToken(
        id=row.id,
        token=text,
        node_id=row.node_id,
        expires_at=format_time(row.expires_us),
        authority=_authority(call.services.ca_pem),
    )
    return json(answer, 201)


async def join_node(call: Call) -> Answer:
    request, services = call.decode(_JOIN), call.services
    caller = (address_of(call.scope), _CALLER)
    services.login_failures.check(caller, services.clock.monotonic())
    call.noted["actor"] = request.node_id
    try:
        row, text = await services.writer.write(
            lambda tx: join(tx, text=request.token, node_id=request.node_id)
        )
    except RefusedError as error:
        if error.status == UNAUTHENTICATED:
            services.login_failures.add(caller, services.clock.monotonic())
        raise
    services.authenticator.forget()
    log(
        logger,
        logging.INFO,
        "auth",
        "A node joined",
        event="token_created",
        id=row.id,
        scope="node",
        node_id=row.node_id,
        address=caller[0],
    )
    return json(JoinAnswer(node_id=NodeId(request.node_id), token=text), 201)


UNAUTHENTICATED: Final = 401


def _authority(ca_pem: Path | None) -> str | None:
    return None if ca_pem is None else f"SHA256:{fingerprint(ca_pem.read_text('ascii'))}"


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/nodes/join-tokens",
        handler=make,
        summary="Make a token with which one node joins, once; its text is shown once",
        body=JoinTokenRequest,
        answers={201: JoinToken},
        errors=("invalid_field",),
    ),
    Route(
        method="POST",
        path="/api/v1/nodes/join",
        handler=join_node,
        summary="Trade a token for joining for the node's own",
        body=JoinRequest,
        answers={201: JoinAnswer},
        errors=("missing_field", "invalid_field", "invalid_credential", "node_conflict"),
    ),
)
