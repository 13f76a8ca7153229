"""A full disk: writing is refused by its own error, reading goes on, and room makes all well."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec
import pytest

from runwatch_server.storage.protocols import WriteTx
from runwatch_server.storage.sqlite.store import SqliteStore
from runwatch_shared.errors import StorageFullError
from tests.storage.making import NOW_US, RULES, a_run, an_event, insert_runs, run_id, write


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "runwatch.db", RULES)
    insert_runs(store, a_run(1))
    yield store
    store.close()


def append(tx: WriteTx) -> int:
    row = tx.runs.get(run_id(1))
    assert row is not None
    tx.runs.save(row, msgspec.structs.replace(row, last_seq=row.last_seq + 20))
    tx.events.append(
        row.id, [an_event(row.last_seq + n, payload=b"x" * 5000) for n in range(1, 21)]
    )
    return row.last_seq + 20


def fill(store: SqliteStore) -> int:
    """Append until it is refused; gives the last acknowledged seq."""
    last = 0
    for _ in range(200):
        try:
            last = write(store, append)
        except StorageFullError:
            return last
    raise AssertionError("the disk did not fill")


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As a quota or a full disk has it: a write beyond fails."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def check_whole(store: SqliteStore, last: int) -> None:
    """What was acknowledged is there, and nothing more."""
    with store.read() as tx:
        row = tx.runs.get(run_id(1))
        assert row is not None
        assert row.last_seq == last
        seqs = [event.seq for event in tx.events.between(run_id(1), 0, 2**40)]
    assert seqs == list(range(1, last + 1))


def test_writing_is_refused_as_full_and_goes_on_when_there_is_room(
    store: SqliteStore, tmp_path: Path
) -> None:
    with files_no_larger_than(2_000_000):
        last = fill(store)
        assert last > 0
        check_whole(store, last)
        for _ in range(3):
            with pytest.raises(StorageFullError):
                write(store, append)
        check_whole(store, last)
    assert write(store, append) == last + 20
    store.probe()
    check_whole(store, last + 20)
    store.tidy(idle=True)
    store.close()
    connection = apsw.Connection(str(tmp_path / "runwatch.db"))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def test_the_probe_finds_a_full_disk(store: SqliteStore) -> None:
    with files_no_larger_than(10), pytest.raises(StorageFullError):
        store.probe()
    store.probe()


def test_the_whole_group_is_refused_and_nothing_of_it_stays(store: SqliteStore) -> None:
    with files_no_larger_than(2_000_000):
        last = fill(store)
        with pytest.raises(StorageFullError):
            store.write_group([append, append, lambda tx: 5], NOW_US)
    check_whole(store, last)


def test_a_database_at_its_own_limit_is_full_too(store: SqliteStore) -> None:
    raw = store._writer.raw
    pages = raw.pragma("page_count")
    raw.pragma("max_page_count", pages + 40)
    last = fill(store)
    check_whole(store, last)
    raw.pragma("max_page_count", pages + 4000)
    assert write(store, append) == last + 20
    check_whole(store, last + 20)


def test_a_checkpoint_that_finds_no_room_leaves_the_store_working(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    last = 0
    for _ in range(20):
        last = write(store, append)
    store._wal_pages = 10**6
    with files_no_larger_than(300_000):
        store.tidy(idle=True)
    assert "Could not checkpoint the database" in caplog.text
    check_whole(store, last)
    assert write(store, append) == last + 20
    store._wal_pages = 10**6
    store.tidy(idle=True)
    check_whole(store, last + 20)
