"""Which runs a list shows, in what order, and when that may change."""

from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.filters import parse_filter
from runwatch_console.ordering import PACE_S, QUIET_S, SORTS, RunOrder, Sort, sort_named
from runwatch_console.rows import RunRow, run_row
from tests.console.records import NOW_S, fleet_rows, summary, usage, waiting

RUNS = {row.id: run_row(row) for row in fleet_rows()}
LONG_AGO = float("-inf")


def runs(*rows: RunRow) -> dict[str, RunRow]:
    return {row.id: row for row in rows}


def test_attention_puts_waiting_first_then_sick_then_working_and_ended_last() -> None:
    ids = RunOrder().apply(RUNS, NOW_S, 0.0)
    ranks = [RUNS[run_id].attention for run_id in ids]
    assert ranks == sorted(ranks, reverse=True)
    assert set(ids) == set(RUNS)


def test_rows_do_not_move_while_keys_are_pressed() -> None:
    order = RunOrder()
    before = runs(run_row(summary("a")), run_row(summary("b")))
    order.apply(before, NOW_S, 100.0)
    after = before | runs(run_row(summary("b", waiting=waiting())))
    order.note(after, {"b"}, NOW_S)
    assert not order.due(100.0 + QUIET_S - 0.1, last_key_mono_s=100.0)
    assert order.due(100.0 + QUIET_S + 0.1, last_key_mono_s=100.0)


def test_a_change_that_moves_nothing_makes_no_new_order_due() -> None:
    order = RunOrder()
    rows = runs(run_row(summary("a")), run_row(summary("b")))
    order.apply(rows, NOW_S, 0.0)
    order.note(rows | runs(run_row(summary("a", activity_text="other"))), {"a"}, NOW_S)
    assert not order.due(100.0, LONG_AGO)


def test_new_orders_keep_a_pace() -> None:
    order = RunOrder()
    rows = runs(run_row(summary("a")))
    order.apply(rows, NOW_S, 100.0)
    order.note(rows | runs(run_row(summary("b"))), {"b"}, NOW_S)
    assert not order.due(100.0 + PACE_S / 2, LONG_AGO)
    assert order.due(100.0 + PACE_S, LONG_AGO)


def test_the_first_rows_are_shown_at_once_even_under_a_key() -> None:
    order = RunOrder()
    order.apply({}, NOW_S, 100.0)
    order.note(runs(run_row(summary("a"))), None, NOW_S)
    assert order.due(100.0, last_key_mono_s=100.0)


def test_a_locked_order_keeps_places_and_appends_new_rows() -> None:
    order = RunOrder()
    rows = runs(run_row(summary("a")), run_row(summary("b")))
    order.apply(rows, NOW_S, 0.0)
    order.locked = True
    rows |= runs(run_row(summary("b", waiting=waiting())), run_row(summary("c", waiting=waiting())))
    assert order.apply(rows, NOW_S, 1.0) == ("a", "b", "c")
    del rows["a"]
    assert order.apply(rows, NOW_S, 2.0) == ("b", "c")


def test_rows_without_the_value_come_last_whichever_way_round() -> None:
    order = RunOrder(sort=next(sort for sort in SORTS if sort.id == "cost"))
    rows = runs(
        run_row(summary("a", usage=None)),
        run_row(summary("b", usage=usage(10, 5.0))),
        run_row(summary("c", usage=usage(10, 1.0))),
    )
    assert order.apply(rows, NOW_S, 0.0) == ("b", "c", "a")
    order.reversed = True
    assert order.apply(rows, NOW_S, 0.0) == ("c", "b", "a")


def test_an_inverted_filter_shows_the_others_and_an_inverted_empty_one_shows_all() -> None:
    order = RunOrder(chosen=parse_filter("s:active"))
    shown = set(order.apply(RUNS, NOW_S, 0.0))
    order.inverted = True
    assert set(order.apply(RUNS, NOW_S, 0.0)) == set(RUNS) - shown
    order.filter = parse_filter("")
    assert set(order.apply(RUNS, NOW_S, 0.0)) == set(RUNS)


def test_a_filter_on_ages_is_looked_at_again_without_a_change() -> None:
    order = RunOrder(chosen=parse_filter("age>1h"))
    order.apply(RUNS, NOW_S, 0.0)
    assert order.due(60.0, LONG_AGO)


@given(st.permutations(list(RUNS.values())), st.sampled_from(SORTS))
def test_an_order_does_not_depend_on_how_rows_arrived(rows: list[RunRow], sort: object) -> None:
    first = RunOrder(sort=sort).apply(RUNS, NOW_S, 0.0)  # type: ignore[arg-type]
    second = RunOrder(sort=sort).apply(runs(*rows), NOW_S, 0.0)  # type: ignore[arg-type]
    assert first == second


def test_sorts_are_found_by_their_beginning() -> None:
    assert sort_named("cos") is next(sort for sort in SORTS if sort.id == "cost")
    assert sort_named("") is None
    assert sort_named("nope") is None


@given(
    st.sets(st.sampled_from(sorted(RUNS))),
    st.sets(st.sampled_from(sorted(RUNS))),
    st.sampled_from(SORTS),
    st.booleans(),
)
def test_rows_that_are_merged_in_stand_where_they_would_if_all_were_ordered_at_once(
    early: set[str], gone: set[str], sort: Sort, falling: bool
) -> None:
    order, whole = RunOrder(sort=sort), RunOrder(sort=sort)
    order.reversed = whole.reversed = falling
    order.apply({run_id: RUNS[run_id] for run_id in early}, NOW_S, 0.0)
    late = [run for run in RUNS.values() if run.id not in early]
    order.merge(late, gone - {run.id for run in late}, NOW_S)
    kept = {run.id: run for run in RUNS.values() if run.id in order.ids}
    assert set(RUNS) - set(kept) == gone & early
    assert order.ids == whole.apply(kept, NOW_S, 0.0)
    for index, run_id in enumerate(order.ids):
        assert order.place_of(kept[run_id], after=False) == index
        assert order.place_of(kept[run_id], after=True) == index + 1


def test_merging_does_not_move_a_row_whose_facts_are_others_now() -> None:
    order = RunOrder()
    order.apply(runs(run_row(summary("a", age_s=9)), run_row(summary("b", age_s=5))), NOW_S, 0.0)
    before = order.ids
    order.note(runs(run_row(summary("b", waiting=waiting()))), {"b"}, NOW_S)
    order.merge([run_row(summary("c", "done"))], (), NOW_S)
    assert order.ids == (*before, "c")
    assert order.due(100.0, LONG_AGO)
