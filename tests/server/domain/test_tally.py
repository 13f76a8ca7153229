"""Counters moved by changes equal what counting the rows gives."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runwatch_server import standing, tally
from runwatch_server.rows import RunRow, UsageRow, WaitRow
from tests.server.domain.making import NOW_US, run_row

wait = WaitRow(kind="approval", since_us=NOW_US, prompt="?", seq=1)
changes = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["queued", "assigned", "running", "done", "failed", "cancelled"]),
        "health": st.sampled_from(["ok", "stalled", "slow"]),
        "node_silent": st.booleans(),
        "wait": st.sampled_from([None, wait]),
        "finished_us": st.just(NOW_US),
        "usage": st.builds(
            lambda tokens, cost: UsageRow(input_tokens=tokens, cost_usd=cost, as_of_us=NOW_US),
            st.integers(0, 1000),
            st.none() | st.just(0.5),
        ),
    },
)
histories = st.lists(st.lists(changes, min_size=1, max_size=5), min_size=1, max_size=5)


def day(moment_us: int) -> int:
    return 0


@given(histories, st.booleans())
def test_the_present_is_counted_exactly(
    lives: list[list[dict[str, Any]]], delete_first: bool
) -> None:
    counters: Counter[str] = Counter()
    rows: list[RunRow] = []
    for n, life in enumerate(lives):
        before: RunRow | None = None
        for change in life:
            after = run_row(id=f"run-{n:012x}", **change)
            for span, _, name, value in tally.of_run(before, after, NOW_US, day_start_us=day):
                if span == "all":
                    counters[name] += int(value) if float(value).is_integer() else 0
            before = after
        if before is not None:
            rows.append(before)
    if delete_first:
        for span, _, name, value in tally.of_run(rows[0], None, NOW_US, day_start_us=day):
            if span == "all":
                counters[name] += int(value)
        rows = rows[1:]

    expected = Counter(f"run:status:{row.status}" for row in rows)
    expected.update(f"run:state:{standing.state_of(row)}" for row in rows)
    expected.update(f"run:health:{row.health}" for row in rows if row.health != "ok")
    counted = {
        name: value
        for name, value in counters.items()
        if value and name.split(":")[:2] in (["run", "status"], ["run", "state"], ["run", "health"])
    }
    assert counted == dict(expected)


def test_an_end_is_counted_once_for_all_time_the_day_and_the_minute() -> None:
    before, after = run_row(), run_row(status="done", finished_us=NOW_US)

    counts = tally.of_run(before, after, NOW_US, day_start_us=day)

    ended = [(span, value) for span, _, name, value in counts if name == "ended:completed"]
    assert sorted(ended) == [("all", 1), ("day", 1), ("minute", 1)]


@given(st.integers(0, 10**9))
def test_a_wait_is_told_within_four_percent(wait_ms: int) -> None:
    told = tally.wait_of_bucket(tally.wait_bucket(wait_ms))

    assert abs(told - wait_ms) <= max(1, 0.045 * wait_ms)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=200))
def test_percentiles_come_within_four_percent_of_the_sorted_samples(waits_ms: list[int]) -> None:
    buckets: Counter[int] = Counter(tally.wait_bucket(value) for value in waits_ms)
    ordered = sorted(waits_ms)

    for share in (0.5, 0.95):
        exact = ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]
        told = tally.percentile_ms({bucket: float(n) for bucket, n in buckets.items()}, share)
        assert told is not None
        assert abs(told - exact) <= max(1, 0.045 * exact)
