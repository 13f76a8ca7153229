"""A cut of the power loses nothing that was acknowledged; and the test would see it if it did."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest

from runwatch_server.storage.protocols import WriteTx
from runwatch_server.storage.sqlite.store import SqliteStore
from tests.storage.making import RULES, a_run, an_event, insert_runs, run_id, write
from tests.storage.power import Disk, ForgetfulDisk

CUTS = int(os.environ.get("RUNWATCH_POWER_CUTS", "20"))


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    vfs = ForgetfulDisk("forgetful", disk)
    yield disk
    vfs.unregister()


def append(run: int, count: int):
    def work(tx: WriteTx) -> int:
        row = tx.runs.get(run_id(run))
        assert row is not None
        saved = tx.runs.save(row, msgspec.structs.replace(row, last_seq=row.last_seq + count))
        tx.events.append(row.id, [an_event(row.last_seq + n) for n in range(1, count + 1)])
        return saved.last_seq

    return work


def lost_after_a_cut(disk: Disk, folder: Path, synchronous: str, chance: random.Random) -> int:
    """Acknowledged events that are missing after a cut at a random moment."""
    before, after = folder / "before", folder / "after"
    before.mkdir()
    after.mkdir()
    disk.synced.clear()
    disk.survived = None
    # Half of the cuts come in the middle of a commit or checkpoint: before one of its syncs.
    disk.cut_at = disk.syncs + chance.randrange(8, 40) if chance.random() < 0.5 else None
    path = before / "runwatch.db"
    store = SqliteStore.open(path, RULES, synchronous=synchronous, vfs="forgetful")
    insert_runs(store, a_run(1), a_run(2))
    store.tidy(idle=True)
    acknowledged = {1: 0, 2: 0}
    for _ in range(chance.randrange(1, 40)):
        run = chance.choice([1, 2])
        answer = write(store, append(run, chance.choice([1, 3, 60])))
        if disk.survived is not None:
            break
        acknowledged[run] = answer
        if chance.random() < 0.1:
            store._wal_pages = 10**6
            store.tidy(idle=False)
    disk.cut(after)
    store.close()
    return _missing(after / path.name, acknowledged)


def _missing(path: Path, acknowledged: dict[int, int]) -> int:
    # What a cut in mid-checkpoint leaves may be unreadable where syncs were skipped.
    connection = apsw.Connection(str(path))
    try:
        if connection.pragma("integrity_check") != "ok":
            return sum(acknowledged.values())
        if not connection.table_exists("main", "runs"):
            return sum(acknowledged.values())
    finally:
        connection.close()
    missing = 0
    store = SqliteStore.open(path, RULES)
    try:
        with store.read() as tx:
            for run, seq in acknowledged.items():
                found = [event.seq for event in tx.events.between(run_id(run), 0, 2**40)]
                missing += len(set(range(1, seq + 1)) - set(found))
                row = tx.runs.get(run_id(run))
                assert row is None or row.last_seq == len(found)
        # And it takes new events.
        if not missing:
            write(store, append(1, 1))
    finally:
        store.close()
    return missing


@pytest.mark.timeout(300)
def test_a_power_cut_loses_no_acknowledged_event(disk: Disk, tmp_path: Path) -> None:
    chance = random.Random(7)
    for cut in range(CUTS):
        folder = tmp_path / str(cut)
        folder.mkdir()
        assert lost_after_a_cut(disk, folder, "full", chance) == 0
    assert disk.syncs > CUTS * 5


@pytest.mark.timeout(300)
def test_the_same_cuts_lose_events_when_commits_are_not_synced(disk: Disk, tmp_path: Path) -> None:
    chance = random.Random(7)
    lost = 0
    for cut in range(CUTS):
        folder = tmp_path / str(cut)
        folder.mkdir()
        lost += lost_after_a_cut(disk, folder, "normal", chance) > 0
    assert lost > CUTS // 2, "a test that sees no loss here proves nothing there"
