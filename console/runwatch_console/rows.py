"""The console's own rows, made from wire records with every outside text already harmless."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from runwatch_console.formats import moment_s
from runwatch_shared.states import TERMINAL_STATUSES
from runwatch_shared.text import clean

if TYPE_CHECKING:
    from runwatch_shared.models import Node, NodeLedger, Waiting, WorkflowSummary

TEXT_LIMIT: Final = 300
"""Characters of a text of a row. The server's own limits are lower; a server that has none must not
make a key wait."""
MAX_LABELS: Final = 64
MAX_LOGINS: Final = 64
WAITING_INPUT: Final = "waiting_input"
"""The phase of a login whose agent wants something typed (contract 13)."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the rows: frozen, compared by value; moments are seconds since the epoch."""


class Wait(Row, frozen=True, kw_only=True):
    """What a run waits for: the oldest open one; `open` counts all."""

    kind: str
    since_s: float | None
    prompt: str
    deadline_s: float | None
    on_expiry: str | None
    open: int
    holds_slot: bool


class LoginPrompt(Row, frozen=True, kw_only=True):
    """What a login under way asks for (contract 5.6, `metadata` of an auth workflow)."""

    account: str
    code: str
    url: str
    expires_s: float | None
    method: str = ""
    """oauth, device_code or api_key."""
    phase: str = ""
    message: str = ""
    asks: str = ""
    """What the agent wants typed; empty while it wants nothing."""
    operation: str = ""
    """Id of the operation: it is what is cancelled."""


class NodeLogin(Row, frozen=True, kw_only=True):
    """A login as its node has it (contract 5.5)."""

    agent: str
    account: str
    state: str
    expires_s: float | None


class RunRow(Row, frozen=True, kw_only=True):
    """A workflow (contract 5.6) as the console needs it."""

    id: str
    type: str
    name: str
    state: str
    status: str
    progress: int
    cancelling: bool
    health: str
    health_reason: str
    health_since_s: float | None
    event_count: int
    last_seq: int
    created_s: float | None
    started_s: float | None
    ended_s: float | None
    updated_s: float | None
    queue_wait_ms: int | None
    last_activity_s: float | None
    activity: str
    node: str
    agent: str
    task_id: str
    labels: Mapping[str, str]
    error: str
    error_code: str
    exit_code: int | None
    wait: Wait | None
    queue_reason: str
    queue_code: str
    tokens: int | None
    input_tokens: int | None
    output_tokens: int | None
    cache_tokens: int | None
    cost_usd: float | None
    model: str
    cost_per_h: float | None
    tokens_per_min: float | None
    tool_calls: int
    tool_failures: int
    open_tools: int
    source_kind: str
    source_s: float | None
    source_note: str
    lease_expires_s: float | None
    login: LoginPrompt | None
    """Of a workflow that logs an agent in; None of any other."""
    attention: int
    revision: int
    ended: bool
    searched: str
    """Id, name, node, agent and activity without regard to case, for bare words of a filter."""

    @property
    def state_since_s(self) -> float | None:
        """When its present state began: queued or assigned with its creation, running with its
        start, waiting with its wait, ended with its end. Health begins no new state.
        """
        if self.ended:
            return self.ended_s if self.ended_s is not None else self.updated_s
        if self.wait is not None and self.wait.since_s is not None:
            return self.wait.since_s
        return self.started_s if self.started_s is not None else self.created_s

    def age_s(self, now_s: float) -> float | None:
        """How long it has been in its present state: column AGE, `age>1h`, and the order by age."""
        since_s = self.state_since_s
        return None if since_s is None else now_s - since_s

    def took_s(self, now_s: float) -> float | None:
        """How long it has run, or ran: from its start to its end, or to now."""
        if self.started_s is None:
            return None
        return (self.ended_s if self.ended_s is not None else now_s) - self.started_s


class NodeSlots(Row, frozen=True, kw_only=True):
    """What a node was given against what it reports (contract 11.4); None: it cannot be asked."""

    pending: int
    real: int | None
    matched: int | None
    phantom: int | None
    orphan: int | None


class NodeRow(Row, frozen=True, kw_only=True):
    """A node (contract 5.5) as the console needs it."""

    id: str
    name: str
    hostname: str
    version: str
    status: str
    admin_status: str
    heartbeat_s: float | None
    offline_since_s: float | None
    skew_ms: int | None
    capacity: int
    allocated: int
    slots: NodeSlots | None
    """None: the server keeps no ledger."""
    active_runs: int
    agents: tuple[str, ...]
    agents_not_ready: tuple[str, ...]
    logins: Mapping[str, int]
    """How many by state."""
    login_list: tuple[NodeLogin, ...]
    agents_lacking_login: tuple[str, ...]
    labels: Mapping[str, str]
    spool_events: int | None
    spool_bytes: int | None
    runtimes: tuple[str, ...]
    started_s: float | None
    revision: int

    @property
    def reachable(self) -> bool:
        """Whether its own numbers can be believed; of a silent node nothing is known."""
        return self.status != "offline"


def run_row(summary: "WorkflowSummary") -> RunRow:
    """A row from a summary; cleans every text that came from outside."""
    usage = summary.usage
    burn = summary.burn
    lease = summary.lease
    source = summary.status_source
    run_id = short(summary.id)
    name = short(summary.name)
    node = short(summary.node_id or "")
    agent = short(summary.agent_type)
    activity = short(summary.activity_text or "", 400)
    return RunRow(
        id=run_id,
        type=summary.type,
        name=name,
        state=summary.state,
        status=short(summary.status),
        progress=summary.progress,
        cancelling=summary.cancelling,
        health=summary.health,
        health_reason=short(summary.health_reason or ""),
        health_since_s=moment_s(summary.health_since),
        event_count=summary.event_count,
        last_seq=summary.last_seq,
        created_s=moment_s(summary.start_time),
        started_s=moment_s(summary.started_at),
        ended_s=moment_s(summary.end_time),
        updated_s=moment_s(summary.update_time),
        queue_wait_ms=summary.queue_wait_ms,
        last_activity_s=moment_s(summary.last_activity_at),
        activity=activity,
        node=node,
        agent=agent,
        task_id=short(summary.task_id or ""),
        labels=clean_labels(summary.labels),
        error=short(summary.error or "", 600),
        error_code=short(summary.error_code or ""),
        exit_code=summary.exit_code,
        wait=_wait(summary.waiting),
        queue_reason=short(summary.queue_reason or "", 400),
        queue_code=summary.queue_reason_code or "",
        tokens=usage.total_tokens if usage else None,
        input_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        cache_tokens=usage.cache_read_tokens + usage.cache_write_tokens if usage else None,
        cost_usd=usage.cost_usd if usage else None,
        model=short(usage.model or "") if usage else "",
        cost_per_h=burn.cost_usd_per_h if burn else None,
        tokens_per_min=burn.tokens_per_min if burn else None,
        tool_calls=summary.tool_calls,
        tool_failures=summary.tool_failures,
        open_tools=summary.open_tools,
        source_kind=source.kind,
        source_s=moment_s(source.at),
        source_note=short(source.note or ""),
        lease_expires_s=moment_s(lease.expires_at) if lease else None,
        login=_login(summary) if summary.type == "auth" else None,
        attention=summary.attention,
        revision=summary.revision,
        # The last status of a login has a name of its own (contract 13).
        ended=summary.status in TERMINAL_STATUSES or summary.state == "completed",
        searched=f"{run_id} {name} {node} {agent} {activity}".casefold(),
    )


def node_row(node: "Node") -> NodeRow:
    """A row from a node; cleans every text that came from outside."""
    logins: dict[str, int] = {}
    for login in node.logins:
        logins[login.state] = logins.get(login.state, 0) + 1
    override = node.max_concurrent_override
    return NodeRow(
        id=short(node.id),
        name=short(node.display_name or node.id),
        hostname=short(node.hostname or ""),
        version=short(node.version or ""),
        status=node.status,
        admin_status=node.admin_status,
        heartbeat_s=moment_s(node.last_heartbeat),
        offline_since_s=moment_s(node.offline_since),
        skew_ms=node.clock_skew_ms,
        capacity=node.capacity.max_concurrent if override is None else override,
        allocated=node.allocated,
        slots=None if node.ledger is None else _slots(node.ledger),
        active_runs=node.active_runs,
        agents=tuple(short(offer.type) for offer in node.agents if offer.ready),
        agents_not_ready=tuple(
            short(f"{offer.type}: {offer.reason or '?'}")
            for offer in node.agents
            if not offer.ready
        ),
        logins=logins,
        login_list=tuple(
            NodeLogin(
                agent=short(login.agent_type),
                account=short(login.account_id or ""),
                state=login.state,
                expires_s=moment_s(login.expires_at),
            )
            for login in node.logins[:MAX_LOGINS]
        ),
        agents_lacking_login=tuple(
            short(offer.type)
            for offer in node.agents
            if not offer.ready and "login" in (offer.reason or "")
        ),
        labels=clean_labels(node.labels),
        spool_events=node.spool.events if node.spool else None,
        spool_bytes=node.spool.bytes if node.spool else None,
        runtimes=tuple(short(runtime) for runtime in node.runtimes),
        started_s=moment_s(node.started_at),
        revision=node.revision,
    )


def _slots(ledger: "NodeLedger") -> NodeSlots:
    return NodeSlots(
        pending=ledger.pending,
        real=ledger.real,
        matched=ledger.matched,
        phantom=ledger.phantom,
        orphan=ledger.orphan,
    )


def clean_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels with harmless keys and values."""
    return {short(key): short(value) for key, value in list(labels.items())[:MAX_LABELS]}


def _login(summary: "WorkflowSummary") -> LoginPrompt:
    facts = summary.metadata
    phase = short(facts.get("phase") or "", 60)
    asks = short(facts.get("input_prompt") or "", 200)
    if not asks and phase == WAITING_INPUT and summary.waiting is not None:
        asks = short(summary.waiting.prompt, 200)
    return LoginPrompt(
        account=short(facts.get("account_id") or summary.account_id or ""),
        code=short(facts.get("user_code") or "", 80),
        url=short(facts.get("verify_url") or "", 2_000),
        expires_s=moment_s(facts.get("expires_at")),
        method=short(facts.get("method") or "", 60),
        phase=phase,
        message=short(facts.get("message") or ""),
        asks=asks,
        operation=short(facts.get("operation_id") or ""),
    )


def _wait(waiting: "Waiting | None") -> Wait | None:
    if waiting is None:
        return None
    return Wait(
        kind=waiting.kind,
        since_s=moment_s(waiting.since),
        prompt=short(waiting.prompt, 600),
        deadline_s=moment_s(waiting.deadline),
        on_expiry=waiting.on_expiry,
        open=waiting.open,
        holds_slot=waiting.holds_slot,
    )


def short(text: str, limit: int = TEXT_LIMIT) -> str:
    """The text harmless and bounded, for a field of one line."""
    return clean(text, limit=limit)
