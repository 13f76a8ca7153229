"""Group commit: many requests, one durable transaction. Reads are in `reads`.

There is no timer: the commit in flight is the batching window. What waits when the disk has
answered is the next group. What a commit changed goes to the listeners before any request that took
part in it is answered, all in one call on the event loop.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar, cast, runtime_checkable

from runwatch_server.storage.observing import WriteObserver
from runwatch_server.storage.protocols import Commit, Outcome, Store, WriteTx
from runwatch_server.storage.sharing import Shared
from runwatch_shared.clock import Clock
from runwatch_shared.errors import (
    ConflictError,
    OverloadedError,
    StorageFullError,
    StoreError,
    StoreUnavailableError,
)
from runwatch_shared.logs import Facts, log

logger: Final = logging.getLogger(__name__)

T = TypeVar("T")
Listener = Callable[[Commit], None]

WAITING_WORKS: Final = 4096
"""Works that may wait for the writer, whatever the number of their events."""
URGENT_WORKS: Final = 4096
"""As many in the lane of heartbeats, which nothing else can fill: a node has one at a time."""
STOP_S: Final = 10.0
"""How long stopping waits for what is under way."""


@runtime_checkable
class Tidying(Protocol):
    """A store with something to do between groups."""

    def tidy(self, *, idle: bool) -> None: ...


class _Waiting:
    """A work, who waits for it, and how often it was tried."""

    __slots__ = ("events", "future", "retried", "work")

    def __init__(
        self, work: Callable[[WriteTx], object], events: int, future: asyncio.Future[Any]
    ) -> None:
        self.work = work
        self.events = events
        self.future = future
        self.retried = False


class GroupWriter:
    """`protocols.Writer`: the one thread that writes.

    Args:
        listeners: Called on the event loop with each commit, in order, before the requests of its
            group are answered: projection, hub, doorbells, scheduler. Where several servers share
            a store, with the commits of the others as well.
        own_listeners: The same with this server's own commits only.
        queue_events: `Limits.ingest_queue_events`.
        group_works: Most works of one commit.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        queue_events: int,
        queue_works: int = WAITING_WORKS,
        group_works: int = WAITING_WORKS,
        listeners: Sequence[Listener] = (),
        own_listeners: Sequence[Listener] = (),
        observer: WriteObserver | None = None,
    ) -> None:
        self._store = store
        self._shared = store if isinstance(store, Shared) else None
        self._own_listeners = tuple(own_listeners)
        self._tidying = store if isinstance(store, Tidying) else None
        self._clock = clock
        self._queue_events = queue_events
        self._queue_works = queue_works
        self._group_works = group_works
        self._listeners = tuple(listeners)
        self._observer = observer
        self._changed = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._urgent: deque[_Waiting] = deque()
        self._events = 0
        self._stopping = False
        self._woken = False
        self._untold = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    @property
    def waiting_events(self) -> int:
        """Events that wait for the writer."""
        return self._events

    def start(self) -> None:
        """Start the thread; call on the event loop that will await `write`."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def write(
        self, work: Callable[[WriteTx], T], *, events: int = 0, urgent: bool = False
    ) -> T:
        """See `protocols.Writer.write`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._changed:
            self._admit(events, urgent=urgent)
            lane = self._urgent if urgent else self._queue
            lane.append(_Waiting(work, events, future))
            self._events += events
            self._changed.notify()
        if self._observer is not None:
            self._observer.waiting(self._events)
        return cast(T, await future)

    def wake(self) -> None:
        """Look what other servers committed; from any thread."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    async def stop(self, timeout_s: float = STOP_S) -> bool:
        """Write what waits, take nothing more; gives whether all was done in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._loop is None:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            log(
                logger,
                logging.ERROR,
                "store",
                "The writer did not stop in time",
                event="stop",
                rows=len(self._queue),
            )
            return False
        return True

    def _admit(self, events: int, *, urgent: bool) -> None:
        if self._stopping:
            raise StoreUnavailableError("the server is stopping")
        if urgent:
            if len(self._urgent) >= URGENT_WORKS:
                raise OverloadedError("too many heartbeats are waiting to be written")
            return
        # A batch that is larger than the whole queue still passes through an empty one.
        if events and self._events and self._events + events > self._queue_events:
            raise OverloadedError("too many events are waiting to be written")
        if len(self._queue) >= self._queue_works:
            raise OverloadedError("too many changes are waiting to be written")

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None
        try:
            while (group := self._next_group()) is not None:
                if group:
                    self._write(group, loop)
                else:
                    self._hear(loop)
                self._tidy()
        finally:
            loop.call_soon_threadsafe(self._ended.set)

    def _next_group(self) -> list[_Waiting] | None:
        """Everything that waits, nothing where others are to be heard, or None when there will be
        nothing more.
        """
        with self._changed:
            while not self._queue and not self._urgent:
                if self._stopping:
                    return None
                if self._woken:
                    break
                self._changed.wait()
            self._woken = False
            taken = _first(self._urgent, self._group_works)
            taken += _first(self._queue, self._group_works - len(taken))
            self._events -= sum(waiting.events for waiting in taken)
        return [waiting for waiting in taken if not waiting.future.cancelled()]

    def _write(self, group: list[_Waiting], loop: asyncio.AbstractEventLoop) -> None:
        begun = time.perf_counter()
        commit: Commit | None = None
        try:
            outcomes, commit = self._store.write_group(
                [waiting.work for waiting in group], self._clock.now_us()
            )
        except StoreError as error:
            log(
                logger,
                logging.ERROR,
                "store",
                "The store refused a group",
                event="refused",
                rows=len(group),
                duration_ms=(time.perf_counter() - begun) * 1000,
                error=str(error),
            )
            outcomes = self._all_failed(group, error)
        except Exception as error:
            facts: Facts = {"event": "failed", "rows": len(group)}
            logger.exception("Could not write a group", extra={"tag": "store", "facts": facts})
            outcomes = self._all_failed(group, error)
        else:
            self._observe(group, time.perf_counter() - begun)
        answered = self._retry_lost_races(group, outcomes)
        told = [] if self._shared is None else self._shared.told_before()
        loop.call_soon_threadsafe(self._finish, told, commit, answered)

    def _hear(self, loop: asyncio.AbstractEventLoop) -> None:
        """What other servers committed."""
        told = self._told()
        if told:
            loop.call_soon_threadsafe(self._finish, told, None, [])

    def _told(self) -> list[Commit]:
        if self._shared is None:
            return []
        try:
            told = self._shared.told()
        except StoreError as error:
            if not self._untold:
                logger.error("Cannot learn what other servers did: %s", error)
            self._untold = True
            return []
        except Exception:
            # The one thread that writes must outlive whatever others wrote.
            logger.exception("Could not learn what other servers did")
            return []
        self._untold = False
        return told

    def _retry_lost_races(
        self, group: list[_Waiting], outcomes: list[Outcome]
    ) -> list[tuple[_Waiting, Outcome]]:
        """Put works that lost a race in front of the queue, once; give the others."""
        answered: list[tuple[_Waiting, Outcome]] = []
        again: list[_Waiting] = []
        for waiting, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome.error, ConflictError) and not waiting.retried:
                waiting.retried = True
                again.append(waiting)
            else:
                answered.append((waiting, outcome))
        if again:
            with self._changed:
                self._queue.extendleft(reversed(again))
                self._events += sum(waiting.events for waiting in again)
        return answered

    def _finish(
        self,
        told: list[Commit],
        commit: Commit | None,
        answered: list[tuple[_Waiting, Outcome]],
    ) -> None:
        """On the event loop: listeners first, in the order of the commits, then whoever waits."""
        for other in told:
            self._pass_on(other, self._listeners)
        if commit is not None:
            self._pass_on(commit, (*self._listeners, *self._own_listeners))
        for waiting, outcome in answered:
            if waiting.future.done():
                continue
            if outcome.error is None:
                waiting.future.set_result(outcome.value)
            else:
                waiting.future.set_exception(outcome.error)
        if self._observer is not None:
            self._observer.waiting(self._events)

    def _pass_on(self, commit: Commit, listeners: Sequence[Listener]) -> None:
        for listener in listeners:
            try:
                listener(commit)
            except Exception:
                logger.exception("Could not pass a commit on to %r", listener)

    def _tidy(self) -> None:
        if self._tidying is None:
            return
        try:
            self._tidying.tidy(idle=not self._queue)
        except Exception:
            logger.exception("Could not tidy the store")

    def _observe(self, group: list[_Waiting], seconds: float) -> None:
        if self._observer is not None:
            events = sum(waiting.events for waiting in group)
            self._observer.committed(len(group), events, seconds)

    def _all_failed(self, group: list[_Waiting], error: Exception) -> list[Outcome]:
        if self._observer is not None:
            self._observer.failed(kind_of(error))
        return [Outcome(error=error)] * len(group)


def kind_of(error: BaseException) -> str:
    """The store's error as a metric's label: ``full``, ``unavailable``, ``conflict``, ``other``."""
    match error:
        case StorageFullError():
            return "full"
        case StoreUnavailableError():
            return "unavailable"
        case ConflictError():
            return "conflict"
        case _:
            return "other"


def _first(lane: deque[_Waiting], most: int) -> list[_Waiting]:
    return [lane.popleft() for _ in range(min(len(lane), most))]
