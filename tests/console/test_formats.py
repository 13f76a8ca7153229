"""Numbers and moments as short text."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.formats import (
    TimeFormat,
    format_age,
    format_amount,
    format_bars,
    format_bytes,
    format_cost,
    format_duration,
    format_moment,
    format_rate,
    format_sparkline,
    moment_s,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (-5, "0s"), (0.4, "0s"), (59.9, "59s"), (60, "1m"), (8_040, "2h14m"),
     (86_400, "1d0h"), (86_400 * 12, "12d")],
)  # fmt: skip
def test_ages(seconds: float | None, text: str) -> None:
    assert format_age(seconds) == text


@given(st.floats(0, 3e8))
def test_an_age_has_at_most_six_cells(seconds: float) -> None:
    assert len(format_age(seconds)) <= 6


@pytest.mark.parametrize(
    ("amount", "text"),
    [(None, "–"), (0, "0"), (999, "999"), (1_000, "1.0k"), (9_949, "9.9k"), (9_950, "10k"),
     (210_000, "210k"), (999_499, "999k"), (999_600, "1.0M"), (1_200_000, "1.2M"), (3.4e9, "3.4G")],
)  # fmt: skip
def test_amounts(amount: float | None, text: str) -> None:
    assert format_amount(amount) == text


@given(st.integers(0, 10**14))
def test_an_amount_has_at_most_five_cells(amount: int) -> None:
    assert len(format_amount(amount)) <= 5


def test_unknown_cost_is_a_dash_and_nothing_is_zero() -> None:
    assert format_cost(None) == "–"
    assert format_cost(0.0) == "0.00"
    assert format_cost(0.001) == "<.01"
    assert format_cost(1_204.4) == "1,204"
    assert format_rate(None) == "–"
    assert format_rate(6.42) == "6.4"


def test_durations_and_sizes() -> None:
    assert [format_duration(s) for s in (None, 0.34, 12.1, 247, 8_040)] == [
        "–",
        "340ms",
        "12.1s",
        "4m07s",
        "2h14m",
    ]
    assert [format_bytes(n) for n in (812, 1_300, 10 * 1024 * 1024)] == [
        "812 B",
        "1.3 KiB",
        "10 MiB",
    ]


def test_moments_are_read_whatever_the_offset_and_never_raise() -> None:
    assert moment_s("2026-11-23T10:31:22.000000Z") == moment_s("2026-11-23T12:31:22+02:00")
    assert moment_s("yesterday") is None
    assert moment_s(None) is None


def test_the_time_format_goes_round() -> None:
    start = TimeFormat.RELATIVE
    assert start.following().following().following() is start


def test_a_moment_of_another_day_says_its_day() -> None:
    now = moment_s("2026-11-23T10:31:22Z")
    assert now is not None
    assert format_moment(now - 60, now, TimeFormat.UTC) == "10:30:22"
    assert format_moment(now - 86_400, now, TimeFormat.UTC) == "11-22 10:31:22"
    assert format_moment(now - 60, now, TimeFormat.RELATIVE) == "1m"


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=60), st.integers(1, 40))
def test_bars_are_as_tall_and_wide_as_asked_and_grow_with_their_values(
    values: list[float | None], width: int
) -> None:
    for height in (1, 3):
        lines = format_bars(values, width, height)
        assert [len(line) for line in lines] == [width] * height
        filled = [sum(line[x] != " " for line in lines) for x in range(width)]
        known = [
            (value, count)
            for value, count in zip(values[-width:], filled[-len(values) :][-width:], strict=False)
            if value is not None
        ]
        for (low, less), (high, more) in itertools.pairwise(sorted(known)):
            assert low <= high
            assert less <= more


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=60), st.integers(1, 40))
def test_a_sparkline_has_its_width_and_leaves_unrecorded_minutes_blank(
    values: list[float | None], width: int
) -> None:
    line = format_sparkline(values, width)
    assert len(line) == width
    shown = values[-width:]
    for mark, value in zip(line[width - len(shown) :], shown, strict=True):
        assert (mark == " ") == (value is None)
