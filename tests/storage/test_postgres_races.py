"""What may go wrong between servers on one PostgreSQL database, moment by moment."""

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import closing

import asyncpg
import msgspec
import pytest

from runwatch_server.rows import RunRow
from runwatch_server.storage import migrating
from runwatch_server.storage.open import open_store
from runwatch_server.storage.postgres import company, position
from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.postgres.schema import _LOCK
from runwatch_server.storage.postgres.store import PostgresStore
from runwatch_server.storage.protocols import WriteTx
from runwatch_server.storage.statements import load, statement
from runwatch_shared.errors import ConflictError, SettingsError, StoreError, StoreUnavailableError
from tests.postgres import Cluster
from tests.processes import free_port, wait_until
from tests.storage.making import (
    NOW_US,
    RULES,
    a_node,
    a_run,
    a_spec,
    a_task,
    insert_runs,
    run_id,
    task_id,
    write,
)
from tests.storage.test_postgres import append, following

OLD_DAY = 20_000
SECRET = "sEcReT"


@pytest.fixture
def url(postgres_cluster: Cluster) -> str:
    return postgres_cluster.database()


def count(url: str, sql: str) -> int:
    with closing(Connection.open(url)) as connection:
        return int(connection.value(statement(sql)))


def command(url: str, sql: str) -> None:
    with closing(Connection.open(url)) as connection:
        connection.command(sql)


def is_waiting(url: str) -> bool:
    """Whether somebody waits for a lock in this database."""
    return (
        count(
            url,
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        > 0
    )


def knowing(url: str) -> PostgresStore:
    """A server's store that knows what there is, and that others do not know of."""
    store = PostgresStore.open(url, RULES)
    store._position.seen = count(url, "SELECT last_commit FROM head")
    store._position.following = True
    return store


def be_watched(url: str) -> None:
    """Let there be another server at work, so that commits are written down."""
    command(url, "INSERT INTO servers(id, seen_at) VALUES ('any', now())")


def test_what_was_told_is_what_is_written_upon(url: str) -> None:
    be_watched(url)
    with closing(knowing(url)) as first, closing(PostgresStore.open(url, RULES)) as second:
        write(first, lambda tx: tx.nodes.save(a_node(hostname="a")))
        write(first, lambda tx: tx.tasks.insert(a_task(1)))

        def change(tx: WriteTx) -> None:
            node, task = tx.nodes.get("n1"), tx.tasks.get(task_id(1))
            assert node is not None
            assert task is not None
            tx.nodes.save(msgspec.structs.replace(node, hostname="b"))
            tx.tasks.save(msgspec.structs.replace(task, name="b"))

        write(second, change)
        assert len(first.told()) == 1
        node, task = write(first, lambda tx: (tx.nodes.get("n1"), tx.tasks.get(task_id(1))))
        assert (node.hostname, task.name) == ("b", "b")


def test_a_commit_that_waited_for_a_server_to_join_is_told_to_it(url: str) -> None:
    with closing(PostgresStore.open(url, RULES)) as store:
        insert_runs(store, a_run(1))
        with closing(Connection.open(url)) as joining:
            joining.command("BEGIN; SELECT FROM head FOR UPDATE")
            joining.command("INSERT INTO servers(id, seen_at) VALUES ('new', now())")
            writing = threading.Thread(target=insert_runs, args=(store, a_run(2)))
            writing.start()
            wait_until(lambda: is_waiting(url), "the writer to wait", 20)
            joining.command("COMMIT")
            writing.join(20)
        assert count(url, "SELECT count(*) FROM commits") == 1


def test_a_lost_answer_is_made_up_for_before_what_others_committed_later(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(knowing(url)) as store, closing(PostgresStore.open(url, RULES)) as other:
        lose_an_answer(store, monkeypatch, made=True)
        be_watched(url)
        insert_runs(other, a_run(2))
        told = store.told()
        assert [each.runs[0].after and each.runs[0].after.id for each in told] == [
            run_id(1),
            run_id(2),
        ]
        assert store.told() == []


def test_a_commit_that_was_not_made_is_not_taken_for_one_of_others(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(knowing(url)) as store, closing(PostgresStore.open(url, RULES)) as other:
        lose_an_answer(store, monkeypatch, made=False)
        insert_runs(other, a_run(2))
        with pytest.raises(StoreUnavailableError, match="must be started again"):
            store.told()


def lose_an_answer(store: PostgresStore, monkeypatch: pytest.MonkeyPatch, *, made: bool) -> None:
    """Insert run 1 with a connection that is lost in the commit."""
    assert write(store, lambda tx: tx.runs.get(run_id(1))) is None
    writer = store._writer
    assert writer is not None
    run = writer.command

    def lose(sql: str) -> None:
        if not sql.endswith("COMMIT") or made:
            run(sql)
        if sql.endswith("COMMIT"):
            raise ConnectionResetError

    monkeypatch.setattr(writer, "command", lose)
    with pytest.raises(StoreUnavailableError):
        insert_runs(store, a_run(1))


def test_a_server_that_has_much_to_learn_holds_up_nobody_meanwhile(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(position, "AT_ONCE", 2)
    be_watched(url)
    with closing(knowing(url)) as store, closing(PostgresStore.open(url, RULES)) as other:
        read: list[int] = []
        take = position.Position._take

        def taking(self: position.Position, at: Connection, number: int, doc: bytes) -> None:
            if number <= 4:
                insert_runs(other, a_run(10 + number))
            read.append(number)
            take(self, at, number, doc)

        for number in range(4):
            insert_runs(other, a_run(number))
        monkeypatch.setattr(position.Position, "_take", taking)
        insert_runs(store, a_run(20))
        assert read == [1, 2, 3, 4, 5, 6, 7, 8]
        assert [each.revision for each in store.told_before()] == read


def test_a_connection_that_is_cut_while_a_statement_is_sent_costs_no_request(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(PostgresStore.open(url, RULES)) as store:
        insert_runs(store, a_run(1))
        cut = store._writer
        assert cut is not None

        def fail(sql: str) -> None:
            raise asyncpg.InternalClientError("cannot switch to state 12")

        monkeypatch.setattr(cut, "command", fail)
        insert_runs(store, a_run(2))
        assert not cut.is_usable


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE head SET last_commit = last_commit + 1",
        "UPDATE head SET last_commit = 0",
        "INSERT INTO commits(n, at_us, server, doc) SELECT last_commit + 1, 0, '', '' FROM head; "
        "UPDATE head SET last_commit = last_commit + 1",
    ],
    ids=["untold", "put back", "unreadable"],
)
def test_a_server_that_lost_the_others_is_not_ready(url: str, change: str) -> None:
    with closing(knowing(url)) as store:
        insert_runs(store, a_run(1))
        store.probe()
        command(url, change)
        with pytest.raises(StoreUnavailableError, match="must be started again"):
            insert_runs(store, a_run(2))
        with pytest.raises(StoreUnavailableError, match="must be started again"):
            store.probe()


def test_a_server_that_lost_the_others_leaves_the_upkeep_to_them(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(company, "BEAT_EVERY_S", 0.1)
    monkeypatch.setattr(company, "LOOK_EVERY_S", 0.1)
    with closing(following(url)) as first:
        wait_until(first.has_upkeep, "the upkeep", 20)
        with closing(following(url)) as second:
            insert_runs(second, a_run(1))
            command(url, "DELETE FROM commits")
            with pytest.raises(StoreUnavailableError, match="must be started again"):
                first.told()
            assert not first.has_upkeep()
            wait_until(second.has_upkeep, "the upkeep to pass on", 20)


def test_a_duty_ends_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {time.CLOCK_BOOTTIME: 0.0, time.CLOCK_MONOTONIC: 0.0}
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock[which])
    one = company.Company("", "one", lambda: None, lambda: True)
    one._upkeep_until_s = 15.0
    assert one.has_upkeep()
    clock[time.CLOCK_BOOTTIME] = 3600.0
    assert not one.has_upkeep()


def test_a_clock_that_is_behind_takes_nothing_from_the_others(url: str) -> None:
    be_watched(url)
    with closing(PostgresStore.open(url, RULES)) as first, closing(knowing(url)) as second:
        write(first, lambda tx: tx.runs.insert(a_run(1), a_spec()), NOW_US - 30 * 86_400_000_000)
        with closing(Connection.open(url)) as connection:
            connection.run(load("postgres", "commits")["prune"], (company.KEPT_US,))
        assert len(second.told()) == 1


def an_old_run(store: PostgresStore, url: str) -> RunRow:
    """Of a day that has no partition."""
    (run,) = insert_runs(store, a_run(1))
    key = OLD_DAY << 32 | 1
    command(url, f"UPDATE runs SET key = {key}, active = 0 WHERE id = '{run.id}'")
    return run


def test_a_day_that_came_back_and_was_undone_comes_back_again(url: str) -> None:
    with closing(PostgresStore.open(url, RULES)) as store:
        old = an_old_run(store, url)

        def fail(tx: WriteTx) -> None:
            append(tx, old, 1, 3)
            raise ConflictError("half done")

        works = [fail, lambda tx: tx.runs.insert(a_run(2), a_spec())]
        outcomes, _ = store.write_group(works, NOW_US)
        assert [outcome.error is None for outcome in outcomes] == [False, True]
        write(store, lambda tx: append(tx, old, 1, 3))


def test_a_day_that_another_server_dropped_comes_back(url: str) -> None:
    with (
        closing(PostgresStore.open(url, RULES)) as first,
        closing(PostgresStore.open(url, RULES)) as second,
    ):
        old = an_old_run(second, url)
        write(first, lambda tx: append(tx, old, 1, 3))
        write(second, lambda tx: tx.events.remove_oldest(old.id, limit=10))
        command(url, f"UPDATE runs SET active = 0 WHERE id = '{old.id}'")
        assert second._writer is not None
        assert second._writer.drop_empty() == [f"events_{OLD_DAY}"]
        write(first, lambda tx: append(tx, old, 4, 4))


def test_a_value_that_does_not_fit_is_the_fault_of_its_work_alone(url: str) -> None:
    with closing(PostgresStore.open(url, RULES)) as store:

        def insert(run: RunRow) -> Callable[[WriteTx], object]:
            return lambda tx: tx.runs.insert(run, a_spec())

        works = [insert(a_run(1)), insert(a_run(2, priority=2**40)), insert(a_run(3))]
        outcomes, _ = store.write_group(works, NOW_US)
        assert [outcome.error is None for outcome in outcomes] == [True, False, True]
        assert not isinstance(outcomes[1].error, StoreError)
        with store.read() as tx, pytest.raises(ValueError, match="does not fit"):
            tx.runs.steps(run_id(1), after_n=2**70, before_n=None, limit=1)
        with store.read() as tx:
            assert tx.runs.get(run_id(3)) is not None


def test_a_migration_waits_for_another_as_long_as_that_takes(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Connection.open.__func__  # type: ignore[attr-defined]  # a class method's own
    monkeypatch.setitem(opened.__kwdefaults__, "limit_s", 0.3)
    failed: list[StoreError] = []

    def migrate() -> None:
        try:
            migrating.migrate(url)
        except StoreError as error:
            failed.append(error)

    with closing(Connection.open(url, limit_s=None)) as connection:
        connection.command(f"SELECT pg_advisory_lock({_LOCK})")
        waiting = threading.Thread(target=migrate)
        waiting.start()
        waiting.join(1)
        assert waiting.is_alive()
    waiting.join(20)
    assert failed == []


@pytest.mark.parametrize(
    "address",
    [
        f"u:{SECRET}/x@h/d",
        f"u:{SECRET}#x@h/d",
        f"u:[{SECRET}@h/d",
        f"u:{SECRET}@h:99999/d",
        f"u@127.0.0.1/d?sslmode={SECRET}",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(address: str) -> None:
    url = f"postgresql://{address}"
    for opened in (
        lambda: open_store(url, rules=RULES, synchronous="full"),
        lambda: migrating.standing_of(url),
        lambda: migrating.migrate(url),
    ):
        with pytest.raises(SettingsError, match="cannot be read") as refused:
            opened()
        assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    url = f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/d"
    with pytest.raises(StoreUnavailableError) as refused:
        open_store(url, rules=RULES, synchronous="full")
    assert str(refused.value) == (
        "the database at 127.0.0.1 cannot be opened: nothing listens there"
    )
    with pytest.raises(StoreUnavailableError, match="nothing listens there"):
        migrating.standing_of(url)


def test_a_database_that_is_not_there_is_said(postgres_cluster: Cluster) -> None:
    with pytest.raises(StoreUnavailableError, match='"nowhere" does not exist'):
        migrating.migrate(postgres_cluster.url("nowhere"))
