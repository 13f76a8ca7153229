"""What a request leaves in the audit log."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from runwatch_server.admission import NOBODY, PRINCIPAL, address_of
from runwatch_server.api.call import Call
from runwatch_server.audit.entries import Entry
from runwatch_server.principals import Principal
from runwatch_server.problems import Answer
from runwatch_shared.clock import Clock
from runwatch_shared.errors import RefusedError
from runwatch_shared.logs import REQUEST_ID
from runwatch_shared.timestamps import format_time

PATH_CHARS: Final = 300
CREATED: Final = 201
DENIALS: Final = frozenset({401, 403})
RACED: Final = frozenset({"lease_lost"})
"""A node that was cut off finds this out; an intruder among nodes does, too."""


class _Made(msgspec.Struct):
    id: str = ""
    operation_id: str = ""


_MADE: Final = msgspec.json.Decoder(_Made)


def is_denial(error: RefusedError) -> bool:
    """Whether a refusal is about who asks."""
    return error.status in DENIALS or error.code in RACED


def done_entry(call: Call, method: str, answer: Answer) -> Entry:
    """What was changed."""
    principal = call.principal
    return _entry(
        call.services.clock,
        principal,
        f"{method} {call.route.path}",
        call.scope,
        actor=call.noted.get("actor", principal.name),
        status=answer.status,
        made=_made(answer) if answer.status == CREATED else "",
    )


def refusal_entry(
    clock: Clock,
    method: str,
    path: str,
    scope: Mapping[str, Any],
    error: RefusedError,
) -> Entry:
    """Who was refused what."""
    principal: Principal = scope.get(PRINCIPAL, NOBODY)
    return _entry(
        clock,
        principal,
        f"{method} {path}",
        scope,
        actor=principal.name,
        status=error.status,
        code=error.code,
    )


def _entry(
    clock: Clock,
    principal: Principal,
    action: str,
    scope: Mapping[str, Any],
    *,
    actor: str,
    status: int,
    code: str = "",
    made: str = "",
) -> Entry:
    nobody = not principal.name
    return Entry(
        at=format_time(clock.now_us()),
        actor=actor,
        kind="" if nobody else principal.kind,
        actor_id=principal.id,
        scope="" if nobody else principal.scope,
        action=action,
        target=scope["path"][:PATH_CHARS],
        status=status,
        code=code,
        made=made,
        address=address_of(scope),
        request_id=REQUEST_ID.get() or "",
    )


def _made(answer: Answer) -> str:
    try:
        made = _MADE.decode(answer.body)
    except msgspec.DecodeError:
        return ""
    return made.id or made.operation_id
