"""The search file may be lost, damaged, foreign or cut off at any moment; answers stay right."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec
import pytest

from runwatch_server.rows import RunRow
from runwatch_server.storage.protocols import Commit, WriteTx
from runwatch_server.storage.sqlite import search_follower
from runwatch_server.storage.sqlite.store import SqliteStore
from tests.storage.making import (
    NOW_US,
    RULES,
    a_run,
    a_spec,
    an_event,
    committed,
    insert_runs,
    run_id,
    write,
)
from tests.storage.test_search import (
    add,
    assert_as_scanned,
    catch_up,
    delete,
    found,
    indexer,
    open_searched,
    reading,
)

WAIT_S = 5.0


def file_of(folder: Path) -> Path:
    return folder / "runwatch-search.db"


def filled(folder: Path) -> SqliteStore:
    store = open_searched(folder)
    insert_runs(store, *(a_run(n, name=f"deploy {n}") for n in range(1, 40)))
    add(store, 1, *(an_event(n, f"line {n} of 北京") for n in range(1, 200)))
    catch_up(store)
    return store


def is_empty(store: SqliteStore) -> bool:
    assert store.follower is not None
    connection = store.follower._connection.raw
    return not connection.execute("SELECT 1 FROM run_texts LIMIT 1").fetchall()


def assert_answers(store: SqliteStore) -> None:
    with reading(store) as tx:
        for q in ("deploy 7", "北京", "line 77", "nowhere", "y"):
            assert_as_scanned(tx, q)
    assert found(store, "deploy 39") == [39]


def wait_until(done: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + WAIT_S
    pause = threading.Event()
    while not done():
        assert time.monotonic() < ends_s, "not in time"
        pause.wait(0.01)


def lose(folder: Path) -> None:
    for file in folder.glob("runwatch-search.db*"):
        file.unlink()


def truncate(folder: Path) -> None:
    with file_of(folder).open("r+b") as file:
        file.truncate(5000)


def write_over_its_head(folder: Path) -> None:
    with file_of(folder).open("r+b") as file:
        file.write(b"no database at all" * 100)


def make_it_another_format(folder: Path) -> None:
    connection = apsw.Connection(str(file_of(folder)))
    connection.execute("UPDATE facts SET value = 0 WHERE name = 'format'")
    connection.close()


@pytest.mark.parametrize("harm", [lose, truncate, write_over_its_head, make_it_another_format])
def test_a_file_that_does_not_fit_is_made_anew(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    filled(tmp_path).close()
    harm(tmp_path)
    store = open_searched(tmp_path)
    try:
        assert is_empty(store)
        assert_answers(store)
        catch_up(store)
        assert not is_empty(store)
        assert_answers(store)
    finally:
        store.close()


def test_a_file_that_fits_is_gone_on_with(tmp_path: Path) -> None:
    filled(tmp_path).close()
    store = open_searched(tmp_path)
    try:
        assert not is_empty(store)
        assert not indexer(store).step()
        assert_answers(store)
    finally:
        store.close()


def test_the_file_of_another_store_is_not_used(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    filled(one).close()
    store = open_searched(other)
    insert_runs(store, *(a_run(n, name="alike") for n in range(1, 60)))
    store.close()
    shutil.copy(file_of(one), file_of(other))
    store = open_searched(other)
    try:
        assert is_empty(store)
        assert len(found(store, "alike", limit=100)) == 59
    finally:
        store.close()


def test_a_file_ahead_of_a_database_taken_back_is_made_anew(tmp_path: Path) -> None:
    store = open_searched(tmp_path)
    insert_runs(store, a_run(1, name="before"))
    store.close()
    shutil.copy(tmp_path / "runwatch.db", tmp_path / "old.db")
    store = open_searched(tmp_path)
    write(store, lambda tx: tx.runs.save(*renamed(tx, "after")))
    catch_up(store)
    store.close()
    shutil.copy(tmp_path / "old.db", tmp_path / "runwatch.db")
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"runwatch.db{suffix}").unlink(missing_ok=True)
    store = open_searched(tmp_path)
    try:
        assert found(store, "before") == [1]
        assert found(store, "after") == []
        catch_up(store)
        assert found(store, "before") == [1]
    finally:
        store.close()


def renamed(tx: WriteTx, name: str) -> tuple[RunRow, RunRow]:
    row = tx.runs.get(run_id(1))
    assert row is not None
    return row, msgspec.structs.replace(row, name=name)


def test_removals_nobody_knows_of_any_more_make_the_index_anew(tmp_path: Path) -> None:
    store = filled(tmp_path)
    try:
        delete(store, 1)
        later_us = NOW_US + 10**9
        write(store, lambda tx: prune(tx, later_us), later_us)
        insert_runs(store, a_run(1, name="again"))
        add(store, 1, an_event(1, "of another life"))
        catch_up(store)
        with reading(store) as tx:
            assert_as_scanned(tx, "北京")
            assert_as_scanned(tx, "another life")
    finally:
        store.close()


def prune(tx: WriteTx, before_us: int) -> None:
    tx.housekeeping.prune(
        minutes_before_us=0,
        days_before_us=0,
        tombstones_before_us=before_us,
        replays_before_us=0,
        sessions_before_us=0,
        limit=100,
    )


def test_damage_met_while_serving_is_answered_row_by_row_and_repaired(tmp_path: Path) -> None:
    store = filled(tmp_path)
    try:
        assert store.follower is not None
        store.follower._connection.raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        size = file_of(tmp_path).stat().st_size
        with file_of(tmp_path).open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        assert_answers(store)
        index = store._index
        assert index is not None
        assert index.damaged
        store.follower.start()
        wait_until(lambda: not index.damaged and not is_behind(store))
        assert_answers(store)
        assert not is_empty(store)
    finally:
        store.close()


@pytest.mark.usefixtures("quick")
def test_a_file_that_is_removed_while_serving_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = filled(tmp_path)
    try:
        assert store.follower is not None
        with reading(store) as kept:  # has the removed file open, and goes on beside the new one
            assert_as_scanned(kept, "deploy 7")
            lose(tmp_path)
            for _ in range(3):
                assert_answers(store)
        index = store._index
        assert index is not None
        assert index.lost
        assert len([each for each in caplog.records if "could not be asked" in each.message]) == 1
        store.follower.start()
        wait_until(lambda: not index.lost and not is_behind(store))
        assert not is_empty(store)
        row = a_run(60, name="later")
        _, commit = committed(store, lambda tx: tx.runs.insert(row, a_spec()))
        assert isinstance(commit, Commit)
        store.follower.on_commit(commit)
        wait_until(lambda: not is_behind(store))
        assert_answers(store)
        assert found(store, "later") == [60]
        store.follower._connection.raw.execute("DELETE FROM run_texts")
        assert found(store, "later") == []  # it is the new file that is asked
    finally:
        store.close()


def is_behind(store: SqliteStore) -> bool:
    """Whether the follower, seen from beside it, has something to do."""
    connection = apsw.Connection(
        str(store._path.with_name("runwatch-search.db")), flags=apsw.SQLITE_OPEN_READONLY
    )
    try:
        facts = dict(connection.execute("SELECT name, value FROM facts"))
    except apsw.Error:
        return True
    finally:
        connection.close()
    with store.read() as tx:
        return any(facts.get(name, -1) < tx.revision() for name in ("seen", "runs", "events"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_follower, "GATHER_S", 0.001)


@pytest.mark.usefixtures("quick")
def test_the_follower_takes_in_what_is_committed_and_ends_when_the_store_closes(
    tmp_path: Path,
) -> None:
    store = open_searched(tmp_path)
    assert store.follower is not None
    store.follower.start()
    try:
        for number, name in enumerate(("first", "second"), start=1):
            row = a_run(number, name=name)
            _, commit = committed(store, lambda tx, row=row: tx.runs.insert(row, a_spec()))
            assert isinstance(commit, Commit)
            store.follower.on_commit(commit)
            wait_until(lambda: not is_behind(store))
            assert found(store, name) == [number]
    finally:
        store.close()
    assert "search-index" not in {thread.name for thread in threading.enumerate()}


def test_without_room_for_the_file_the_store_opens_and_looks_at_every_row(tmp_path: Path) -> None:
    file_of(tmp_path).mkdir()
    store = SqliteStore.open(tmp_path / "runwatch.db", RULES, search=True)
    try:
        assert store.follower is None
        insert_runs(store, a_run(1, name="deploy"))
        assert found(store, "eplo") == [1]
    finally:
        store.close()


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    store = filled(tmp_path)
    try:
        for file in tmp_path.glob("runwatch-search.db*"):
            assert file.stat().st_mode & 0o077 == 0, file
    finally:
        store.close()


CHILD = """
import sys
from pathlib import Path
from tests.storage.test_search import indexer, open_searched
from runwatch_server.storage.sqlite import search_indexing, search_spans
search_indexing.ROWS = search_spans.EVENTS = 20
search_spans.SPAN_EVENTS = 4
store = open_searched(Path(sys.argv[1]))
print("ready", flush=True)
while indexer(store).step():
    print("step", flush=True)
print("done", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("pieces", [1, 4, 9])
def test_a_process_killed_while_it_indexes_is_gone_on_from(tmp_path: Path, pieces: int) -> None:
    store = open_searched(tmp_path)
    insert_runs(store, *(a_run(n, name=f"deploy {n}") for n in range(1, 40)))
    add(store, 1, *(an_event(n, f"line {n} of 北京") for n in range(1, 200)))
    store.close()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for _ in range(pieces):
            assert child.stdout.readline() in ("step\n", "done\n")
    finally:
        child.kill()
        child.communicate(timeout=WAIT_S)
    store = open_searched(tmp_path)
    try:
        assert not is_empty(store)
        assert_answers(store)
        catch_up(store)
        assert_answers(store)
    finally:
        store.close()


def test_what_is_gone_leaves_the_index_when_there_is_time(tmp_path: Path) -> None:
    store = filled(tmp_path)
    try:
        insert_runs(store, a_run(50, name="stays"))
        add(store, 50, *(an_event(n, "a line") for n in range(1, 100)))
        catch_up(store)
        assert store.follower is not None
        raw = store.follower._connection.raw

        def count(table: str) -> int:
            ((rows,),) = raw.execute(f"SELECT count(*) FROM {table}").fetchall()
            assert isinstance(rows, int)
            return rows

        spans = count("event_spans")
        delete(store, 1)
        write(store, lambda tx: tx.events.remove_oldest(run_id(50), limit=70))
        catch_up(store)
        while indexer(store).tidy():
            pass
        assert count("event_runs") == 1
        assert count("gone_runs") == 0
        assert 0 < count("event_spans") < spans / 4
        assert count("run_texts") == 39
    finally:
        store.close()
