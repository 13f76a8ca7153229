"""Doing a request once: its answer is kept with what it changed, in one transaction.

Source: contract 1.5. The one writer runs works one after the other, so a second request with the
same key finds the first one's answer.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from runwatch_server.api.call import Call
from runwatch_server.ids import is_id
from runwatch_server.principals import Principal
from runwatch_server.problems import Answer
from runwatch_server.rows import ReplayRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import RefusedError

HEADER: Final = b"idempotency-key"
REPLAYED: Final = ((b"idempotency-replayed", b"true"),)

Work = Callable[[WriteTx], Answer]


async def write_once(call: Call, work: Work) -> Answer:
    """Run ``work`` in the writer and give its answer; once only under an ``Idempotency-Key``.

    Raises:
        RefusedError: 400 for a key that can be none, 409 ``idempotency_conflict``.
    """
    key = call.headers.get(HEADER)
    if key is None:
        return await call.services.writer.write(work)
    text = key.decode("latin-1")
    if not is_id(text):
        raise RefusedError("invalid_field", "Idempotency-Key does not fit", field="Idempotency-Key")
    owner = owner_of(call.principal)
    # The path with its ids: the same key for another task's run is another request.
    route = f"{call.route.method} {call.scope['path']}"
    digest = hashlib.sha256(call.body).hexdigest()
    kept_us = call.services.settings.retention.idempotency_s * 1_000_000

    def once(tx: WriteTx) -> Answer:
        known = tx.replays.get(owner, route, text)
        if known is not None and known.at_us > tx.now_us - kept_us:
            if known.body_sha256 != digest:
                raise RefusedError(
                    "idempotency_conflict", "this Idempotency-Key was used with another body"
                )
            return Answer(status=known.status, body=known.body, headers=REPLAYED)
        answer = work(tx)
        tx.replays.put(
            ReplayRow(
                principal=owner,
                route=route,
                key=text,
                body_sha256=digest,
                status=answer.status,
                body=answer.body,
                at_us=tx.now_us,
            )
        )
        return answer

    return await call.services.writer.write(once)


def replayed(answer: Answer) -> bool:
    """Whether an answer is one that was given before."""
    return answer.headers is REPLAYED


def owner_of(principal: Principal) -> str:
    """Whose keys these are: a user's stay the same over logins."""
    return f"{principal.kind}:{principal.name if principal.kind == 'session' else principal.id}"
