"""Whoever measures a store hears of each statement under names of a closed set."""

from pathlib import Path
from typing import get_args

from runwatch_server.storage.observing import Operation
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import EventQuery, Query
from runwatch_server.storage.statements import load, statement
from tests.storage.making import RULES, a_run, a_step, an_event, insert_runs, run_id, write

TABLES = {
    *("", "meta", "runs", "run_labels", "run_specs", "run_folds", "steps", "events", "tasks"),
    *("task_labels", "nodes", "leases", "users", "sessions", "tokens", "replays"),
    *("tombstones", "counters", "ended_runs", "event_blocks", "prunes"),
}


class Listener:
    """A `QueryObserver` that remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[Operation, str]] = []

    def queried(self, operation: Operation, table: str, seconds: float) -> None:
        assert seconds >= 0
        self.heard.append((operation, table))


def test_reading_and_writing_are_told_by_operation_and_table(tmp_path: Path) -> None:
    listener = Listener()
    url = f"sqlite:///{tmp_path / 'runwatch.db'}"
    store = open_store(url, rules=RULES, synchronous="full", observer=listener)
    insert_runs(store, a_run(1, labels={"a": "b"}))
    write(store, lambda tx: tx.events.append(run_id(1), [an_event(1)]))
    write(store, lambda tx: tx.runs.put_step(run_id(1), a_step(1)))
    with store.read() as tx:
        tx.runs.page(Query(labels={"a": "b"}))
        tx.events.page(EventQuery(run_id=run_id(1), q="hello"))
    write(store, lambda tx: tx.runs.delete(tx.runs.get(run_id(1))))
    store.close()
    heard = set(listener.heard)
    assert heard >= {
        ("insert", "runs"),
        ("insert", "events"),
        ("insert", "steps"),
        ("insert", "counters"),
        ("update", "meta"),
        ("select", "runs"),
        ("select", "events"),
        ("delete", "events"),
        ("commit", ""),
    }
    assert {table for _, table in heard} <= TABLES


def test_every_named_statement_has_an_operation_and_a_table_that_exists() -> None:
    topics = ["runs", "events", "tasks", "nodes", "leases", "access", "replays", "counters"]
    topics += ["event_blocks", "prunes"]
    for topic in (*topics, "housekeeping", "tombstones", "meta"):
        named = load("sqlite", topic)
        assert named
        for name, found in named.items():
            assert found.operation in get_args(Operation), name
            assert found.table in TABLES - {""}, name
            assert "--" not in found.sql, name


def test_a_statement_is_told_by_the_table_it_acts_on() -> None:
    found = statement("INSERT OR REPLACE INTO leases(run_id) SELECT id FROM runs")
    assert (found.operation, found.table) == ("insert", "leases")
