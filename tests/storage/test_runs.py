"""Runs in every store: what is saved is read again, and the compare-and-set lets no change go."""

import msgspec
import pytest

from runwatch_server.rows import NO_FOLD, RunFold
from runwatch_server.storage.protocols import Store, WriteTx
from runwatch_shared.errors import ConflictError
from tests.storage.making import (
    NOW_US,
    STALLED_US,
    a_lease,
    a_run,
    a_spec,
    a_step,
    a_wait,
    an_event,
    committed,
    insert_runs,
    run_id,
    task_id,
    used,
    write,
)


def test_a_run_is_read_as_it_was_inserted(store: Store) -> None:
    row = a_run(labels={"team": "blue"}, usage=used(5, 0.25), wait=a_wait(), priority=-3)
    spec = a_spec(env={"KEY": "secret"})
    saved = write(store, lambda tx: tx.runs.insert(row, spec))
    assert saved == msgspec.structs.replace(row, revision=1)
    with store.read() as tx:
        assert tx.runs.get(row.id) == saved
        assert tx.runs.spec(row.id) == spec
        assert tx.runs.fold(row.id) == NO_FOLD


def test_what_was_never_there_is_none(store: Store) -> None:
    with store.read() as tx:
        assert tx.runs.get("run-none") is None
        assert tx.runs.spec("run-none") is None
    assert write(store, lambda tx: tx.runs.get("run-none")) is None


def test_inserting_a_run_twice_is_a_conflict(store: Store) -> None:
    insert_runs(store, a_run())
    with pytest.raises(ConflictError):
        insert_runs(store, a_run())


def test_a_saved_run_has_a_new_revision_and_its_fold(store: Store) -> None:
    (before,) = insert_runs(store, a_run())
    fold = RunFold(steps=3, recent_calls=[("Bash", "d1")])
    after = msgspec.structs.replace(before, status="running", last_seq=7)
    saved = write(store, lambda tx: tx.runs.save(before, after, fold))
    assert saved.revision == before.revision + 1
    with store.read() as tx:
        assert tx.runs.get(before.id) == saved
        assert tx.runs.fold(before.id) == fold
    kept = msgspec.structs.replace(saved, last_seq=8)
    write(store, lambda tx: tx.runs.save(saved, kept))
    with store.read() as tx:
        assert tx.runs.fold(before.id) == fold


@pytest.mark.parametrize("change", [{"epoch": 1}, {"last_seq": 4}, {"name": "other"}])
def test_saving_over_a_change_somebody_else_made_is_a_conflict(
    store: Store, change: dict[str, object]
) -> None:
    (before,) = insert_runs(store, a_run())
    other = msgspec.structs.replace(before, **change)
    write(store, lambda tx: tx.runs.save(before, other))
    late = msgspec.structs.replace(before, status="cancelled")
    with pytest.raises(ConflictError):
        write(store, lambda tx: tx.runs.save(before, late))
    with store.read() as tx:
        row = tx.runs.get(before.id)
        assert row is not None
        assert row.status == "queued"


def test_saving_over_a_change_of_the_same_transaction_is_a_conflict(store: Store) -> None:
    (before,) = insert_runs(store, a_run())

    def twice(tx: WriteTx) -> None:
        tx.runs.save(before, msgspec.structs.replace(before, name="first"))
        tx.runs.save(before, msgspec.structs.replace(before, name="second"))

    with pytest.raises(ConflictError):
        write(store, twice)


def test_saving_a_deleted_run_is_a_conflict(store: Store) -> None:
    (row,) = insert_runs(store, a_run())
    write(store, lambda tx: tx.runs.delete(row))
    with pytest.raises(ConflictError):
        write(store, lambda tx: tx.runs.save(row, msgspec.structs.replace(row, name="back")))
    with pytest.raises(ConflictError):
        write(store, lambda tx: tx.runs.delete(row))


def test_a_fold_that_was_undone_is_written_when_it_comes_again(store: Store) -> None:
    (row,) = insert_runs(store, a_run())
    fold = RunFold(steps=9)

    def save(tx: WriteTx) -> None:
        tx.runs.save(row, msgspec.structs.replace(row, name="new"), fold)

    def save_and_fail(tx: WriteTx) -> None:
        save(tx)
        raise ValueError("half done")

    with pytest.raises(ValueError, match="half done"):
        write(store, save_and_fail)
    assert write(store, lambda tx: tx.runs.fold(row.id)) == NO_FOLD
    write(store, save)
    with store.read() as tx:
        assert tx.runs.fold(row.id) == fold


def test_the_writer_reads_what_it_saved_in_the_same_work(store: Store) -> None:
    def work(tx: WriteTx) -> tuple[str, int]:
        row = tx.runs.insert(a_run(), a_spec())
        tx.runs.save(row, msgspec.structs.replace(row, name="renamed"), RunFold(steps=2))
        found = tx.runs.get(row.id)
        assert found is not None
        return found.name, tx.runs.fold(row.id).steps

    assert write(store, work) == ("renamed", 2)


def test_deleting_a_run_takes_everything_of_it(store: Store) -> None:
    row, other = insert_runs(store, a_run(1, labels={"a": "1"}), a_run(2, labels={"a": "1"}))

    def fill(tx: WriteTx) -> None:
        for kept in (row, other):
            saved = tx.runs.save(kept, msgspec.structs.replace(kept, last_seq=2), RunFold(steps=1))
            tx.events.append(saved.id, [an_event(1), an_event(2)])
            tx.runs.put_step(saved.id, a_step(1))
        tx.leases.put(a_lease(1))

    write(store, fill)
    write(store, lambda tx: tx.runs.delete(tx.runs.get(row.id)))
    with store.read() as tx:
        assert tx.runs.get(row.id) is None
        assert tx.runs.spec(row.id) is None
        assert tx.runs.fold(row.id) == NO_FOLD
        assert tx.runs.steps(row.id, after_n=None, before_n=None, limit=10) == []
        assert tx.events.between(row.id, 0, 100) == []
        assert tx.leases.get(row.id) is None
        assert len(tx.events.between(other.id, 0, 100)) == 2
    # A run made anew under the same id begins with nothing.
    insert_runs(store, a_run(1))
    with store.read() as tx:
        assert tx.events.between(row.id, 0, 100) == []


def test_runs_of_a_task_come_newest_first_and_page(store: Store) -> None:
    insert_runs(store, *(a_run(n, task_id=task_id(1 + n % 2)) for n in range(1, 9)))
    with store.read() as tx:
        first = tx.runs.of_task(task_id(1), limit=3)
        last = first[-1]
        rest = tx.runs.of_task(task_id(1), limit=3, after=(last.created_us, last.id))
    assert [row.id for row in (*first, *rest)] == [run_id(n) for n in (8, 6, 4, 2)]


def test_retries_of_a_run_are_named_oldest_first(store: Store) -> None:
    insert_runs(store, a_run(1), a_run(3, parent_id=run_id(1)), a_run(2, parent_id=run_id(1)))
    with store.read() as tx:
        assert tx.runs.retries_of(run_id(1), limit=10) == [run_id(2), run_id(3)]
        assert tx.runs.retries_of(run_id(1), limit=1) == [run_id(2)]
        assert tx.runs.retries_of(run_id(2), limit=10) == []


def test_active_runs_of_a_node_are_the_assigned_and_running(store: Store) -> None:
    insert_runs(
        store,
        a_run(1, node_id="n1", status="done", finished_us=NOW_US),
        a_run(4, node_id="n1", status="running"),
        a_run(3, node_id="n1", status="assigned"),
        a_run(2, node_id="n2", status="running"),
        a_run(5, status="queued"),
    )
    with store.read() as tx:
        assert [row.id for row in tx.runs.active_on("n1")] == [run_id(3), run_id(4)]


def test_queued_runs_come_by_priority_then_age_then_id(store: Store) -> None:
    insert_runs(
        store,
        a_run(1, created_us=5),
        a_run(2, created_us=4),
        a_run(4, created_us=4),
        a_run(3, created_us=9, priority=7),
        a_run(5, created_us=1, status="running"),
    )
    found = write(store, lambda tx: [row.id for row in tx.runs.queued(limit=3)])
    assert found == [run_id(3), run_id(2), run_id(4)]


def test_a_run_is_due_when_its_moment_has_come_and_not_before(store: Store) -> None:
    insert_runs(store, a_run(1), a_run(2), a_run(3, finished_us=NOW_US, status="done"))

    def due(now_us: int) -> list[str]:
        return write(store, lambda tx: [row.id for row in tx.runs.due(now_us, limit=10)])

    assert due(NOW_US + STALLED_US) == []
    assert due(NOW_US + STALLED_US + 1) == [run_id(1)]
    assert due(NOW_US + STALLED_US + 2) == [run_id(1), run_id(2)]


def test_no_work_puts_off_more_moments_than_is_bounded(store: Store) -> None:
    rows = insert_runs(store, *(a_run(n) for n in range(1, 40)))
    late = NOW_US + 10 * STALLED_US
    moved = [msgspec.structs.replace(row, last_activity_us=late) for row in rows[:-1]]
    for row, after in zip(rows, moved, strict=False):
        write(store, lambda tx, row=row, after=after: tx.runs.save(row, after))
    now_us = NOW_US + STALLED_US + 100
    looks = 0
    while not (due := write(store, lambda tx: tx.runs.due(now_us, limit=1))):
        looks += 1
        assert looks < 10
    assert due == rows[-1:]
    assert looks == 3


def test_a_run_whose_moment_moved_away_is_due_at_the_new_one(store: Store) -> None:
    (row,) = insert_runs(store, a_run(1))
    for seq in (1, 2, 3):
        moment = NOW_US + seq * 1_000_000
        moved = msgspec.structs.replace(row, last_seq=seq, last_activity_us=moment)
        row = write(store, lambda tx, was=row, now=moved: tx.runs.save(was, now))
    early, late = NOW_US + STALLED_US + 1_000_000, NOW_US + STALLED_US + 3_000_000
    assert write(store, lambda tx: tx.runs.due(early, limit=10)) == []
    assert write(store, lambda tx: tx.runs.due(late - 1, limit=10)) == []
    assert write(store, lambda tx: tx.runs.due(late, limit=10)) == [row]


def test_a_run_whose_moment_came_nearer_is_due_at_the_nearer_one(store: Store) -> None:
    (row,) = insert_runs(store, a_run(1, last_activity_us=NOW_US + 9_000_000))
    near = msgspec.structs.replace(row, last_activity_us=NOW_US)
    saved = write(store, lambda tx: tx.runs.save(row, near))
    assert write(store, lambda tx: tx.runs.due(NOW_US + STALLED_US, limit=10)) == [saved]


def test_an_ended_run_is_never_due(store: Store) -> None:
    (row,) = insert_runs(store, a_run(1))
    ended = msgspec.structs.replace(row, status="done", finished_us=NOW_US)
    write(store, lambda tx: tx.runs.save(row, ended))
    assert write(store, lambda tx: tx.runs.due(NOW_US * 2, limit=10)) == []


def test_steps_are_replaced_by_number_and_read_in_both_directions(store: Store) -> None:
    insert_runs(store, a_run(1))

    def fill(tx: WriteTx) -> None:
        for n in range(1, 8):
            tx.runs.put_step(run_id(1), a_step(n))
        tx.runs.put_step(run_id(1), a_step(3, status="succeeded", end_seq=9))

    write(store, fill)
    closed = a_step(3, status="succeeded", end_seq=9)
    assert write(store, lambda tx: tx.runs.step(run_id(1), 3)) == closed
    assert write(store, lambda tx: tx.runs.step(run_id(1), 99)) is None

    def numbers(after_n: int | None, before_n: int | None, limit: int) -> list[int]:
        with store.read() as tx:
            steps = tx.runs.steps(run_id(1), after_n=after_n, before_n=before_n, limit=limit)
        return [step.n for step in steps]

    assert numbers(None, None, 3) == [5, 6, 7]
    assert numbers(None, 5, 3) == [2, 3, 4]
    assert numbers(2, None, 3) == [3, 4, 5]
    assert numbers(2, 4, 9) == [3]
    assert numbers(7, None, 9) == []


def test_the_counters_a_run_moves_are_kept_in_its_commit(store: Store) -> None:
    (row,) = insert_runs(store, a_run(1))
    running = msgspec.structs.replace(row, status="running")
    _, commit = committed(store, lambda tx: tx.runs.save(row, running))
    assert commit is not None
    assert ("all", 0, "run:status:running", 1) in commit.counts
    with store.read() as tx:
        counters = {(span, name): value for span, _, name, value in tx.counters()}
    assert counters["all", "run:status:running"] == 1
    assert counters["all", "run:status:queued"] == 0


def test_runs_with_an_open_wait_are_found_at_start(store: Store) -> None:
    waiting = a_run(2, status="running", wait=a_wait())
    insert_runs(store, a_run(1), waiting)
    with store.read() as tx:
        assert [row.id for row in tx.waiting_runs()] == [run_id(2)]
