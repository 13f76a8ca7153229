"""Tokens in Gemini CLI's stream, as the ``usage`` of contract 9.3."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import Json, dict_at, int_at
from runwatch_nodemanager.agents.prices import Prices, with_table_cost

NAMES: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "reasoning_tokens",
)


class GeminiUsage(msgspec.Struct):
    """Totals of the processes this run's output came from, and of their models.

    A ``result`` line counts its process alone, also in a resumed session (`agent-formats`, trap 6).
    """

    before: dict[str, dict[str, int]] = {}
    """By model, of the processes that have ended."""
    now: dict[str, dict[str, int]] = {}
    """By model, of the present one."""

    def next_process(self) -> None:
        self.before = self._sums()
        self.now = {}

    def take(self, stats: Json, model: str | None) -> None:
        """The ``stats`` of a ``result`` line, which replace earlier ones of the same process."""
        by_model = {
            name: counts
            for name, told in dict_at(stats, "models").items()
            if (counts := _counts(told)) and any(counts.values())
        }
        whole = _counts(stats)
        if by_model:
            self.now = by_model
        elif whole:
            self.now = {model or "": whole}

    def total(self, prices: Prices, **facts: Any) -> Json | None:
        """The run's usage; its cost only where each model has a price."""
        sums = self._sums()
        if not sums:
            return None
        named = {name for counts in sums.values() for name in counts}
        tokens: Json = {
            name: sum(counts.get(name, 0) for counts in sums.values())
            for name in NAMES
            if name in named
        }
        costs = [prices.cost_usd(counts, model) for model, counts in sums.items()]
        known = [cost for cost in costs if cost is not None]
        usage = {"scope": "total", **tokens, **facts}
        return with_table_cost(usage, sum(known) if len(known) == len(costs) else None)

    def busiest(self) -> str | None:
        """The model that wrote most: a session may be given to several."""
        sums = {model: counts for model, counts in self._sums().items() if model}
        return max(sums, key=lambda model: sums[model].get("output_tokens", 0), default=None)

    def _sums(self) -> dict[str, dict[str, int]]:
        models = {*self.before, *self.now}
        return {model: dict(self._added(model)) for model in sorted(models)}

    def _added(self, model: str) -> Iterator[tuple[str, int]]:
        before, now = self.before.get(model, {}), self.now.get(model, {})
        for name in NAMES:
            if name in before or name in now:
                yield name, before.get(name, 0) + now.get(name, 0)


def _counts(stats: Any) -> dict[str, int]:
    """By our names; empty where there are none.

    Input includes what came from the cache. Thoughts are in the total alone (`agent-formats` 3.2),
    so what input and output leave of it is reasoning, which our output includes.
    """
    given, written = int_at(stats, "input_tokens"), int_at(stats, "output_tokens")
    if given is None or written is None:
        return {}
    cached = int_at(stats, "cached")
    thoughts = max(0, (int_at(stats, "total_tokens") or 0) - given - written)
    counts = {
        "input_tokens": max(0, given - (cached or 0)),
        "output_tokens": written + thoughts,
        "reasoning_tokens": thoughts,
    }
    return counts if cached is None else {**counts, "cache_read_tokens": cached}
