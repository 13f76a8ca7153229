"""What tokens cost by the table in this node's settings, for agents that tell no cost."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

from runwatch_nodemanager.agents.json_values import Json, int_at
from runwatch_shared.prices import ModelPrice

TOKENS_PER_PRICE: Final = 1_000_000
WILDCARDS: Final = "*?["


class Prices:
    """Prices by model name.

    Args:
        table: Keys are model names in which ``*`` stands for anything, whatever the case; of those
            that fit, the one with the longest beginning without a wildcard counts.
    """

    def __init__(self, table: Mapping[str, ModelPrice]) -> None:
        rows = [(pattern.lower(), price) for pattern, price in table.items()]
        self._rows = sorted(rows, key=lambda row: _plain_chars(row[0]), reverse=True)

    def cost_usd(self, usage: Json, model: str | None) -> float | None:
        """USD of the tokens a usage of contract 9.3 names; ``None`` if they have no price."""
        price = self._of(model)
        if price is None or not {"input_tokens", "output_tokens"} <= usage.keys():
            return None
        each = (
            ("input_tokens", price.input),
            ("output_tokens", price.output),
            ("cache_read_tokens", price.input if price.cache_read is None else price.cache_read),
            ("cache_write_tokens", price.input if price.cache_write is None else price.cache_write),
        )
        return sum((int_at(usage, name) or 0) * usd for name, usd in each) / TOKENS_PER_PRICE

    def priced(self, usage: Json, model: str | None) -> Json:
        """The usage with a cost from the table, where it has none and the table has one."""
        if "cost_usd" in usage:
            return usage
        return with_table_cost(usage, self.cost_usd(usage, model))

    def _of(self, model: str | None) -> ModelPrice | None:
        if model is None:
            return None
        name = model.lower()
        return next((price for pattern, price in self._rows if fnmatchcase(name, pattern)), None)


def with_table_cost(usage: Json, cost_usd: float | None) -> Json:
    """The usage with this cost from the table; ``None``: unknown, it stays without."""
    if cost_usd is None:
        return usage
    return {**usage, "cost_usd": cost_usd, "cost_source": "price_table"}


NO_PRICES: Final = Prices({})


def _plain_chars(pattern: str) -> int:
    plain = next((at for at, char in enumerate(pattern) if char in WILDCARDS), None)
    return len(pattern) + 1 if plain is None else plain
