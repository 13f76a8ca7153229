"""Waits between tries stay in their bounds and obey the other side."""

from hypothesis import given
from hypothesis import strategies as st

from runwatch_shared.backoff import Backoff, parse_retry_after
from tests.clock import START


def ceiling(low: float, high: float) -> float:
    return high


def test_the_ceiling_doubles_up_to_the_longest_wait() -> None:
    backoff = Backoff(first_s=1, longest_s=6, uniform=ceiling)
    assert [backoff.next_s() for _ in range(5)] == [1, 2, 4, 6, 6]
    assert backoff.tries == 5


def test_the_default_goes_from_a_fifth_of_a_second_to_thirty() -> None:
    backoff = Backoff(uniform=ceiling)
    waits = [backoff.next_s() for _ in range(20)]
    assert waits[0] == 0.2
    assert waits[-1] == 30


def test_a_success_makes_the_next_wait_short_again() -> None:
    backoff = Backoff(uniform=ceiling)
    for _ in range(10):
        backoff.next_s()
    backoff.reset()
    assert backoff.tries == 0
    assert backoff.next_s() == 0.2


@given(st.lists(st.none() | st.floats(-10, 1e9), min_size=1, max_size=50))
def test_a_wait_is_never_less_than_asked_and_never_endless(asked: list[float | None]) -> None:
    backoff = Backoff()
    for retry_after_s in asked:
        wait_s = backoff.next_s(retry_after_s)
        assert min(max(retry_after_s or 0, 0), 300) <= wait_s <= 330


def test_two_clients_do_not_wait_the_same() -> None:
    waits = {Backoff().next_s(5) for _ in range(20)}
    assert len(waits) > 1


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    assert parse_retry_after("12", START) == 12
    assert parse_retry_after("Mon, 23 Nov 2026 10:31:32 GMT", START) == 10
    assert parse_retry_after("Mon, 23 Nov 2026 10:31:32 -0000", START) == 10
    assert parse_retry_after("Mon, 23 Nov 2020 10:31:32 GMT", START) == 0


def test_a_retry_after_that_cannot_be_read_is_none() -> None:
    for value in (None, "", "soon", "-1", "1.5", "٣"):
        assert parse_retry_after(value, START) is None


@given(st.text())
def test_no_header_makes_reading_it_fail(value: str) -> None:
    seconds = parse_retry_after(value, START)
    assert seconds is None or seconds >= 0
