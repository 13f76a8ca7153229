"""Telemetry comes in any order, cut and joined anyhow, more than once: the sums are the same."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwatch_server.otlp.records import Signal
from tests.server.otlp.keeping import Telemetry
from tests.server.otlp.making import AGENTS, Body, cut_apart, joined, recorded

SIGNALS: tuple[Signal, ...] = ("logs", "metrics")


def records_of(agent: str) -> list[tuple[Signal, Body]]:
    """Everything an agent sent, each record a body of its own."""
    return [
        (signal, record)
        for signal in SIGNALS
        for body in recorded(agent, signal)
        for record in cut_apart(signal, body)
    ]


def batches(records: list[tuple[Signal, Body]], cuts: list[int]) -> Iterator[tuple[Signal, Body]]:
    """The records in their order as bodies of the lengths ``cuts`` says, then of 50."""
    at = 0
    lengths = iter(cuts)
    while at < len(records):
        piece = records[at : at + next(lengths, 50)]
        at += len(piece)
        for signal in SIGNALS:
            bodies = [body for kind, body in piece if kind == signal]
            if bodies:
                yield signal, joined(signal, bodies)


def sums(keeper: Telemetry) -> Any:
    (run,) = keeper.runs()
    usage = run.usage
    assert usage is not None
    fold = keeper.read(lambda tx: tx.runs.fold(run.id))
    assert fold.open_calls == []
    assert run.event_count == run.last_seq
    tokens = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens or 0,
    )
    return tokens, usage.cost_usd, run.tool_calls, run.tool_failures


@pytest.mark.timeout(240)
@pytest.mark.parametrize("agent", AGENTS)
def test_order_cuts_and_repetitions_change_no_sum(agent: str) -> None:
    records = records_of(agent)
    with Telemetry() as keeper:
        for signal in SIGNALS:
            for body in recorded(agent, signal):
                keeper.take(signal, body)
        tokens, cost, *calls = sums(keeper)

    @settings(
        max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(
        order=st.permutations(range(len(records))),
        again=st.lists(st.integers(0, len(records) - 1), max_size=30),
        cuts=st.lists(st.integers(1, 40), max_size=12),
    )
    def same(order: list[int], again: list[int], cuts: list[int]) -> None:
        sent = [records[index] for index in (*order, *again)]
        with Telemetry() as other:
            for signal, body in batches(sent, cuts):
                other.take(signal, body)
            found, found_cost, *found_calls = sums(other)
        assert (found, found_calls) == (tokens, calls)
        assert (cost is None) == (found_cost is None)
        assert cost is None or math.isclose(found_cost, cost)

    same()
