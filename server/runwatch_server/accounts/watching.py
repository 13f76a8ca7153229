"""What a run's events say of its account: that it is refused, how near it is to its limits.

Domain, over a transaction. Source: contract 9.3 and 13.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from runwatch_server.accounts import holding
from runwatch_server.accounts.rows import AccountRow, RateLimitRow
from runwatch_server.rows import EventRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.logins import AUTH_FAILED
from runwatch_shared.text import clean
from runwatch_shared.timestamps import parse_time

NAME_CHARS: Final = 64
MOST_LIMITS: Final = 16
_TOLD: Final = {"error": AUTH_FAILED.encode(), "system_info": b"rate_limit"}
"""Types of events that may say something, and what is in their payload then."""


def observe(tx: WriteTx, account_id: str | None, events: Sequence[EventRow]) -> None:
    """Take what events say of the account their run has; nearly always nothing."""
    if account_id is None:
        return
    for event in events:
        mark = _TOLD.get(event.type)
        if mark is None or event.payload is None or mark not in event.payload:
            continue
        payload = msgspec.json.decode(event.payload)
        if not isinstance(payload, dict):
            continue
        if event.type == "error":
            if payload.get("code") == AUTH_FAILED:
                holding.refuse(tx, account_id)
        else:
            _take_limit(tx, account_id, payload.get("rate_limit"), tx.now_us)


def _take_limit(tx: WriteTx, account_id: str, told: object, now_us: int) -> None:
    account = tx.kept(AccountRow).get(account_id)
    if account is None or not isinstance(told, dict):
        return
    limit = RateLimitRow(
        kind=_text(told, "kind") or "limit",
        status=_text(told, "status") or "unknown",
        utilization=_number(told.get("utilization")),
        resets_us=_moment(told.get("resets_at")),
        at_us=now_us,
    )
    known = next((each for each in account.rate_limits if each.kind == limit.kind), None)
    if known is not None and msgspec.structs.replace(known, at_us=now_us) == limit:
        return
    others = [each for each in account.rate_limits if each.kind != limit.kind]
    limits = [*others, limit][-MOST_LIMITS:]
    holding.save(tx, account, msgspec.structs.replace(account, rate_limits=limits))


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    if not isinstance(value, str):
        return None
    return clean(value, limit=NAME_CHARS, fold=True, marks=False)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e9 else None


def _moment(value: object) -> int | None:
    """RFC 3339, or seconds since the epoch as some vendors say it."""
    if isinstance(value, int | float) and 0 < value < 1e11:
        return int(value * 1_000_000)
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None
