"""Groups of works in every store: one commit, each work all or nothing, one answer for each."""

import msgspec
import pytest

from runwatch_server.storage.protocols import Commit, Store, WriteTx
from runwatch_server.storage.sqlite.store import SqliteStore
from runwatch_shared.errors import ConflictError, RefusedError
from tests.storage.making import (
    NOW_US,
    a_node,
    a_run,
    a_spec,
    a_task,
    an_event,
    committed,
    insert_runs,
    run_id,
    write,
)


def only(commit: Commit | None) -> Commit:
    assert commit is not None
    return commit


def rename(name: str, number: int = 1):
    def work(tx: WriteTx) -> str:
        row = tx.runs.get(run_id(number))
        assert row is not None
        return tx.runs.save(row, msgspec.structs.replace(row, name=name)).name

    return work


def name(tx: WriteTx) -> str | None:
    row = tx.runs.get(run_id(1))
    return None if row is None else row.name


def fail_half_done(tx: WriteTx) -> None:
    rename("half done")(tx)
    tx.runs.insert(a_run(77), a_spec())
    tx.events.append(run_id(1), [an_event(99)])
    tx.tasks.insert(a_task(77))
    tx.nodes.save(a_node("n77"))
    tx.count("half", 1)
    raise RefusedError("invalid_value", "no")


def test_each_work_gets_its_own_answer(store: Store) -> None:
    insert_runs(store, a_run(1))
    outcomes, _ = store.write_group(
        [rename("a"), lambda tx: 42, lambda tx: 1 / 0, rename("b")], NOW_US
    )
    assert [outcome.value for outcome in outcomes] == ["a", 42, None, "b"]
    assert isinstance(outcomes[2].error, ZeroDivisionError)
    assert [outcome.error for outcome in outcomes[:2]] == [None, None]


def test_a_work_that_fails_half_done_undoes_only_itself(store: Store) -> None:
    insert_runs(store, a_run(1))
    outcomes, commit = store.write_group(
        [
            lambda tx: tx.tasks.insert(a_task(1)).id,
            fail_half_done,
            name,
            lambda tx: tx.nodes.save(a_node("n1")).id,
        ],
        NOW_US,
    )
    assert isinstance(outcomes[1].error, RefusedError)
    assert outcomes[2].value == "run 1", "a later work sees nothing of it"
    assert [outcome.error is None for outcome in outcomes] == [True, False, True, True]
    change = only(commit)
    assert [task.after.id for task in change.tasks if task.after] == [a_task(1).id]
    assert [node.after.id for node in change.nodes if node.after] == ["n1"]
    assert change.runs == []
    assert change.events == {}
    assert change.counts == []
    with store.read() as tx:
        row = tx.runs.get(run_id(1))
        assert row is not None
        assert row.name == "run 1"
        assert tx.runs.get(run_id(77)) is None
        assert tx.events.between(run_id(1), 0, 100) == []
        assert tx.tasks.get(a_task(77).id) is None
        assert tx.nodes.get("n77") is None
        assert "half" not in {name for _, _, name, _ in tx.counters()}
    # Nor does the writer remember anything of it.
    write(store, rename("later"))
    assert write(store, lambda tx: (tx.nodes.get("n77"), tx.tasks.get(a_task(77).id))) == (
        None,
        None,
    )


def test_a_group_in_which_every_work_fails_changes_nothing(store: Store) -> None:
    insert_runs(store, a_run(1))
    outcomes, commit = store.write_group([fail_half_done, fail_half_done], NOW_US)
    assert all(isinstance(outcome.error, RefusedError) for outcome in outcomes)
    assert commit is None
    with store.read() as tx:
        assert tx.revision() == 1


def test_a_group_that_only_reads_is_no_commit(store: Store) -> None:
    insert_runs(store, a_run(1))
    outcomes, commit = store.write_group([name], NOW_US)
    assert outcomes[0].value == "run 1"
    assert commit is None
    assert store.write_group([], NOW_US) == ([], None)


def test_what_has_no_revision_commits_without_a_new_one(store: Store) -> None:
    insert_runs(store, a_run(1))
    _, commit = committed(store, lambda tx: tx.count("ticks", 3, spans=[("minute", 60)]))
    assert only(commit).revision == 1
    assert only(commit).counts == [("minute", 60, "ticks", 3)]
    with store.read() as tx:
        assert tx.revision() == 1
        assert ("minute", 60, "ticks", 3) in tx.counters()


def test_all_works_of_a_group_share_one_revision_and_one_moment(store: Store) -> None:
    works = [
        lambda tx: (tx.tasks.insert(a_task(1)).revision, tx.now_us),
        lambda tx: (tx.nodes.save(a_node()).revision, tx.now_us),
        lambda tx: (tx.runs.insert(a_run(1), a_spec()).revision, tx.now_us),
    ]
    outcomes, commit = store.write_group(works, 1234)
    assert [outcome.value for outcome in outcomes] == [(1, 1234)] * 3
    assert (only(commit).revision, only(commit).at_us) == (1, 1234)
    with store.read() as tx:
        assert tx.revision() == 1


def test_several_changes_of_one_row_are_merged_into_one(store: Store) -> None:
    (before,) = insert_runs(store, a_run(1))
    _, commit = store.write_group([rename("a"), rename("b"), rename("c")], NOW_US)
    (change,) = only(commit).runs
    assert change.before == before
    assert change.after is not None
    assert change.after.name == "c"


def test_a_row_created_and_changed_in_one_commit_is_created_as_it_ended(store: Store) -> None:
    _, commit = store.write_group(
        [lambda tx: tx.runs.insert(a_run(1), a_spec()), rename("z")], NOW_US
    )
    (change,) = only(commit).runs
    assert change.before is None
    assert change.after is not None
    assert change.after.name == "z"


def test_a_row_created_and_deleted_in_one_commit_is_not_told(store: Store) -> None:
    def come_and_go(tx: WriteTx) -> None:
        run = tx.runs.insert(a_run(1), a_spec())
        tx.events.append(run.id, [an_event(1)])
        tx.runs.delete(run)
        tx.tasks.delete(tx.tasks.insert(a_task(1)))
        tx.nodes.delete(tx.nodes.save(a_node()))

    _, commit = committed(store, come_and_go)
    change = only(commit)
    assert (change.runs, change.tasks, change.nodes, change.events) == ([], [], [], {})
    assert change.counts == [], "what came and went counts nothing"


def test_a_deleted_run_is_told_with_what_it_was_and_without_its_events(store: Store) -> None:
    (row,) = insert_runs(store, a_run(1))

    def work(tx: WriteTx) -> None:
        tx.events.append(row.id, [an_event(1)])
        tx.runs.delete(row)

    _, commit = committed(store, work)
    (change,) = only(commit).runs
    assert (change.before, change.after) == (row, None)
    assert only(commit).events == {}


def test_counts_add_up_over_works_and_commits(store: Store) -> None:
    def add(tx: WriteTx) -> None:
        tx.count("n", 2, spans=[("all", 0), ("day", 5)])

    _, commit = store.write_group([add, add], NOW_US)
    assert sorted(only(commit).counts) == [("all", 0, "n", 4), ("day", 5, "n", 4)]
    write(store, lambda tx: tx.count("n", -1.5))
    with store.read() as tx:
        assert sorted(tx.counters()) == [("all", 0, "n", 2.5), ("day", 5, "n", 4)]


def test_a_conflict_is_the_answer_of_that_work_alone(store: Store) -> None:
    insert_runs(store, a_run(1))
    outcomes, commit = store.write_group(
        [rename("a"), lambda tx: tx.runs.insert(a_run(1), a_spec()), rename("b")], NOW_US
    )
    assert isinstance(outcomes[1].error, ConflictError)
    assert [outcomes[0].value, outcomes[2].value] == ["a", "b"]
    assert only(commit).revision == 2


def test_a_reader_sees_one_moment_while_the_writer_goes_on(store: Store) -> None:
    insert_runs(store, a_run(1))
    with store.read() as tx:
        assert tx.revision() == 1
        write(store, rename("later"))
        insert_runs(store, a_run(2))
        row = tx.runs.get(run_id(1))
        assert row is not None
        assert row.name == "run 1"
        assert tx.runs.get(run_id(2)) is None
        assert tx.revision() == 1
    with store.read() as tx:
        assert tx.revision() == 3
        assert tx.runs.get(run_id(2)) is not None


def test_what_a_reader_raises_comes_out_and_the_next_read_works(store: Store) -> None:
    insert_runs(store, a_run(1))

    def refuse() -> None:
        with store.read() as tx:
            assert tx.runs.get(run_id(1)) is not None
            raise RefusedError("not_found", "no")

    for _ in range(20):
        with pytest.raises(RefusedError):
            refuse()
    with store.read() as tx:
        assert tx.runs.get(run_id(1)) is not None


def test_the_probe_touches_the_disk_and_changes_nothing(store: Store) -> None:
    insert_runs(store, a_run(1))
    store.probe()
    with store.read() as tx:
        assert tx.revision() == 1
    assert write(store, rename("after the probe")) == "after the probe"
    if isinstance(store, SqliteStore):
        assert store.wal_bytes() > 0
