"""What commits say of runs, as metrics: ends, waits, leases, tokens, tools."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runwatch_server import standing
from runwatch_server.rows import RunRow, UsageRow
from runwatch_server.storage.protocols import Commit, Query, ReadTx
from runwatch_shared.states import AGENT_TYPES, TERMINAL_STATUSES

OTHER_AGENT: Final = "other"
AGENT_LABELS: Final = (*AGENT_TYPES, OTHER_AGENT)
TOKEN_KINDS: Final = ("input", "output", "cache_read", "cache_write")
TOOL_OUTCOMES: Final = ("success", "failure", "unknown")
LEASE_KINDS: Final = ("explicit", "implicit", "external")
RUN_BUCKETS: Final = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
QUEUE_BUCKETS: Final = (0.1, 1, 5, 15, 60, 300, 900, 3600)
_PAGE: Final = 1000


class CommitMeter:
    """Counts along the commits; a listener of the writer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        durations = Histogram(
            "api_run_duration_seconds",
            "Start to end of a run, observed once, at the end",
            ("agent_type", "status"),
            buckets=RUN_BUCKETS,
            registry=registry,
        )
        self._durations = {
            (agent, status): durations.labels(agent, status)
            for agent in AGENT_LABELS
            for status in sorted(TERMINAL_STATUSES)
        }
        self._queue_wait = Histogram(
            "runwatch_queue_wait_seconds",
            "From creation to claim",
            buckets=QUEUE_BUCKETS,
            registry=registry,
        )
        tokens = Counter(
            "runwatch_tokens_total",
            "Tokens that runs reported",
            ("agent_type", "kind"),
            registry=registry,
        )
        self._tokens = {
            (agent, kind): tokens.labels(agent, kind)
            for agent in AGENT_LABELS
            for kind in TOKEN_KINDS
        }
        cost = Counter(
            "runwatch_cost_usd_total",
            "Cost that runs reported, US dollars",
            ("agent_type",),
            registry=registry,
        )
        self._cost = {agent: cost.labels(agent) for agent in AGENT_LABELS}
        tools = Counter(
            "runwatch_tool_calls_total",
            "Tool calls that runs reported",
            ("agent_type", "outcome"),
            registry=registry,
        )
        self._tools = {
            (agent, outcome): tools.labels(agent, outcome)
            for agent in AGENT_LABELS
            for outcome in TOOL_OUTCOMES
        }
        leases = Gauge("runwatch_leases_active", "Leases held", ("kind",), registry=registry)
        self._leases = {kind: leases.labels(kind) for kind in LEASE_KINDS}
        expirations = Counter(
            "runwatch_lease_expirations_total",
            "Leases that ran out, and what came of it",
            ("outcome",),
            registry=registry,
        )
        self._expirations = {
            outcome: expirations.labels(outcome) for outcome in ("kept", "requeued", "failed")
        }
        requeued = Counter(
            "runwatch_runs_requeued_total", "Runs queued again", ("reason",), registry=registry
        )
        self._requeued = {reason: requeued.labels(reason) for reason in ("unclaimed", "node_lost")}

    def load(self, tx: ReadTx) -> None:
        """Count the leases held when the server starts."""
        query = Query(status=("assigned", "running"), sort="start_time", limit=_PAGE)
        while rows := tx.runs.page(query):
            for row in rows:
                self._count_lease(row, 1)
            query = Query(
                status=query.status,
                sort=query.sort,
                limit=_PAGE,
                after=(rows[-1].created_us, rows[-1].id),
            )

    def on_commit(self, commit: Commit) -> None:
        """Follow one commit."""
        for change in commit.runs:
            before, after = change.before, change.after
            if before is not None:
                self._count_lease(before, -1)
            if after is None:
                continue
            self._count_lease(after, 1)
            if before is not None and before is not after:
                self._follow(before, after)

    def _follow(self, before: RunRow, after: RunRow) -> None:
        agent = agent_label(after.agent_type)
        ended = not standing.ended(before) and standing.ended(after)
        if ended:
            duration_ms = standing.duration_ms(after)
            if duration_ms is not None:
                self._durations[agent, after.status].observe(duration_ms / 1000)
        if before.claimed_us is None and after.claimed_us is not None:
            self._queue_wait.observe((standing.queue_wait_ms(after) or 0) / 1000)
        if after.usage is not before.usage and after.usage is not None:
            for kind, grown in _grown(before.usage, after.usage):
                self._tokens[agent, kind].inc(grown)
            cost = (after.usage.cost_usd or 0) - ((before.usage and before.usage.cost_usd) or 0)
            self._cost[agent].inc(max(0.0, cost))
        self._follow_tools(before, after, agent, ended=ended)
        self._follow_lease(before, after)

    def _follow_tools(self, before: RunRow, after: RunRow, agent: str, *, ended: bool) -> None:
        """A call counts once its outcome is known; one still open at the end is ``unknown``."""
        failed = after.tool_failures - before.tool_failures
        closed = (
            after.tool_calls - after.open_tools - before.tool_calls + before.open_tools - failed
        )
        self._tools[agent, "failure"].inc(max(0, failed))
        left_open = min(closed, before.open_tools) if ended and not after.open_tools else 0
        self._tools[agent, "unknown"].inc(max(0, left_open))
        self._tools[agent, "success"].inc(max(0, closed - left_open))

    def _follow_lease(self, before: RunRow, after: RunRow) -> None:
        ran_out = after.lease_ended_us is not None and before.lease_ended_us is None
        if ran_out and not after.retry_on_lost:
            self._expirations["kept"].inc()
        if after.error_code == "node_lost" and before.error_code != "node_lost":
            self._expirations["failed"].inc()
        if after.status == "queued" and before.status in {"assigned", "running"}:
            unclaimed = before.lease_kind is None
            self._requeued["unclaimed" if unclaimed else "node_lost"].inc()
            if not unclaimed:
                self._expirations["requeued"].inc()

    def _count_lease(self, row: RunRow, by: int) -> None:
        if row.lease_kind is not None:
            self._leases[row.lease_kind].inc(by)


def agent_label(agent_type: str) -> str:
    """A known agent type, else ``other``: labels come from closed sets."""
    return agent_type if agent_type in AGENT_TYPES else OTHER_AGENT


def _grown(before: UsageRow | None, after: UsageRow) -> Iterator[tuple[str, int]]:
    """Tokens more than before; a total that was put right downward moves no counter."""
    for kind in TOKEN_KINDS:
        old = 0 if before is None else getattr(before, f"{kind}_tokens")
        grown = getattr(after, f"{kind}_tokens") - old
        if grown > 0:
            yield kind, grown
