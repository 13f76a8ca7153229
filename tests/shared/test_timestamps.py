"""Moments on the wire and inside."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_shared.timestamps import (
    format_time,
    from_datetime,
    parse_time,
    parse_time_or_age,
    to_datetime,
)

moments = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds

any_moments = st.datetimes(timezones=st.just(UTC))


@given(any_moments)
def test_a_moment_survives_the_wire(moment: datetime) -> None:
    inside = from_datetime(moment)

    assert to_datetime(inside) == moment
    assert parse_time(format_time(inside)) == inside
    assert len(format_time(inside)) == len("2026-11-23T10:31:22.000000Z")


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_any_offset_names_the_same_moment(moment: datetime, offset_min: int) -> None:
    local = moment.astimezone(timezone(timedelta(minutes=offset_min)))

    assert parse_time(local.isoformat(timespec="microseconds")) == from_datetime(moment)


def test_more_digits_than_six_are_cut() -> None:
    assert parse_time("2026-11-23T10:31:22.1234569Z") == parse_time("2026-11-23T10:31:22.123456Z")
    assert parse_time("2026-11-23T10:31:22Z") == parse_time("2026-11-23T10:31:22.000Z")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23",
        "2026-11-23T10:31:22",
        "2026-13-01T00:00:00Z",
        "now",
        "2026-W01-1T00:00:00Z",
        "9999-12-31T23:59:59-00:01",  # its offset leads past the last year
        "0001-01-01T00:00:00+00:01",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)


def test_an_age_that_reaches_before_the_year_1_is_refused() -> None:
    with pytest.raises(ValueError, match="year 1"):
        parse_time_or_age("999999999d", 0)


def test_an_age_counts_back_from_now() -> None:
    now = parse_time("2026-11-23T10:00:00Z")

    assert parse_time_or_age("15m", now) == parse_time("2026-11-23T09:45:00Z")
    assert parse_time_or_age("7d", now) == parse_time("2026-11-16T10:00:00Z")
