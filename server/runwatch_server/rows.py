"""The records a store keeps, in the server's own units; what the wire shows of them is in
`projection`.

Moments are ``*_us``: microseconds since the epoch. Rows are frozen: a change is a new row made with
``msgspec.structs.replace`` and saved by `storage.protocols.WriteTx`.
"""

from typing import Final, Literal, NamedTuple

import msgspec

from runwatch_server.ledger_rows import SlotRow, StrayRow
from runwatch_server.ledger_rows import SpoolRow as SpoolRow
from runwatch_server.row import Row as Row
from runwatch_shared.models import (
    AdminStatus,
    Agent,
    AgentOffer,
    CancelReason,
    Constraints,
    Health,
    Json,
    Labels,
    LeaseKind,
    Level,
    Login,
    NodeId,
    NodeStatus,
    Origin,
    ProcessId,
    Prompt,
    QueueReasonCode,
    RunId,
    RunStatus,
    Scope,
    TaskId,
    TaskStatus,
    WaitKind,
    Workspace,
)


class UsageRow(Row, frozen=True, kw_only=True):
    """Tokens and cost of one agent session, or of a run (the sum of its sessions)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    cost_source: Literal["agent", "price_table"] | None = None
    partial: bool = False
    model: str | None = None
    context_tokens: int | None = None
    context_limit: int | None = None
    as_of_us: int

    @property
    def total_tokens(self) -> int:
        """The sum of the first four (contract 5.1)."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
        )


class BurnRow(Row, frozen=True, kw_only=True):
    cost_usd_per_h: float | None
    tokens_per_min: float
    as_of_us: int


class CancelRow(Row, frozen=True, kw_only=True):
    requested_us: int
    reason: CancelReason
    by: str
    note: str | None = None
    delivered_us: int | None = None


class WaitRow(Row, frozen=True, kw_only=True):
    """An open wait for a person."""

    id: str | None = None
    kind: WaitKind
    since_us: int
    prompt: str
    deadline_us: int | None = None
    on_expiry: Literal["deny", "approve", "fail", "continue"] | None = None
    seq: int
    lane: str = "lead"


class SourceRow(Row, frozen=True, kw_only=True):
    """Who said the status."""

    kind: Literal["event", "node", "scheduler", "user", "server", "inferred"]
    at_us: int
    note: str | None = None


class RunRow(Row, frozen=True, kw_only=True):
    """A run with every counter that is kept on it; `RunFold` and `SpecRow` stand beside it."""

    id: RunId
    task_id: TaskId
    name: str
    attempt: int = 1
    status: RunStatus
    origin: Origin = "scheduled"
    agent_type: str
    agent_instance_id: str | None = None
    account_id: str | None = None
    node_id: NodeId | None = None
    parent_id: RunId | None = None
    labels: Labels = {}
    constraints: Constraints | None = None
    priority: int = 0
    timeout_s: int | None = None
    retry_on_lost: bool = False

    created_us: int
    assigned_us: int | None = None
    claimed_us: int | None = None
    started_us: int | None = None
    finished_us: int | None = None
    deadline_us: int | None = None
    updated_us: int
    """Last change of status, health, waiting, node or cancel (contract 5.6, ``update_time``)."""

    epoch: int = 0
    """How often the run was given away; the fence of every write."""
    lease_kind: LeaseKind | None = None
    """None: nobody holds the run (queued, or terminal)."""
    process_id: ProcessId | None = None
    """The node process that claimed the run; None until it is claimed. Stays when the lease goes:
    a run that ever had an explicit lease needs an epoch from every writer."""
    holders: tuple[NodeId, ...] = ()
    """Nodes that held the run, each once, the latest twenty."""
    cancel: CancelRow | None = None

    exit_code: int | None = None
    error: str | None = None
    error_code: str | None = None

    first_seq: int = 1
    last_seq: int = 0
    event_count: int = 0
    seq_holes: int = 0
    events_removed: int = 0
    """By retention, of `event_count`."""
    usage: UsageRow | None = None
    burn: BurnRow | None = None
    tool_calls: int = 0
    tool_failures: int = 0
    open_tools: int = 0
    model: str | None = None
    agent_session_id: str | None = None
    progress: int | None = None
    """As reported, 1 to 99."""

    last_activity_us: int | None = None
    activity_text: str | None = None
    wait: WaitRow | None = None
    """The oldest open wait."""
    open_waits: int = 0
    waited_us: int = 0
    """Time already spent waiting, closed waits only; not counted for ``slow``."""

    health: Health = "ok"
    health_reason: str | None = None
    health_since_us: int | None = None
    looping: str | None = None
    """The looping reason while the last calls repeat, whatever flag is shown."""
    node_silent: bool = False
    """No word of it from its node for 45 s: the state is unknown."""
    silent_since_us: int | None = None
    """When ``node_silent`` was inferred; None while it is not."""
    lease_ended_us: int | None = None
    """When the lease ran out while the run stays with its node; None while it is renewed."""
    queue_reason: str | None = None
    queue_reason_code: QueueReasonCode | None = None
    source: SourceRow
    revision: int = 0
    """Of the last change; set by the store."""

    @property
    def key(self) -> str:
        """What the row is known by in its aggregate."""
        return self.id


class OpenCall(Row, frozen=True, kw_only=True):
    """A tool call without a result yet."""

    id: str | None
    tool: str
    seq: int
    lane: str = "lead"
    started_us: int
    step: int
    """Number of the step row that shows it."""
    detail: str | None = None


class ToolRow(Row, frozen=True, kw_only=True):
    tool: str
    calls: int = 0
    failures: int = 0
    open: int = 0
    total_ms: int = 0
    last_seq: int = 0


class LaneRow(Row, frozen=True, kw_only=True):
    lane: str
    parent_seq: int | None = None
    last_seq: int = 0
    tool_calls: int = 0
    tool_failures: int = 0
    usage: UsageRow | None = None


class RunFold(Row, frozen=True, kw_only=True):
    """What folding the next event needs beside the row; bounded in every list."""

    open_calls: list[OpenCall] = []
    recent_calls: list[tuple[str, str]] = []
    """(tool, input digest) of the last calls, newest last, as many as ``looping_window``."""
    waits: list[WaitRow] = []
    sessions: dict[str, UsageRow] = {}
    """Usage by agent session, at most 50."""
    tools: dict[str, ToolRow] = {}
    lanes: dict[str, LaneRow] = {}
    spent: list[tuple[int, int, float]] = []
    """(minute, tokens, USD) of the last ten minutes with usage, for the burn rate."""
    steps: int = 0
    """Tool steps made so far."""


class StepRow(Row, frozen=True, kw_only=True):
    """One tool call of a run as a step; phases are made from the run's own times."""

    n: int
    name: str
    status: Literal["open", "succeeded", "failed", "cancelled", "unknown"]
    started_us: int
    ended_us: int | None = None
    seq: int
    end_seq: int | None = None
    lane: str | None = None
    detail: str | None = None


class SpecRow(Row, frozen=True, kw_only=True):
    """What a node executes, fixed at creation (contract 5.3, ``snapshot``); ``env`` sealed."""

    task_id: TaskId
    name: str
    agent: Agent
    prompt: str
    workspace: Workspace | None = None
    labels: Labels = {}
    timeout_s: int | None = None
    env: dict[str, str] | None = None


class EventRow(NamedTuple):
    """One stored event; the run's id stands beside it. A tuple, so that it binds as it is."""

    seq: int
    epoch: int
    type: str
    at_us: int
    received_us: int
    level: Level
    payload: bytes | None
    """JSON object as it came."""
    raw: str | None


class TaskRow(Row, frozen=True, kw_only=True):
    id: TaskId
    name: str
    description: str | None = None
    status: TaskStatus = "pending"
    agent: Agent
    prompt: Prompt
    labels: Labels = {}
    workspace: Workspace | None = None
    constraints: Constraints | None = None
    timeout_s: int | None = None
    priority: int = 0
    retry_on_lost: bool = False
    env: dict[str, str] | None = None
    context: Json | None = None
    security: Json | None = None
    template_id: str | None = None
    parent_id: TaskId | None = None
    runs_total: int = 0
    runs_active: int = 0
    last_run_id: RunId | None = None
    last_run_status: RunStatus | None = None
    created_us: int
    updated_us: int
    revision: int = 0

    @property
    def key(self) -> str:
        """What the row is known by in its aggregate."""
        return self.id


class NodeRow(Row, frozen=True, kw_only=True):
    id: NodeId
    display_name: str | None = None
    hostname: str | None = None
    ips: str | None = None
    reported_labels: Labels = {}
    set_labels: dict[str, str | None] = {}
    """By an administrator, laid over the reported ones; ``None`` removes."""
    version: str | None = None
    process_id: ProcessId | None = None
    started_us: int | None = None
    status: NodeStatus = "online"
    """As resolved at the last change."""
    reported_status: Literal["online", "draining", "unhealthy"] = "online"
    admin_status: AdminStatus = "active"
    stop_after_us: int | None = None
    """While draining: when its runs are cancelled."""
    last_heartbeat_us: int | None = None
    offline_since_us: int | None = None
    clock_skew_ms: int | None = None
    max_concurrent: int = 1
    available: int | None = None
    max_concurrent_override: int | None = None
    allocated: int = 0
    """Runs assigned or running here, kept in the commits that change it; found ones not counted."""
    active_runs: int = 0
    """All runs assigned or running here, found ones too."""
    agents: list[AgentOffer] = []
    logins: list[Login] = []
    accounts: list[str] = []
    refused: list[str] = []
    """Whose logins can be used here, and whose it has that cannot (`accounts.holding`)."""
    spool: SpoolRow | None = None
    runtimes: list[str] = []
    slots: list[SlotRow] = []
    """The runs in ``allocated``; none before the first heartbeat to a server that keeps them."""
    strays: list[StrayRow] = []
    strays_beyond: int = 0
    """How many more there are than are kept."""
    proxy_tests: list[str] = []
    """Tests it is to make (`proxies.asking`)."""
    judged_us: int = 0
    """As of when `ledger` tells pending from phantom, so that the row alone says which."""
    ledger_due_us: int | None = None
    """When the next pending slot becomes a phantom unless it is reported."""
    last_given_us: int = 0
    """When the scheduler last gave it a run."""
    lapsed_us: int = 0
    """When it last let a claim lapse; tried last for 60 s."""
    created_us: int
    updated_us: int
    revision: int = 0

    @property
    def key(self) -> str:
        """What the row is known by in its aggregate."""
        return self.id

    @property
    def labels(self) -> Labels:
        """Reported labels with the administrator's laid over them."""
        merged: dict[str, str | None] = {**self.reported_labels, **self.set_labels}
        return {name: value for name, value in merged.items() if value is not None}

    @property
    def capacity(self) -> int:
        """Slots: the administrator's number, else the reported one."""
        if self.max_concurrent_override is not None:
            return self.max_concurrent_override
        return self.max_concurrent


class LeaseRow(Row, frozen=True, kw_only=True):
    """How long a holder may be silent. Beside the run: a renewal is no change of the run."""

    run_id: RunId
    epoch: int
    node_id: NodeId
    expires_us: int


class UserRow(Row, frozen=True, kw_only=True):
    id: str
    email: str
    username: str
    role: Literal["admin", "user"]
    scope: Scope
    status: Literal["active", "disabled"] = "active"
    password_hash: str
    created_us: int
    updated_us: int


class SessionRow(Row, frozen=True, kw_only=True):
    """A login of a user; access and refresh tokens are bound to it."""

    id: str
    user_id: str
    created_us: int
    expires_us: int
    ended_us: int | None = None


class TokenRow(Row, frozen=True, kw_only=True):
    """An API token; the secret itself is never stored (contract 2.1).

    ``joins``: it is no credential; a node may trade it for its own token, once.
    """

    id: str
    name: str
    scope: Scope
    node_id: NodeId | None = None
    secret_sha256: str
    created_us: int
    created_by: str
    last_used_us: int | None = None
    expires_us: int | None = None
    revoked_us: int | None = None
    joins: bool = False


class ReplayRow(Row, frozen=True, kw_only=True):
    """The answer of a request with an ``Idempotency-Key`` (contract 1.5)."""

    principal: str
    route: str
    key: str
    body_sha256: str
    status: int
    body: bytes
    at_us: int


class Bounds(Row, frozen=True, kw_only=True):
    """What is to go, oldest ended runs first; None bounds nothing."""

    events_before_us: int | None = None
    """Events of runs that ended before."""
    max_events: int | None = None
    """Events kept altogether."""
    max_bytes: int | None = None
    """Of the database, free pages not counted."""
    runs_before_us: int | None = None
    """Runs that ended before, with all that is kept of them."""


class PruneRow(Row, frozen=True, kw_only=True):
    """What ``monitor-server prune`` asked a running server to do, and how far it is."""

    id: int = 0
    """Given by the store."""
    asked_us: int
    bounds: Bounds
    done: bool = False
    events: int = 0
    runs: int = 0
    """Removed so far."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What a store holds."""

    events: int
    used_bytes: int
    """Pages in use; what retention bounds."""
    file_bytes: int
    """With the free pages, which new rows fill first."""


class Tombstone(Row, frozen=True, kw_only=True):
    """What was deleted, so that a resumed feed can say so."""

    kind: str
    id: str
    revision: int
    at_us: int


NO_FOLD: Final = RunFold()
