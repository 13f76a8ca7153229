"""The records that cross a process boundary, as contract section 5 draws them; no behaviour.

A field that the contract marks ``name?`` is ``T | None = None`` and left out when it has no value.
Every other field is
required here, so it is always sent, ``null`` included. Times are RFC 3339 text (`timestamps`).
Units are in the names.
"""

from typing import Any, Final, Literal, NewType

import msgspec

TaskId = NewType("TaskId", str)
RunId = NewType("RunId", str)
NodeId = NewType("NodeId", str)
ProcessId = NewType("ProcessId", str)

Time = str
"""RFC 3339 in UTC with six digits."""
Labels = dict[str, str]
Json = dict[str, Any]

RunStatus = Literal["queued", "assigned", "running", "done", "failed", "cancelled", "timeout"]
TerminalStatus = Literal["done", "failed", "cancelled", "timeout"]
TaskStatus = Literal["pending", "in_progress", "completed", "failed", "cancelled"]
NodeStatus = Literal["online", "offline", "draining", "maintenance", "unhealthy"]
AdminStatus = Literal["active", "draining", "maintenance"]
WorkflowType = Literal["run", "auth"]
WorkflowState = Literal["pending", "running", "waiting", "completed", "failed", "unknown"]
Health = Literal["ok", "stalled", "looping", "slow", "stuck_queued", "waiting_long"]
Level = Literal["info", "success", "warning", "error"]
Origin = Literal["scheduled", "found", "external"]
LeaseKind = Literal["explicit", "implicit", "external"]
CancelReason = Literal["user", "timeout", "task_deleted", "node_drain"]
WaitKind = Literal["approval", "question", "input", "login"]
Scope = Literal["viewer", "operator", "admin", "node"]
QueueReasonCode = Literal[
    "no_nodes",
    "none_online",
    "full",
    "agent_missing",
    "login_missing",
    "labels",
    "pinned",
    "instance",
    "draining",
    "unclaimed",
    "placing",
]


NO_PAYLOAD: Final = msgspec.Raw(b"")
"""Stands for an absent payload; this very object is left out when encoding."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what is sent and received: frozen, fields by name, absent ones left out."""


# Defaults that are sent too: only those that `msgspec` knows beforehand are left out.


def _no_parameters() -> Json:
    return {}


def _ready() -> bool:
    return True


def _no_accounts() -> list[str]:
    return []


class Usage(Record, frozen=True, kw_only=True):
    """Tokens and cost (contract 5.1). ``total_tokens`` is the sum of the first four;
    ``input_tokens`` is without cache.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    total_tokens: int
    cost_usd: float | None
    cost_source: Literal["agent", "price_table"] | None = None
    partial: bool
    """Some turn came without tokens or cost."""
    model: str | None = None
    reasoning_tokens: int | None = None
    context_tokens: int | None = None
    context_limit: int | None = None
    as_of: Time


class Agent(Record, frozen=True, kw_only=True):
    """Which agent a task asks for. ``parameters`` belong to the agent type: ``command`` has ``argv:
    [str, …]``.
    """

    type: str
    model: str | None = None
    parameters: Json = msgspec.field(default_factory=_no_parameters)
    instance_id: str | None = None
    account_id: str | None = None


class Prompt(Record, frozen=True, kw_only=True):
    content: str
    description: str | None = None
    template_id: str | None = None


class GitSource(Record, frozen=True, kw_only=True):
    url: str
    branch: str | None = None
    commit: str | None = None
    depth: int | None = None


class LocalSource(Record, frozen=True, kw_only=True):
    path: str
    read_only: bool | None = None


class VolumeSource(Record, frozen=True, kw_only=True):
    name: str
    sub_path: str | None = None


class Workspace(Record, frozen=True, kw_only=True):
    """Where a run works; the member named by ``type`` is set (contract 5.2)."""

    type: Literal["git", "local", "volume"]
    git: GitSource | None = None
    local: LocalSource | None = None
    volume: VolumeSource | None = None


class Constraints(Record, frozen=True, kw_only=True):
    node_id: str | None = None
    node_labels: Labels | None = None


class TaskRuns(Record, frozen=True, kw_only=True):
    total: int
    active: int
    last_run_id: RunId | None = None
    last_status: RunStatus | None = None


class Task(Record, frozen=True, kw_only=True):
    """What to do (contract 5.2)."""

    id: TaskId
    name: str
    description: str | None = None
    status: TaskStatus
    type: str
    agent: Agent
    agent_id: str | None = None
    prompt: Prompt
    labels: Labels
    workspace: Workspace | None = None
    constraints: Constraints | None = None
    timeout_s: int | None = None
    priority: int
    retry_on_lost: bool
    env: dict[str, str] | None = None
    context: Json | None = None
    security: Json | None = None
    template_id: str | None = None
    parent_id: TaskId | None = None
    runs: TaskRuns
    created_at: Time
    updated_at: Time
    revision: int


class Lease(Record, frozen=True, kw_only=True):
    kind: LeaseKind
    epoch: int
    node_id: NodeId | None = None
    expires_at: Time | None = None


class Cancel(Record, frozen=True, kw_only=True):
    requested_at: Time
    reason: CancelReason
    by: str
    note: str | None = None
    delivered_at: Time | None = None


class Snapshot(Record, frozen=True, kw_only=True):
    """What a node executes, fixed when the run was made (contract 5.3). ``env`` values are ``***``
    but for its node.
    """

    task_id: TaskId
    name: str
    agent: Agent
    prompt: str
    workspace: Workspace | None = None
    labels: Labels
    timeout_s: int | None = None
    env: dict[str, str] | None = None


class Run(Record, frozen=True, kw_only=True):
    """One execution of a task (contract 5.3)."""

    id: RunId
    task_id: TaskId
    attempt: int
    status: RunStatus
    origin: Origin
    controllable: bool
    agent_type: str
    node_id: NodeId | None = None
    parent_id: RunId | None = None
    labels: Labels
    priority: int
    timeout_s: int | None = None
    retry_on_lost: bool
    created_at: Time
    assigned_at: Time | None = None
    claimed_at: Time | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    deadline_at: Time | None = None
    updated_at: Time
    lease: Lease | None = None
    cancel: Cancel | None = None
    exit_code: int | None = None
    error: str | None = None
    error_code: str | None = None
    first_seq: int
    last_seq: int
    event_count: int
    seq_holes: int
    usage: Usage | None
    tool_calls: int
    tool_failures: int
    model: str | None = None
    agent_session_id: str | None = None
    revision: int
    snapshot: Snapshot


class Event(Record, frozen=True, kw_only=True):
    """One numbered line of a run (contract 5.4). ``payload`` is kept as it came: cleaning is the
    reader's duty.
    """

    id: int
    run_id: RunId
    seq: int
    epoch: int
    type: str
    timestamp: Time
    received_at: Time
    level: Level
    payload: msgspec.Raw = NO_PAYLOAD
    raw: str | None = None


class EventView(Record, frozen=True, kw_only=True):
    """An event as the monitor shows it: ``id`` is ``<run_id>:<seq>``, ``data`` equals ``payload``
    (contract 5.4).
    """

    id: str
    run_id: RunId
    """Of a login: its action's id, as in ``action_id``."""
    action_id: str | None = None
    seq: int
    epoch: int
    type: str
    timestamp: Time
    received_at: Time
    level: Level
    payload: msgspec.Raw = NO_PAYLOAD
    data: msgspec.Raw = NO_PAYLOAD
    raw: str | None = None
    producer_id: str


class Capacity(Record, frozen=True, kw_only=True):
    max_concurrent: int
    available: int


class AgentOffer(Record, frozen=True, kw_only=True):
    """An agent a node can run; ``ready`` false comes with ``reason``."""

    type: str
    version: str | None = None
    ready: bool = msgspec.field(default_factory=_ready)
    reason: str | None = None
    accounts: list[str] = msgspec.field(default_factory=_no_accounts)


class Spool(Record, frozen=True, kw_only=True):
    """What a node holds on disk and the server has not acknowledged yet."""

    events: int
    bytes: int
    limit_bytes: int
    oldest_at: Time | None = None


class Login(Record, frozen=True, kw_only=True):
    agent_type: str
    account_id: str | None = None
    state: Literal["ok", "expiring", "expired", "missing"]
    expires_at: Time | None = None


class NodeLedger(Record, frozen=True, kw_only=True):
    """A node's slots as the server gave them and as the node reports them (contract 11.4).

    ``allocated`` is pending + matched + phantom, ``real`` is matched + orphan. What only the node
    can say is null while it is offline.
    """

    capacity: int
    allocated: int
    pending: int
    real: int | None
    matched: int | None
    phantom: int | None
    orphan: int | None
    as_of: Time | None
    """Of the report it is judged by."""


class Node(Record, frozen=True, kw_only=True):
    """A machine (contract 5.5). ``status`` is resolved by the server; offline after 45 s without a
    heartbeat.
    """

    id: NodeId
    display_name: str | None = None
    hostname: str | None = None
    ips: str | None = None
    labels: Labels
    version: str | None = None
    started_at: Time | None = None
    status: NodeStatus
    admin_status: AdminStatus
    last_heartbeat: Time | None
    offline_since: Time | None = None
    clock_skew_ms: int | None = None
    capacity: Capacity
    max_concurrent_override: int | None = None
    allocated: int
    """Runs assigned or running on this node, as the server counts them."""
    ledger: NodeLedger | None = None
    """None only from a server that keeps none."""
    agents: list[AgentOffer]
    spool: Spool | None = None
    logins: list[Login]
    runtimes: list[str]
    active_runs: int
    created_at: Time
    updated_at: Time
    revision: int


class Waiting(Record, frozen=True, kw_only=True):
    """The oldest open wait of a run; ``open`` counts all."""

    kind: WaitKind
    since: Time
    prompt: str
    deadline: Time | None = None
    on_expiry: Literal["deny", "approve", "fail", "continue"] | None = None
    seq: int | None = None
    open: int
    holds_slot: bool


class Burn(Record, frozen=True, kw_only=True):
    cost_usd_per_h: float | None
    tokens_per_min: float
    window_s: int
    as_of: Time


class StatusSource(Record, frozen=True, kw_only=True):
    """Who said the status, and when."""

    kind: Literal["event", "node", "scheduler", "user", "server", "inferred"]
    at: Time
    note: str | None = None


class WorkflowSummary(Record, frozen=True, kw_only=True):
    """A row of the monitor (contract 5.6)."""

    id: str
    type: WorkflowType
    name: str
    state: WorkflowState
    progress: int
    status: str
    cancelling: bool
    event_count: int
    last_seq: int
    start_time: Time
    started_at: Time | None = None
    end_time: Time | None = None
    update_time: Time
    duration_ms: int | None = None
    queue_wait_ms: int | None = None
    last_activity_at: Time | None = None
    activity_text: str | None = None
    node_id: NodeId | None = None
    agent_type: str
    task_id: TaskId | None = None
    task_name: str | None = None
    account_id: str | None = None
    labels: Labels
    error: str | None = None
    error_code: str | None = None
    exit_code: int | None = None
    health: Health
    health_reason: str | None = None
    health_since: Time | None = None
    waiting: Waiting | None = None
    queue_reason: str | None = None
    queue_reason_code: QueueReasonCode | None = None
    usage: Usage | None
    burn: Burn | None = None
    tool_calls: int
    tool_failures: int
    open_tools: int
    revision: int
    lease: Lease | None = None
    status_source: StatusSource
    attention: int
    metadata: dict[str, str]


class Step(Record, frozen=True, kw_only=True):
    """A phase of a workflow, or one tool call, with its start and end (contract 5.6)."""

    id: str
    kind: Literal["phase", "tool"]
    name: str
    status: Literal["open", "succeeded", "failed", "cancelled", "unknown"]
    started_at: Time
    ended_at: Time | None = None
    duration_ms: int | None = None
    seq: int | None = None
    end_seq: int | None = None
    lane: str | None = None
    detail: str | None = None


class ToolTotal(Record, frozen=True, kw_only=True):
    tool: str
    calls: int
    failures: int
    open: int
    total_ms: int
    last_seq: int


class Lane(Record, frozen=True, kw_only=True):
    """One agent inside a run: ``lead``, or a sub-agent spawned by the call ``parent_seq``."""

    lane: str
    parent_seq: int | None = None
    state: str
    open_tool: str | None = None
    last_seq: int
    tool_calls: int
    tool_failures: int
    usage: Usage | None


class QueueDetail(Record, frozen=True, kw_only=True):
    node_id: NodeId
    code: QueueReasonCode
    text: str


class StateData(Record, frozen=True, kw_only=True):
    state: WorkflowState
    progress: int
    current_step: str | None = None
    error: str | None = None


class RelatedIds(Record, frozen=True, kw_only=True):
    task_id: TaskId | None = None
    account_id: str | None = None
    parent_id: RunId | None = None
    retry_ids: list[RunId] | None = None


class WorkflowDetail(WorkflowSummary, frozen=True, kw_only=True):
    """A summary with what stands behind it (contract 5.6, "Detail")."""

    events: list[EventView]
    events_truncated: bool
    steps: list[Step]
    steps_total: int
    tools: list[ToolTotal]
    lanes: list[Lane]
    queue_detail: list[QueueDetail]
    prompt: str | None = None
    state_data: StateData
    related_ids: RelatedIds


class WaitingTotals(Record, frozen=True, kw_only=True):
    count: int
    oldest_since: Time | None
    held_slots: int


class Slots(Record, frozen=True, kw_only=True):
    capacity: int
    allocated: int
    free: int


class UsageTotals(Record, frozen=True, kw_only=True):
    today: Usage | None
    total: Usage | None


class FleetBurn(Record, frozen=True, kw_only=True):
    cost_usd_per_h: float | None
    tokens_per_min: float
    window_s: int


class QueueWait(Record, frozen=True, kw_only=True):
    p50: int | None
    p95: int | None
    samples: int
    window_s: int


class Stats(Record, frozen=True, kw_only=True):
    """The fleet in numbers (contract 6.4); maps over a fixed enum carry every key, 0 included."""

    total_workflows: int
    active_workflows: int
    completed_today: int
    failed_today: int
    cancelled_today: int
    avg_duration_ms: int | None
    workflows_by_type: dict[str, int]
    workflows_by_state: dict[str, int]
    total_tasks: int
    tasks_by_status: dict[str, int]
    total_runs: int
    active_runs: int
    runs_by_status: dict[str, int]
    total_nodes: int
    online_nodes: int
    nodes_by_status: dict[str, int]
    total_events: int
    health: dict[str, int]
    waiting: WaitingTotals
    slots: Slots
    usage: UsageTotals
    burn: FleetBurn
    queue_wait_ms: QueueWait
    failures_per_h: int
    day_start: Time
    revision: int
    server_time: Time


class History(Record, frozen=True, kw_only=True):
    """Per-minute series, oldest first; ``None`` for a minute not recorded (contract 6.4)."""

    bucket_s: int
    from_: Time = msgspec.field(name="from")
    to: Time
    series: dict[str, list[float | None]]
    server_time: Time


class RateLimit(Record, frozen=True, kw_only=True):
    """How near an account is to a limit of its vendor (contract 9.3, ``system_info``)."""

    kind: str
    status: str
    utilization: float | None = None
    resets_at: Time | None = None
    as_of: Time


class Account(Record, frozen=True, kw_only=True):
    """A login of an agent type that nodes hold (contract 13)."""

    id: str
    name: str
    agent_type: str
    status: Literal["pending", "authenticating", "authenticated", "expired"]
    volume_name: str | None = None
    volume_archive_key: str | None = None
    expires_at: Time | None = None
    last_used_at: Time | None = None
    last_401_at: Time | None = None
    rate_limits: list[RateLimit] | None = None
    nodes: list[NodeId]
    blocked_runs: int
    created_at: Time
    updated_at: Time
    revision: int


class User(Record, frozen=True, kw_only=True):
    id: str
    email: str
    username: str
    role: Literal["admin", "user"]
    scope: Scope
    status: Literal["active", "disabled"]
    created_at: Time
    updated_at: Time


class Token(Record, frozen=True, kw_only=True):
    id: str
    name: str
    scope: Scope
    node_id: NodeId | None = None
    created_at: Time
    created_by: str
    last_used_at: Time | None = None
    expires_at: Time | None = None
    token: str | None = None
    """Shown once, in the answer that made it."""
