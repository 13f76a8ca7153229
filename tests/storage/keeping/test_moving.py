"""A store moved to another one is the same there, row by row, or is not begun at all."""

import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from runwatch_server.storage.keeping import archive, loading, moving
from runwatch_server.storage.keeping.opening import filling, snapshot
from runwatch_server.storage.keeping.records import header_of, records
from runwatch_server.storage.protocols import Store
from runwatch_server.storage.sharing import Shared
from runwatch_shared.errors import SettingsError, StoreError
from tests.processes import wait_until
from tests.server.domain.making import NOW_US
from tests.storage.keeping.conftest import KINDS, LARGE, MOVES, Empty, fill
from tests.storage.keeping.fleet import KeptFleet

LIMIT_S = 30.0


def everything(url: str, *, access: bool = True) -> list[archive.Record]:
    with snapshot(url) as connection:
        return list(records(connection, access=access))


def head(url: str) -> archive.Header:
    with snapshot(url) as connection:
        return header_of(connection, made_us=0, access=True)


def serve(store: Store) -> None:
    """Be a server among others, as one is that serves."""
    assert isinstance(store, Shared)
    store.join()
    with store.read() as tx:
        store.follow(tx, lambda: None)
    wait_until(store.has_upkeep, "the upkeep", LIMIT_S)


def test_a_full_store_has_some_of_every_kind_of_record(url: str) -> None:
    kinds = {record[0] for record in everything(url)}
    assert kinds == {
        "node", "task", "run", "step", "block", "event", "tombstone", "counter", "prune", "alert",
        "telemetry", "seen", "kept", "user", "token", "session", "replay",
    }  # fmt: skip


def test_a_store_moved_there_and_back_is_the_same_row_by_row(empty: Empty, tmp_path: Path) -> None:
    first = empty("sqlite")
    fill(first, messages=LARGE)
    was, whole = head(first), everything(first)
    source = first
    for number, kind in enumerate(("postgres", "mongo", "sqlite")):
        url, file = empty(kind), tmp_path / f"moved-{number}"
        counts = moving.export(source, file, made_us=NOW_US, access=True)
        assert moving.take_in(file, url, now_us=NOW_US) == counts
        source = url
        assert everything(url) == whole
        now = head(url)
        assert now.store_id != was.store_id
        assert msgspec.structs.replace(now, store_id=was.store_id) == was
        assert moving.verify(url).wrong == []


@pytest.mark.parametrize(("source", "kind"), MOVES)
def test_a_moved_store_goes_on_from_where_it_was(
    source: str, kind: str, full: Callable[[str], str], empty: Empty, tmp_path: Path
) -> None:
    moving.export(full(source), tmp_path / "moved", made_us=NOW_US, access=True)
    target = empty(kind)
    moving.take_in(tmp_path / "moved", target, now_us=NOW_US)
    before = head(target).revision
    fleet = KeptFleet(target)
    try:
        fleet.wait(3600)
        fleet.beat("n1", slots=9)
        fleet.work(fleet.running(), end="done")
        with fleet.store.read() as tx:
            assert tx.access.token("t1") is not None
            assert tx.size().events > 100
    finally:
        fleet.store.close()
    assert head(target).revision > before
    assert moving.verify(target).wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_users_and_tokens_stay_where_they_are_when_that_is_asked(
    kind: str, full: Callable[[str], str], empty: Empty, tmp_path: Path
) -> None:
    url = full("sqlite")
    moving.export(url, tmp_path / "all", made_us=NOW_US, access=True)
    moving.export(url, tmp_path / "some", made_us=NOW_US, access=False)
    for file, access in (("all", False), ("some", True)):
        target = empty(kind)
        fleet = KeptFleet(target)
        fleet.write(fleet.access)
        fleet.store.close()
        if file == "all":
            with pytest.raises(StoreError, match=r"users.*--without-access"):
                moving.take_in(tmp_path / file, target, now_us=NOW_US)
        moving.take_in(tmp_path / file, target, now_us=NOW_US, access=access)
        assert everything(target, access=False) == everything(url, access=False)


def test_a_store_that_is_not_empty_is_refused_and_stays(
    full: Callable[[str], str], empty: Empty, tmp_path: Path
) -> None:
    moving.export(full("sqlite"), tmp_path / "moved", made_us=NOW_US, access=True)
    for kind in KINDS:
        target = empty(kind)
        fleet = KeptFleet(target)
        fleet.queued_run()
        fleet.store.close()
        before = everything(target)
        with pytest.raises(StoreError, match="not empty"):
            moving.take_in(tmp_path / "moved", target, now_us=NOW_US)
        assert everything(target) == before


def test_a_store_that_is_being_served_is_not_filled(empty: Empty, tmp_path: Path) -> None:
    source = empty("sqlite")
    fill(source)
    moving.export(source, tmp_path / "moved", made_us=NOW_US, access=True)
    for kind in KINDS:
        target = empty(kind)
        fleet = KeptFleet(target)
        try:
            if kind != "sqlite":
                serve(fleet.store)
            with pytest.raises(StoreError, match="server"):
                moving.take_in(tmp_path / "moved", target, now_us=NOW_US)
        finally:
            fleet.store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_ends_midway_leaves_an_empty_store_that_can_be_filled(
    kind: str, empty: Empty, tmp_path: Path
) -> None:
    source, target = empty("sqlite"), empty(kind)
    fill(source)
    whole = everything(source)
    header = head(source)

    def ending(at: int) -> Iterator[archive.Record]:
        yield from whole[:at]
        raise KeyboardInterrupt

    for at in range(0, len(whole), len(whole) // 5):
        with pytest.raises(KeyboardInterrupt), filling(target) as connection:
            loading.load(connection, header, ending(at), now_us=NOW_US)
        assert everything(target) == []
    for strange in (("odd", 1), ("step", 1, "{}"), ("node", 5), ("counter", "all", 0, "x")):
        with pytest.raises(StoreError, match="record"), filling(target) as connection:
            loading.load(connection, header, [strange], now_us=NOW_US)
    with filling(target) as connection:
        loading.load(connection, header, whole, now_us=NOW_US)
    assert everything(target) == whole


def test_memory_is_bounded_whatever_is_stored(empty: Empty, tmp_path: Path) -> None:
    source, target, file = empty("sqlite"), empty("sqlite"), tmp_path / "moved"
    fleet = KeptFleet(source)
    fleet.beat("n1", slots=9)
    run = fleet.running()
    for _ in range(60):
        fleet.append(run, *["message"] * 50, epoch=1, content=os.urandom(10_000).hex())
    fleet.store.close()
    tracemalloc.start()
    try:
        moving.export(source, file, made_us=NOW_US, access=True)
        moving.take_in(file, target, now_us=NOW_US)
        verified = moving.verify(target)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert verified.events == 3001
    assert most < 20_000_000 < 3000 * 20_000 / 2


def test_a_file_that_is_torn_or_changed_anywhere_is_refused_and_nothing_is_begun(
    empty: Empty, tmp_path: Path
) -> None:
    source, target = empty("sqlite"), empty("sqlite")
    fill(source)
    file = tmp_path / "moved"
    moving.export(source, file, made_us=NOW_US, access=True)
    whole = file.read_bytes()
    step = len(whole) // 60
    damaged = [whole[:length] for length in (*range(0, len(whole), step), len(whole) - 1)]
    damaged += [
        whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :] for at in range(0, len(whole), step)
    ]
    damaged += [whole + b"x", whole + whole]
    for content in damaged:
        file.write_bytes(content)
        with pytest.raises(StoreError):
            moving.take_in(file, target, now_us=NOW_US)
    assert not Path(target.removeprefix("sqlite:///")).exists()
    file.write_bytes(whole)
    moving.take_in(file, target, now_us=NOW_US)


def test_frames_that_lie_in_another_order_or_are_missing_are_noticed(tmp_path: Path) -> None:
    header = archive.Header(
        made_us=0, build="b", store_id="s", revision=1, resumable=0, thresholds=None, access=True
    )
    file = tmp_path / "file"
    parts = [("node", "x" * archive.FRAME_BYTES + str(number)) for number in range(3)]
    archive.write(file, header, parts)
    with file.open("rb") as reading:
        assert list(archive.Archive(file, reading).records()) == parts
    whole = file.read_bytes()
    starts = [at for at in range(len(whole)) if whole[at : at + 3] == b"R\x00\x00"]
    assert len(starts) == 3
    a, b, c = starts
    for content in (
        whole[:a] + whole[b:c] + whole[a:b] + whole[c:],
        whole[:a] + whole[b:],
        whole[:c] + whole[b:c] + whole[c:],
    ):
        file.write_bytes(content)
        with pytest.raises(StoreError, match="torn or was changed"):
            archive.check(file)


def test_a_file_of_another_format_or_of_something_else_is_named_so(tmp_path: Path) -> None:
    header = archive.Header(
        format=2, made_us=0, build="b", store_id="s", revision=1, resumable=0, thresholds=None,
        access=True,
    )  # fmt: skip
    archive.write(tmp_path / "newer", header, [])
    with pytest.raises(StoreError, match="format 2, this build knows 1"):
        archive.check(tmp_path / "newer")
    (tmp_path / "other").write_bytes(b"PK\x03\x04" * 20)
    with pytest.raises(StoreError, match="no export"):
        archive.check(tmp_path / "other")


def test_an_export_is_its_owners_and_never_written_over(empty: Empty, tmp_path: Path) -> None:
    source = empty("sqlite")
    fill(source)
    file = tmp_path / "moved"
    moving.export(source, file, made_us=NOW_US, access=True)
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    with pytest.raises(StoreError, match="there already"):
        moving.export(source, file, made_us=NOW_US, access=True)
    assert file.read_bytes() == before
    assert [name for name in os.listdir(tmp_path) if name.endswith(".part")] == []


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "mysql://x/y", "sqlite:///"])
def test_what_cannot_be_kept_is_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        moving.verify(url)
    with pytest.raises(SettingsError):
        moving.export(url, tmp_path / "file", made_us=NOW_US, access=True)
