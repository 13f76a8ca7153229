"""Sums over the last minutes: moved with the time, and equal to adding up what is in the window."""

from hypothesis import given
from hypothesis import strategies as st

from runwatch_server.minutes import Minutes
from runwatch_server.tally import MINUTE_US, percentile_ms

NAMES = ("events", "ended:failed", "tokens:input:claude-code", "tokens:output:x", "cost_usd:x")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.integers(-3, 12), st.sampled_from(NAMES)),
        st.tuples(st.just("wait"), st.integers(-3, 12), st.integers(0, 5)),
        st.tuples(st.just("look"), st.integers(0, 40), st.none()),
        st.tuples(st.just("forget"), st.integers(0, 40), st.none()),
    ),
    max_size=40,
)


@given(steps)
def test_a_window_is_the_sum_of_its_minutes(script: list[tuple[str, int, object]]) -> None:
    minutes = Minutes(kept=60, windows={"short": 2, "long": 10})
    counted: list[tuple[int, str, float]] = []
    now = 0
    for step, number, what in script:
        if step in {"count", "wait"}:
            name = f"queue_wait:{what}" if step == "wait" else str(what)
            counted.append(((now + number), name, number + 5.0))
            minutes.count((now + number) * MINUTE_US, name, number + 5.0)
        elif step == "look":
            now = max(0, now + number - 10)
        else:
            minutes.forget(now * MINUTE_US)
            counted = [each for each in counted if each[0] >= now - 60]
        for window, length in (("short", 2), ("long", 10)):
            total = minutes.window(window, now * MINUTE_US + 17)
            within = [each for each in counted if now - length < each[0] <= now]
            tokens = sum(value for _, name, value in within if name.startswith("tokens:"))
            assert total.sums["tokens:"] == tokens
            assert total.sums["events"] == sum(v for _, name, v in within if name == "events")
            waits: dict[int, float] = {}
            for _, name, value in within:
                if name.startswith("queue_wait:"):
                    bucket = int(name.partition(":")[2])
                    waits[bucket] = waits.get(bucket, 0) + value
            assert total.wait_ms(0.5) == percentile_ms(waits, 0.5)


def test_minutes_out_of_reach_are_let_go_of() -> None:
    minutes = Minutes(kept=5, windows={"short": 2})
    for minute in range(50):
        minutes.count(minute * MINUTE_US, "events", 1)
        minutes.forget(minute * MINUTE_US)
    assert [n for n in range(50) if minutes.get(n * MINUTE_US) is not None] == list(range(44, 50))
