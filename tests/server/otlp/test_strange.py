"""Telemetry with values that no agent sends: it spoils neither its session nor what comes later."""

from collections.abc import Iterator

import pytest

from runwatch_server.accounting import MOST_COUNT
from tests.server.otlp.keeping import Telemetry
from tests.server.otlp.making import logs, tokens, turn


@pytest.fixture
def keeper() -> Iterator[Telemetry]:
    with Telemetry() as keeper:
        yield keeper


def test_a_metric_too_large_to_be_added_up_is_passed_over(keeper: Telemetry) -> None:
    for n in range(3):
        keeper.take("metrics", tokens("input", 1.7e308, at_s=n))
    keeper.take("metrics", tokens("input", 5, at_s=9))
    (run,) = keeper.runs()
    assert run.usage is not None
    assert run.usage.input_tokens == 5


def test_a_number_of_tokens_that_is_none_is_not_counted(keeper: Telemetry) -> None:
    keeper.take("logs", logs(turn(at_s=0, input_tokens=2**64 - 1), turn(at_s=1)))
    (run,) = keeper.runs()
    assert run.usage is not None
    assert run.usage.input_tokens == 10
    assert keeper.session().told["input_tokens"] == 10


def test_sums_beyond_what_can_be_counted_stay_there(keeper: Telemetry) -> None:
    keeper.take("logs", logs(*(turn(at_s=n, output_tokens=MOST_COUNT) for n in range(3))))
    (run,) = keeper.runs()
    assert run.usage is not None
    assert run.usage.output_tokens == MOST_COUNT
