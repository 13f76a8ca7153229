"""Where the rows that the console holds end, and which of them are let go."""

import pytest

from runwatch_console import folding
from runwatch_console.fleet import Fleet
from runwatch_console.folding import count_looks, fold
from runwatch_console.formats import moment_s
from runwatch_console.rewind import undo_of
from runwatch_shared.models import WorkflowSummary
from tests.console.records import at, change, snapshot, summary


def ended(number: int) -> WorkflowSummary:
    """The higher the number, the longer ago."""
    return summary(f"run-{number:012x}", "done", update_time=at(1000.0 + number))


def test_a_snapshot_that_is_whole_has_no_edge() -> None:
    assert fold(Fleet(), [snapshot([ended(1)], total=1)]).edge is None


def test_a_snapshot_ends_where_its_oldest_row_does() -> None:
    rows = [summary("run-0000000000aa"), *map(ended, range(3))]
    edge = fold(Fleet(), [snapshot(rows, total=9)]).edge
    assert edge is not None
    assert edge.until_s == moment_s(at(1002.0))


def test_where_not_even_all_that_is_under_way_has_room_the_rest_may_be_of_any_time() -> None:
    edge = fold(Fleet(), [snapshot([summary("run-0000000000aa")], total=9)]).edge
    assert edge is not None
    assert edge.until_s is None


def test_another_snapshot_has_another_edge() -> None:
    first = fold(Fleet(), [snapshot([ended(1)], total=9)])
    again = fold(first, [snapshot([ended(1)], total=9)])
    assert first.edge != again.edge
    assert fold(again, [change(upsert=[ended(1)])]).edge is again.edge


def test_of_too_many_rows_those_that_ended_first_are_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folding, "MOST_RUNS", 10)
    monkeypatch.setattr(folding, "KEPT_RUNS", 6)
    active = [summary(f"run-{n:012x}", age_s=9e6) for n in range(100, 103)]
    before = fold(Fleet(), [snapshot([*active, *map(ended, range(7))], total=10)])
    assert before.edge is None
    after = fold(before, [change(upsert=[ended(50)], entered=1)])
    kept = {row.id for row in [*active, *map(ended, range(3))]}
    assert set(after.runs) == kept
    assert after.looks == count_looks(after.runs)
    assert after.total == 11
    assert after.edge is not None
    assert after.edge.until_s == moment_s(at(1003.0))
    # Going back brings them again.
    assert undo_of(before, after).undone(dict(after.runs)) == before.runs


def test_what_is_under_way_is_never_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "MOST_RUNS", 3)
    monkeypatch.setattr(folding, "KEPT_RUNS", 2)
    rows = [summary(f"run-{n:012x}") for n in range(5)]
    fleet = fold(Fleet(), [snapshot(rows[:3], total=3), change(upsert=rows)])
    assert len(fleet.runs) == 5
    assert fleet.edge is None


def test_a_removed_run_is_named_though_it_is_not_held() -> None:
    fleet = fold(Fleet(), [snapshot([ended(1)], total=9)])
    assert fold(fleet, [change(remove=["run-0000000000ff"])]).removed == {"run-0000000000ff"}
