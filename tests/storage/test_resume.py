"""What a feed that comes back needs, in every store: changes after a revision, tombstones while
they are kept, and an honest bound on both.
"""

import msgspec

from runwatch_server.storage.protocols import Changed, Store, WriteTx
from tests.storage.making import a_node, a_run, a_task, insert_runs, run_id, task_id, write


def since(store: Store, revision: int, limit: int = 100) -> Changed | None:
    with store.read() as tx:
        return tx.changed_since(revision, limit=limit)


def names(changed: Changed | None) -> set[str]:
    assert changed is not None
    rows = {row.id for row in changed.runs} | {row.id for row in changed.tasks}
    return rows | {row.id for row in changed.nodes} | {f"gone {row.id}" for row in changed.removed}


def test_each_row_is_named_once_with_its_last_change(store: Store) -> None:
    (row,) = insert_runs(store, a_run(1))
    write(store, lambda tx: tx.tasks.insert(a_task(1)))
    write(store, lambda tx: tx.nodes.save(a_node("n1")))
    renamed = msgspec.structs.replace(row, name="new")
    saved = write(store, lambda tx: tx.runs.save(row, renamed))
    assert names(since(store, 0)) == {run_id(1), task_id(1), "n1"}
    assert names(since(store, 1)) == {run_id(1), task_id(1), "n1"}
    assert names(since(store, 2)) == {run_id(1), "n1"}
    assert names(since(store, 3)) == {run_id(1)}
    last = since(store, 3)
    assert last is not None
    assert last.runs == [saved]
    assert names(since(store, 4)) == set()
    assert names(since(store, 99)) == set()


def test_what_was_deleted_is_named_as_gone(store: Store) -> None:
    insert_runs(store, a_run(1), a_run(2))
    write(store, lambda tx: tx.tasks.insert(a_task(1)))
    node = write(store, lambda tx: tx.nodes.save(a_node("n1")))
    write(store, lambda tx: tx.runs.delete(tx.runs.get(run_id(1))), now_us=10)
    write(store, lambda tx: tx.tasks.delete(tx.tasks.get(task_id(1))), now_us=20)
    write(store, lambda tx: tx.nodes.delete(node), now_us=30)
    changed = since(store, 3)
    assert changed is not None
    told = [(row.kind, row.id, row.revision, row.at_us) for row in changed.removed]
    assert told == [("run", run_id(1), 4, 10), ("task", task_id(1), 5, 20), ("node", "n1", 6, 30)]
    assert names(since(store, 0)) == {
        run_id(2),
        f"gone {run_id(1)}",
        f"gone {task_id(1)}",
        "gone n1",
    }


def test_more_rows_than_asked_for_are_refused_and_not_cut(store: Store) -> None:
    insert_runs(store, *(a_run(n) for n in range(3)))
    write(store, lambda tx: tx.nodes.save(a_node("n1")))
    assert since(store, 0, limit=3) is None
    assert names(since(store, 0, limit=4)) == {run_id(0), run_id(1), run_id(2), "n1"}
    assert names(since(store, 1, limit=1)) == {"n1"}


def test_a_feed_resumes_no_further_back_than_the_tombstones(store: Store) -> None:
    rows = insert_runs(store, a_run(1), a_run(2), a_run(3))
    with store.read() as tx:
        assert tx.oldest_resumable() == 0
    for moment, row in zip((10, 20, 30), rows, strict=True):
        write(store, lambda tx, gone=row: tx.runs.delete(gone), now_us=moment)

    def prune(before_us: int, limit: int = 100) -> int:
        def work(tx: WriteTx) -> int:
            return tx.housekeeping.prune(
                minutes_before_us=0,
                days_before_us=0,
                tombstones_before_us=before_us,
                replays_before_us=0,
                sessions_before_us=0,
                limit=limit,
            )

        return write(store, work)

    def resumable() -> int:
        with store.read() as tx:
            return tx.oldest_resumable()

    assert prune(10) == 0
    assert resumable() == 0
    assert prune(25, limit=1) == 1
    assert resumable() == 2
    assert names(since(store, 2)) == {f"gone {run_id(2)}", f"gone {run_id(3)}"}
    assert prune(25) == 1
    assert resumable() == 3
    assert prune(25) == 0
    assert names(since(store, 3)) == {f"gone {run_id(3)}"}
