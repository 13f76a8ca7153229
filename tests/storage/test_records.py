"""Tasks, nodes, leases, access and replays in every store."""

import msgspec
import pytest

from runwatch_server.rows import ReplayRow, SessionRow, TokenRow, UserRow
from runwatch_server.storage.protocols import Store, WriteTx
from runwatch_shared.errors import ConflictError
from tests.storage.making import (
    NOW_US,
    a_lease,
    a_node,
    a_task,
    committed,
    run_id,
    task_id,
    write,
)


def a_user(key: str = "user-1", **fields: object) -> UserRow:
    values = {
        "id": key,
        "email": f"{key}@example.org",
        "username": key,
        "role": "user",
        "scope": "viewer",
        "password_hash": "h",
        "created_us": NOW_US,
        "updated_us": NOW_US,
    }
    return UserRow(**(values | fields))  # type: ignore[arg-type]


def a_session(key: str, user_id: str = "user-1", **fields: object) -> SessionRow:
    values = {"id": key, "user_id": user_id, "created_us": NOW_US, "expires_us": NOW_US + 100}
    return SessionRow(**(values | fields))  # type: ignore[arg-type]


def a_token(key: str = "00000001", **fields: object) -> TokenRow:
    values = {
        "id": key,
        "name": "ci",
        "scope": "operator",
        "secret_sha256": "ab",
        "created_us": NOW_US,
        "created_by": "admin",
    }
    return TokenRow(**(values | fields))  # type: ignore[arg-type]


def a_replay(key: str = "k", **fields: object) -> ReplayRow:
    values = {
        "principal": "user-1",
        "route": "POST /tasks",
        "key": key,
        "body_sha256": "aa",
        "status": 201,
        "body": b'{"id":"task-1"}\x00',
        "at_us": NOW_US,
    }
    return ReplayRow(**(values | fields))  # type: ignore[arg-type]


def test_a_task_is_read_as_saved_and_told_with_what_it_was(store: Store) -> None:
    row = write(store, lambda tx: tx.tasks.insert(a_task(1, labels={"a": "1"})))
    assert row.revision == 1
    changed = msgspec.structs.replace(row, status="completed", labels={"b": "2"})
    saved, commit = committed(store, lambda tx: tx.tasks.save(changed))
    assert commit is not None
    assert saved == msgspec.structs.replace(changed, revision=2)
    assert [(change.before, change.after) for change in commit.tasks] == [(row, saved)]
    with store.read() as tx:
        assert tx.tasks.get(row.id) == saved
        assert tx.tasks.get("task-none") is None


def test_a_task_that_is_gone_cannot_be_saved_or_deleted_again(store: Store) -> None:
    row = write(store, lambda tx: tx.tasks.insert(a_task(1)))
    _, commit = committed(store, lambda tx: tx.tasks.delete(row))
    assert commit is not None
    assert [(change.before, change.after) for change in commit.tasks] == [(row, None)]
    with pytest.raises(ConflictError):
        write(store, lambda tx: tx.tasks.save(row))
    with pytest.raises(ConflictError):
        write(store, lambda tx: tx.tasks.delete(row))


def test_children_of_a_task_come_oldest_first(store: Store) -> None:
    rows = [a_task(1), a_task(3, parent_id=task_id(1)), a_task(2, parent_id=task_id(1))]
    write(store, lambda tx: [tx.tasks.insert(row) for row in rows])
    with store.read() as tx:
        assert [row.id for row in tx.tasks.children(task_id(1))] == [task_id(2), task_id(3)]
        assert tx.tasks.children(task_id(2)) == []


def test_a_node_is_inserted_or_replaced_and_told_with_what_it_was(store: Store) -> None:
    first, commit = committed(store, lambda tx: tx.nodes.save(a_node("n1")))
    assert commit is not None
    assert [(change.before, change.after) for change in commit.nodes] == [(None, first)]
    draining = msgspec.structs.replace(first, admin_status="draining", active_runs=2)
    second, commit = committed(store, lambda tx: tx.nodes.save(draining))
    assert commit is not None
    assert [(change.before, change.after) for change in commit.nodes] == [(first, second)]
    write(store, lambda tx: tx.nodes.save(a_node("a0")))
    with store.read() as tx:
        assert tx.nodes.get("n1") == second
        assert tx.nodes.get("n9") is None
        assert [node.id for node in tx.nodes.all()] == ["a0", "n1"]


def test_a_deleted_node_is_known_by_its_process_until_it_is_back(store: Store) -> None:
    row = write(store, lambda tx: tx.nodes.save(a_node("n1", process_id="p-1")))
    write(store, lambda tx: tx.nodes.delete(row))
    with store.read() as tx:
        assert tx.nodes.get("n1") is None
        assert tx.nodes.deleted_process("n1") == "p-1"
        assert tx.nodes.deleted_process("n2") is None
    with pytest.raises(ConflictError):
        write(store, lambda tx: tx.nodes.delete(row))
    write(store, lambda tx: tx.nodes.save(a_node("n1", process_id="p-2")))
    with store.read() as tx:
        assert tx.nodes.deleted_process("n1") is None
        changed = tx.changed_since(0, limit=10)
    assert changed is not None
    assert changed.removed == [], "what is back is not reported as removed"


def test_a_lease_is_put_renewed_moved_and_dropped(store: Store) -> None:
    write(store, lambda tx: tx.leases.put(a_lease(1)))
    write(store, lambda tx: tx.leases.put(a_lease(2, node_id="n2")))
    renewed = a_lease(1, expires_us=NOW_US + 90)
    _, commit = committed(store, lambda tx: tx.leases.put(renewed))
    assert commit is not None
    assert (commit.revision, commit.runs) == (0, []), "a renewal is no change of the run"
    moved = a_lease(1, epoch=2, node_id="n2", expires_us=NOW_US + 99)
    with store.read() as tx:
        assert tx.leases.get(run_id(1)) == renewed
        assert tx.leases.of_node("n1") == [renewed]
    write(store, lambda tx: tx.leases.put(moved))
    with store.read() as tx:
        assert tx.leases.get(run_id(1)) == moved
        assert tx.leases.of_node("n1") == []
        assert {lease.run_id for lease in tx.leases.of_node("n2")} == {run_id(1), run_id(2)}
    write(store, lambda tx: tx.leases.drop(run_id(1)))
    write(store, lambda tx: tx.leases.drop(run_id(1)))
    with store.read() as tx:
        assert tx.leases.get(run_id(1)) is None


def test_expired_leases_come_longest_first(store: Store) -> None:
    moments = {1: 30, 2: 10, 3: 20, 4: 40}
    for number, moment in moments.items():
        write(store, lambda tx, n=number, at=moment: tx.leases.put(a_lease(n, expires_us=at)))
    with store.read() as tx:
        assert [lease.expires_us for lease in tx.leases.expired(30, limit=9)] == [10, 20, 30]
        assert [lease.expires_us for lease in tx.leases.expired(30, limit=2)] == [10, 20]
        assert tx.leases.expired(9, limit=9) == []
    assert write(store, lambda tx: len(tx.leases.expired(40, limit=9))) == 4


def test_a_user_is_found_by_id_and_by_mail(store: Store) -> None:
    user = a_user("user-1")
    write(store, lambda tx: tx.access.save_user(user))
    changed = msgspec.structs.replace(user, email="new@example.org", status="disabled")
    write(store, lambda tx: tx.access.save_user(changed))
    write(store, lambda tx: tx.access.save_user(a_user("user-0", created_us=NOW_US + 1)))
    with store.read() as tx:
        assert tx.access.user("user-1") == changed
        assert tx.access.user_by_email("new@example.org") == changed
        assert tx.access.user_by_email(user.email) is None
        assert tx.access.user("user-9") is None
        assert [row.id for row in tx.access.users()] == ["user-1", "user-0"]


def test_two_users_cannot_have_one_mail(store: Store) -> None:
    write(store, lambda tx: tx.access.save_user(a_user("user-1")))
    with pytest.raises(ConflictError):
        write(store, lambda tx: tx.access.save_user(a_user("user-2", email="user-1@example.org")))


def test_ending_sessions_of_a_user_spares_one_and_keeps_earlier_ends(store: Store) -> None:
    ended = a_session("s0", ended_us=7)
    rows = [ended, a_session("s1"), a_session("s2"), a_session("other", "user-2")]

    def work(tx: WriteTx) -> None:
        for row in rows:
            tx.access.save_session(row)
        tx.access.end_sessions("user-1", but="s2", at_us=50)

    write(store, work)
    with store.read() as tx:
        assert tx.access.session("s0") == ended
        assert tx.access.session("s1") == a_session("s1", ended_us=50)
        assert tx.access.session("s2") == rows[2]
        assert tx.access.session("other") == rows[3]
        assert tx.access.session("none") is None
    write(store, lambda tx: tx.access.end_sessions("user-1", but=None, at_us=60))
    with store.read() as tx:
        assert tx.access.session("s2") == a_session("s2", ended_us=60)


def test_a_tokens_last_use_never_goes_back(store: Store) -> None:
    write(store, lambda tx: tx.access.save_token(a_token("1")))
    write(store, lambda tx: tx.access.save_token(a_token("2", created_us=NOW_US - 1)))
    write(store, lambda tx: tx.access.touch_tokens({"1": 50, "none": 1}))
    write(store, lambda tx: tx.access.touch_tokens({"1": 40, "2": 9}))
    with store.read() as tx:
        assert tx.access.token("1") == a_token("1", last_used_us=50)
        assert [(row.id, row.last_used_us) for row in tx.access.tokens()] == [("2", 9), ("1", 50)]
        assert tx.access.token("none") is None
    revoked = a_token("1", last_used_us=50, revoked_us=60)
    write(store, lambda tx: tx.access.save_token(revoked))
    with store.read() as tx:
        assert tx.access.token("1") == revoked


def test_an_answer_is_kept_by_principal_route_and_key(store: Store) -> None:
    write(store, lambda tx: tx.replays.put(a_replay()))

    def get(*key: str) -> ReplayRow | None:
        return write(store, lambda tx: tx.replays.get(*key))

    assert get("user-1", "POST /tasks", "k") == a_replay()
    assert get("user-2", "POST /tasks", "k") is None
    assert get("user-1", "POST /runs", "k") is None
    assert get("user-1", "POST /tasks", "other") is None


def test_pruning_removes_what_is_old_and_nothing_else(store: Store) -> None:
    def fill(tx: WriteTx) -> None:
        tx.count("a", 1, spans=[("all", 0), ("day", 10), ("minute", 10), ("minute", 90)])
        tx.count("b", 1, spans=[("day", 90)])
        tx.replays.put(a_replay("old", at_us=10))
        tx.replays.put(a_replay("new", at_us=90))
        tx.access.save_session(a_session("expired", expires_us=10))
        tx.access.save_session(a_session("ended", expires_us=90, ended_us=10))
        tx.access.save_session(a_session("open", expires_us=90))

    write(store, fill)

    def prune(tx: WriteTx, limit: int = 100) -> int:
        return tx.housekeeping.prune(
            minutes_before_us=50,
            days_before_us=50,
            tombstones_before_us=50,
            replays_before_us=50,
            sessions_before_us=50,
            limit=limit,
        )

    assert write(store, prune) == 5
    assert write(store, prune) == 0
    with store.read() as tx:
        left = sorted((span, start, name) for span, start, name, _ in tx.counters())
        assert left == [("all", 0, "a"), ("day", 90, "b"), ("minute", 90, "a")]
        assert tx.access.session("expired") is None
        assert tx.access.session("ended") is None
        assert tx.access.session("open") is not None
    kept = write(store, lambda tx: tx.replays.get("user-1", "POST /tasks", "new"))
    assert kept == a_replay("new", at_us=90)


def test_pruning_takes_a_bounded_piece_at_once(store: Store) -> None:
    write(store, lambda tx: [tx.replays.put(a_replay(f"k{n}", at_us=n)) for n in range(10)])

    def prune(tx: WriteTx) -> int:
        return tx.housekeeping.prune(
            minutes_before_us=0,
            days_before_us=0,
            tombstones_before_us=0,
            replays_before_us=100,
            sessions_before_us=0,
            limit=4,
        )

    assert [write(store, prune) for _ in range(4)] == [4, 4, 2, 0]
