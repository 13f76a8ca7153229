"""A backup is whole while others write, is verified, and comes back as it was or not at all."""

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest

from runwatch_server.storage.keeping import moving, sqlite_copy
from runwatch_server.storage.keeping.opening import snapshot, sqlite_snapshot
from runwatch_server.storage.keeping.records import header_of, records
from runwatch_server.storage.sqlite import schema
from runwatch_shared.errors import SettingsError, StoreError, StoreLockedError
from tests.server.domain.making import NOW_US
from tests.storage.keeping.conftest import KINDS, MOVES, Empty, fill
from tests.storage.keeping.fleet import KeptFleet
from tests.storage.keeping.test_moving import everything, head

LIMIT_S = 60.0


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def append(fleet: KeptFleet, run_id: str) -> None:
    """One more message, with usage, so that counters and documents move with each."""
    fleet.append(fleet.run(run_id), "message", epoch=1, usage={"input_tokens": 1})


@pytest.mark.parametrize(("kind", "backups"), [("sqlite", 3), ("postgres", 3), ("mongo", 1)])
def test_a_backup_made_while_events_are_written_is_one_moment_and_whole(
    kind: str, backups: int, empty: Empty, tmp_path: Path
) -> None:
    url = empty(kind)
    fill(url)
    fleet = KeptFleet(url)
    run = fleet.running()
    before = head(url).revision
    stop, written, wrote = threading.Event(), [0], threading.Event()

    def write() -> None:
        while not stop.is_set():
            append(fleet, run.id)
            written[0] += 1
            wrote.set()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for number in range(backups):
            wrote.clear()
            assert wrote.wait(LIMIT_S)
            verified = moving.back_up(url, tmp_path / f"backup-{number}", made_us=NOW_US)
            assert verified.wrong == []
            assert verified.runs >= 10
    finally:
        stop.set()
        writing.join(LIMIT_S)
        fleet.store.close()
    assert written[0] > backups
    revisions = []
    for number in range(backups):
        target = f"sqlite:///{tmp_path / f'restored-{number}.db'}"
        done = moving.restore(tmp_path / f"backup-{number}", target, now_us=1, replace=False)
        assert (done.verified.wrong, done.checked, done.former) == ([], True, None)
        revisions.append(head(target).revision)
    assert revisions == sorted(set(revisions))
    assert before < revisions[0]
    assert revisions[-1] <= head(url).revision


@pytest.mark.parametrize(("source", "kind"), MOVES)
def test_what_is_restored_is_what_was_there_with_an_id_of_its_own(
    source: str, kind: str, full: Callable[[str], str], empty: Empty, tmp_path: Path
) -> None:
    url = full(source)
    moving.back_up(url, tmp_path / "backup", made_us=NOW_US)
    target = empty(kind)
    done = moving.restore(tmp_path / "backup", target, now_us=NOW_US, replace=False)
    assert done.verified.wrong == []
    assert everything(target) == everything(url)
    was, now = head(url), head(target)
    assert was.store_id != now.store_id
    assert msgspec.structs.replace(now, store_id=was.store_id) == was
    fleet = KeptFleet(target)
    fleet.queued_run()
    fleet.store.close()
    assert moving.verify(target).wrong == []


def test_a_backup_is_one_file_with_its_checksum_and_its_owners(
    empty: Empty, tmp_path: Path
) -> None:
    source = empty("sqlite")
    fill(source)
    file = tmp_path / "kept" / "backup"
    file.parent.mkdir()
    moving.back_up(source, file, made_us=NOW_US)
    assert sorted(each.name for each in file.parent.iterdir()) == ["backup", "backup.sha256"]
    assert file.stat().st_mode & 0o777 == 0o600
    digest, name = file.with_name("backup.sha256").read_text().split()
    assert (len(digest), name) == (64, "backup")
    with pytest.raises(StoreError, match="there already"):
        moving.back_up(source, file, made_us=NOW_US)


def test_a_backup_that_is_torn_or_changed_is_refused_and_the_database_stays(
    empty: Empty, tmp_path: Path
) -> None:
    source = empty("sqlite")
    fill(source)
    backup = tmp_path / "backup"
    moving.back_up(source, backup, made_us=NOW_US)
    whole = backup.read_bytes()
    middle = whole.index(b"hello")
    before = everything(source)
    for content in (
        whole[:-1],
        whole[: len(whole) // 2],
        whole[:middle] + b"jello" + whole[middle + 5 :],
        b"",
        b"something else",
    ):
        backup.write_bytes(content)
        with pytest.raises(StoreError):
            moving.restore(backup, source, now_us=NOW_US, replace=True)
        assert everything(source) == before
    assert not file_of(source).with_name(file_of(source).name + ".restoring").exists()
    backup.write_bytes(whole)
    moving.restore(backup, source, now_us=NOW_US, replace=True)


def test_without_its_checksum_a_torn_structure_is_still_found(empty: Empty, tmp_path: Path) -> None:
    source = empty("sqlite")
    fill(source)
    backup = tmp_path / "backup"
    moving.back_up(source, backup, made_us=NOW_US)
    sqlite_copy.checksum_file(backup).unlink()
    target = empty("sqlite")
    done = moving.restore(backup, target, now_us=NOW_US, replace=False)
    assert (done.checked, done.verified.wrong) == (False, [])
    whole = backup.read_bytes()
    backup.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="torn or was changed"):
        moving.restore(backup, empty("sqlite"), now_us=NOW_US, replace=False)


def test_a_database_that_is_there_is_replaced_only_when_asked_and_then_kept(
    empty: Empty, tmp_path: Path
) -> None:
    source = empty("sqlite")
    fill(source)
    moving.back_up(source, tmp_path / "backup", made_us=NOW_US)
    then = everything(source)
    fleet = KeptFleet(source)
    fleet.queued_run()
    fleet.store.close()
    later = everything(source)
    with pytest.raises(StoreError, match="--replace"):
        moving.restore(tmp_path / "backup", source, now_us=NOW_US, replace=False)
    done = moving.restore(tmp_path / "backup", source, now_us=NOW_US, replace=True)
    assert everything(source) == then
    assert done.former is not None
    with sqlite_snapshot(done.former) as connection:
        assert list(records(connection, access=True)) == later
    with pytest.raises(StoreError, match="move it away"):
        moving.restore(tmp_path / "backup", source, now_us=NOW_US, replace=True)
    assert everything(source) == then


def test_a_database_that_is_damaged_beyond_opening_is_replaced_too(
    empty: Empty, tmp_path: Path
) -> None:
    source = empty("sqlite")
    fill(source)
    moving.back_up(source, tmp_path / "backup", made_us=NOW_US)
    then = everything(source)
    file_of(source).write_bytes(b"\xff" * 5000)
    moving.restore(tmp_path / "backup", source, now_us=NOW_US, replace=True)
    assert everything(source) == then


def test_a_log_that_was_left_behind_by_a_killed_server_goes_with_its_database(
    empty: Empty, tmp_path: Path
) -> None:
    source = empty("sqlite")
    fill(source)
    moving.back_up(source, tmp_path / "backup", made_us=NOW_US)
    then = everything(source)
    file, log = file_of(source), file_of(source).with_name(f"{file_of(source).name}-wal")
    fleet = KeptFleet(source)
    fleet.queued_run()
    left, data = log.read_bytes(), file.read_bytes()
    later = everything(source)
    fleet.store.close()
    assert left
    file.write_bytes(data)
    log.write_bytes(left)
    done = moving.restore(tmp_path / "backup", source, now_us=NOW_US, replace=True)
    assert everything(source) == then
    assert done.former is not None
    with sqlite_snapshot(done.former) as connection:
        assert list(records(connection, access=True)) == later


def test_nothing_is_restored_under_a_server(empty: Empty, tmp_path: Path) -> None:
    source = empty("sqlite")
    fill(source)
    moving.back_up(source, tmp_path / "backup", made_us=NOW_US)
    fleet = KeptFleet(source)
    with closing(fleet.store), pytest.raises(StoreLockedError):
        moving.restore(tmp_path / "backup", source, now_us=NOW_US, replace=True)


def test_what_was_wrong_when_it_was_backed_up_is_said_then_and_when_it_is_restored(
    empty: Empty, tmp_path: Path
) -> None:
    source = empty("sqlite")
    fill(source)
    with closing(apsw.Connection(str(file_of(source)))) as raw:
        raw.execute("DELETE FROM events WHERE seq = 15")
    assert moving.back_up(source, tmp_path / "backup", made_us=NOW_US).wrong != []
    target = empty("sqlite")
    done = moving.restore(tmp_path / "backup", target, now_us=NOW_US, replace=False)
    assert done.verified.wrong == moving.verify(source).wrong
    assert everything(target) == everything(source)


def test_a_restored_database_is_searched_anew(empty: Empty, tmp_path: Path) -> None:
    """The index beside a database is of another history and goes."""
    source = empty("sqlite")
    fill(source)
    moving.back_up(source, tmp_path / "backup", made_us=NOW_US)
    index = file_of(source).with_name(f"{file_of(source).stem}-search.db")
    index.write_bytes(b"of the one before")
    moving.restore(tmp_path / "backup", source, now_us=NOW_US, replace=True)
    assert not index.exists()


def test_where_there_is_no_database_nothing_is_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none.db'}"
    with pytest.raises(SettingsError, match="no database"):
        moving.back_up(url, tmp_path / "backup", made_us=NOW_US)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_holds_no_writer_up(empty: Empty) -> None:
    """As long as a snapshot is looked at, the server goes on, and the snapshot stays as it was."""
    for kind in KINDS:
        source = empty(kind)
        fill(source)
        fleet = KeptFleet(source)
        with closing(fleet.store), snapshot(source) as connection:
            was = header_of(connection, made_us=0, access=True)
            fleet.queued_run()
            assert header_of(connection, made_us=0, access=True) == was
            assert head(source).revision > was.revision


def test_a_backup_of_an_earlier_build_is_brought_to_this_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "backup"
    steps = schema._files()
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "_files", lambda: steps[:3])
        schema.bring(backup)
    target = f"sqlite:///{tmp_path / 'made' / 'anew' / 'runwatch.db'}"
    with pytest.raises(StoreError, match="migrate"):
        moving.verify(f"sqlite:///{backup}")
    done = moving.restore(backup, target, now_us=NOW_US, replace=False)
    assert done.verified.wrong == []
    fleet = KeptFleet(target)
    fleet.live()
    fleet.store.close()
    assert moving.verify(target).wrong == []


def test_a_backup_of_a_newer_build_is_refused(
    empty: Empty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = empty("sqlite")
    fill(source)
    moving.back_up(source, tmp_path / "backup", made_us=NOW_US)
    steps = schema._files()
    monkeypatch.setattr(schema, "_files", lambda: steps[:-1])
    with pytest.raises(StoreError, match="this build knows"):
        moving.restore(tmp_path / "backup", empty("sqlite"), now_us=NOW_US, replace=False)
    assert not list(tmp_path.glob("*.restoring*"))
