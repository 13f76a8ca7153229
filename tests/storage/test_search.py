"""The search index finds what looking at every row finds, however far it is behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runwatch_server.rows import EventRow, RunRow
from runwatch_server.storage.protocols import EventQuery, Query, Store, TaskQuery, WriteTx
from runwatch_server.storage.sql.events import EventReader
from runwatch_server.storage.sql.reading import ReadTransaction
from runwatch_server.storage.sql.runs import RunReader
from runwatch_server.storage.sql.tasks import TaskReader
from runwatch_server.storage.sqlite import search_indexing, search_reading, search_spans
from runwatch_server.storage.sqlite.search_indexing import Indexer
from runwatch_server.storage.sqlite.store import SqliteStore
from tests.storage.making import (
    NOW_US,
    RULES,
    a_run,
    a_spec,
    a_task,
    an_event,
    run_id,
    write,
)

WORDS = (
    "a",
    "ab",
    "abc",
    "aBcab",
    "bcabc",
    "北",
    "北京",
    "北京市",
    "京市",
    "ß",
    "SS",
    "É",
    "é",
    "0",
    "_",
)
"""Sought: of one letter and more, of those that fold to others, and some that are never there."""
PARTS = ("abc", "AB", "c", "北京", "市", "京", "straße", "É", '"', "\\", "x y", "ab cab", "\x00")


def open_searched(folder: Path) -> SqliteStore:
    store = SqliteStore.open(folder / "runwatch.db", RULES, search=True)
    assert store.follower is not None
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = open_searched(tmp_path)
    yield store
    store.close()


def indexer(store: SqliteStore) -> Indexer:
    assert store.follower is not None
    return store.follower._indexer


def catch_up(store: SqliteStore) -> None:
    while indexer(store).step():
        pass


@contextmanager
def reading(store: SqliteStore) -> Iterator[ReadTransaction]:
    with store.read() as tx:
        assert isinstance(tx, ReadTransaction)
        yield tx


def numbers(rows: list[RunRow]) -> list[int]:
    return [int(row.id.removeprefix("run-"), 16) for row in rows]


def found(store: SqliteStore, q: str, **conditions: Any) -> list[int]:
    with store.read() as tx:
        return numbers(tx.runs.page(Query(q=q, **conditions)))


def add(store: Store, number: int, *events: EventRow, **fields: Any) -> None:
    """A run with events, as an append leaves them."""

    def work(tx: WriteTx) -> None:
        row = tx.runs.get(run_id(number))
        assert row is not None
        last_seq = events[-1].seq if events else row.last_seq
        tx.runs.save(row, msgspec.structs.replace(row, last_seq=last_seq, **fields))
        tx.events.append(run_id(number), events)

    write(store, work)


def delete(store: Store, number: int) -> None:
    def work(tx: WriteTx) -> None:
        row = tx.runs.get(run_id(number))
        if row is not None:
            tx.runs.delete(row)

    write(store, work)


def assert_as_scanned(tx: ReadTransaction, q: str) -> None:
    """Every answer of this snapshot is that of looking at every row of it."""
    raw = tx._connection
    for query in (
        Query(q=q, limit=3),
        Query(q=q, sort="name", descending=False),
        Query(q=q, active=True, sort="duration_ms", limit=2, offset=1),
        Query(q=q, state=("pending",)),
    ):
        assert tx.runs.page(query) == RunReader(raw).page(query)
        for at_most in (1, 100):
            count = tx.runs.count(query, at_most=at_most)
            assert count == RunReader(raw).count(query, at_most=at_most)
    tasks = TaskQuery(q=q)
    assert tx.tasks.page(tasks) == TaskReader(raw).page(tasks)
    assert tx.tasks.count(tasks, at_most=2) == TaskReader(raw).count(tasks, at_most=2)
    for number in range(1, 4):
        for place in ({}, {"tail": True}, {"after_seq": 3}, {"before_seq": 6}):
            wanted = EventQuery(run_id=run_id(number), q=q, limit=1000, **place)
            every = msgspec.structs.replace(wanted, scan_limit=10**6)
            expected = EventReader(raw).page(every).events
            page = tx.events.page(wanted)
            assert page.events == expected or page.scanned_to_seq is not None
            assert paged(tx, wanted) == expected
            some = msgspec.structs.replace(wanted, limit=2)
            assert paged(tx, some) == expected


def paged(tx: ReadTransaction, query: EventQuery) -> list[EventRow]:
    """All that a query finds, page by page, as a client that goes on where it was told."""
    upward = query.after_seq is not None or not (query.tail or query.before_seq)
    events: list[EventRow] = []
    for _ in range(100):
        page = tx.events.page(query)
        events = events + page.events if upward else page.events + events
        edges = [event.seq for event in page.events]
        if page.scanned_to_seq is not None:
            edges.append(page.scanned_to_seq)
        if page.scanned_to_seq is None and len(page.events) < query.limit:
            return events
        if upward:
            query = msgspec.structs.replace(query, after_seq=max(edges))
        else:
            query = msgspec.structs.replace(query, before_seq=min(edges), tail=False)
    raise AssertionError("the pages do not end")


texts = st.lists(st.sampled_from(PARTS), max_size=4).map("".join)
actions = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 6), texts),
    st.tuples(st.just("delete"), st.integers(1, 6), st.just("")),
    st.tuples(st.just("task"), st.integers(1, 3), texts),
    st.tuples(st.just("events"), st.integers(1, 3), texts),
    st.tuples(st.just("expire"), st.integers(1, 3), st.just("")),
    st.tuples(st.just("step"), st.just(0), st.just("")),
    st.tuples(st.just("tidy"), st.just(0), st.just("")),
    st.tuples(st.just("look"), st.just(0), st.just("")),
    st.tuples(st.just("reopen"), st.just(0), st.just("")),
)


def do(store: SqliteStore, action: tuple[str, int, str], moment: int) -> None:
    """Do one of the things that change a store or its index."""
    kind, number, text = action
    works: dict[str, Callable[[WriteTx], object]] = {
        "put": lambda tx: put(tx, number, text, moment),
        "task": lambda tx: put_task(tx, number, text),
        "events": lambda tx: append(tx, number, text, moment),
        "expire": lambda tx: expire(tx, number, moment),
    }
    match kind:
        case "delete":
            delete(store, number)
        case "step":
            indexer(store).step()
        case "tidy":
            indexer(store).tidy()
        case _:
            write(store, works[kind])


def put(tx: WriteTx, number: int, name: str, moment: int) -> None:
    row = tx.runs.get(run_id(number))
    if row is None:
        tx.runs.insert(a_run(number, name=name), a_spec())
    else:
        tx.runs.save(row, msgspec.structs.replace(row, name=name, updated_us=NOW_US + moment))


def put_task(tx: WriteTx, number: int, text: str) -> None:
    if tx.tasks.get(f"task-{number:012x}") is None:
        tx.tasks.insert(a_task(number, name=text))
    else:
        tx.tasks.save(a_task(number, description=text))


def append(tx: WriteTx, number: int, text: str, moment: int) -> None:
    row = tx.runs.get(run_id(number))
    if row is None:
        return
    first = row.last_seq + 1 + moment % 2
    payloads = [msgspec.json.encode({"content": text, "n": n}) for n in range(1 + moment % 5)]
    events = [an_event(first + n, payload=payload) for n, payload in enumerate(payloads)]
    tx.runs.save(row, msgspec.structs.replace(row, last_seq=events[-1].seq))
    tx.events.append(row.id, events)


def expire(tx: WriteTx, number: int, moment: int) -> None:
    row = tx.runs.get(run_id(number))
    if row is not None:
        tx.events.remove_oldest(row.id, limit=3)
        tx.runs.save(row, msgspec.structs.replace(row, updated_us=NOW_US + moment))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces, spans and bounds of a few rows, so that a few rows meet all of them."""
    monkeypatch.setattr(search_indexing, "ROWS", 2)
    for name, value in (("EVENTS", 4), ("SPAN_EVENTS", 2), ("REMOVED", 2)):
        monkeypatch.setattr(search_spans, name, value)
    for name, value in (("LEAST_FEW", 2), ("SPANS", 3), ("TERMS", 4), ("TAIL_ROWS", 8)):
        monkeypatch.setattr(search_reading, name, value)


@pytest.mark.usefixtures("small")
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(
    plan=[
        *(("put", number, "") for number in (1, 2, 3)),
        ("delete", 1, ""),
        ("look", 0, ""),
        ("delete", 2, ""),
        ("delete", 3, ""),
    ],
    words={"a"},
)  # more removals than a piece takes
@example(
    plan=[
        ("put", 1, ""),
        ("step", 0, ""),
        ("put", 1, "abc"),
        ("look", 0, ""),
        ("put", 1, ""),
    ],
    words={"ab"},
)  # a text that came and went, before one that is known
@given(plan=st.lists(actions, min_size=1, max_size=25), words=st.sets(st.sampled_from(WORDS)))
def test_an_answer_is_that_of_looking_at_every_row_at_every_lag(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[str, int, str]], words: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("search")
    store = open_searched(folder)
    try:
        for moment, action in enumerate(plan):
            if action[0] == "reopen":
                store.close()
                store = open_searched(folder)
            elif action[0] == "look":
                # A snapshot that the index overtakes.
                with reading(store) as tx:
                    for later in plan[moment:]:
                        if later[0] not in ("look", "reopen"):
                            do(store, later, moment)
                    indexer(store).step()
                    indexer(store).tidy()
                    for word in words:
                        assert_as_scanned(tx, word)
            else:
                do(store, action, moment)
        for _ in range(2):
            with reading(store) as tx:
                for word in words:
                    assert_as_scanned(tx, word)
            catch_up(store)
    finally:
        store.close()
