"""Tokens in Qwen Code's stream, as the ``usage`` of contract 9.3."""

from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import Json, int_at

NAMES: Final = ("input_tokens", "output_tokens", "cache_read_tokens")


class QwenUsage(msgspec.Struct):
    """The sum of this run's model calls."""

    sums: dict[str, int] = {}

    def turn(self, usage: Json, **facts: Any) -> Json | None:
        """To be added; only the last line of a model call tells any (`agent-formats` 4.2)."""
        counts = _counts(usage)
        if not any(counts.values()):
            return None
        for name, count in counts.items():
            self.sums[name] = self.sums.get(name, 0) + count
        context = sum(int_at(usage, name) or 0 for name in ("input_tokens", "output_tokens"))
        return {"scope": "turn", **counts, "context_tokens": context, **facts}

    def total(self, usage: Json, *, resumed: bool, **facts: Any) -> Json | None:
        """The run's total, which replaces what turns added.

        A ``result`` counts the session, also what a resumed one had used before this run
        (`agent-formats`, trap 6); there the turns are the total.
        """
        counts = dict(self.sums) if resumed else _counts(usage)
        return {"scope": "total", **counts, **facts} if counts else None


def _counts(usage: Json) -> dict[str, int]:
    """By our names; empty where there are none. Qwen's input includes what came from the cache."""
    given, written = int_at(usage, "input_tokens"), int_at(usage, "output_tokens")
    if given is None or written is None:
        return {}
    cached = int_at(usage, "cache_read_input_tokens")
    counts = {"input_tokens": max(0, given - (cached or 0)), "output_tokens": written}
    return counts if cached is None else {**counts, "cache_read_tokens": cached}
