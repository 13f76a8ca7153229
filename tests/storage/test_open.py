"""Opening a database: what a URL may be, one server a file, migrations, what survives closing."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from runwatch_server.storage.memory import MemoryStore
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Store
from runwatch_server.storage.sqlite import store as sqlite_store
from runwatch_server.storage.sqlite.store import SqliteStore
from runwatch_shared.errors import SettingsError, StoreLockedError, StoreUnavailableError
from tests.storage.counting import raw_of
from tests.storage.making import RULES, a_run, an_event, insert_runs, run_id, write


def open_file(path: Path, *, sole: bool = True) -> Store:
    return open_store(f"sqlite:///{path}", rules=RULES, synchronous="full", sole=sole)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mongodb://db:no/runwatch", "URL cannot be used"),
        ("mongodb://u:p@ss@db/runwatch", "percent-encoded"),
        ("mongodb://db/runwatch?w=1", "majority"),
        ("mongodb://db/runwatch?journal=false", "majority"),
        ("mysql://db/runwatch", "sqlite:////"),
        ("/var/lib/runwatch.db", "sqlite:////"),
        ("", "sqlite:////"),
        ("sqlite:///", "needs a file"),
    ],
)
def test_a_url_this_build_cannot_open_is_refused_in_words(url: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        open_store(url, rules=RULES, synchronous="full")


def test_the_database_is_for_its_user_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with closing(open_file(tmp_path / "runwatch.db")) as store:
        insert_runs(store, a_run(1))
        modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    assert {"runwatch.db", "runwatch.db-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_an_unknown_way_of_syncing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="full or normal"):
        open_store(f"sqlite:///{tmp_path}/x.db", rules=RULES, synchronous="off")


def test_a_relative_url_and_one_with_escapes_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///a%20b.db", rules=RULES, synchronous="full").close()
    assert (tmp_path / "a b.db").exists()


def test_a_store_opened_again_has_everything_and_the_same_history(tmp_path: Path) -> None:
    path = tmp_path / "runwatch.db"
    first = open_file(path)
    insert_runs(first, a_run(1))
    write(first, lambda tx: tx.events.append(run_id(1), [an_event(1)]))
    first.close()
    second = open_file(path)
    assert second.store_id == first.store_id
    assert int(second.store_id, 16) >= 0
    assert len(second.store_id) == 16
    with second.read() as tx:
        assert tx.revision() == 1
        assert tx.runs.get(run_id(1)) is not None
        assert tx.events.between(run_id(1), 1, 1) == [an_event(1)]
    insert_runs(second, a_run(2))
    with second.read() as tx:
        assert tx.revision() == 2
    second.close()


def test_each_new_database_has_a_history_of_its_own(tmp_path: Path) -> None:
    stores = [open_file(tmp_path / f"{n}.db") for n in range(3)]
    assert len({store.store_id for store in stores}) == 3
    for store in stores:
        store.close()


def test_a_second_server_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "runwatch.db"
    store = open_file(path)
    with pytest.raises(StoreLockedError, match="process"):
        open_file(path)
    insert_runs(store, a_run(1))
    store.close()
    open_file(path).close()


def test_the_lock_of_a_killed_server_is_gone_with_it(tmp_path: Path) -> None:
    path = tmp_path / "runwatch.db"
    program = (
        "import sys, functools\n"
        "from pathlib import Path\n"
        "from runwatch_server.storage.protocols import Rules\n"
        "from runwatch_server.storage.sqlite.store import SqliteStore\n"
        "rules = Rules(tally=lambda *args: [], due_us=lambda row: None)\n"
        "store = SqliteStore.open(Path(sys.argv[1]), rules)\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "open\n"
        with pytest.raises(StoreLockedError, match=str(server.pid)):
            open_file(path)
        server.kill()
        server.wait(5)
    open_file(path).close()


def test_a_command_beside_the_server_writes_and_the_server_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "runwatch.db"
    server = open_file(path)
    insert_runs(server, a_run(1))
    command = open_file(path, sole=False)
    insert_runs(command, a_run(2))
    assert write(server, lambda tx: tx.runs.get(run_id(2)).revision) == 2
    insert_runs(server, a_run(3))
    with server.read() as tx:
        assert tx.revision() == 3
    # And the other way round, over rows both have seen.
    write(command, lambda tx: tx.runs.delete(tx.runs.get(run_id(1))))
    assert write(server, lambda tx: tx.runs.get(run_id(1))) is None
    command.close()
    server.close()


def test_a_database_of_a_newer_build_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "runwatch.db"
    open_file(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StoreUnavailableError, match="99"):
        open_file(path)
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == 99
    connection.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runwatch.db"
    path.write_bytes(b"this is not a database, and long enough to be sure of it" * 100)
    with pytest.raises(StoreUnavailableError):
        open_file(path)
    with pytest.raises(StoreUnavailableError):
        open_file(tmp_path / "no" / "such" / "folder.db")


def test_commits_are_synced_in_full_unless_asked_otherwise(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "runwatch.db", RULES)
    raw = store._writer.raw
    assert raw.pragma("journal_mode") == "wal"
    assert raw.pragma("synchronous") == 2
    assert raw.pragma("wal_autocheckpoint") == 0
    with store.read() as tx:
        assert raw_of(tx).pragma("query_only") == 1
    store.close()


def test_the_log_is_written_over_and_never_cut_while_serving(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "runwatch.db", RULES)
    insert_runs(store, a_run(1))
    for seq in range(1, 400):
        write(store, lambda tx, n=seq: tx.events.append(run_id(1), [an_event(n, "x" * 9000)]))
        store.tidy(idle=True)
    grown = store.wal_bytes()
    assert 0 < grown < 8_000_000
    for seq in range(400, 800):
        write(store, lambda tx, n=seq: tx.events.append(run_id(1), [an_event(n, "x" * 9000)]))
        store.tidy(idle=True)
        assert store.wal_bytes() >= grown
    assert store.wal_bytes() < 8_000_000
    store.close()


def test_a_long_read_holds_the_log_back_and_is_not_tried_against_at_every_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "IDLE_WAL_PAGES", 100)
    store = SqliteStore.open(tmp_path / "runwatch.db", RULES)
    insert_runs(store, a_run(1))
    tries: list[int] = []
    tidied = store._tried_pages

    def append(seq: int) -> None:
        nonlocal tidied
        event = an_event(seq, "x" * 40_000)
        write(store, lambda tx: tx.events.append(run_id(1), [event]))
        store.tidy(idle=True)
        if store._tried_pages not in {0, tidied}:
            tries.append(store._tried_pages)
        tidied = store._tried_pages

    with store.read() as tx:
        for seq in range(1, 101):
            append(seq)
        assert tx.events.between(run_id(1), 1, 200) == []
    assert 5 <= len(tries) <= 15
    held = store.wal_bytes()
    for seq in range(101, 161):
        append(seq)
    # It begins anew once nobody reads the old one, at the next time that is due.
    assert store.wal_bytes() < held + 1_000_000
    store.close()


def test_a_store_in_memory_leaves_nothing_behind() -> None:
    store = MemoryStore.make(RULES)
    folder = Path(store._folder.name)
    insert_runs(store, a_run(1))
    assert folder.exists()
    store.close()
    assert not folder.exists()
    with pytest.raises(StoreUnavailableError), store.read():
        pass
