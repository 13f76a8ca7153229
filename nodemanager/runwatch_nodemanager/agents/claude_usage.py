"""Tokens and cost in Claude Code's stream, as the ``usage`` of contract 9.3."""

from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import Json, dict_at, int_at, number_at

TOKEN_FIELDS: Final = (
    ("input_tokens", "input_tokens", "inputTokens"),
    ("output_tokens", "output_tokens", "outputTokens"),
    ("cache_read_tokens", "cache_read_input_tokens", "cacheReadInputTokens"),
    ("cache_write_tokens", "cache_creation_input_tokens", "cacheCreationInputTokens"),
)
"""Our name, the name in ``usage``, the name in ``modelUsage``."""
KEPT_MESSAGES: Final = 64


class UsageState(msgspec.Struct):
    """What was told of each of the newest messages, as each is repeated block by block."""

    told: dict[str, dict[str, int]] = {}
    open_message: dict[str, str] = {}
    """Message now streamed, by lane; only with partial messages."""
    sums: dict[str, int] = {}
    """Of the ``usage`` of all results, for a resumed session."""


def turn_usage(state: UsageState, message_id: str, usage: Json, **facts: Any) -> Json | None:
    """What is new in a message's usage, to be added; ``None`` if nothing is.

    A line of the stream carries the counts of the message's beginning, a later one of the same
    message may carry more (`agent-formats`, trap 7), so only the difference is told.
    """
    told = state.told.pop(message_id, {})
    first = not told
    seen = {ours: int_at(usage, theirs) or 0 for ours, theirs, _ in TOKEN_FIELDS}
    added = {name: max(0, count - told.get(name, 0)) for name, count in seen.items()}
    state.told[message_id] = {name: max(count, told.get(name, 0)) for name, count in seen.items()}
    while len(state.told) > KEPT_MESSAGES:
        del state.told[next(iter(state.told))]
    if not any(added.values()):
        return None
    known = {name: fact for name, fact in facts.items() if fact is not None}
    context = sum(seen.values())
    if first and context:
        known["context_tokens"] = context
    return {"scope": "turn", **added, **known}


def total_usage(
    state: UsageState, result: Json, *, resumed: bool, carried: Json | None
) -> Json | None:
    """The run's totals from a ``result`` line, which replace what turns added.

    ``modelUsage`` and ``total_cost_usd`` count the process, sub-agents and helper models included,
    and in a resumed session what came before too (`agent-formats`, trap 6), which is subtracted;
    where it is not known the results' own ``usage`` is summed and no cost is told.

    Args:
        carried: What the session had used before, by our names.
    """
    own = dict_at(result, "usage")
    if resumed and carried is not None and dict_at(result, "modelUsage"):
        whole = total_usage(state, result, resumed=False, carried=None) or {}
        if any(whole[ours] < (int_at(carried, ours) or 0) for ours, _, _ in TOKEN_FIELDS):
            return whole  # an older version counts this process alone
        return {name: _less(name, value, carried) for name, value in whole.items()}
    if resumed:
        for ours, theirs, _ in TOKEN_FIELDS:
            state.sums[ours] = state.sums.get(ours, 0) + (int_at(own, theirs) or 0)
        return {"scope": "total", **state.sums}
    models = [model for model in dict_at(result, "modelUsage").values() if isinstance(model, dict)]
    if models:
        totals: Json = {
            ours: sum(int_at(model, theirs) or 0 for model in models)
            for ours, _, theirs in TOKEN_FIELDS
        }
        reasoning = [int_at(model, "thinkingTokens") for model in models]
        if any(count is not None for count in reasoning):
            totals["reasoning_tokens"] = sum(count or 0 for count in reasoning)
        windows = [window for model in models if (window := int_at(model, "contextWindow"))]
        if windows:
            totals["context_limit"] = max(windows)
    elif own:
        totals = {ours: int_at(own, theirs) or 0 for ours, theirs, _ in TOKEN_FIELDS}
    else:
        return None
    cost = number_at(result, "total_cost_usd")
    if cost is not None:
        totals |= {"cost_usd": cost, "cost_source": "agent"}
    return {"scope": "total", **totals}


def _less(name: str, value: Any, carried: Json) -> Any:
    """A number without what was carried; anything else as it is."""
    if name == "context_limit" or not isinstance(value, int | float):
        return value
    before = number_at(carried, name) or 0
    return max(0.0, value - before) if isinstance(value, float) else max(0, value - int(before))
