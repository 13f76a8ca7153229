"""Tokens in Codex's stream, as the ``usage`` of contract 9.3."""

from typing import Any, Final

from runwatch_nodemanager.agents.json_values import Json, int_at, present

COUNTS: Final = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
)


def thread_usage(usage: Json, carried: Json, **facts: Any) -> Json | None:
    """The run's total of a thread; ``None`` where the line tells no tokens.

    A ``turn.completed`` counts the thread from its beginning, in earlier runs too (`agent-formats`,
    trap 6). Its input includes what came from and went to the cache, its output the reasoning.

    Args:
        carried: What the thread had used before this run, by Codex's names.
    """
    told = {name: n for name in COUNTS if (n := int_at(usage, name)) is not None}
    if not {"input_tokens", "output_tokens"} <= told.keys():
        return None
    before = {name: int_at(carried, name) or 0 for name in told}
    if any(told[name] < before[name] for name in told):
        before = dict.fromkeys(told, 0)  # it counts from this run's beginning
    new = {name: n - before[name] for name, n in told.items()}
    read, written = new.get("cached_input_tokens"), new.get("cache_write_input_tokens")
    return present(
        scope="total",
        input_tokens=max(0, new["input_tokens"] - (read or 0) - (written or 0)),
        output_tokens=new["output_tokens"],
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=new.get("reasoning_output_tokens"),
        **facts,
    )
