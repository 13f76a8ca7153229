"""What SQLite does for the statements that must stay cheap at a million runs: an index each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runwatch_server.storage.protocols import Query, TaskQuery
from runwatch_server.storage.sql import pages
from runwatch_server.storage.sql.writing import WriteTransaction
from runwatch_server.storage.sqlite.store import SqliteStore
from runwatch_shared.wire import WORKFLOW_SORTS
from tests.storage.counting import raw_of
from tests.storage.making import RULES, a_run, insert_runs, used


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "runwatch.db", RULES)
    insert_runs(store, a_run(1, node_id="n1", labels={"a": "b"}), a_run(2, usage=used(1, 1.0)))
    yield store
    store.close()


def plans(store: SqliteStore, work: Callable[[Any], object], *, writing: bool = False) -> str:
    """The plan of every statement a work runs, a step a line."""
    seen: list[tuple[str, Any]] = []

    def note(cursor: object, sql: str, bindings: Any) -> bool:
        seen.append((sql, bindings))
        return True

    with store.read() as tx:
        reader = raw_of(tx)
        connection = store._writer.raw if writing else reader
        connection.exec_trace = note
        try:
            work(WriteTransaction(store._writer, RULES) if writing else tx)
        finally:
            connection.exec_trace = None
        steps = [
            row[-1]
            for sql, bindings in seen
            for row in reader.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)
        ]
    assert steps
    return "\n".join(steps)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", WORKFLOW_SORTS)
@pytest.mark.parametrize("follows", [False, True])
def test_every_order_is_read_from_its_index(
    store: SqliteStore, sort: str, descending: bool, follows: bool
) -> None:
    place: tuple[Any, ...] = (3, 4) if sort == "attention" else (3,)
    after = (*place, "run-000000000001") if follows else None
    query = Query(sort=sort, descending=descending, after=after)
    plan = plans(store, lambda tx: tx.runs.page(query))
    assert "TEMP B-TREE" not in plan
    assert "runs_by_" in plan


@pytest.mark.parametrize("column", ["state", "status", "node", "agent_type"])
def test_the_newest_of_one_kind_are_read_from_one_index(store: SqliteStore, column: str) -> None:
    conditions: dict[str, Any] = {column: ("x",)}
    query = Query(**conditions)
    plan = plans(store, lambda tx: tx.runs.page(query))
    assert "TEMP B-TREE" not in plan
    assert "SCAN" not in plan


@pytest.mark.parametrize(
    ("conditions", "index"),
    [
        ({"waiting": True}, "runs_waiting"),
        ({"health": ("stalled",)}, "runs_unhealthy"),
        ({"labels": {"a": "b"}}, "run_labels_by_value"),
        ({"task": "t"}, "runs_of_task"),
        ({"state": ("running", "waiting")}, "runs_by_state"),
        ({"state": ("failed",), "node": ("n1",)}, "runs_of_node_by_state"),
        ({"status": ("timeout",), "node": ("n1",)}, "runs_of_node_by_state"),
        ({"state": ("failed",), "agent_type": ("x",)}, "runs_of_agent_by_state"),
    ],
)
def test_few_rows_are_found_by_their_index_and_sorted(
    store: SqliteStore, conditions: dict[str, Any], index: str
) -> None:
    plan = plans(store, lambda tx: tx.runs.page(Query(sort="attention", **conditions)))
    assert index in plan
    assert "runs_by_attention" not in plan


def test_what_is_active_is_read_in_the_order_of_attention(store: SqliteStore) -> None:
    plan = plans(store, lambda tx: tx.runs.page(Query(sort="attention", active=True)))
    assert "runs_active" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    "conditions", [{"state": ("completed",)}, {"labels": {"a": None}}, {"since_us": 0}]
)
def test_many_rows_are_read_in_the_order_of_the_list(
    store: SqliteStore, conditions: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "FEW", 0)
    plan = plans(store, lambda tx: tx.runs.page(Query(sort="attention", **conditions)))
    assert "runs_by_attention" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("conditions", [{}, {"state": ("completed",)}, {"agent_type": ("x",)}])
def test_a_total_that_is_kept_is_not_counted(
    store: SqliteStore, conditions: dict[str, Any]
) -> None:
    plan = plans(store, lambda tx: tx.runs.count(Query(**conditions), at_most=10_000))
    assert "runs" not in plan
    assert "SCAN" not in plan


def test_the_total_of_a_label_is_counted_among_labels_alone(store: SqliteStore) -> None:
    plan = plans(store, lambda tx: tx.runs.count(Query(labels={"a": "b"}), at_most=10))
    assert "run_labels_by_value" in plan
    assert "runs_" not in plan


@pytest.mark.parametrize(
    "work",
    [
        lambda tx: tx.runs.get("r"),
        lambda tx: tx.runs.of_task("t", limit=5),
        lambda tx: tx.runs.retries_of("r", limit=5),
        lambda tx: tx.runs.steps("r", after_n=1, before_n=None, limit=5),
        lambda tx: tx.events.between("r", 1, 5),
        lambda tx: tx.events.after("r", 1, limit=5, max_bytes=5, raw=True),
        lambda tx: tx.runs.active_on("n1"),
        lambda tx: tx.changed_since(1, limit=5),
        lambda tx: tx.tasks.page(TaskQuery()),
        lambda tx: tx.leases.of_node("n1"),
        lambda tx: tx.access.user_by_email("e"),
    ],
)
def test_reading_one_thing_never_looks_at_all(
    store: SqliteStore, work: Callable[[Any], object]
) -> None:
    plan = plans(store, work)
    assert "TEMP B-TREE" not in plan
    assert not [
        line for line in plan.splitlines() if line.startswith("SCAN") and "USING" not in line
    ]


@pytest.mark.parametrize(
    ("work", "index"),
    [
        (lambda tx: tx.runs.queued(limit=5), "runs_queued"),
        (lambda tx: tx.runs.due(5, limit=5), "runs_due"),
    ],
)
def test_what_is_queued_or_due_is_read_from_its_index(
    store: SqliteStore, work: Callable[[Any], object], index: str
) -> None:
    plan = plans(store, work, writing=True)
    assert index in plan
    assert "TEMP B-TREE" not in plan
