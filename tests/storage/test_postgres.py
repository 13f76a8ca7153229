"""What only the store on PostgreSQL has: days of events, being told of others, lost connections."""

from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from runwatch_server.rows import RunRow
from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.postgres.store import PostgresStore
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import StoreUnavailableError
from tests.postgres import Cluster
from tests.processes import wait_until
from tests.storage.making import (
    NOW_US,
    RULES,
    a_run,
    an_event,
    committed,
    insert_runs,
    run_id,
    write,
)


@pytest.fixture
def url(postgres_cluster: Cluster) -> str:
    return postgres_cluster.database()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore.open(url, RULES)) as store:
        yield store


def following(url: str) -> PostgresStore:
    """A server's store that has just loaded what there is."""
    store = PostgresStore.open(url, RULES)
    store.join()
    with store.read() as tx:
        store.follow(tx, lambda: None)
    return store


def append(tx: WriteTx, run: RunRow, first: int, last: int) -> None:
    known = tx.runs.get(run.id)
    assert known is not None
    tx.runs.save(known, msgspec.structs.replace(known, last_seq=last))
    tx.events.append(run.id, [an_event(seq) for seq in range(first, last + 1)])


def test_what_one_server_commits_the_other_is_told_whole_and_once(url: str) -> None:
    with closing(following(url)) as first, closing(following(url)) as second:
        (run,) = insert_runs(first, a_run(1))
        _, commit = committed(first, lambda tx: append(tx, run, 1, 60))
        assert commit is not None
        told = second.told()
        assert [each.revision for each in told] == [commit.revision - 1, commit.revision]
        assert told[1].events == commit.events
        assert told[1].runs == commit.runs
        assert sorted(told[1].counts) == sorted(commit.counts)
        assert second.told() == []
        assert first.told() == []


def test_a_server_that_writes_knows_first_what_the_others_wrote(url: str) -> None:
    with closing(following(url)) as first, closing(following(url)) as second:
        insert_runs(first, a_run(1))
        insert_runs(second, a_run(2))
        assert [each.runs[0].after and each.runs[0].after.id for each in second.told_before()] == [
            run_id(1)
        ]
        # What is remembered of rows is not what another server made of them.
        write(second, lambda tx: append(tx, a_run(1), 1, 3))
        write(first, lambda tx: append(tx, a_run(1), 4, 5))
        with first.read() as tx:
            events = tx.events.between(run_id(1), 1, 9)
        assert [event.seq for event in events] == [1, 2, 3, 4, 5]


def test_a_commit_whose_answer_was_lost_is_told_to_its_own_server(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(following(url)) as store:
        insert_runs(store, a_run(1))
        wait_for_nobody(url, store)
        writer = store._writer
        assert writer is not None
        command = writer.command

        def lose(sql: str) -> None:
            command(sql)
            if sql.endswith("COMMIT"):
                raise ConnectionResetError

        monkeypatch.setattr(writer, "command", lose)
        with pytest.raises(StoreUnavailableError):
            insert_runs(store, a_run(2))
        insert_runs(store, a_run(3))
        told = store.told_before()
        assert [each.runs[0].after and each.runs[0].after.id for each in told] == [run_id(2)]


def wait_for_nobody(url: str, store: PostgresStore) -> None:
    """Nobody else is at work here, so commits are not written down for anyone."""
    with closing(Connection.open(url)) as connection:
        connection.command("DELETE FROM servers")
    assert store.told() == []


def test_a_server_that_missed_what_is_no_longer_kept_says_so(url: str) -> None:
    with closing(following(url)) as first, closing(following(url)) as second:
        insert_runs(first, a_run(1))
        with closing(Connection.open(url)) as connection:
            connection.command("DELETE FROM commits")
        with pytest.raises(StoreUnavailableError, match="must be started again"):
            second.told()
        with pytest.raises(StoreUnavailableError, match="must be started again"):
            insert_runs(second, a_run(2))


def test_an_idle_connection_that_was_cut_costs_no_request(url: str) -> None:
    with closing(PostgresStore.open(url, RULES)) as store:
        insert_runs(store, a_run(1))
        with store.read() as tx:
            assert tx.runs.get(run_id(1)) is not None
        with closing(Connection.open(url)) as connection:
            connection.command(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        insert_runs(store, a_run(2))
        with store.read() as tx:
            assert tx.runs.get(run_id(2)) is not None


def test_only_one_server_has_the_upkeep_and_gives_it_up_when_it_closes(url: str) -> None:
    first = following(url)
    wait_until(first.has_upkeep, "the upkeep")
    with closing(following(url)) as second:
        assert not second.has_upkeep()
        first.close()
        wait_until(second.has_upkeep, "the upkeep to pass on", 20)


def test_days_without_events_are_dropped_and_come_back_when_needed(
    store: PostgresStore, url: str
) -> None:
    (old, kept) = insert_runs(store, a_run(1), a_run(2))
    day = 20_000
    with closing(Connection.open(url)) as connection:
        for number, run in enumerate((old, kept), start=1):
            key = (day + number << 32) | number
            connection.command(f"UPDATE runs SET key = {key} WHERE id = '{run.id}'")
    with closing(PostgresStore.open(url, RULES)) as other:
        write(other, lambda tx: append(tx, old, 1, 3))
        write(other, lambda tx: append(tx, kept, 1, 3))
        assert {f"events_{day + 1}", f"events_{day + 2}"} <= partitions(url)
        write(other, lambda tx: tx.events.remove_oldest(old.id, limit=10))
        with closing(Connection.open(url)) as connection:
            connection.command(f"UPDATE runs SET active = 0 WHERE id = '{old.id}'")
        writer = other._writer
        assert writer is not None
        assert writer.drop_empty() == [f"events_{day + 1}"]
        assert f"events_{day + 2}" in partitions(url)
        write(other, lambda tx: append(tx, old, 4, 4))
        with other.read() as tx:
            assert [event.seq for event in tx.events.between(old.id, 1, 9)] == [4]
            assert [event.seq for event in tx.events.between(kept.id, 1, 9)] == [1, 2, 3]


def partitions(url: str) -> set[str]:
    with closing(Connection.open(url)) as connection:
        return {name for (name,) in connection.all(connection.statements("events")["partitions"])}


def test_the_size_follows_what_is_appended_and_removed(store: PostgresStore) -> None:
    (run,) = insert_runs(store, a_run(1))

    def used() -> int:
        with store.read() as tx:
            return tx.size().used_bytes

    before = used()
    write(store, lambda tx: append(tx, run, 1, 200))
    full = used()
    assert full > before + 200 * 20
    write(store, lambda tx: tx.events.remove_oldest(run.id, limit=200))
    assert used() < full - 200 * 20


def test_a_moment_is_the_callers(store: PostgresStore) -> None:
    insert_runs(store, a_run(1))
    assert write(store, lambda tx: tx.now_us, NOW_US + 5) == NOW_US + 5
