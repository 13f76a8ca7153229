"""What only MongoDB needs to be kept: imports that were killed, reads that outlast the journal."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from pymongo.database import Database

from runwatch_server import retention
from runwatch_server.storage.keeping import loading, moving
from runwatch_server.storage.keeping.opening import filling, snapshot
from runwatch_server.storage.keeping.records import header_of, records
from runwatch_server.storage.mongo import company, holds
from runwatch_server.storage.mongo.company import Company
from runwatch_server.storage.mongo.connecting import clock_us, connect
from runwatch_server.storage.mongo.filling import MongoFilling
from runwatch_server.storage.mongo.store import MongoStore
from runwatch_shared.errors import StoreError, StoreUnavailableError
from tests.server.domain.making import NOW_US
from tests.storage.keeping.conftest import Empty, fill
from tests.storage.keeping.fleet import KeptFleet
from tests.storage.keeping.test_moving import everything, head
from tests.storage.making import RULES, a_run, insert_runs

Rows = Database[dict[str, Any]]


@pytest.fixture
def url(empty: Empty) -> str:
    return empty("mongo")


@pytest.fixture
def raw(url: str) -> Iterator[Rows]:
    """The database behind the store's back."""
    client, database = connect(url)
    with closing(client):
        yield database


def let_go(raw: Rows) -> None:
    """Whoever held the database is long gone."""
    raw["meta"].update_one({"_id": "upkeep"}, {"$set": {"until_us": 0}})


def kill_midway(url: str, source: str) -> None:
    """An import that neither ends nor cleans up."""
    with snapshot(source) as found, filling(url) as filled:
        filled.begin(access=True)
        for number, (kind, *values) in enumerate(records(found, access=True)):
            filled.takes[kind](*values)
            if number == 90:
                filled.settle()
                return


def test_a_store_whose_import_was_killed_is_neither_served_nor_read_and_is_filled_anew(
    url: str, raw: Rows, full: Callable[[str], str]
) -> None:
    source = full("sqlite")
    kill_midway(url, source)
    assert raw["events"].count_documents({}) > 10
    with pytest.raises(StoreUnavailableError, match="run monitor-server import or restore again"):
        MongoStore.open(url, RULES)
    with pytest.raises(StoreUnavailableError, match="import or restore again"):
        moving.verify(url)
    with snapshot(source) as found:
        header, whole = header_of(found, made_us=0, access=True), list(records(found, access=True))
    with pytest.raises(StoreError, match="less than 2 minutes ago"), filling(url) as filled:
        loading.load(filled, header, whole, now_us=NOW_US)
    let_go(raw)
    with filling(url) as filled:
        loading.load(filled, header, whole, now_us=NOW_US)
    assert everything(url) == whole
    assert moving.verify(url).wrong == []


def test_an_import_that_was_killed_once_it_had_committed_is_whole(
    url: str, raw: Rows, full: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = full("sqlite")
    with monkeypatch.context() as killed, filling(url) as filled, snapshot(source) as found:
        header = header_of(found, made_us=0, access=True)

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        assert isinstance(filled, MongoFilling)
        killed.setattr(filled._journal, "apply", die)
        with pytest.raises(KeyboardInterrupt):
            loading.load(filled, header, records(found, access=True), now_us=NOW_US)
    let_go(raw)
    MongoStore.open(url, RULES).close()
    assert head(url).revision == header.revision
    assert everything(url) == everything(source)


def test_a_server_that_was_there_before_its_store_was_filled_must_be_started_again(
    url: str, full: Callable[[str], str], tmp_path: Any
) -> None:
    moving.export(full("sqlite"), tmp_path / "file", made_us=0, access=True)
    with closing(MongoStore.open(url, RULES)) as server:
        with server.read() as tx:
            server.follow(tx, lambda: None)
        assert server._company is not None
        server._company.close()
        moving.take_in(tmp_path / "file", url, now_us=NOW_US)
        with pytest.raises(StoreUnavailableError, match="started again"):
            insert_runs(server, a_run(1))
    assert moving.verify(url).wrong == []


def test_an_import_that_lost_its_database_to_another_command_commits_nothing(
    url: str, raw: Rows, full: Callable[[str], str]
) -> None:
    with snapshot(full("sqlite")) as found, filling(url) as slow:
        whole, header = list(records(found, access=True)), header_of(found, made_us=0, access=True)
        slow.begin(access=True)
        let_go(raw)
        with filling(url) as other:
            loading.load(other, header, whole, now_us=NOW_US)
        with pytest.raises(StoreError):
            slow.finish(header, NOW_US)
        slow.undo()
    assert everything(url) == whole


def test_what_is_read_stays_as_long_as_it_is_read_whatever_is_swept(
    url: str, raw: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(company, "KEPT_S", 0.0)
    fill(url)
    whole = everything(url)
    fleet = KeptFleet(url)
    with closing(fleet.store):
        assert isinstance(fleet.store, MongoStore)
        sweeper = Company(raw, "s", lambda: None, lambda: 0, lambda: True)
        sweeper._upkeep_until_s = float("inf")
        with snapshot(url) as found:
            with fleet.store.read() as tx:
                kept = [run for run in tx.runs.ended(with_events=True) if run.event_count > 20]
            for run in kept:
                fleet.write(partial(retention.remove_events, row=run, limit=15))
            fleet.forget_a_task()
            sweep(sweeper, fleet.store)
            assert raw["journal"].count_documents({}) > 0
            assert list(records(found, access=True)) == whole
        changed = everything(url)
        sweep(sweeper, fleet.store)
        assert raw["journal"].count_documents({}) == 0
        assert everything(url) == changed != whole


def sweep(sweeper: Company, store: MongoStore) -> None:
    """Everything that may be swept."""
    sweeper._stood.append((float("-inf"), store._journal.applied()))
    for _ in range(100):
        if not sweeper._sweep():
            return


def test_a_read_that_stood_still_for_too_long_is_passed_over_and_says_so(
    raw: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = holds.Hold(raw, 7)
    now_us = clock_us(raw)
    assert holds.lowest(raw, now_us) == 7
    moment_s = held._renewed_s + holds.HOLD_S - 2 * holds.MARGIN_S
    monkeypatch.setattr(holds, "now_s", lambda: moment_s)
    held.require()
    renewed = raw["holds"].find_one()
    assert renewed is not None
    monkeypatch.setattr(holds, "now_s", lambda: moment_s + holds.HOLD_S - holds.MARGIN_S + 1)
    with pytest.raises(StoreUnavailableError, match="stood still"):
        held.require()
    assert holds.lowest(raw, renewed["until_us"] + 1) > 2**60
    assert raw["holds"].find_one() is None


DEFECTS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "an event is missing": (
        "events", {"seq": 15}, {"$set": {"log": "other"}}, "the first missing is 15",
    ),
    "a field is wrong": (
        "runs", {"status": "done"}, {"$set": {"node_id": "n7"}},
        "column node_id is not what its document says",
    ),
    "labels are wrong": ("runs", {"status": "done"}, {"$set": {"labels": []}}, "its labels are"),
    "retention does not know": (
        "runs", {"status": "failed"}, {"$set": {"kept": False}}, "retention finds it as it is not",
    ),
    "a log ends elsewhere": (
        "logs", {"last": 26}, {"$set": {"last": 5}}, "its log does not end at 26",
    ),
    "bytes are counted wrong": (
        "state", {"_id": "event_bytes"}, {"$inc": {"value": 1}}, "a recount gives ",
    ),
    "a counter is wrong": (
        "counters", {"_id": "all:0:run:status:done"}, {"$inc": {"value": 1}},
        "counter run:status:done is 2, a recount gives 1",
    ),
    "an account is found elsewhere": (
        "kept", {"kind": "account"}, {"$set": {"name": "eve"}}, "column name is not what",
    ),
}  # fmt: skip


def test_what_does_not_agree_is_named_in_mongodb_too(
    url: str, raw: Rows, full: Callable[[str], str], tmp_path: Any
) -> None:
    moving.export(full("sqlite"), tmp_path / "file", made_us=0, access=True)
    moving.take_in(tmp_path / "file", url, now_us=1)
    for collection, where, change, _ in DEFECTS.values():
        assert raw[collection].update_one(where, change).modified_count == 1, where
    fold = raw["folds"].find_one()
    assert fold is not None
    raw["folds"].insert_one({**fold, "_id": "nobody"})
    wrong = moving.verify(url).wrong
    for name, (*_, sentence) in DEFECTS.items():
        assert any(sentence in each for each in wrong), (name, wrong)
    assert "there is a fold of a run that is not there: nobody" in wrong


def test_a_database_without_a_store_is_named(url: str, raw: Rows) -> None:
    with pytest.raises(StoreUnavailableError, match="nothing of Runwatch"):
        moving.verify(url)
