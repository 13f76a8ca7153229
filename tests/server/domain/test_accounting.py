"""Adding up usage (contract 5.1 and 9.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_server import accounting
from runwatch_server.accounting import Report, add, burn, report_of, spend, total
from runwatch_server.rows import UsageRow
from tests.server.domain.making import NOW_US, SECOND_US

MINUTE_US = 60 * SECOND_US
token_counts = st.integers(0, 10**9)


@given(st.lists(st.tuples(token_counts, token_counts), min_size=1, max_size=20))
def test_turns_add_up_to_their_sum(turns: list[tuple[int, int]]) -> None:
    usage: UsageRow | None = None
    for given_in, given_out in turns:
        tokens = {"input_tokens": given_in, "output_tokens": given_out}
        usage = add(usage, Report(scope="turn", session="", tokens=tokens, cost_usd=1.0), NOW_US)

    assert usage is not None
    assert usage.input_tokens == sum(turn[0] for turn in turns)
    assert usage.output_tokens == sum(turn[1] for turn in turns)
    assert usage.cost_usd == pytest.approx(len(turns))
    assert usage.partial is False


def test_a_turn_without_cost_makes_the_usage_partial_until_a_whole_total_comes() -> None:
    tokens = {"input_tokens": 1, "output_tokens": 1}
    partial = add(None, Report(scope="turn", session="", tokens=tokens), NOW_US)
    whole = add(partial, Report(scope="total", session="", tokens=tokens, cost_usd=2.0), NOW_US)

    assert partial.partial is True
    assert partial.cost_usd is None
    assert whole.partial is False


def test_no_usage_is_none_and_not_zero() -> None:
    assert report_of("message", {"content": "x"}) is None
    assert total([]) is None


def test_negative_and_absurd_counts_are_ignored() -> None:
    report = report_of("result", {"usage": {"input_tokens": -5, "output_tokens": 1e300}})

    assert report is not None
    assert report.tokens == {}
    assert report_of("result", {"usage": {"input_tokens": 2**53, "x": 1}}) == Report(
        scope="total", session="", tokens={}
    )


def test_sums_stay_within_what_is_exact_everywhere_and_can_be_stored() -> None:
    most = accounting.MOST_COUNT
    tokens = {"input_tokens": most, "output_tokens": most}
    turn = Report(scope="turn", session="", tokens=tokens, reasoning_tokens=most)
    usage = add(add(None, turn, NOW_US), turn, NOW_US)
    whole = total([usage, usage])

    assert whole is not None
    for each in (usage, whole):
        assert (each.input_tokens, each.output_tokens, each.reasoning_tokens) == (most,) * 3
        assert each.total_tokens < 2**63


def test_burn_covers_the_last_ten_minutes_only() -> None:
    spent: list[tuple[int, int, float]] = []
    before: UsageRow | None = None
    for minute in range(30):
        after = UsageRow(input_tokens=100 * (minute + 1), cost_usd=0.1 * (minute + 1), as_of_us=0)
        spent = spend(spent, before, after, NOW_US + minute * MINUTE_US)
        before = after

    rate = burn(spent, cost_known=True, now_us=NOW_US)

    assert len(spent) == accounting.BURN_WINDOW_S // 60
    assert rate.tokens_per_min == pytest.approx(100)
    assert rate.cost_usd_per_h == pytest.approx(6.0)
    assert burn(spent, cost_known=False, now_us=NOW_US).cost_usd_per_h is None
