"""Requests, responses and the frames of each WebSocket channel (contract sections 2 and 6 to 11);
records are in `models`.

Optional input is ``T | None = None``; where leaving out and ``null`` differ (PATCH) it is ``T |
None | UnsetType = UNSET``.
Server frames and client frames are tagged unions on ``type``.
"""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from runwatch_shared.models import (
    NO_PAYLOAD,
    Account,
    AgentOffer,
    CancelReason,
    Constraints,
    Event,
    EventView,
    Json,
    Labels,
    Login,
    Node,
    NodeId,
    Prompt,
    Record,
    Run,
    RunId,
    RunStatus,
    Scope,
    Spool,
    Stats,
    Step,
    Task,
    Time,
    Token,
    User,
    WorkflowState,
    WorkflowSummary,
    WorkflowType,
    Workspace,
)
from runwatch_shared.proxies import EnvConfig

PROTOCOL: Final = 1
PROTOCOL_MIN: Final = 1
MONITOR_HEARTBEAT_S: Final = 5
NODE_HEARTBEAT_S: Final = 10
SUBPROTOCOL: Final = "runwatch.v1"
BEARER_SUBPROTOCOL_PREFIX: Final = "runwatch.bearer."


class Problem(Record, frozen=True, kw_only=True):
    """The body of every refusal (contract 1.2)."""

    error: str
    code: str
    field: str | None = None
    details: Json | None = None


# Access (contract 2.4)


class LoginRequest(Record, frozen=True, kw_only=True):
    email: str
    password: str


class LoginAnswer(Record, frozen=True, kw_only=True):
    user: User
    access_token: str
    refresh_token: str
    expires_in_s: int


class RefreshRequest(Record, frozen=True, kw_only=True):
    refresh_token: str | None = None


class RefreshAnswer(Record, frozen=True, kw_only=True):
    access_token: str
    expires_in_s: int


class PasswordRequest(Record, frozen=True, kw_only=True):
    old_password: str
    new_password: str


class MessageAnswer(Record, frozen=True, kw_only=True):
    message: str


class TokenRequest(Record, frozen=True, kw_only=True):
    name: str
    scope: Scope
    node_id: str | None = None
    expires_in_s: int | None = None


class TokenIdentity(Record, frozen=True, kw_only=True):
    """What ``GET /auth/me`` says of a token."""

    id: str
    username: str
    scope: Scope
    node_id: NodeId | None = None
    expires_at: Time | None = None


class TokenList(Record, frozen=True, kw_only=True):
    tokens: list[Token]


# Health and server (contract 3)


class HealthAnswer(Record, frozen=True, kw_only=True):
    status: Literal["ok"]


class Check(Record, frozen=True, kw_only=True):
    status: Literal["ok", "fail"]
    message: str | None = None
    age_ms: int


class ReadyAnswer(Record, frozen=True, kw_only=True):
    status: Literal["ok", "fail"]
    checks: dict[str, Check]


class BootstrapTls(Record, frozen=True, kw_only=True):
    enabled: bool
    ca_url: str | None = None


class Bootstrap(Record, frozen=True, kw_only=True):
    tls: BootstrapTls
    protocol: int
    heartbeat_interval_s: int


class ServerAuth(Record, frozen=True, kw_only=True):
    mode: Literal["local", "on"]
    scope: Scope
    name: str | None = None


class LeaseSettings(Record, frozen=True, kw_only=True):
    ttl_s: int
    claim_s: int
    lost_after_s: int
    cancel_grace_s: int


class ServerInfo(Record, frozen=True, kw_only=True):
    """``GET /api/v1/server``."""

    version: str
    protocol: int
    protocol_min: int
    store: str
    revision: int
    server_time: Time
    started_at: Time
    auth: ServerAuth
    limits: dict[str, int]
    health_thresholds: dict[str, int]
    lease: LeaseSettings
    retention: dict[str, int]
    time_zone: str
    features: list[str]


# Monitor (contract 6)


class WorkflowList(Record, frozen=True, kw_only=True):
    workflows: list[WorkflowSummary]
    total: int
    total_exact: bool
    limit: int
    offset: int
    next_cursor: str | None
    revision: int
    server_time: Time


class Gap(Record, frozen=True, kw_only=True):
    """Removed history, both ends inclusive."""

    from_seq: int
    to_seq: int
    reason: Literal["expired"]


class EventViewPage(Record, frozen=True, kw_only=True):
    events: list[EventView]
    total: int
    first_seq: int
    last_seq: int
    has_before: bool
    has_after: bool
    gap: Gap | None = None
    scanned_to_seq: int | None = None
    server_time: Time


class StepPage(Record, frozen=True, kw_only=True):
    steps: list[Step]
    total: int


# Tasks and runs (contract 8)


class AgentRequest(Record, frozen=True, kw_only=True):
    """An `Agent` as it is asked for: without ``type`` it has the one named beside it."""

    type: str | None = None
    model: str | None = None
    parameters: Json | None = None
    instance_id: str | None = None
    account_id: str | None = None


class TaskSpec(Record, frozen=True, kw_only=True):
    """The older spelling ``{name, spec: {prompt, agent}}`` (contract 17)."""

    prompt: str | Prompt | None = None
    agent: AgentRequest | None = None
    type: str | None = None


class TaskRequest(Record, frozen=True, kw_only=True):
    name: str
    prompt: str | Prompt | None = None
    type: str | None = None
    agent: AgentRequest | None = None
    spec: TaskSpec | None = None
    description: str | None = None
    labels: Labels | None = None
    workspace: Workspace | None = None
    constraints: Constraints | None = None
    timeout_s: int | None = None
    priority: int = 0
    retry_on_lost: bool = False
    env: dict[str, str] | None = None
    parent_id: str | None = None
    context: Json | None = None
    template_id: str | None = None
    security: Json | None = None


class TaskPatch(Record, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    labels: Labels | UnsetType | None = UNSET
    priority: int | UnsetType = UNSET
    timeout_s: int | UnsetType | None = UNSET
    retry_on_lost: bool | UnsetType = UNSET


class TaskDelete(Record, frozen=True, kw_only=True):
    force: bool = False


class TaskList(Record, frozen=True, kw_only=True):
    tasks: list[Task]
    count: int
    total: int
    total_exact: bool
    has_more: bool
    next_cursor: str | None
    revision: int
    server_time: Time


class TaskFamily(Record, frozen=True, kw_only=True):
    """Children or all descendants of a task."""

    tasks: list[Task]
    count: int


class RunRequest(Record, frozen=True, kw_only=True):
    """Overrides of ``POST /tasks/{id}/runs`` and ``POST /runs/{id}/retry``."""

    prompt: str | Prompt | None = None
    agent: AgentRequest | None = None
    timeout_s: int | None = None
    priority: int | None = None
    labels: Labels | None = None
    constraints: Constraints | None = None
    retry_on_lost: bool | None = None


class RunList(Record, frozen=True, kw_only=True):
    runs: list[Run]
    count: int
    next_cursor: str | None


class CancelRequest(Record, frozen=True, kw_only=True):
    note: str | None = None


class CancelAnswer(Record, frozen=True, kw_only=True):
    status: RunStatus
    cancelling: bool
    run: Run


class RunPatch(Record, frozen=True, kw_only=True):
    status: Literal["running", "done", "failed", "cancelled", "timeout"]
    epoch: int | None = None
    exit_code: int | None = None
    error_message: str | None = None
    error_code: str | None = None


# Events (contract 9)


class EventInput(Record, frozen=True, kw_only=True):
    """One event as a node reports it; ``payload`` stays undecoded."""

    seq: int
    type: str
    timestamp: Time
    payload: msgspec.Raw = NO_PAYLOAD
    raw: str | None = None


class EventBatch(Record, frozen=True, kw_only=True):
    events: list[EventInput]
    epoch: int | None = None


class LeaseState(Record, frozen=True, kw_only=True):
    epoch: int
    expires_at: Time


class EventsAnswer(Record, frozen=True, kw_only=True):
    created: int
    duplicates: int
    last_seq: int
    status: RunStatus
    cancel: CancelReason | None
    lease: LeaseState | None


class EventPage(Record, frozen=True, kw_only=True):
    events: list[Event]
    count: int
    first_seq: int
    last_seq: int
    next_from_seq: int | None
    gap: Gap | None = None


# Nodes (contract 11)


class ReportedRun(Record, frozen=True, kw_only=True):
    id: str
    epoch: int
    alive: bool
    spooled_seq: int
    acked_seq: int


class Orphan(Record, frozen=True, kw_only=True):
    kind: Literal["process", "container"]
    ref: str
    since: Time


class ReportedCapacity(Record, frozen=True, kw_only=True):
    max_concurrent: int
    available: int | None = None


class Heartbeat(Record, frozen=True, kw_only=True):
    node_id: str
    process_id: str | None = None
    started_at: Time | None = None
    time: Time | None = None
    status: Literal["online", "draining", "unhealthy"] = "online"
    hostname: str | None = None
    ips: str | None = None
    labels: Labels | None = None
    version: str | None = None
    capacity: ReportedCapacity | None = None
    runtimes: list[str] | None = None
    agents: list[AgentOffer] | None = None
    logins: list[Login] | None = None
    spool: Spool | None = None
    runs: list[ReportedRun] | None = None
    running_runs: list[str] | None = None
    """The older node's list, which takes implicit leases (contract 17)."""
    orphans: list[Orphan] | None = None


class GrantedLease(Record, frozen=True, kw_only=True):
    run_id: RunId
    epoch: int
    expires_at: Time
    ttl_s: int


class Directives(Record, frozen=True, kw_only=True):
    """``cancel_runs``: stop, report all, end. ``lost_runs``: stop, report nothing."""

    cancel_runs: list[RunId]
    cancel_reasons: dict[RunId, CancelReason]
    lost_runs: list[RunId]
    drain: bool
    proxy_tests: list[str] | None = None
    """Asked for: what they are is in ``GET /nodes/{id}/proxy-tests``."""


class HeartbeatAnswer(Record, frozen=True, kw_only=True):
    status: Literal["ok"]
    server_time: Time
    interval_s: int
    leases: list[GrantedLease]
    directives: Directives


class NodeList(Record, frozen=True, kw_only=True):
    nodes: list[Node]
    count: int
    next_cursor: str | None
    revision: int
    server_time: Time


class NodePatch(Record, frozen=True, kw_only=True):
    display_name: str | UnsetType | None = UNSET
    labels: dict[str, str | None] | UnsetType = UNSET
    max_concurrent_override: int | UnsetType | None = UNSET
    status: Literal["active", "online", "draining", "maintenance"] | UnsetType = UNSET


class DrainRequest(Record, frozen=True, kw_only=True):
    stop_after_s: int | None = None


class NodeRuns(Record, frozen=True, kw_only=True):
    runs: list[Run]
    count: int
    directives: Directives


class ClaimRequest(Record, frozen=True, kw_only=True):
    node_id: str
    process_id: str
    epoch: int | None = None


class ClaimedLease(Record, frozen=True, kw_only=True):
    epoch: int
    expires_at: Time
    ttl_s: int


class ClaimAnswer(Record, frozen=True, kw_only=True):
    run: Run
    lease: ClaimedLease
    next_seq: int
    last_seq: int
    env_config: EnvConfig | None = None
    """What the run gets from its node, its proxy or the default one (contract 14)."""


class FoundRunRequest(Record, frozen=True, kw_only=True):
    """An agent session a node found (contract 11.3); ``external_id`` is the node's name of it."""

    external_id: str
    name: str
    agent_type: str
    process_id: str
    started_at: Time | None = None
    labels: Labels | None = None
    cwd: str | None = None
    model: str | None = None


class FoundRunAnswer(Record, frozen=True, kw_only=True):
    run: Run
    lease: ClaimedLease
    next_seq: int


# /ws/monitor, compatible mode (contract 7.1)


class FleetEvent(Record, frozen=True, kw_only=True):
    kind: Literal["workflow", "node", "task"]
    id: str
    workflow_type: WorkflowType | None = None
    change: Literal["created", "updated", "removed"]
    state: WorkflowState | None = None
    previous_state: WorkflowState | None = None
    status: str | None = None
    health: str | None = None
    node_id: NodeId | None = None
    name: str | None = None


class WorkflowsFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="workflows"):
    data: list[WorkflowSummary]
    timestamp: Time
    revision: int


class StatsFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="stats"):
    data: Stats
    timestamp: Time
    revision: int


class FleetEventFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="event"):
    data: FleetEvent
    timestamp: Time
    revision: int


# /ws/monitor, delta mode (contract 7.2)


class WorkflowKey(Record, frozen=True, kw_only=True):
    type: WorkflowType
    id: str


class WorkflowChanges(Record, frozen=True, kw_only=True):
    upsert: list[WorkflowSummary]
    remove: list[WorkflowKey]


class NodeChanges(Record, frozen=True, kw_only=True):
    upsert: list[Node]
    remove: list[str]


class TaskChanges(Record, frozen=True, kw_only=True):
    upsert: list[Task]
    remove: list[str]


class AccountChanges(Record, frozen=True, kw_only=True):
    upsert: list[Account]
    remove: list[str]


class HelloFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    protocol: int
    protocol_min: int
    revision: int
    store: str
    server_time: Time
    heartbeat_s: int
    version: str
    scope: Scope
    limits: dict[str, int]
    resumed: bool


class SnapshotFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """Whole rows of one revision, at most 500 rows or 256 KiB a part; ``total`` comes in the last
    part.
    """

    sub: int
    revision: int
    server_time: Time
    part: int
    last: bool
    workflows: list[WorkflowSummary] | None = None
    nodes: list[Node] | None = None
    tasks: list[Task] | None = None
    accounts: list[Account] | None = None
    stats: Stats | None = None
    total: int | None = None


class ChangeFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="change"):
    """The newest state of each row that changed in (``previous``, ``revision``]."""

    sub: int
    previous: int
    revision: int
    server_time: Time
    workflows: WorkflowChanges | None = None
    nodes: NodeChanges | None = None
    tasks: TaskChanges | None = None
    accounts: AccountChanges | None = None
    stats: Stats | None = None
    entered: int
    left: int
    total: int | None = None


class HeartbeatFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="heartbeat"):
    revision: int
    server_time: Time


class ResyncFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="resync"):
    reason: Literal["too_old", "store_changed", "lagging"]
    revision: int
    server_time: Time


class PongFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="pong"):
    id: int | None = None
    revision: int
    server_time: Time


class ErrorFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="error"):
    code: str
    error: str
    field: str | None = None
    details: Json | None = None
    id: int | None = None


MonitorFrame = (
    HelloFrame | SnapshotFrame | ChangeFrame | HeartbeatFrame | ResyncFrame | PongFrame | ErrorFrame
)
"""What a server sends in delta mode."""


class WorkflowFilter(Record, frozen=True, kw_only=True):
    """The query names of contract 6.1 with arrays for enums; all that are set must hold."""

    type: list[WorkflowType] | None = None
    state: list[WorkflowState] | None = None
    status: list[str] | None = None
    node: list[str] | None = None
    agent_type: list[str] | None = None
    task: str | None = None
    labels: dict[str, str | None] | None = None
    q: str | None = None
    health: list[str] | None = None
    waiting: bool | None = None
    active: bool | None = None
    since: Time | None = None
    until: Time | None = None
    ids: list[str] | None = None


Topic = Literal["workflows", "nodes", "tasks", "stats", "accounts"]
WORKFLOW_SORTS: Final = (
    "update_time",
    "start_time",
    "attention",
    "name",
    "duration_ms",
    "cost_usd",
    "total_tokens",
    "tool_failures",
)
"""Each also with a leading ``-`` for descending."""


class SubscribeFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="subscribe"):
    id: int
    topics: list[Topic] | None = None
    filter: WorkflowFilter | None = None
    sort: str | None = None
    limit: int | None = None


class PingFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="ping"):
    id: int | None = None


MonitorClientFrame = SubscribeFrame | PingFrame
"""What a client sends in delta mode."""


# Event sockets (contract 10)


class EventFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="event"):
    data: Event


class EventsFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="events"):
    """Up to 500 events or 256 KiB; only with ``batch=true``."""

    data: list[Event]


class GapFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="gap"):
    data: Gap


class RunEnd(Record, frozen=True, kw_only=True):
    run_id: RunId
    status: RunStatus
    finished_at: Time | None = None
    exit_code: int | None = None
    last_seq: int


class StatusFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="status"):
    """The terminal status, after the last event; then the socket closes with 1000."""

    data: RunEnd


class RunHeartbeat(Record, frozen=True, kw_only=True):
    server_time: Time
    last_seq: int


class RunHeartbeatFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="heartbeat"):
    data: RunHeartbeat


class RunPongFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="pong"):
    """Answers a client's ``ping``."""


RunFrame = EventFrame | EventsFrame | GapFrame | StatusFrame | RunHeartbeatFrame | RunPongFrame
"""What a server sends on an event socket."""
