"""Adding up tokens and cost: what a payload reports, by agent session, and how fast it goes.

Source: contract 5.1 for the fields, 9.3 for ``turn`` and ``total``, 17 for older spellings.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from runwatch_server.payloads import Payload, int_of, number_of, object_of, text_of
from runwatch_server.rows import BurnRow, UsageRow
from runwatch_server.tally import MINUTE_US
from runwatch_shared.text import clean

BURN_WINDOW_S: Final = 600
MOST_SESSIONS: Final = 50
MOST_COUNT: Final = 2**53 - 1
"""Of tokens: exact in every reader of JSON, and sums fit the store. More is no number of tokens."""

_TOKENS: Final[dict[str, tuple[str, ...]]] = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cache_read_tokens": ("cache_read_tokens", "cache_read_input_tokens"),
    "cache_write_tokens": ("cache_write_tokens", "cache_creation_input_tokens"),
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one event says was used; a number not named is None."""

    scope: Literal["turn", "total"]
    session: str
    tokens: dict[str, int]
    cost_usd: float | None = None
    cost_source: Literal["agent", "price_table"] | None = None
    model: str | None = None
    reasoning_tokens: int | None = None
    context_tokens: int | None = None
    context_limit: int | None = None


def report_of(kind: str, payload: Payload) -> Report | None:
    """The usage an event reports; None when it reports none."""
    usage = object_of(payload, "usage") or object_of(object_of(payload, "message"), "usage")
    cost = number_of(usage, "cost_usd")
    if cost is None:
        cost = number_of(payload, "total_cost_usd")
    if not usage and cost is None:
        return None
    default: Literal["turn", "total"] = "total" if kind in {"result", "run_completed"} else "turn"
    scope = text_of(usage, "scope")
    source = text_of(usage, "cost_source")
    return Report(
        scope="total" if scope == "total" else "turn" if scope == "turn" else default,
        session=_short(text_of(usage, "session_id")) or "",
        tokens=_tokens(usage),
        cost_usd=None if cost is None or cost < 0 else cost,
        cost_source="price_table" if source == "price_table" else "agent" if cost else None,
        model=_short(text_of(usage, "model")),
        reasoning_tokens=_count(usage, "reasoning_tokens"),
        context_tokens=_count(usage, "context_tokens"),
        context_limit=_count(usage, "context_limit"),
    )


def add(session: UsageRow | None, report: Report, at_us: int) -> UsageRow:
    """A session's usage after one more report: a turn is added, a total replaces what it names."""
    whole = session or UsageRow(as_of_us=at_us)
    turn = report.scope == "turn"
    incomplete = report.cost_usd is None or not {"input_tokens", "output_tokens"} <= set(
        report.tokens
    )
    counted = {
        name: min(getattr(whole, name) + value, MOST_COUNT) if turn else value
        for name, value in report.tokens.items()
    }
    cost = whole.cost_usd
    if report.cost_usd is not None:
        cost = (cost or 0.0) + report.cost_usd if turn else report.cost_usd
    reasoning = whole.reasoning_tokens
    if report.reasoning_tokens is not None:
        earlier = (reasoning or 0) if turn else 0
        reasoning = min(earlier + report.reasoning_tokens, MOST_COUNT)
    return msgspec.structs.replace(
        whole,
        **counted,
        cost_usd=cost,
        cost_source=report.cost_source or whole.cost_source,
        reasoning_tokens=reasoning,
        partial=incomplete or (whole.partial and turn),
        model=report.model or whole.model,
        context_tokens=report.context_tokens or whole.context_tokens,
        context_limit=report.context_limit or whole.context_limit,
        as_of_us=max(whole.as_of_us, at_us),
    )


def total(sessions: Iterable[UsageRow]) -> UsageRow | None:
    """The sum over sessions; None without any. Unknown cost stays unknown, and makes it partial."""
    parts = list(sessions)
    if not parts:
        return None
    newest = max(parts, key=lambda part: part.as_of_us)
    costs = [part.cost_usd for part in parts if part.cost_usd is not None]
    reasoning = [part.reasoning_tokens for part in parts if part.reasoning_tokens is not None]
    return UsageRow(
        input_tokens=_sum(part.input_tokens for part in parts),
        output_tokens=_sum(part.output_tokens for part in parts),
        cache_read_tokens=_sum(part.cache_read_tokens for part in parts),
        cache_write_tokens=_sum(part.cache_write_tokens for part in parts),
        reasoning_tokens=_sum(reasoning) if reasoning else None,
        cost_usd=sum(costs) if costs else None,
        cost_source=newest.cost_source,
        partial=any(part.partial for part in parts) or len(costs) not in {0, len(parts)},
        model=newest.model,
        context_tokens=newest.context_tokens,
        context_limit=newest.context_limit,
        as_of_us=newest.as_of_us,
    )


def spend(
    spent: list[tuple[int, int, float]], before: UsageRow | None, after: UsageRow, now_us: int
) -> list[tuple[int, int, float]]:
    """The last ten minutes' (minute, tokens, USD) after usage grew from ``before`` to ``after``."""
    minute = now_us // MINUTE_US
    tokens = after.total_tokens - (0 if before is None else before.total_tokens)
    cost = (after.cost_usd or 0.0) - ((before.cost_usd if before else None) or 0.0)
    kept = [part for part in spent if part[0] > minute - BURN_WINDOW_S // 60]
    if kept and kept[-1][0] == minute:
        last = kept.pop()
        tokens, cost = tokens + last[1], cost + last[2]
    return [*kept, (minute, tokens, cost)]


def burn(spent: list[tuple[int, int, float]], *, cost_known: bool, now_us: int) -> BurnRow:
    """The rate over the last ten minutes: USD an hour (None where no cost is known), tokens a
    minute."""
    hours, minutes = BURN_WINDOW_S / 3600, BURN_WINDOW_S / 60
    cost = sum(part[2] for part in spent) / hours
    return BurnRow(
        cost_usd_per_h=round(max(cost, 0.0), 6) if cost_known else None,
        tokens_per_min=round(max(sum(part[1] for part in spent), 0) / minutes, 3),
        as_of_us=now_us,
    )


def _tokens(usage: Payload) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, spellings in _TOKENS.items():
        for spelling in spellings:
            value = _count(usage, spelling)
            if value is not None:
                found[name] = value
                break
    return found


def _count(usage: Payload, name: str) -> int | None:
    value = int_of(usage, name)
    return value if value is not None and 0 <= value <= MOST_COUNT else None


def _sum(counts: Iterable[int]) -> int:
    return min(sum(counts), MOST_COUNT)


def _short(text: str | None) -> str | None:
    return clean(text, limit=128, fold=True, marks=False) if text else None
