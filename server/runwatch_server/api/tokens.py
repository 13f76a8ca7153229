"""API tokens over HTTP (contract 2.4)."""

import logging
from typing import Final

import msgspec

from runwatch_server.access.issuing import LONGEST_LIFE_S, issue_token, revoke_token, token_record
from runwatch_server.api.call import Call, Route, json, nothing
from runwatch_server.problems import Answer
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.logs import log
from runwatch_shared.models import Token
from runwatch_shared.wire import TokenList, TokenRequest

logger: Final = logging.getLogger(__name__)

_REQUEST: Final = msgspec.json.Decoder(TokenRequest)


async def create(call: Call) -> Answer:
    request, by = call.decode(_REQUEST), call.principal.name
    life_s = request.expires_in_s
    if life_s is not None and not 0 < life_s <= LONGEST_LIFE_S:
        raise RefusedError(
            "invalid_field",
            f"expires_in_s must be 1 to {LONGEST_LIFE_S}",
            field="expires_in_s",
            details={"min": 1, "max": LONGEST_LIFE_S},
        )
    row, text = await call.services.writer.write(
        lambda tx: issue_token(
            tx,
            name=request.name,
            scope=request.scope,
            node_id=request.node_id,
            life_s=life_s,
            by_name=by,
        )
    )
    log(
        logger,
        logging.INFO,
        "auth",
        "A token was made",
        event="token_created",
        id=row.id,
        scope=row.scope,
        node_id=row.node_id,
        by=by,
    )
    return json(msgspec.structs.replace(token_record(row), token=text), 201)


async def listing(call: Call) -> Answer:
    rows = await call.services.reader.read(lambda tx: tx.access.tokens())
    living = (row for row in rows if row.revoked_us is None and not row.joins)
    return json(TokenList(tokens=[token_record(row) for row in living]))


async def delete(call: Call) -> Answer:
    token_id = call.scope["path_params"]["id"]
    if not await call.services.writer.write(lambda tx: revoke_token(tx, token_id)):
        raise not_found("token")
    call.services.authenticator.forget()
    log(
        logger,
        logging.INFO,
        "auth",
        "A token was revoked",
        event="token_revoked",
        id=token_id,
        by=call.principal.name,
    )
    return nothing()


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/auth/tokens",
        handler=create,
        summary="Make an API token; its text is shown once",
        body=TokenRequest,
        answers={201: Token},
        errors=("missing_field", "invalid_field", "invalid_value"),
    ),
    Route(
        method="GET",
        path="/api/v1/auth/tokens",
        handler=listing,
        summary="List API tokens",
        answers={200: TokenList},
    ),
    Route(
        method="DELETE",
        path="/api/v1/auth/tokens/{id}",
        handler=delete,
        summary="Revoke an API token",
        answers={204: None},
        errors=("not_found",),
    ),
)
