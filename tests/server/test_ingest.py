"""Group commit: what waits becomes one commit, listeners before answers, queues are bounded."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest

from runwatch_server.ingest import GroupWriter, kind_of
from runwatch_server.reads import ReaderPool
from runwatch_server.storage.memory import MemoryStore
from runwatch_server.storage.protocols import Commit, Outcome, ReadTx, WriteTx
from runwatch_shared.errors import (
    ConflictError,
    OverloadedError,
    RefusedError,
    StorageFullError,
    StoreUnavailableError,
)
from tests.clock import ManualClock
from tests.storage.making import RULES, a_run, a_spec, insert_runs, run_id


class Gate:
    """Holds the writer's thread inside a work until it is opened."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()

    def work(self, tx: WriteTx) -> None:
        self._reached.set()
        assert self._open.wait(5)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, 5)

    def open(self) -> None:
        self._open.set()


class Watcher:
    """A `WriteObserver` that remembers."""

    def __init__(self) -> None:
        self.queue: list[int] = []
        self.groups: list[tuple[int, int]] = []
        self.failures: list[str] = []

    def waiting(self, events: int) -> None:
        self.queue.append(events)

    def committed(self, works: int, events: int, seconds: float) -> None:
        assert seconds >= 0
        self.groups.append((works, events))

    def failed(self, kind: str) -> None:
        self.failures.append(kind)


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    store = MemoryStore.make(RULES)
    yield store
    store.close()


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def commits() -> list[Commit]:
    return []


@pytest.fixture
async def writer(
    store: MemoryStore, watcher: Watcher, commits: list[Commit]
) -> AsyncIterator[GroupWriter]:
    writer = GroupWriter(
        store,
        ManualClock(),
        queue_events=100,
        queue_works=5,
        listeners=[commits.append],
        observer=watcher,
    )
    writer.start()
    yield writer
    assert await writer.stop(5)


def insert(number: int) -> Callable[[WriteTx], str]:
    return lambda tx: tx.runs.insert(a_run(number), a_spec()).id


async def started(*writes: Any) -> list[asyncio.Task[Any]]:
    """The writes as tasks, each in the queue already."""
    tasks = [asyncio.get_running_loop().create_task(write) for write in writes]
    await asyncio.sleep(0)
    return tasks


async def test_a_write_answers_with_the_value_of_its_work(writer: GroupWriter) -> None:
    assert await writer.write(insert(1)) == run_id(1)
    assert await writer.write(lambda tx: tx.runs.get(run_id(1))) is not None


async def test_what_a_work_raises_is_raised_where_it_was_asked_for(writer: GroupWriter) -> None:
    def refuse(tx: WriteTx) -> None:
        raise RefusedError("not_found", "no")

    with pytest.raises(RefusedError):
        await writer.write(refuse)
    assert await writer.write(lambda tx: 5) == 5


async def test_what_waits_while_a_commit_is_under_way_becomes_one_commit(
    writer: GroupWriter, commits: list[Commit], watcher: Watcher
) -> None:
    gate = Gate()
    first = await started(writer.write(gate.work))
    await gate.reached()
    later = await started(*(writer.write(insert(n), events=2) for n in range(4)))
    gate.open()
    assert await asyncio.gather(*later) == [run_id(n) for n in range(4)]
    await asyncio.gather(*first)
    assert [len(commit.runs) for commit in commits] == [4]
    assert watcher.groups == [(1, 0), (4, 8)]
    assert watcher.queue[-1] == 0
    assert max(watcher.queue) == 8


async def test_listeners_hear_of_a_commit_before_anybody_is_answered(store: MemoryStore) -> None:
    order: list[str] = []
    writer = GroupWriter(
        store,
        ManualClock(),
        queue_events=100,
        listeners=[lambda commit: order.append("first"), lambda commit: order.append("second")],
    )
    writer.start()

    async def write(number: int) -> None:
        await writer.write(insert(number))
        order.append("answered")

    await asyncio.gather(write(1), write(2))
    assert await writer.stop(5)
    assert order[:3] == ["first", "second", "answered"]
    assert order.count("answered") == 2


async def test_a_listener_that_fails_keeps_nothing_from_the_others(
    store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    def fail(commit: Commit) -> None:
        raise ValueError("broken listener")

    writer = GroupWriter(
        store,
        ManualClock(),
        queue_events=100,
        listeners=[fail, lambda commit: heard.append(commit.revision)],
    )
    writer.start()
    assert await writer.write(insert(1)) == run_id(1)
    assert await writer.stop(5)
    assert heard == [1]
    assert "Could not pass a commit on" in caplog.text


async def test_more_events_than_the_queue_holds_are_refused_at_once(writer: GroupWriter) -> None:
    gate = Gate()
    tasks = await started(writer.write(gate.work))
    await gate.reached()
    tasks += await started(writer.write(insert(1), events=90))
    assert writer.waiting_events == 90
    with pytest.raises(OverloadedError) as refused:
        await writer.write(insert(2), events=11)
    assert refused.value.retry_after_s == 1
    tasks += await started(writer.write(insert(3), events=10))
    # What brings no event, a heartbeat, still passes.
    tasks += await started(writer.write(insert(4)))
    gate.open()
    await asyncio.gather(*tasks)
    assert writer.waiting_events == 0
    assert await writer.write(lambda tx: tx.runs.get(run_id(2))) is None


async def test_a_batch_larger_than_the_queue_passes_when_nothing_waits(
    writer: GroupWriter,
) -> None:
    assert await writer.write(insert(1), events=1000) == run_id(1)


async def test_more_works_than_the_queue_holds_are_refused_at_once(writer: GroupWriter) -> None:
    gate = Gate()
    tasks = await started(writer.write(gate.work))
    await gate.reached()
    tasks += await started(*(writer.write(insert(n)) for n in range(5)))
    with pytest.raises(OverloadedError):
        await writer.write(insert(9))
    gate.open()
    await asyncio.gather(*tasks)


async def test_a_work_nobody_waits_for_any_more_is_not_begun(
    writer: GroupWriter, commits: list[Commit]
) -> None:
    gate = Gate()
    tasks = await started(writer.write(gate.work))
    await gate.reached()
    (gone,) = await started(writer.write(insert(1)))
    gone.cancel()
    tasks += await started(writer.write(insert(2)))
    gate.open()
    await asyncio.gather(*tasks)
    assert await writer.write(lambda tx: tx.runs.get(run_id(1))) is None
    assert gone.cancelled()


async def test_a_lost_race_is_run_once_more_and_then_told(writer: GroupWriter) -> None:
    tries: list[int] = []

    def lose_once(tx: WriteTx) -> str:
        tries.append(len(tries))
        if len(tries) == 1:
            raise ConflictError("lost")
        return "won"

    def lose_always(tx: WriteTx) -> None:
        tries.append(len(tries))
        raise ConflictError("lost")

    assert await writer.write(lose_once) == "won"
    assert len(tries) == 2
    tries.clear()
    with pytest.raises(ConflictError):
        await writer.write(lose_always)
    assert len(tries) == 2


class BrokenStore(MemoryStore):
    """Fails the next groups as told."""

    errors: list[Exception]

    def write_group(
        self, works: Sequence[Callable[[WriteTx], object]], now_us: int
    ) -> tuple[list[Outcome], Commit | None]:
        if self.errors:
            raise self.errors.pop(0)
        return super().write_group(works, now_us)


async def test_a_store_that_fails_refuses_the_group_and_the_writer_goes_on(
    watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    store = BrokenStore.make(RULES)
    store.errors = [StorageFullError("full"), StoreUnavailableError("gone"), KeyError("a defect")]
    writer = GroupWriter(store, ManualClock(), queue_events=100, observer=watcher)
    writer.start()
    for kind in (StorageFullError, StoreUnavailableError, KeyError):
        with pytest.raises(kind):
            await writer.write(insert(1))
    assert await writer.write(insert(1)) == run_id(1)
    assert watcher.failures == ["full", "unavailable", "other"]
    assert "Could not write a group" in caplog.text
    assert await writer.stop(5)
    store.close()


async def test_stopping_writes_what_waits_and_refuses_what_comes(store: MemoryStore) -> None:
    writer = GroupWriter(store, ManualClock(), queue_events=100)
    writer.start()
    gate = Gate()
    tasks = await started(writer.write(gate.work))
    await gate.reached()
    tasks += await started(writer.write(insert(1)), writer.stop(5))
    with pytest.raises(StoreUnavailableError):
        await writer.write(insert(2))
    gate.open()
    assert (await asyncio.gather(*tasks))[1:] == [run_id(1), True]
    with store.read() as tx:
        assert tx.runs.get(run_id(1)) is not None
        assert tx.runs.get(run_id(2)) is None


async def test_stopping_does_not_wait_longer_than_it_was_told(store: MemoryStore) -> None:
    writer = GroupWriter(store, ManualClock(), queue_events=100)
    writer.start()
    gate = Gate()
    tasks = await started(writer.write(gate.work))
    await gate.reached()
    assert not await writer.stop(0.01)
    gate.open()
    await asyncio.gather(*tasks)
    assert await writer.stop(5)


async def test_a_writer_that_never_started_stops(store: MemoryStore) -> None:
    assert await GroupWriter(store, ManualClock(), queue_events=100).stop(5)


async def test_reads_answer_from_a_snapshot_and_raise_what_they_raise(store: MemoryStore) -> None:
    insert_runs(store, a_run(1))
    pool = ReaderPool(store)
    assert await pool.read(lambda tx: tx.revision()) == 1

    def refuse(tx: object) -> None:
        raise RefusedError("not_found", "no")

    with pytest.raises(RefusedError):
        await pool.read(refuse)
    assert await asyncio.gather(*(pool.read(lambda tx: tx.revision()) for _ in range(50))) == (
        [1] * 50
    )
    assert await pool.stop(5)
    with pytest.raises(StoreUnavailableError):
        await pool.read(lambda tx: 1)


async def test_more_reads_than_may_wait_are_refused_at_once(store: MemoryStore) -> None:
    pool = ReaderPool(store, threads=1, waiting=1)
    hold = threading.Event()
    tasks = await started(*(pool.read(lambda tx: hold.wait(5)) for _ in range(2)))
    with pytest.raises(OverloadedError):
        await pool.read(lambda tx: 1)
    stopping = await started(pool.stop(5))
    hold.set()
    assert await asyncio.gather(*tasks, *stopping) == [True, True, True]


async def test_stopping_reads_does_not_wait_longer_than_it_was_told(store: MemoryStore) -> None:
    pool = ReaderPool(store, threads=1)
    hold = threading.Event()
    tasks = await started(pool.read(lambda tx: hold.wait(5)))
    assert not await pool.stop(0.01)
    hold.set()
    await asyncio.gather(*tasks)
    assert await pool.stop(5)


async def test_a_read_the_store_fails_is_counted(store: MemoryStore, watcher: Watcher) -> None:
    pool = ReaderPool(store, observer=watcher)
    store.close()
    with pytest.raises(StoreUnavailableError):
        await pool.read(lambda tx: 1)
    assert watcher.failures == ["unavailable"]
    assert await pool.stop(5)


def test_every_error_has_a_kind_of_a_closed_set() -> None:
    errors = [StorageFullError(), StoreUnavailableError(), ConflictError(), ValueError()]
    assert [kind_of(error) for error in errors] == ["full", "unavailable", "conflict", "other"]


class Puzzling(MemoryStore):
    """A store that others write to, with a defect."""

    asked: threading.Event

    def join(self) -> None: ...

    def follow(self, tx: ReadTx, wake: Callable[[], None]) -> None: ...

    def told(self) -> list[Commit]:
        self.asked.set()
        raise ValueError("a defect")

    def told_before(self) -> list[Commit]:
        return []

    def clock_us(self) -> int:
        return ManualClock().now_us()

    def has_upkeep(self) -> bool:
        return True

    def tidy(self, *, idle: bool) -> None:
        raise ValueError("a defect")


async def test_the_writer_outlives_a_defect_in_what_it_does_between_groups() -> None:
    store = Puzzling.make(RULES)
    store.asked = threading.Event()
    writer = GroupWriter(store, ManualClock(), queue_events=100)
    writer.start()
    writer.wake()
    assert await asyncio.to_thread(store.asked.wait, 20)
    async with asyncio.timeout(20):
        await writer.write(lambda tx: tx.runs.insert(a_run(1), a_spec()))
        await writer.write(lambda tx: tx.runs.insert(a_run(2), a_spec()))
    assert await writer.stop()
    store.close()


async def test_heartbeats_have_a_lane_that_others_cannot_fill_and_go_first(
    writer: GroupWriter,
) -> None:
    gate, order = Gate(), list[str]()
    first = await started(writer.write(gate.work))
    await gate.reached()
    others = await started(*(writer.write(lambda tx: order.append("other")) for _ in range(5)))
    with pytest.raises(OverloadedError):
        await writer.write(lambda tx: None)
    urgent = await started(
        *(writer.write(lambda tx: order.append("heartbeat"), urgent=True) for _ in range(20))
    )
    gate.open()
    await asyncio.gather(*first, *others, *urgent)
    assert order == ["heartbeat"] * 20 + ["other"] * 5
