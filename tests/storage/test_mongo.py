"""What only the store on MongoDB does: a journal that is replayed, several servers, sweeping."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from pymongo.errors import OperationFailure

from runwatch_server.rows import RunFold
from runwatch_server.storage import migrating
from runwatch_server.storage.mongo import connecting, heading
from runwatch_server.storage.mongo import journal as journals
from runwatch_server.storage.mongo import store as stores
from runwatch_server.storage.mongo.journal import Journal
from runwatch_server.storage.mongo.store import MongoStore
from runwatch_server.storage.protocols import Commit, Query, WriteTx
from runwatch_shared.errors import ConflictError, StoreUnavailableError
from runwatch_shared.wire import WORKFLOW_SORTS
from tests.mongo import MongoServer, named
from tests.storage.making import (
    NOW_US,
    RULES,
    a_run,
    a_spec,
    a_step,
    a_task,
    a_wait,
    an_event,
    insert_runs,
    run_id,
    used,
    write,
)
from tests.storage.test_groups import name, rename

Opened = Callable[[], MongoStore]


@pytest.fixture
def opened(mongo_server: MongoServer) -> Iterator[Opened]:
    """Opens one server after another on one new database."""
    url = mongo_server.emptied()
    with ExitStack() as stack:

        def open_one() -> MongoStore:
            store = MongoStore.open(url, RULES)
            stack.callback(store.close)
            return store

        yield open_one


def begin(tx: WriteTx) -> None:
    row = tx.runs.insert(a_run(1), a_spec())
    tx.events.append(row.id, [an_event(1), an_event(2)])
    tx.tasks.insert(a_task(1))
    tx.runs.put_step(row.id, a_step(1))


def follow(store: MongoStore) -> None:
    store.join()
    with store.read() as tx:
        store.follow(tx, lambda: None)


def test_a_group_whose_server_was_killed_after_the_commit_is_whole_for_the_next(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, beside = opened(), opened()
    applied = Journal._write
    written = 0

    def cut(self: Journal, *arguments: Any) -> None:
        nonlocal written
        written += 1
        if written == 3:
            raise StoreUnavailableError("killed")
        applied(self, *arguments)

    monkeypatch.setattr(Journal, "_write", cut)
    with pytest.raises(StoreUnavailableError):
        write(first, begin)
    monkeypatch.undo()
    with beside.read() as tx:
        assert (tx.revision(), tx.runs.get(run_id(1)), tx.counters()) == (0, None, [])
        assert tx.events.between(run_id(1), 0, 9) == []
        assert tx.runs.page(Query()) == []
    after = opened()
    with after.read() as tx:
        assert tx.revision() == 1
        assert [event.seq for event in tx.events.between(run_id(1), 0, 9)] == [1, 2]
        assert tx.tasks.get(a_task(1).id) is not None
        assert [row.id for row in tx.runs.page(Query())] == [run_id(1)]
    assert write(beside, name) == "run 1"


def test_of_servers_that_race_none_loses_a_write_and_none_overwrites_another(
    opened: Opened,
) -> None:
    servers = [opened() for _ in range(3)]
    insert_runs(servers[0], a_run(1))
    failures: list[BaseException] = []

    def append(tx: WriteTx) -> None:
        row = tx.runs.get(run_id(1))
        assert row is not None
        after = msgspec.structs.replace(row, last_seq=row.last_seq + 1)
        tx.runs.save(row, after, RunFold(steps=after.last_seq))
        tx.events.append(row.id, [an_event(after.last_seq)])
        tx.count("appended", 1)

    def work(store: MongoStore) -> None:
        try:
            for _ in range(15):
                write(store, append)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(each,)) for each in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    for store in servers:
        with store.read() as tx:
            row = tx.runs.get(run_id(1))
            assert row is not None
            assert (row.last_seq, row.revision, tx.revision()) == (45, 46, 46)
            assert [each.seq for each in tx.events.between(row.id, 0, 99)] == [*range(1, 46)]
            assert tx.runs.fold(row.id).steps == 45
            assert ("all", 0, "appended", 45.0) in tx.counters()


def test_only_one_of_two_servers_gives_a_run_away(opened: Opened) -> None:
    one, other = opened(), opened()
    (row,) = insert_runs(one, a_run(1))
    taken = msgspec.structs.replace(row, epoch=1, status="assigned")
    write(one, lambda tx: tx.runs.save(row, taken))
    with pytest.raises(ConflictError):
        write(other, lambda tx: tx.runs.save(row, taken))


def test_an_entry_that_is_applied_again_late_changes_nothing(opened: Opened) -> None:
    store = opened()
    write(store, begin)

    def change(tx: WriteTx) -> None:
        rename("newer")(tx)
        task = tx.tasks.get(a_task(1).id)
        assert task is not None
        tx.tasks.delete(task)

    write(store, change)
    write(store, lambda tx: tx.events.remove_oldest(run_id(1), limit=1))
    journal = Journal(store._database)
    for numbered in list(journal.after(0)):
        journal.apply(numbered, journals.now_s())
    assert journal.applied() == 3
    again = opened()
    with again.read() as tx:
        row = tx.runs.get(run_id(1))
        assert row is not None
        assert row.name == "newer"
        assert tx.tasks.get(a_task(1).id) is None
        assert [event.seq for event in tx.events.between(run_id(1), 0, 9)] == [2]


def test_a_snapshot_sees_nothing_of_what_is_half_applied(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, reading = opened(), opened()
    insert_runs(store, *(a_run(number) for number in range(1, 6)))
    seen: list[tuple[int, list[str], int]] = []
    applied = Journal._write

    def look_between(self: Journal, *arguments: Any) -> None:
        applied(self, *arguments)
        with reading.read() as tx:
            names = [row.name for row in tx.runs.page(Query(sort="name", descending=False))]
            events = len(tx.events.between(run_id(2), 0, 9))
            seen.append((tx.revision(), names, events))

    def change(tx: WriteTx) -> None:
        rename("aaa", 5)(tx)
        row = tx.runs.get(run_id(1))
        assert row is not None
        tx.runs.delete(row)
        tx.events.append(run_id(2), [an_event(1)])
        tx.runs.insert(a_run(9), a_spec())

    monkeypatch.setattr(Journal, "_write", look_between)
    write(store, change)
    monkeypatch.undo()
    assert len(seen) > 4
    before = (1, [f"run {number}" for number in range(1, 6)], 0)
    assert seen == [before] * len(seen)
    with reading.read() as tx:
        names = [row.name for row in tx.runs.page(Query(sort="name", descending=False))]
        assert names == ["aaa", "run 2", "run 3", "run 4", "run 9"]


def test_a_group_too_large_for_one_document_is_still_one(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "PART_BYTES", 500)
    store = opened()
    write(store, begin)
    assert store._database["journal_parts"].count_documents({}) > 2
    journal = Journal(store._database)
    (numbered,) = journal.after(0)
    assert {op.kind for op in numbered.entry.ops} >= {"runs", "tasks", "steps", "logs"}
    other = msgspec.structs.replace(numbered, token="another")
    assert not journal.insert(other), "who loses leaves no parts"
    left = store._database["journal_parts"].count_documents({})
    journal.sweep(1)
    assert (left > 2, store._database["journal_parts"].count_documents({})) == (True, 0)


def test_what_one_server_commits_the_other_is_told_whole_and_once(opened: Opened) -> None:
    one, other = opened(), opened()
    follow(other)
    commits: list[Commit | None] = []
    for work in (begin, rename("new"), lambda tx: tx.count("n", 2)):
        (_,), commit = one.write_group([work], NOW_US)
        commits.append(commit)
    assert other.told() == commits
    assert other.told() == []
    write(one, rename("newer"))
    assert write(other, name) == "newer"
    assert [commit.revision for commit in other.told_before()] == [3]


def test_a_commit_whose_answer_was_lost_is_told_to_its_own_server(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    follow(store)

    def lose(self: Journal, *arguments: Any) -> None:
        raise StoreUnavailableError("cut")

    monkeypatch.setattr(Journal, "apply", lose)
    with pytest.raises(StoreUnavailableError):
        write(store, begin)
    monkeypatch.undo()
    (commit,) = store.told()
    assert [event.seq for event in commit.events[run_id(1)]] == [1, 2]
    assert write(store, name) == "run 1"


def test_an_entry_sent_twice_is_one_commit(opened: Opened) -> None:
    store = opened()
    write(store, begin)
    journal = Journal(store._database)
    (numbered,) = journal.after(0)
    assert journal.insert(numbered)
    assert not journal.insert(msgspec.structs.replace(numbered, token="another"))


ASKED = [
    Query(),
    Query(ids=(run_id(1), run_id(7))),
    Query(state=("running", "waiting")),
    Query(status=("done",), node=("n1",)),
    Query(health=("stalled",)),
    Query(waiting=True),
    Query(active=False),
    Query(labels={"team": "blue"}),
    Query(labels={"team": None, "env": "prod"}),
    Query(q="RUN 1"),
    Query(q="[.*"),
    Query(since_us=NOW_US + 3, until_us=NOW_US + 6),
    Query(limit=3, offset=2),
    *(Query(sort=sort, descending=down) for sort in WORKFLOW_SORTS for down in (True, False)),
    Query(sort="cost_usd", after=(0.5, run_id(3)), descending=False),
    Query(sort="cost_usd", after=(None, run_id(3)), descending=False),
    Query(sort="attention", after=(1, NOW_US + 5, run_id(5))),
]


def test_what_a_work_wrote_is_listed_to_it_as_to_a_reader_afterwards(opened: Opened) -> None:
    store = opened()
    insert_runs(store, *(a_run(number) for number in range(6)))

    def work(tx: WriteTx) -> list[tuple[list[str], int]]:
        rows = [
            a_run(6, status="done", node_id="n1", finished_us=NOW_US, usage=used(5, 0.5)),
            a_run(7, status="running", node_id="n1", wait=a_wait(), labels={"team": "blue"}),
            a_run(8, status="running", labels={"team": "red", "env": "prod"}, name="a [.* b"),
            a_run(9, status="running", health="stalled", usage=used(7, 0.25)),
        ]
        for row in rows:
            tx.runs.insert(row, a_spec())
        rename("aaa", 3)(tx)
        gone = tx.runs.get(run_id(2))
        changed = tx.runs.get(run_id(4))
        assert gone is not None
        assert changed is not None
        tx.runs.delete(gone)
        tx.runs.save(changed, msgspec.structs.replace(changed, usage=used(9, 0.75)))
        return listed(tx)

    def listed(tx: Any) -> list[tuple[list[str], int]]:
        return [
            ([row.id for row in tx.runs.page(query)], tx.runs.count(query, at_most=99))
            for query in ASKED
        ]

    # Totals that counters tell are as of the commit before, in every store.
    within = [ids for ids, _ in write(store, work)]
    with store.read() as tx:
        after = listed(tx)
    assert within == [ids for ids, _ in after]
    assert len({tuple(ids) for ids in within}) > 12


def test_an_entry_that_the_majority_does_not_have_yet_is_waited_for(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    write(store, begin)
    journal = Journal(store._database)
    (numbered,) = journal.after(0)
    real = Journal.token_of
    asked = 0

    def late(self: Journal, number: int) -> str | None:
        nonlocal asked
        asked += 1
        return None if asked < 3 else real(self, number)

    monkeypatch.setattr(Journal, "token_of", late)
    assert journal.insert(numbered), "it is this group's own, sent before"
    monkeypatch.setattr(journals, "SEEN_WITHIN_S", -1.0)
    asked = 0
    with pytest.raises(StoreUnavailableError, match="majority"):
        journal.insert(numbered)


def test_what_another_server_is_doing_is_left_to_it_and_done_when_it_stays_away(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = opened(), opened()
    follow(other)

    def die(self: Journal, *arguments: Any) -> None:
        raise StoreUnavailableError("killed")

    monkeypatch.setattr(Journal, "apply", die)
    with pytest.raises(StoreUnavailableError, match="killed"):
        write(one, begin)
    assert other.told() == []
    monkeypatch.undo()
    monkeypatch.setattr(stores, "LEFT_AFTER_S", -1.0)
    assert [commit.revision for commit in other.told()] == [1]
    with one.read() as tx:
        assert tx.runs.get(run_id(1)) is not None


def test_an_entry_of_another_version_is_refused_in_words(opened: Opened) -> None:
    one, other = opened(), opened()
    write(one, begin)
    one._database["journal"].update_one({}, {"$set": {"body": b"\xc1"}})
    with pytest.raises(StoreUnavailableError, match="another version"):
        write(other, name)


def test_sweeping_takes_only_what_nobody_can_see(opened: Opened) -> None:
    store = opened()
    write(store, begin)
    write(store, lambda tx: tx.events.remove_oldest(run_id(1), limit=1))
    write(store, lambda tx: tx.tasks.delete(a_task(1)))
    journal = Journal(store._database)
    assert store._database["events"].count_documents({}) == 2
    assert not journal.sweep(3)
    assert store._database["events"].count_documents({}) == 1
    assert store._database["tasks"].count_documents({}) == 0
    assert list(journal.after(0)) == []
    write(store, rename("after"))
    with opened().read() as tx:
        assert [event.seq for event in tx.events.between(run_id(1), 0, 9)] == [2]
        row = tx.runs.get(run_id(1))
        assert row is not None
        assert row.name == "after"


def test_a_server_that_missed_what_is_no_longer_kept_says_so(opened: Opened) -> None:
    one, other, unaware = opened(), opened(), opened()
    follow(other)
    other.told()
    assert other._company is not None
    for number in range(1, 4):
        insert_runs(one, a_run(number))
    Journal(one._database).sweep(2)
    with pytest.raises(StoreUnavailableError, match="started again"):
        other.told()
    with pytest.raises(StoreUnavailableError, match="started again"):
        other.probe()
    assert write(unaware, name) == "run 1", "who is told nothing needs nothing"


def test_a_server_whose_database_was_put_back_to_an_earlier_state_says_so(opened: Opened) -> None:
    one, other = opened(), opened()
    follow(other)
    for number in range(1, 4):
        insert_runs(one, a_run(number))
    other.told()
    for number in (2, 3):
        one._database["journal"].delete_one({"_id": f"{number:016x}"})
    one._database["meta"].update_one({"_id": "head"}, {"$set": {"applied": 1}})
    with pytest.raises(StoreUnavailableError, match="earlier state"):
        other.told()
    again = opened()
    for number in range(4, 8):
        write(again, lambda tx, by=number: tx.count("n", by))
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="started again"):
            other.told()


def test_a_database_that_is_late_for_a_moment_is_waited_for(opened: Opened) -> None:
    store = opened()
    write(store, begin)
    meta = store._database["meta"]
    meta.update_one({"_id": "head"}, {"$set": {"applied": 0}})
    with pytest.raises(StoreUnavailableError, match="behind"):
        write(store, name)
    meta.update_one({"_id": "head"}, {"$set": {"applied": 1}})
    assert write(store, name) == "run 1"


def test_a_number_the_database_has_no_room_for_fails_only_its_own_work(opened: Opened) -> None:
    store = opened()
    insert_runs(store, a_run(1))
    outcomes, _ = store.write_group(
        [lambda tx: tx.runs.insert(a_run(2, priority=2**63), a_spec()), rename("new")], NOW_US
    )
    assert isinstance(outcomes[0].error, OverflowError)
    assert outcomes[1].value == "new"


@pytest.mark.parametrize(("code", "words"), [(2, "on disk"), (13, "let this user in"), (18, "in")])
def test_a_server_that_does_not_promise_what_is_needed_is_refused_with_the_reason(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(database: Any) -> None:
        raise OperationFailure("no", code)

    monkeypatch.setattr(connecting, "probe", refuse)
    with pytest.raises(StoreUnavailableError, match=words):
        opened()


def test_only_one_server_has_the_upkeep_and_gives_it_up_when_it_closes(opened: Opened) -> None:
    one, other = opened(), opened()
    follow(one)
    follow(other)
    assert one._company is not None
    assert other._company is not None
    companies = (one._company, other._company)
    for each in (*companies, *companies):
        each._beat()
    holding = [each.has_upkeep() for each in companies]
    assert sorted(holding) == [False, True]
    holder, waiting = (one, other) if holding[0] else (other, one)
    holder.close()
    assert waiting._company is not None
    waiting._company._beat()
    assert waiting.has_upkeep()


def test_missing_indexes_are_made_and_extra_ones_told_and_kept(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    store._database["runs"].drop_index("by_state")
    store._database["runs"].create_index([("mine", 1)], name="mine")
    try:
        with caplog.at_level("WARNING"):
            opened()
        there = set(store._database["runs"].index_information())
        assert {"by_state", "mine"} <= there
        assert [record.getMessage() for record in caplog.records if "mine" in record.getMessage()]
    finally:
        store._database["runs"].drop_index("mine")


def test_there_is_nothing_to_migrate() -> None:
    url = "mongodb://a:1,b:2/runwatch"
    assert migrating.migrate(url) == []
    assert migrating.standing_of(url).missing == []
    assert migrating.is_without_schema(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mongodb://h:1", "mongodb://h:1/x"),
        ("mongodb://a,b/?replicaSet=r", "mongodb://a,b/x?replicaSet=r"),
        ("mongodb://u:p@h/d", "mongodb://u:p@h/x?authSource=d"),
        ("mongodb://u:p@h?ssl=true", "mongodb://u:p@h/x?ssl=true&authSource=admin"),
    ],
)
def test_tests_have_a_database_of_their_own_on_any_server(url: str, expected: str) -> None:
    assert named(url, "x") == expected


def test_what_another_version_wrote_is_refused(opened: Opened) -> None:
    store = opened()
    store._database["meta"].update_one({"_id": "store"}, {"$set": {"format": heading.FORMAT + 1}})
    with pytest.raises(StoreUnavailableError, match="another version"):
        opened()


def test_every_write_waits_for_the_majority_and_its_journal(opened: Opened) -> None:
    concern = opened()._database.write_concern.document
    assert (concern["w"], concern["j"]) == ("majority", True)
