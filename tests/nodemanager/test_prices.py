"""What tokens cost by a node's own table, and how the table is written."""

from pathlib import Path

import pytest

from runwatch_nodemanager.agents.prices import Prices
from runwatch_shared.errors import SettingsError
from runwatch_shared.layers import load_settings
from runwatch_shared.prices import ModelPrice
from runwatch_shared.settings import NodeSettings

USAGE = {"input_tokens": 1_000_000, "output_tokens": 100_000, "cache_read_tokens": 2_000_000}


def price(usd: float) -> ModelPrice:
    return ModelPrice(input=usd, output=usd)


def settings(text: str, tmp_path: Path) -> NodeSettings:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load_settings(NodeSettings, "node", config=file, environment={})


def test_prices_are_usd_per_million_tokens() -> None:
    table = Prices({"m": ModelPrice(input=3, output=15, cache_read=0.3)})
    assert table.cost_usd(USAGE, "m") == pytest.approx(3 + 1.5 + 0.6)


def test_cache_without_a_price_costs_as_input_does() -> None:
    assert Prices({"m": price(2)}).cost_usd(USAGE, "m") == pytest.approx(2 * 3.1)


def test_the_most_particular_name_counts_whatever_the_case() -> None:
    table = Prices({"*": price(1), "GPT-5*": price(2), "gpt-5-mini*": price(3), "gpt-5": price(4)})
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    names = ("gpt-5-mini-2026", "Gpt-5.5", "gpt-5", "o3")
    assert [table.cost_usd(usage, name) for name in names] == [3, 2, 4, 1]


def test_what_has_no_price_or_no_tokens_has_no_cost() -> None:
    table = Prices({"gpt*": price(1)})
    assert table.cost_usd(USAGE, "claude") is None
    assert table.cost_usd(USAGE, None) is None
    assert table.cost_usd({"input_tokens": 1}, "gpt") is None


def test_a_cost_the_agent_told_stays() -> None:
    told = {**USAGE, "cost_usd": 0.5, "cost_source": "agent"}
    assert Prices({"*": price(1)}).priced(told, "m") == told


def test_the_table_is_written_in_the_settings(tmp_path: Path) -> None:
    told = settings(
        '[node.prices."gpt-5*"]\ninput = 1.25\noutput = 10\ncache_read = 0.125\n', tmp_path
    )
    assert told.prices == {"gpt-5*": ModelPrice(input=1.25, output=10, cache_read=0.125)}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("input = 1\noutput = 2\ncache_reed = 1", "did you mean cache_read"),
        ("input = -1\noutput = 2", "input"),
        ("input = 1", "output"),
        ("input = nan\noutput = 1", "input"),
        ("input = inf\noutput = 1", "input"),
    ],
)
def test_a_price_that_is_none_is_refused_by_name(line: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        settings(f'[node.prices."m"]\n{line}\n', tmp_path)
