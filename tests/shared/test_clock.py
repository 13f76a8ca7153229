"""The system clock and the clock of the tests keep the same promises."""

from datetime import UTC, timedelta

import pytest

from runwatch_shared.clock import Clock, SystemClock
from tests.clock import EPOCH, START, ManualClock


@pytest.fixture(params=[SystemClock, ManualClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_now_is_aware_and_in_utc(clock: Clock) -> None:
    assert clock.now().tzinfo is UTC
    assert clock.now().utcoffset() == timedelta(0)


def test_now_and_now_us_name_the_same_moment(clock: Clock) -> None:
    before, now, after = clock.now_us(), clock.now(), clock.now_us()
    assert before <= (now - EPOCH) // timedelta(microseconds=1) <= after


def test_monotonic_never_goes_back(clock: Clock) -> None:
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


def test_a_manual_clock_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock()
    assert clock.now() == START
    clock.advance(1.5)
    assert clock.now() - START == timedelta(seconds=1.5)
    assert clock.monotonic() == 1.5


def test_setting_the_wall_clock_back_changes_no_duration() -> None:
    clock = ManualClock()
    clock.advance(10)
    clock.set_wall(START - timedelta(days=1))
    assert clock.monotonic() == 10
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
