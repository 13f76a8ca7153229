"""What retention removes, what it leaves, and that its kept numbers stay true."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwatch_server import retention, standing
from runwatch_server.retainer import Retainer
from runwatch_server.rows import Bounds, PruneRow, RunRow
from runwatch_server.storage.protocols import Query
from runwatch_shared.settings import Retention, ServerSettings
from tests.server.fleet.invariants import check_verified
from tests.server.fleet.pier import Pier

DAY_S = 86_400


def keeper(pier: Pier, removed: list[int] | None = None, **policy: int) -> Retainer:
    return Retainer(
        writer=pier.loop,
        clock=pier.clock,
        settings=ServerSettings(retention=Retention(**policy)),
        on_removed=(removed if removed is not None else []).append,
    )


def ended_run(pier: Pier, events: int, wait_s: float = 60) -> RunRow:
    """A run of so many events that ends, the first and the last of them among these."""
    run = pier.running()
    left = events - 2
    while left > 0:
        pier.append(run, *["message"] * min(left, 1000), epoch=1, content="x" * 200)
        left -= 1000
    pier.end(run)
    pier.wait(wait_s)
    return pier.run(run.id)


def kept(pier: Pier) -> dict[str, int]:
    """Events really stored, by run."""
    rows = pier.read(lambda tx: tx.runs.page(Query(limit=1000, sort="start_time")))
    return {row.id: len(stored(pier, row.id)) for row in rows}


def stored(pier: Pier, run_id: str) -> list[int]:
    def read(tx: Any) -> list[int]:
        return [event.seq for event in tx.events.between(run_id, 1, 10**9)]

    return pier.read(read)


def assert_true(pier: Pier) -> None:
    """The kept numbers are what is there."""
    counted = 0
    for run_id, events in kept(pier).items():
        row = pier.run(run_id)
        seqs = stored(pier, run_id)
        assert standing.kept_events(row) == events
        assert not seqs or row.first_seq <= seqs[0]
        counted += events
    assert pier.read(lambda tx: tx.size().events) == counted
    check_verified(pier)


async def test_events_go_when_their_run_ended_long_ago_and_the_summary_stays(pier: Pier) -> None:
    pier.beat(slots=9)
    old = ended_run(pier, 1200, wait_s=30 * DAY_S - 1)
    fresh = ended_run(pier, 10, wait_s=0)
    removed: list[int] = []
    task = keeper(pier, removed)
    await task.keep()
    assert removed == []
    pier.wait(1)
    await task.keep()
    assert sum(removed) == 1200
    assert max(removed) <= retention.PIECE_ROWS
    row = pier.run(old.id)
    assert (row.first_seq, row.last_seq, row.event_count) == (1201, 1200, 1200)
    assert row.usage == old.usage
    assert len(stored(pier, fresh.id)) == 10
    assert_true(pier)


async def test_a_shorter_age_counts_for_what_ended_before_it_was_set(pier: Pier) -> None:
    pier.beat()
    run = ended_run(pier, 5, wait_s=DAY_S)
    await keeper(pier).keep()
    assert len(stored(pier, run.id)) == 5
    await keeper(pier, events_s=3600).keep()
    assert stored(pier, run.id) == []


async def test_no_age_keeps_events_for_ever(pier: Pier) -> None:
    pier.beat()
    run = ended_run(pier, 5, wait_s=1000 * DAY_S)
    await keeper(pier, events_s=0).keep()
    assert len(stored(pier, run.id)) == 5


async def test_beyond_a_number_those_of_the_run_that_ended_first_go_and_no_more(
    pier: Pier,
) -> None:
    pier.beat(slots=9)
    under_way = pier.running()
    first, second, third = (ended_run(pier, 10) for _ in range(3))
    await keeper(pier, events_max_count=18).keep()
    assert [len(stored(pier, run.id)) for run in (first, second, third, under_way)] == [0, 7, 10, 1]
    assert stored(pier, second.id) == list(range(4, 11))
    assert pier.run(second.id).first_seq == 4
    assert_true(pier)


async def test_runs_under_way_keep_their_events_whatever_the_number(
    pier: Pier, caplog: pytest.LogCaptureFixture
) -> None:
    pier.beat(slots=9)
    under_way = pier.running()
    pier.append(under_way, *["message"] * 50, epoch=1)
    ended = ended_run(pier, 10)
    task = keeper(pier, events_max_count=5)
    await task.keep()
    assert (len(stored(pier, under_way.id)), stored(pier, ended.id)) == (51, [])
    await task.keep()
    said = [record for record in caplog.records if "more than retention allows" in record.message]
    assert len(said) == 1


async def test_the_database_comes_down_to_its_size_and_stays_there(pier: Pier) -> None:
    pier.beat(slots=9)
    runs = [ended_run(pier, 2000) for _ in range(4)]
    full = pier.read(lambda tx: tx.size())
    most = full.used_bytes // 2
    await keeper(pier, events_max_bytes=most).keep()
    now = pier.read(lambda tx: tx.size())
    assert now.used_bytes <= most
    assert now.used_bytes > most * 0.8
    assert now.file_bytes == full.file_bytes
    assert stored(pier, runs[0].id) == []
    assert len(stored(pier, runs[-1].id)) == 2000
    ended_run(pier, 2000)
    ended_run(pier, 2000)
    again = pier.read(lambda tx: tx.size())
    assert again.file_bytes <= full.file_bytes * 1.1, "free pages are used again"
    assert_true(pier)


async def test_a_size_below_the_summaries_ends(pier: Pier) -> None:
    pier.beat(slots=9)
    run = ended_run(pier, 100)
    await keeper(pier, events_max_bytes=1).keep()
    assert stored(pier, run.id) == []


async def test_runs_go_with_all_that_is_kept_of_them_and_feeds_are_told(pier: Pier) -> None:
    pier.beat(slots=9)
    old = pier.running()
    for index in range(700):
        pier.append(old, "tool_use_start", epoch=1, id=f"t{index}", tool="Bash")
    pier.end(old)
    pier.wait(2 * DAY_S)
    fresh = ended_run(pier, 3, wait_s=0)
    before = len(pier.commits)
    done = await keeper(pier, runs_s=DAY_S).keep()
    assert (done.events, done.runs) == (702, 1)
    assert pier.read(lambda tx: tx.runs.get(old.id)) is None
    assert pier.read(lambda tx: tx.tasks.get(old.task_id)) is None
    assert pier.read(lambda tx: tx.tasks.get(fresh.task_id)) is not None
    gone = [
        change.before.id
        for commit in pier.commits[before:]
        for change in commit.runs
        if change.after is None and change.before is not None
    ]
    assert gone == [old.id]
    changed = pier.read(lambda tx: tx.changed_since(0, limit=1000))
    assert changed is not None
    assert old.id in {tombstone.id for tombstone in changed.removed}
    connection = pier.store._writer  # type: ignore[attr-defined]
    for table, column in (
        ("steps", "run_id"),
        ("run_specs", "run_id"),
        ("run_folds", "run_id"),
        ("run_labels", "run_id"),
    ):
        left = connection.raw.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()
        assert (old.id,) not in left, table
    assert connection.raw.execute("SELECT count(*) FROM ended_runs").fetchall() == [(1,)]
    statuses = pier.read(lambda tx: {name: v for s, _, name, v in tx.counters() if s == "all"})
    assert statuses["run:status:done"] == 1
    assert_true(pier)


async def test_what_was_asked_is_done_and_told_in_the_same_commits(pier: Pier) -> None:
    pier.beat(slots=9)
    run = ended_run(pier, 1200)
    bounds = Bounds(max_events=100)
    asked = pier.write(lambda tx: tx.prunes.put(PruneRow(asked_us=tx.now_us, bounds=bounds)))
    await keeper(pier).keep()
    found = pier.read(lambda tx: tx.prunes.get(asked.id))
    assert found is not None
    assert (found.done, found.events) == (True, 1100)
    assert len(stored(pier, run.id)) == 100


def test_a_plan_is_what_then_happens(pier: Pier) -> None:
    pier.beat(slots=9)
    for _ in range(4):
        ended_run(pier, 10, wait_s=DAY_S)
    bounds = Bounds(
        events_before_us=pier.now_us - 3 * DAY_S * 1_000_000 - 1,
        max_events=13,
        runs_before_us=pier.now_us - 3 * DAY_S * 1_000_000 - 1,
    )
    plan = pier.read(lambda tx: retention.plan(tx, bounds))
    events = runs = 0
    while (removed := pier.write(lambda tx: retention.piece(tx, bounds, rows=7))).rows:
        events += removed.events
        runs += removed.runs
    assert (plan.events, plan.runs) == (events, runs) == (27, 1)


def test_a_piece_is_found_by_an_index(pier: Pier) -> None:
    raw = pier.store._writer.raw  # type: ignore[attr-defined]
    for where in ("", "WHERE kept = 1 "):
        plan = raw.execute(
            "EXPLAIN QUERY PLAN SELECT doc FROM ended_runs CROSS JOIN runs "
            f"ON runs.key = ended_runs.run {where}ORDER BY ended_us, run LIMIT 9"
        ).fetchall()
        text = str(plan)
        assert "TEMP B-TREE" not in text
        assert "USING COVERING INDEX ended_runs" in text or "USING INDEX ended_runs" in text
        assert "SEARCH runs USING INTEGER PRIMARY KEY" in text


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.integers(2, 12), min_size=1, max_size=6),
    most=st.integers(0, 60),
    rows=st.integers(1, 9),
    aged=st.integers(0, 6),
)
def test_any_bounds_remove_oldest_first_and_exactly_enough(
    sizes: list[int], most: int, rows: int, aged: int
) -> None:
    pier = Pier()
    try:
        pier.beat(slots=9)
        runs = [ended_run(pier, size, wait_s=100) for size in sizes]
        cut_us = None if aged >= len(runs) else runs[aged].finished_us
        bounds = Bounds(max_events=most, events_before_us=cut_us)
        while pier.write(lambda tx: retention.piece(tx, bounds, rows=rows)).rows:
            pass
        by_age = sum(
            size
            for size, run in zip(sizes, runs, strict=True)
            if cut_us is not None and run.finished_us is not None and run.finished_us <= cut_us
        )
        gone = max(by_age, sum(sizes) - most, 0)
        for run, size in zip(runs, sizes, strict=True):
            taken = min(size, gone)
            gone -= taken
            assert stored(pier, run.id) == list(range(taken + 1, size + 1))
            row = pier.run(run.id)
            assert row.first_seq == taken + 1
            assert msgspec.structs.replace(row, first_seq=1, events_removed=0, revision=0) == (
                msgspec.structs.replace(run, revision=0)
            )
        assert_true(pier)
    finally:
        pier.store.close()
