"""Lists of runs and tasks in every store: filters, order, pages that neither repeat nor skip."""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwatch_server.rows import RunRow
from runwatch_server.standing import attention_of, duration_ms
from runwatch_server.storage.protocols import Query, Store, TaskQuery
from runwatch_server.storage.sql import pages as pages_on_sqlite
from runwatch_shared.wire import WORKFLOW_SORTS
from tests.storage.making import NOW_US, a_run, a_task, a_wait, insert_runs, run_id, used, write

VALUE_OF = {
    "update_time": lambda row: row.updated_us,
    "start_time": lambda row: row.created_us,
    "attention": attention_of,
    "name": lambda row: row.name,
    "duration_ms": duration_ms,
    "cost_usd": lambda row: None if row.usage is None else row.usage.cost_usd,
    "total_tokens": lambda row: None if row.usage is None else row.usage.total_tokens,
    "tool_failures": lambda row: row.tool_failures,
}


def ids(store: Store, **conditions: Any) -> set[int]:
    """The numbers of the runs that match; their count must say the same."""
    query = Query(**conditions)
    with store.read() as tx:
        rows = tx.runs.page(query)
        assert tx.runs.count(query, at_most=100) == len(rows)
    return {int(row.id.removeprefix("run-"), 16) for row in rows}


@pytest.fixture
def fleet(store: Store) -> Store:
    insert_runs(
        store,
        a_run(1, name="Build the API", labels={"team": "blue", "env": "prod"}),
        a_run(2, status="running", node_id="n1", labels={"team": "red"}, agent_type="claude-code"),
        a_run(3, status="running", node_id="n2", wait=a_wait(), labels={"team": "blue"}),
        a_run(4, status="running", node_id="n1", node_silent=True, health="stalled"),
        a_run(5, status="done", node_id="n1", task_id="task-00000000000b", finished_us=NOW_US),
        a_run(6, status="timeout", node_id="Größe", account_id="acct-9", finished_us=NOW_US),
    )
    return store


@pytest.fixture(params=["sorted", "row by row"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of reading a list: what matches is found and sorted, or looked for in order."""
    if request.param == "row by row":
        monkeypatch.setattr(pages_on_sqlite, "FEW", 0)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, {1, 2, 3, 4, 5, 6}),
        ({"ids": (run_id(2), run_id(5), "run-none")}, {2, 5}),
        ({"ids": ()}, set()),
        ({"state": ("running",)}, {2}),
        ({"state": ("waiting", "unknown")}, {3, 4}),
        ({"state": ("failed",)}, {6}),
        ({"status": ("timeout", "queued")}, {1, 6}),
        ({"node": ("n1",)}, {2, 4, 5}),
        ({"node": ("n1",), "status": ("running",)}, {2, 4}),
        ({"node": ("n1", "n2"), "status": ("running", "done")}, {2, 3, 4, 5}),
        ({"node": ("Größe", "n1"), "status": ("timeout",)}, {6}),
        ({"node": ("n1",), "status": ("waiting", "success")}, set()),
        ({"agent_type": ("command",), "status": ("queued", "running"), "node": ("n2",)}, {3}),
        ({"node": ("n1",), "status": ("running",), "state": ("unknown",)}, {4}),
        ({"agent_type": ("claude-code",)}, {2}),
        ({"health": ("stalled", "looping")}, {4}),
        ({"health": ("ok", "stalled")}, {1, 2, 3, 4, 5, 6}),
        ({"task": "task-00000000000b"}, {5}),
        ({"waiting": True}, {3}),
        ({"waiting": False}, {1, 2, 4, 5, 6}),
        ({"active": True}, {1, 2, 3, 4}),
        ({"active": False}, {5, 6}),
        ({"labels": {"team": "blue"}}, {1, 3}),
        ({"labels": {"team": None}}, {1, 2, 3}),
        ({"labels": {"team": "blue", "env": None}}, {1}),
        ({"labels": {"team": "green"}}, set()),
        ({"q": "the api"}, {1}),
        ({"q": "RUN-000000000004"}, {4}),
        ({"q": "acct"}, {6}),
        ({"q": "GRÖSSE"}, {6}),
        ({"q": "00000b"}, {5}),
        ({"q": "_"}, set()),
        ({"q": "%"}, set()),
        ({"q": "api\ntask"}, set()),
        ({"since_us": NOW_US + 5}, {5, 6}),
        ({"until_us": NOW_US + 2}, {1, 2}),
        ({"since_us": NOW_US + 2, "until_us": NOW_US + 3}, {2, 3}),
    ],
)
def test_a_filter_admits_exactly_what_it_names(
    fleet: Store, conditions: dict[str, Any], expected: set[int]
) -> None:
    assert ids(fleet, **conditions) == expected


def test_a_changed_label_is_found_and_the_old_one_is_not(store: Store) -> None:
    (row,) = insert_runs(store, a_run(1, labels={"team": "blue"}))
    moved = msgspec.structs.replace(row, labels={"team": "red"})
    write(store, lambda tx: tx.runs.save(row, moved))
    assert ids(store, labels={"team": "red"}) == {1}
    assert ids(store, labels={"team": "blue"}) == set()


def test_a_count_looks_no_further_than_it_was_asked(store: Store) -> None:
    insert_runs(store, *(a_run(n) for n in range(20)))
    with store.read() as tx:
        assert tx.runs.count(Query(), at_most=5) == 6
        assert tx.runs.count(Query(), at_most=20) == 20


def place_of(row: RunRow, sort: str) -> tuple[Any, ...]:
    """Where a row stands: by attention the newest of one value come together."""
    value = VALUE_OF[sort](row)
    return (value, row.updated_us, row.id) if sort == "attention" else (value, row.id)


def in_order(rows: Sequence[RunRow], sort: str, descending: bool) -> list[str]:
    """By value, then id, all in one direction; without a value last."""
    value_of = VALUE_OF[sort]
    with_value = [row for row in rows if value_of(row) is not None]
    without = [row for row in rows if value_of(row) is None]
    with_value.sort(key=lambda row: place_of(row, sort), reverse=descending)
    without.sort(key=lambda row: row.id, reverse=descending)
    return [row.id for row in (*with_value, *without)]


def test_what_ended_comes_newest_first_by_attention(store: Store) -> None:
    rows = [
        a_run(n, status="done", finished_us=NOW_US, updated_us=NOW_US + 7 * n % 5) for n in range(5)
    ]
    insert_runs(store, *rows, a_run(9, status="running", updated_us=NOW_US - 9))
    with store.read() as tx:
        found = tx.runs.page(Query(sort="attention"))
    assert [row.updated_us - NOW_US for row in found] == [-9, 4, 3, 2, 1, 0]


def counted_by_hand(store: Store, **conditions: Any) -> int:
    with store.read() as tx:
        return len(tx.runs.page(Query(limit=1000, **conditions)))


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"state": ("running", "failed")},
        {"state": ("running", "running")},
        {"status": ("running",)},
        {"status": ("timeout", "success")},
        {"active": True},
        {"active": False},
        {"health": ("stalled", "slow")},
        {"agent_type": ("command",)},
        {"agent_type": ("command", "claude-code"), "status": ("running", "done")},
        {"labels": {"team": "blue"}},
        {"node": ("n1",), "state": ("running", "completed")},
        {"agent_type": ("command",), "state": ("waiting", "failed")},
    ],
)
def test_a_total_from_counters_is_what_counting_gives(
    fleet: Store, conditions: dict[str, Any]
) -> None:
    with fleet.read() as tx:
        assert tx.runs.count(Query(**conditions), at_most=100) == counted_by_hand(
            fleet, **conditions
        )
        assert tx.runs.count(Query(**conditions), at_most=0) <= 1


def pages(store: Store, query: Query) -> list[list[RunRow]]:
    """Page after page by the last row's value and id, until one is short."""
    found: list[list[RunRow]] = []
    after: tuple[Any, ...] | None = None
    while True:
        with store.read() as tx:
            page = tx.runs.page(msgspec.structs.replace(query, after=after))
        found.append(page)
        if len(page) < query.limit:
            return found
        after = place_of(page[-1], query.sort)


run_rows = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["a", "B", "b", "ä"]),
            "status": st.sampled_from(["queued", "running", "done"]),
            "updated_us": st.integers(0, 3),
            "created_us": st.integers(0, 3),
            "started_us": st.sampled_from([None, 1000, 2000]),
            "finished_us": st.sampled_from([None, 5000, 9000]),
            "usage": st.one_of(
                st.none(), st.builds(used, st.integers(0, 2), st.sampled_from([None, 0.0, 1.5]))
            ),
            "tool_failures": st.integers(0, 2),
        }
    ),
    max_size=14,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(fields=run_rows, limit=st.integers(1, 6), descending=st.booleans())
def test_pages_of_every_order_neither_repeat_nor_skip(
    store: Store, fields: list[dict[str, Any]], limit: int, descending: bool
) -> None:
    rows = [a_run(n, **values) for n, values in enumerate(fields)]
    insert_runs(store, *rows)
    try:
        for sort in WORKFLOW_SORTS:
            query = Query(sort=sort, descending=descending, limit=limit)
            found = [row.id for page in pages(store, query) for row in page]
            assert found == in_order(rows, sort, descending)
    finally:
        for row in rows:
            write(store, lambda tx, key=row.id: tx.runs.delete(tx.runs.get(key)))


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("offset", [0, 1, 2, 3, 4, 5, 9])
def test_an_offset_counts_over_rows_with_and_without_the_value(
    store: Store, offset: int, descending: bool
) -> None:
    rows = [a_run(n, usage=used(n, 0.5 * n) if n % 2 else None) for n in range(6)]
    insert_runs(store, *rows)
    query = Query(sort="cost_usd", descending=descending, limit=2, offset=offset)
    with store.read() as tx:
        found = [row.id for row in tx.runs.page(query)]
    assert found == in_order(rows, "cost_usd", descending)[offset : offset + 2]


@pytest.mark.usefixtures("way")
def test_pages_under_a_filter_hold_only_what_matches(store: Store) -> None:
    rows = [a_run(n, node_id=f"n{n % 3}") for n in range(20)]
    insert_runs(store, *rows)
    query = Query(node=("n1",), sort="name", descending=False, limit=2)
    found = [row.id for page in pages(store, query) for row in page]
    assert found == in_order([row for row in rows if row.node_id == "n1"], "name", False)


@pytest.mark.usefixtures("way")
def test_tasks_are_listed_newest_first_in_pages_and_by_filter(store: Store) -> None:
    tasks = [
        a_task(1, labels={"team": "blue"}, description="Deploy the frontend"),
        a_task(2, status="completed", parent_id="task-000000000001"),
        a_task(3, labels={"team": "red"}, parent_id="task-000000000001"),
        a_task(4, name="Nightly build", status="failed"),
    ]
    write(store, lambda tx: [tx.tasks.insert(row) for row in tasks])

    def found(**conditions: Any) -> list[int]:
        query = TaskQuery(**conditions)
        with store.read() as tx:
            rows = tx.tasks.page(query)
            assert tx.tasks.count(query, at_most=100) == len(rows)
        return [int(row.id.removeprefix("task-"), 16) for row in rows]

    assert found() == [4, 3, 2, 1]
    assert found(status=("completed", "failed")) == [4, 2]
    assert found(labels={"team": None}) == [3, 1]
    assert found(labels={"team": "blue"}) == [1]
    assert found(q="FRONTEND") == [1]
    assert found(q="nightly") == [4]
    assert found(parent_id="task-000000000001") == [3, 2]
    assert found(since_us=NOW_US + 3) == [4, 3]
    assert found(until_us=NOW_US + 1) == [1]
    with store.read() as tx:
        first = tx.tasks.page(TaskQuery(limit=3))
        second = tx.tasks.page(TaskQuery(limit=3, after=(first[-1].created_us, first[-1].id)))
        shifted = tx.tasks.page(TaskQuery(limit=2, offset=1))
    assert [row.id for row in itertools.chain(first, second)] == [row.id for row in tasks[::-1]]
    assert [row.id for row in shifted] == [tasks[2].id, tasks[1].id]
