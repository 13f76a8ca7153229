"""What a store writes for a whole group at once is to each work as if it were written at once."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import pytest

from runwatch_server.rows import NO_FOLD
from runwatch_server.storage.observing import Operation
from runwatch_server.storage.postgres import writer
from runwatch_server.storage.postgres.store import PostgresStore
from runwatch_server.storage.protocols import EventQuery, Query, Store, WriteTx
from runwatch_shared.errors import ConflictError, RefusedError
from tests.postgres import Cluster
from tests.storage.making import (
    NOW_US,
    RULES,
    a_lease,
    a_run,
    a_step,
    an_event,
    insert_runs,
    run_id,
    write,
)

RUNS = 3


def report(number: int, first: int, last: int) -> Callable[[WriteTx], int]:
    """A batch of events of a run, its step, fold and lease."""

    def work(tx: WriteTx) -> int:
        row = tx.runs.get(run_id(number))
        assert row is not None
        moved = msgspec.structs.replace(row, last_seq=last, last_activity_us=NOW_US + last)
        folded = msgspec.structs.replace(NO_FOLD, steps=last)
        tx.events.append(row.id, [an_event(seq) for seq in range(first, last + 1)])
        tx.runs.put_step(row.id, a_step(last))
        tx.leases.put(a_lease(number, expires_us=NOW_US + last))
        return tx.runs.save(row, moved, folded).last_seq

    return work


def stored(tx: Any, number: int) -> dict[str, Any]:
    """All that `report` writes of a run, as its tables have it."""
    row = tx.runs.page(Query(ids=(run_id(number),)))[0]
    lease = tx.leases.get(row.id)
    return {
        "last_seq": row.last_seq,
        "events": [event.seq for event in tx.events.between(row.id, 0, 10_000)],
        "of a type": len(
            tx.events.page(EventQuery(run_id=row.id, types=("message",), limit=1000)).events
        ),
        "steps": [step.n for step in tx.runs.steps(row.id, after_n=None, before_n=None, limit=99)],
        "fold": tx.runs.fold(row.id).steps,
        "lease": None if lease is None else lease.expires_us,
    }


def whole(last: int, steps: list[int]) -> dict[str, Any]:
    return {
        "last_seq": last,
        "events": list(range(1, last + 1)),
        "of a type": last,
        "steps": steps,
        "fold": last,
        "lease": NOW_US + last,
    }


def test_a_later_work_of_the_group_finds_what_an_earlier_one_wrote(store: Store) -> None:
    insert_runs(store, *(a_run(number) for number in range(1, RUNS + 1)))
    outcomes, _ = store.write_group(
        [
            report(1, 1, 5),
            report(2, 1, 300),
            lambda tx: [stored(tx, 1), stored(tx, 2)],
            report(1, 6, 7),
            lambda tx: [row.run_id for row in tx.leases.of_node("n1")],
            lambda tx: [row.id for row in tx.runs.due(NOW_US + 10**9, limit=9)],
        ],
        NOW_US,
    )
    assert [outcome.error for outcome in outcomes] == [None] * 6
    assert outcomes[2].value == [whole(5, [5]), whole(300, [300])]
    assert outcomes[4].value == [run_id(1), run_id(2)]
    assert outcomes[5].value == [run_id(number) for number in (1, 2, 3)]
    with store.read() as tx:
        assert stored(tx, 1) == whole(7, [5, 7])
        assert stored(tx, 2) == whole(300, [300])


def test_events_that_are_stored_already_are_the_fault_of_their_work_alone(store: Store) -> None:
    insert_runs(store, *(a_run(number) for number in range(1, RUNS + 1)))
    outcomes, _ = store.write_group([report(1, 1, 4), report(2, 1, 4), report(3, 1, 4)], NOW_US)
    outcomes, _ = store.write_group([report(1, 5, 8), report(2, 3, 6), report(3, 5, 8)], NOW_US)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), ConflictError, type(None)]
    with store.read() as tx:
        assert stored(tx, 1) == stored(tx, 3) == whole(8, [4, 8])
        assert stored(tx, 2) == whole(4, [4])
    # Nor is anything of it remembered.
    assert write(store, report(2, 5, 6)) == 6


def test_what_a_work_that_fails_put_off_is_not_written(store: Store) -> None:
    insert_runs(store, a_run(1))
    write(store, report(1, 1, 2))

    def fail(tx: WriteTx) -> None:
        report(1, 3, 9)(tx)
        raise RefusedError("invalid_value", "no")

    def lease(tx: WriteTx) -> int:
        known = tx.leases.get(run_id(1))
        assert known is not None
        return known.expires_us

    outcomes, _ = store.write_group([fail, lease, report(1, 3, 4)], NOW_US)
    assert isinstance(outcomes[0].error, RefusedError)
    assert [outcome.value for outcome in outcomes[1:]] == [NOW_US + 2, 4]
    with store.read() as tx:
        assert stored(tx, 1) == whole(4, [2, 4])


def test_a_run_put_off_and_deleted_leaves_nothing(store: Store) -> None:
    insert_runs(store, a_run(1), a_run(2))

    def delete(tx: WriteTx) -> None:
        row = tx.runs.get(run_id(1))
        assert row is not None
        tx.runs.delete(row)

    outcomes, _ = store.write_group([report(1, 1, 9), delete, report(2, 1, 9)], NOW_US)
    assert [outcome.error for outcome in outcomes] == [None] * 3
    with store.read() as tx:
        assert tx.runs.page(Query(ids=(run_id(1),))) == []
        assert tx.leases.get(run_id(1)) is None
        assert tx.runs.steps(run_id(1), after_n=None, before_n=None, limit=9) == []
        assert stored(tx, 2) == whole(9, [9])


class Statements:
    """`observing.QueryObserver`."""

    def __init__(self) -> None:
        self.tables: Counter[str] = Counter()

    def queried(self, operation: Operation, table: str, seconds: float) -> None:
        self.tables[table] += 1


def test_a_group_takes_as_many_statements_on_postgresql_however_many_works_it_has(
    postgres_cluster: Cluster,
) -> None:
    seen = Statements()
    url = postgres_cluster.database()
    with closing(PostgresStore.open(url, RULES, observer=seen)) as store:
        insert_runs(store, *(a_run(number) for number in range(1, 21)))
        everyone = range(1, 21)
        store.write_group([report(number, 1, 20) for number in everyone], NOW_US)
        counts = []
        for works, first in ((2, 21), (20, 41)):
            seen.tables.clear()
            group = [report(number, first, first + 19) for number in everyone[:works]]
            outcomes, _ = store.write_group(group, NOW_US)
            assert [outcome.error for outcome in outcomes] == [None] * works
            counts.append(dict(seen.tables))
    assert counts[0] == counts[1]
    assert set(counts[0].values()) == {1}


@pytest.mark.parametrize("most", [1, 7])
def test_a_group_of_very_many_events_is_written_in_pieces(
    postgres_cluster: Cluster, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(writer, "MOST_EVENTS", most)
    with closing(PostgresStore.open(postgres_cluster.database(), RULES)) as store:
        insert_runs(store, a_run(1), a_run(2))
        store.write_group([report(1, 1, 5), report(2, 1, 60), report(1, 6, 9)], NOW_US)
        with store.read() as tx:
            assert stored(tx, 1) == whole(9, [5, 9])
            assert stored(tx, 2) == whole(60, [60])
