"""What the domain asks of a store, one Protocol an aggregate; no vendor, no SQL.

The domain is plain functions over a `WriteTx` (inside the one writer) or a `ReadTx` (a snapshot of
its own, in a reader's thread). Both are synchronous: a store runs them in threads of its own, and
the event loop only awaits `Writer` and `Reader`. A function given to the writer may run again after
a lost race, so it does nothing but read and write through its transaction.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeVar

import msgspec

from runwatch_server.alerts.row import AlertRow
from runwatch_server.kept import KeptRow
from runwatch_server.rows import (
    EventRow,
    LeaseRow,
    NodeRow,
    PruneRow,
    ReplayRow,
    RunFold,
    RunRow,
    SessionRow,
    Size,
    SpecRow,
    StepRow,
    TaskRow,
    TokenRow,
    UserRow,
)
from runwatch_server.storage.asking import Changed as Changed
from runwatch_server.storage.asking import EventQuery as EventQuery
from runwatch_server.storage.asking import EventRows as EventRows
from runwatch_server.storage.asking import Query as Query
from runwatch_server.storage.asking import TaskQuery as TaskQuery
from runwatch_server.storage.kept import K, KeptChange, KeptReads, KeptWrites
from runwatch_server.storage.telemetry import TelemetryWrites

T = TypeVar("T")

Span = Literal["all", "day", "minute"]
"""What a counter covers. ``start_us`` is 0, the day's local midnight, or the minute's begin."""


class RunReads(Protocol):
    def get(self, run_id: str) -> RunRow | None: ...

    def spec(self, run_id: str) -> SpecRow | None: ...

    def fold(self, run_id: str) -> RunFold: ...

    def of_task(
        self, task_id: str, *, limit: int, after: tuple[int, str] | None = None
    ) -> list[RunRow]:
        """Newest first; ``after`` is (created_us, id)."""
        ...

    def retries_of(self, run_id: str, *, limit: int) -> list[str]:
        """Ids of the runs whose parent this is, oldest first."""
        ...

    def of_session(self, agent_session_id: str, *, limit: int) -> list[RunRow]:
        """Runs an agent's session was named for, newest first."""
        ...

    def page(self, query: Query) -> list[RunRow]:
        """At most ``query.limit`` rows, keyset-paged, ordered by sort, then id."""
        ...

    def count(self, query: Query, *, at_most: int) -> int:
        """How many rows match, not looking further than ``at_most + 1``."""
        ...

    def active_on(self, node_id: str) -> list[RunRow]:
        """Assigned or running on a node, oldest first."""
        ...

    def steps(
        self, run_id: str, *, after_n: int | None, before_n: int | None, limit: int
    ) -> list[StepRow]:
        """Rising ``n``; with neither bound the newest."""
        ...

    def ended(self, *, with_events: bool, limit: int | None = None) -> Iterator[RunRow]:
        """Runs that ended, the longest ago first, row by row; use it up before anything is written.

        Args:
            with_events: Only those of whose events some are stored.
        """
        ...


class EventReads(Protocol):
    def page(self, query: EventQuery) -> EventRows: ...

    def between(self, run_id: str, from_seq: int, to_seq: int) -> list[EventRow]:
        """Both ends included, rising, with ``raw``."""
        ...

    def after(
        self, run_id: str, seq: int, *, limit: int, max_bytes: int, raw: bool
    ) -> list[EventRow]:
        """Rising; at most ``limit`` events and about ``max_bytes`` of payload, at least one."""
        ...


class TaskReads(Protocol):
    def get(self, task_id: str) -> TaskRow | None: ...

    def page(self, query: TaskQuery) -> list[TaskRow]: ...

    def count(self, query: TaskQuery, *, at_most: int) -> int: ...

    def children(self, task_id: str) -> list[TaskRow]: ...


class NodeReads(Protocol):
    def get(self, node_id: str) -> NodeRow | None: ...

    def all(self) -> list[NodeRow]:
        """Every node by id; fleets have thousands at most."""
        ...

    def deleted_process(self, node_id: str) -> str | None:
        """The process that beat last when the node was deleted, while its tombstone lives."""
        ...


class PruneReads(Protocol):
    def get(self, prune_id: int) -> PruneRow | None: ...

    def open(self) -> PruneRow | None:
        """The oldest that is not done."""
        ...


class AccessReads(Protocol):
    def user(self, user_id: str) -> UserRow | None: ...

    def user_by_email(self, email: str) -> UserRow | None: ...

    def users(self) -> list[UserRow]: ...

    def session(self, session_id: str) -> SessionRow | None: ...

    def token(self, token_id: str) -> TokenRow | None: ...

    def tokens(self) -> list[TokenRow]: ...


class LeaseReads(Protocol):
    def get(self, run_id: str) -> LeaseRow | None: ...

    def of_node(self, node_id: str) -> list[LeaseRow]: ...

    def expired(self, now_us: int, *, limit: int) -> list[LeaseRow]:
        """Expired at ``now_us``, longest first."""
        ...


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The pure functions of the domain a store applies to every run it saves.

    ``tally`` gives the counters a change moves (see `tally.of_run`); ``due_us`` when the sweeper
    must look at the run next, None for never (see `health.due_us`). ``alerts`` gives those a change
    makes (see `alerts.message.alert_rule`); they are stored with it, as are those of a change of a
    kept row (``kept_alerts``, see `alerts.expiry`).
    """

    tally: Callable[[RunRow | None, RunRow | None, int], list[tuple[Span, int, str, float]]]
    due_us: Callable[[RunRow], int | None]
    alerts: Callable[[RunRow | None, RunRow, int], list[AlertRow]] | None = None
    kept_alerts: Callable[[KeptRow | None, KeptRow, int], list[AlertRow]] | None = None


class ReadTx(Protocol):
    """One consistent snapshot."""

    @property
    def runs(self) -> RunReads: ...
    @property
    def events(self) -> EventReads: ...
    @property
    def tasks(self) -> TaskReads: ...
    @property
    def nodes(self) -> NodeReads: ...
    @property
    def access(self) -> AccessReads: ...
    @property
    def leases(self) -> LeaseReads: ...
    @property
    def prunes(self) -> PruneReads: ...

    def kept(self, row: type[K]) -> KeptReads[K]:
        """The kept rows of a kind, named by its class."""
        ...

    def size(self) -> Size:
        """Kept numbers: costs the same whatever is stored."""
        ...

    def revision(self) -> int:
        """Of the last commit this snapshot sees."""
        ...

    def changed_since(self, revision: int, *, limit: int) -> Changed | None:
        """Everything later than ``revision``; None when it is more than ``limit`` rows."""
        ...

    def oldest_resumable(self) -> int:
        """The smallest ``since`` a feed may resume from: older tombstones are gone."""
        ...

    def counters(self) -> list[tuple[Span, int, str, float]]:
        """(span, start_us, name, value) of every counter kept: for starting up."""
        ...

    def pending_alerts(self) -> list[AlertRow]:
        """Alerts not delivered yet, oldest first: for starting up."""
        ...

    def waiting_runs(self) -> list[RunRow]:
        """Runs with an open wait: for starting up."""
        ...


class RunWrites(RunReads, Protocol):
    def insert(self, row: RunRow, spec: SpecRow) -> RunRow:
        """Store a new run; gives it back with its revision."""
        ...

    def save(self, before: RunRow, after: RunRow, fold: RunFold | None = None) -> RunRow:
        """Compare-and-set on (epoch, last_seq, revision) of ``before``; gives back the saved row.

        Raises:
            ConflictError: The stored row is no longer ``before``.
        """
        ...

    def delete(self, row: RunRow) -> None:
        """The run with its events, steps, spec and lease; leaves a tombstone."""
        ...

    def queued(self, *, limit: int) -> list[RunRow]:
        """By priority, then created, then id (contract 12)."""
        ...

    def due(self, now_us: int, *, limit: int) -> list[RunRow]:
        """Runs whose `due_us` (see `health.due_us`) has come, longest first."""
        ...

    def put_step(self, run_id: str, step: StepRow) -> None:
        """Insert or replace step ``step.n``."""
        ...

    def step(self, run_id: str, n: int) -> StepRow | None: ...

    def remove_steps(self, run_id: str, *, limit: int) -> int:
        """Remove at most ``limit`` steps; gives how many went."""
        ...


class EventWrites(EventReads, Protocol):
    def append(self, run_id: str, events: Sequence[EventRow]) -> None:
        """Insert rows of rising seq, all above what is stored. Call after `RunWrites.save`."""
        ...

    def remove_oldest(self, run_id: str, *, limit: int) -> tuple[int, int | None]:
        """Remove at most ``limit`` events from a run's beginning.

        Returns:
            How many went, and the seq of the last that did; None when none was there.
        """
        ...


class TaskWrites(TaskReads, Protocol):
    def insert(self, row: TaskRow) -> TaskRow: ...

    def save(self, row: TaskRow) -> TaskRow: ...

    def delete(self, row: TaskRow) -> None: ...


class NodeWrites(NodeReads, Protocol):
    def save(self, row: NodeRow) -> NodeRow:
        """Insert or replace."""
        ...

    def delete(self, row: NodeRow) -> None: ...


class LeaseWrites(LeaseReads, Protocol):
    def put(self, row: LeaseRow) -> None:
        """Insert or renew; no change of any revision."""
        ...

    def drop(self, run_id: str) -> None: ...


class AccessWrites(AccessReads, Protocol):
    def save_user(self, row: UserRow) -> None: ...

    def save_session(self, row: SessionRow) -> None: ...

    def end_sessions(self, user_id: str, *, but: str | None, at_us: int) -> None: ...

    def save_token(self, row: TokenRow) -> None: ...

    def touch_tokens(self, used: Mapping[str, int]) -> None:
        """Set last_used_us of several tokens (id → moment)."""
        ...


class PruneWrites(PruneReads, Protocol):
    def put(self, row: PruneRow) -> PruneRow:
        """Insert one without an id, or replace; gives it back with its id."""
        ...

    def drop(self, prune_id: int) -> None: ...

    def drop_done(self, asked_before_us: int) -> None: ...


class ReplayWrites(Protocol):
    def get(self, principal: str, route: str, key: str) -> ReplayRow | None: ...

    def put(self, row: ReplayRow) -> None: ...


class AlertWrites(Protocol):
    def mark(self, *, over: Collection[str], tried: Mapping[str, int]) -> None:
        """Forget the alerts that are over; note how often others were tried (id → tries)."""
        ...


class Housekeeping(Protocol):
    def prune(
        self,
        *,
        minutes_before_us: int,
        days_before_us: int,
        tombstones_before_us: int,
        replays_before_us: int,
        sessions_before_us: int,
        limit: int,
    ) -> int:
        """Remove at most ``limit`` old rows of each kind; gives how many went."""
        ...

    def look_again(self, thresholds: str) -> bool:
        """Make every active run due now unless these thresholds are those of the last time; gives
        whether they are others."""
        ...


class WriteTx(Protocol):
    """The one writer's transaction. Everything saved takes its ``revision`` when it commits."""

    @property
    def runs(self) -> RunWrites: ...
    @property
    def events(self) -> EventWrites: ...
    @property
    def tasks(self) -> TaskWrites: ...
    @property
    def nodes(self) -> NodeWrites: ...
    @property
    def leases(self) -> LeaseWrites: ...
    @property
    def access(self) -> AccessWrites: ...
    @property
    def replays(self) -> ReplayWrites: ...
    @property
    def housekeeping(self) -> Housekeeping: ...
    @property
    def alerts(self) -> AlertWrites: ...
    @property
    def prunes(self) -> PruneWrites: ...
    @property
    def telemetry(self) -> TelemetryWrites: ...

    def kept(self, row: type[K]) -> KeptWrites[K]:
        """The kept rows of a kind, named by its class."""
        ...

    def size(self) -> Size:
        """As `ReadTx.size`; counters as of the commit before."""
        ...

    @property
    def now_us(self) -> int:
        """When this work began; the same for all of it."""
        ...

    def count(
        self, name: str, by: float, *, spans: Sequence[tuple[Span, int]] = (("all", 0),)
    ) -> None:
        """Add to a counter in each span; committed with the rest (see `tally`)."""
        ...


class RunChange(msgspec.Struct, frozen=True):
    """A run before and after a commit; ``before`` None: created; ``after`` None: deleted."""

    before: RunRow | None
    after: RunRow | None


class NodeChange(msgspec.Struct, frozen=True):
    before: NodeRow | None
    after: NodeRow | None


class TaskChange(msgspec.Struct, frozen=True):
    before: TaskRow | None
    after: TaskRow | None


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction changed; several changes of one row are merged into one."""

    revision: int
    """Unchanged from the commit before when nothing with a revision was touched."""
    at_us: int
    runs: list[RunChange]
    nodes: list[NodeChange]
    tasks: list[TaskChange]
    events: dict[str, list[EventRow]]
    """By run id, rising seq."""
    counts: list[tuple[Span, int, str, float]]
    alerts: list[AlertRow] = []
    kept: list[KeptChange] = []


class Outcome(msgspec.Struct, frozen=True):
    """Of one piece of work in a group: its value, or what it raised."""

    value: object = None
    error: BaseException | None = None


class Store(Protocol):
    """A database. `write_group` is called from one thread only; `read` from any."""

    store_id: str
    """16 hex digits: names the database's history (contract 1.6)."""

    def write_group(
        self, works: Sequence[Callable[[WriteTx], object]], now_us: int
    ) -> tuple[list[Outcome], Commit | None]:
        """Run all works in one durable transaction, each in a savepoint of its own.

        A work that raises undoes only itself. Returns after the commit is on disk. None: nothing
        was written at all.

        Raises:
            StoreError: The transaction could not be committed; nothing of it was kept.
        """
        ...

    def read(self) -> AbstractContextManager[ReadTx]: ...

    def probe(self) -> None:
        """A write that touches the disk and changes nothing; raises StoreError."""
        ...

    def wal_bytes(self) -> int: ...

    def close(self) -> None: ...


class Writer(Protocol):
    """The event loop's side of the writer thread (`ingest`)."""

    async def write(
        self, work: Callable[[WriteTx], T], *, events: int = 0, urgent: bool = False
    ) -> T:
        """Run ``work`` in the next group; returns after the commit.

        Args:
            work: Runs in the writer's thread.
            events: How many events it appends; counted against the queue's limit.
            urgent: It has a lane of its own: the queue's limit is for the others, and it is taken
                before them.

        Raises:
            OverloadedError: The queue is full.
            StoreError: The store failed; nothing was kept.
        """
        ...


class Reader(Protocol):
    """The event loop's side of the readers' threads."""

    async def read(self, work: Callable[[ReadTx], T]) -> T: ...
