"""Kept rows in every store: found by what they are found by, told with what they were."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_server.accounts.rows import AccountRow, ActionRow, ArchiveRow
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Store, WriteTx
from runwatch_server.storage.sqlite.store import SqliteStore
from runwatch_server.storage.told import decode, encode
from runwatch_shared.models import NodeId
from tests.storage.making import NOW_US, RULES, an_account, an_action, committed, write
from tests.storage.test_plans import plans


def an_archive(number: int, **fields: Any) -> ArchiveRow:
    values: dict[str, Any] = {
        "id": f"a{number}",
        "account_id": "x",
        "created_us": NOW_US,
        "updated_us": NOW_US,
    }
    return ArchiveRow(**(values | fields))


def save(store: Store, *rows: Any) -> list[Any]:
    return write(store, lambda tx: [tx.kept(type(row)).save(row) for row in rows])


def test_a_row_is_read_as_saved_and_told_with_what_it_was(store: Store) -> None:
    first, commit = committed(store, lambda tx: tx.kept(AccountRow).save(an_account()))
    assert commit is not None
    assert first.revision == commit.revision == 1
    assert [(change.before, change.after) for change in commit.kept] == [(None, first)]
    changed = msgspec.structs.replace(
        first, status="authenticated", logged_in={NodeId("n1"): NOW_US}
    )
    saved, commit = committed(store, lambda tx: tx.kept(AccountRow).save(changed))
    assert commit is not None
    assert saved == msgspec.structs.replace(changed, revision=2)
    assert [(change.before, change.after) for change in commit.kept] == [(first, saved)]
    with store.read() as tx:
        assert tx.kept(AccountRow).get(first.id) == saved
        assert tx.kept(AccountRow).get("none") is None
        assert tx.kept(ActionRow).get(first.id) is None


def test_a_commit_is_told_to_other_servers_with_its_kept_rows(store: Store) -> None:
    _, commit = committed(store, lambda tx: tx.kept(AccountRow).save(an_account()))
    assert commit is not None
    assert decode(encode(commit)).kept_changes() == commit.kept


def test_kinds_that_are_not_told_take_no_revision(store: Store) -> None:
    row, commit = committed(store, lambda tx: tx.kept(ArchiveRow).save(an_archive(1)))
    assert commit is not None
    assert (row.revision, commit.revision, commit.kept) == (0, 0, [])
    assert write(store, lambda tx: tx.kept(ArchiveRow).delete("a1"))
    assert not write(store, lambda tx: tx.kept(ArchiveRow).delete("a1"))
    with store.read() as tx:
        assert tx.kept(ArchiveRow).get("a1") is None
        assert tx.changed_since(0, limit=9).removed == []  # type: ignore[union-attr]  # a few


def test_a_work_that_fails_leaves_nothing_of_its_rows(store: Store) -> None:
    def work(tx: WriteTx) -> None:
        tx.kept(AccountRow).save(an_account())
        raise ValueError("no")

    outcomes, commit = store.write_group([work], NOW_US)
    assert isinstance(outcomes[0].error, ValueError)
    assert commit is None
    with store.read() as tx:
        assert tx.kept(AccountRow).find(limit=9) == []


def test_a_feed_that_resumes_hears_of_changed_and_removed_rows(store: Store) -> None:
    account, action, _ = save(store, an_account(), an_action(), an_archive(1))
    with store.read() as tx:
        changed = tx.changed_since(0, limit=9)
        assert changed is not None
        assert sorted(row.key for row in changed.kept) == sorted([account.key, action.key])
        assert tx.changed_since(0, limit=1) is None
    assert write(store, lambda tx: tx.kept(ActionRow).delete(action.id))
    with store.read() as tx:
        changed = tx.changed_since(1, limit=9)
        assert changed is not None
        assert [(gone.kind, gone.id, gone.revision) for gone in changed.removed] == [
            ("action", action.id, 2)
        ]
        assert changed.kept == []
    save(store, action)
    with store.read() as tx:
        assert tx.changed_since(0, limit=9).removed == []  # type: ignore[union-attr]  # a few


def test_rows_are_found_by_what_they_are_found_by(store: Store) -> None:
    rows = save(
        store,
        an_action(3, node_id="n2"),
        an_action(1),
        an_action(2, status="waiting"),
        an_action(4, status="failed", finished_us=NOW_US, account_id="b", type="api_key"),
        an_account("zoe"),
    )
    third, first, second, fourth, zoe = rows

    def found(**asked: Any) -> list[ActionRow]:
        with store.read() as tx:
            return tx.kept(ActionRow).find(**({"limit": 9} | asked))

    assert found() == [first, second, third, fourth]
    assert found(newest_first=True, limit=2) == [fourth, third]
    assert found(node_id="n1") == [first, second, fourth]
    assert found(node_id="n1", status=("assigned", "waiting")) == [first, second]
    assert found(status=()) == []
    assert found(account_id="b", name="api_key") == [fourth]
    assert found(account_id="b", name="oauth") == []
    assert found(after=(second.created_us, second.id), limit=1) == [third]
    assert found(newest_first=True, after=(second.created_us, second.id)) == [first]
    with store.read() as tx:
        assert tx.kept(AccountRow).find(name="zoe", limit=9) == [zoe]
        assert tx.kept(ActionRow).due(NOW_US + 900_000_000, limit=2) == [first, second]
        assert tx.kept(ActionRow).due(NOW_US, limit=9) == []


def test_rows_of_one_moment_are_paged_by_their_id(store: Store) -> None:
    rows = save(store, *(an_action(number, created_us=NOW_US) for number in (2, 1, 3)))
    with store.read() as tx:
        kept = tx.kept(ActionRow)
        assert kept.find(after=(NOW_US, "act-000000000001"), limit=9) == [rows[0], rows[2]]
        back = kept.find(newest_first=True, after=(NOW_US, "act-000000000003"), limit=9)
        assert back == [rows[0], rows[1]]


Step = tuple[str, int, str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["save", "save", "delete", "fail"]),
        st.integers(1, 4),
        st.sampled_from(["pending", "authenticated", "expired"]),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(groups=st.lists(STEPS, max_size=4))
def test_any_changes_leave_what_they_come_to(groups: list[list[Step]]) -> None:
    """The rows, and each commit's befores and afters, are those of a dictionary."""
    store = open_store("sqlite:///:memory:", rules=RULES, synchronous="full")
    there: dict[str, AccountRow] = {}
    try:
        for steps in groups:
            before = dict(there)
            works = [_work(step, there) for step in steps]
            _, commit = store.write_group(works, NOW_US)
            told = (
                {}
                if commit is None
                else {
                    (change.before or change.after).id: (change.before, change.after)  # type: ignore[union-attr]  # one is
                    for change in commit.kept
                }
            )
            with store.read() as tx:
                now = {row.id: row for row in tx.kept(AccountRow).find(limit=99)}
            assert {key: row.status for key, row in now.items()} == {
                key: row.status for key, row in there.items()
            }
            for key, (old, new) in told.items():
                assert (old, new) == (before.get(key), now.get(key))
            there = now
    finally:
        store.close()


def _work(step: Step, there: dict[str, AccountRow]) -> Callable[[WriteTx], object]:
    what, number, status = step
    row = an_account(f"a{number}", status=status)
    if what == "save":
        there[row.id] = row
    elif what == "delete":
        there.pop(row.id, None)

    def work(tx: WriteTx) -> object:
        if what == "delete":
            return tx.kept(AccountRow).delete(row.id)
        tx.kept(AccountRow).save(row)
        if what == "fail":
            raise ValueError("no")
        return None

    return work


@pytest.mark.parametrize(
    "work",
    [
        lambda tx: tx.kept(ActionRow).find(limit=9),
        lambda tx: tx.kept(ActionRow).find(node_id="n1", status=("assigned",), limit=9),
        lambda tx: tx.kept(ActionRow).find(account_id="a", newest_first=True, limit=9),
        lambda tx: tx.kept(ActionRow).find(name="a", after=(1, "b"), limit=9),
        lambda tx: tx.kept(ActionRow).due(NOW_US, limit=9),
        lambda tx: tx.changed_since(5, limit=9).kept,
    ],
)
def test_every_question_has_its_index(tmp_path: Any, work: Any) -> None:
    store = SqliteStore.open(tmp_path / "runwatch.db", RULES)
    try:
        kept = [line for line in plans(store, work).splitlines() if "kept" in line]
        assert kept
        assert all("USING INDEX" in line for line in kept)
    finally:
        store.close()
