"""What the console needs from the network, as records and Protocols; no client, no screen."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

import msgspec

from runwatch_console.feeditems import (
    Cause as Cause,
)
from runwatch_console.feeditems import (
    Connected as Connected,
)
from runwatch_console.feeditems import (
    Connecting as Connecting,
)
from runwatch_console.feeditems import (
    Disconnected as Disconnected,
)
from runwatch_console.feeditems import (
    FeedItem as FeedItem,
)
from runwatch_console.feeditems import (
    Frame as Frame,
)
from runwatch_console.feeditems import (
    LossReason as LossReason,
)
from runwatch_console.feeditems import (
    Target as Target,
)
from runwatch_console.feeditems import (
    other_scheme as other_scheme,
)
from runwatch_shared.errors import RunwatchError
from runwatch_shared.ledger import LedgerAnswer
from runwatch_shared.models import Event, History, Run, Stats, Task, WorkflowDetail
from runwatch_shared.wire import (
    CancelAnswer,
    ChangeFrame,
    ErrorFrame,
    EventViewPage,
    HeartbeatFrame,
    NodeList,
    PongFrame,
    ResyncFrame,
    RunList,
    ServerInfo,
    SnapshotFrame,
    StepPage,
    TaskList,
    WorkflowList,
)

FleetFrame = SnapshotFrame | ChangeFrame | HeartbeatFrame | ResyncFrame | PongFrame | ErrorFrame
"""What follows hello on `/ws/monitor?mode=delta` (contract 7.2)."""


class Feed(Protocol):
    """The fleet, for ever: reconnects with back-off and `since`; never raises for the network."""

    def frames(self) -> AsyncIterator[FeedItem]:
        """Yield what happens, in order; ends only when it is closed or cancelled. Call it once."""
        ...

    def retry_now(self) -> None:
        """End the present wait between attempts; without effect while connected."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class EventBatch:
    """Events in rising seq, each once."""

    events: tuple[Event, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """History that is gone, both ends included, in the place where it would stand (contract 10)."""

    from_seq: int
    to_seq: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStatus:
    """The run is over and every event of it was yielded; the iterator ends after this."""

    status: str
    last_seq: int
    exit_code: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconnected:
    """The run's socket is open (again); events go on after `from_seq`, none lost and none twice."""

    from_seq: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RunGone:
    """The run does not exist (any more): 404 or close 4404; the iterator ends after this."""

    detail: str = ""


RunItem = EventBatch | Gap | RunStatus | Reconnected | Disconnected | RunGone


class RunEvents(Protocol):
    """Live events of one run (contract 10, `batch=true`)."""

    def follow(self, run_id: str, from_seq: int | None) -> AsyncIterator[RunItem]:
        """Every event after `from_seq`, in order, each once, then live; None: live ones only.

        Reconnects by itself with the last seq it yielded; closing the iterator closes the socket.
        """
        ...


class ApiError(RunwatchError):
    """A request that did not succeed: contract 1.2, or `status` 0 when no answer came.

    Args:
        code: machine code of the contract; `unreachable` or `timeout` when no answer came.
        error: for people, not yet cleaned.
        field: dotted path of the bad field, where the server names one.
        status: HTTP status, 0 without an answer.
        retry_after_s: from `Retry-After`, where given.
    """

    def __init__(
        self,
        code: str,
        error: str,
        *,
        field: str | None = None,
        status: int = 0,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {error}")
        self.code = code
        self.error = error
        self.field = field
        self.status = status
        self.retry_after_s = retry_after_s


class UntrustedCertificateError(ApiError):
    """The server's certificate is not trusted; nothing was sent to it. `loss` says the rest."""

    def __init__(self, loss: Disconnected) -> None:
        super().__init__(str(loss.reason), loss.detail)
        self.loss = loss


@dataclass(frozen=True, kw_only=True, slots=True)
class EventQuery:
    """Which page of a run's events: exactly one of the three positions (contract 6.1)."""

    after_seq: int | None = None
    before_seq: int | None = None
    tail: bool = False
    limit: int = 200
    types: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    q: str = ""
    include_raw: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class NewTask:
    """A task to create (contract 8.1). `argv` only for the agent `command`."""

    name: str
    agent_type: str
    prompt: str = ""
    argv: tuple[str, ...] = ()
    model: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    node_id: str = ""
    priority: int = 0
    timeout_s: int | None = None


Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Query = Mapping[str, str | Sequence[str]]
"""Parameters; one with several values is repeated."""
AnswerT = TypeVar("AnswerT")


class Asking(Protocol):
    """Any request; what they are is in the package `ops`."""

    async def ask(
        self,
        method: Method,
        path: str,
        answer: type[AnswerT],
        *,
        query: Query | None = None,
        body: msgspec.Struct | None = None,
        keyed: bool = False,
        once: bool = False,
    ) -> AnswerT:
        """The answer to one request, as a record of this type; None where there is none (204).

        Args:
            keyed: With an Idempotency-Key, so that a lost answer may be repeated.
            once: Not asked again when no answer came: a second time would do more.

        Raises:
            ApiError: And nothing else.
        """
        ...


class Api(Asking, Protocol):
    """Requests, each with a time limit of its own; each raises ApiError and nothing else."""

    async def server_info(self) -> ServerInfo: ...

    async def workflow(self, run_id: str) -> WorkflowDetail: ...

    async def workflows(
        self, query: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> WorkflowList:
        """One page of GET /monitor/workflows; `query` has the names of contract 6.1."""
        ...

    async def events(self, run_id: str, query: EventQuery) -> EventViewPage: ...

    async def steps(self, run_id: str, *, after_seq: int, limit: int) -> StepPage:
        """Tool calls that began after this event, oldest first (contract 6.1)."""
        ...

    async def stats(self) -> Stats: ...

    async def history(self, minutes: int) -> History: ...

    async def nodes(self) -> NodeList: ...

    async def ledger(self, node_id: str) -> LedgerAnswer: ...

    async def tasks(
        self, query: Mapping[str, Sequence[str]], *, limit: int, cursor: str | None = None
    ) -> TaskList:
        """One page of GET /tasks, newest first; `query` has the names of contract 8.1."""
        ...

    async def task_runs(self, task_id: str, *, limit: int, cursor: str | None = None) -> RunList:
        """One page of the runs of a task, newest first."""
        ...

    async def create_task(self, task: NewTask) -> Task:
        """POST /tasks with an Idempotency-Key of its own, so that a lost answer may be repeated."""
        ...

    async def create_run(self, task_id: str) -> Run: ...

    async def cancel_run(self, run_id: str, note: str = "") -> CancelAnswer: ...

    async def retry_run(self, run_id: str) -> Run: ...


async def _nothing_to_close() -> None:
    """For connections that hold nothing open."""


async def _nothing_to_spare(low: bool) -> None:
    """For connections that lead over no link."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """Everything of the network the app uses."""

    feed: Feed
    run_events: RunEvents
    api: Api
    close: Callable[[], Awaitable[None]] = _nothing_to_close
    """Ends what is open; called once, when the app ends."""
    spare: Callable[[bool], Awaitable[None]] = _nothing_to_spare
    """Ask for fewer rows over a slow link, or for as many as otherwise; what is so already stays
    as it is."""


Connect = Callable[[], Connection]
"""Makes the connection without waiting for the network. The app calls it once, in a thread, after
the first frame: importing httpx and websockets there does not hold up a key."""
