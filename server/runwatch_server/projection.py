"""The fleet in numbers, kept current from commits: counters, nodes, what waits; no rows of runs.

Built from the store at start and thrown away at stop. Everything here is a sum that `tally` moved
in the same commit as the run; only the node table and the open waits are held as rows, since both
are small.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from runwatch_server import standing
from runwatch_server.accounting import BURN_WINDOW_S
from runwatch_server.rows import NodeRow, RunRow
from runwatch_server.storage.protocols import Commit, ReadTx, Span
from runwatch_server.tally import MINUTE_US, minute_of, percentile_ms
from runwatch_shared.models import (
    FleetBurn,
    History,
    QueueWait,
    Slots,
    Stats,
    Usage,
    UsageTotals,
    WaitingTotals,
)
from runwatch_shared.states import (
    ACTIVE_STATES,
    HEALTH_FLAGS,
    NODE_STATUSES,
    RUN_STATUSES,
    TASK_STATUSES,
    WORKFLOW_STATES,
)
from runwatch_shared.timestamps import format_optional_time, format_time

QUEUE_WAIT_WINDOW_S: Final = 3600
MOST_HISTORY_MINUTES: Final = 1440
_TOKEN_KINDS: Final = ("input", "output", "cache_read", "cache_write")
_UNHEALTHY: Final = tuple(flag for flag in HEALTH_FLAGS if flag != "ok")

Counters = dict[str, float]


class Projection:
    """What the monitor says about the whole fleet. Used in the event loop only.

    Args:
        day_start_us: The local midnight before a moment.
        started_us: When the server started; minutes before it with no counter were not recorded.
    """

    def __init__(self, *, day_start_us: Callable[[int], int], started_us: int) -> None:
        self.revision = 0
        self.nodes: dict[str, NodeRow] = {}
        self._day_start_us = day_start_us
        self._started_us = started_us
        self._counters: dict[tuple[Span, int], Counters] = {}
        self._waiting: dict[str, RunRow] = {}
        self._levels: dict[int, Counters] = {}
        """What was present at the end of a minute, by the minute's begin."""

    def load(self, tx: ReadTx) -> None:
        """Take everything from the store."""
        self.revision = tx.revision()
        self.nodes = {node.id: node for node in tx.nodes.all()}
        self._waiting = {run.id: run for run in tx.waiting_runs()}
        self._counters = {}
        for span, start_us, name, value in tx.counters():
            self._add(span, start_us, name, value)

    def apply(self, commit: Commit) -> None:
        """Follow one commit; commits come in the order of their revisions."""
        self.revision = commit.revision
        for span, start_us, name, value in commit.counts:
            self._add(span, start_us, name, value)
        for change in commit.nodes:
            if change.after is not None:
                self.nodes[change.after.id] = change.after
            elif change.before is not None:
                self.nodes.pop(change.before.id, None)
        for run in commit.runs:
            after = run.after
            if after is not None and standing.state_of(after) == "waiting":
                self._waiting[after.id] = after
            elif run.before is not None:
                self._waiting.pop(run.before.id, None)
        self._keep_level(commit.at_us)

    def value(self, name: str, span: Span = "all", start_us: int = 0) -> float:
        """One counter; 0 where nothing was counted."""
        return self._counters.get((span, start_us), {}).get(name, 0)

    def values(self, prefix: str, span: Span = "all", start_us: int = 0) -> Counters:
        """The counters whose name begins so, by the rest of the name."""
        counters = self._counters.get((span, start_us), {})
        return {
            name.removeprefix(prefix): value
            for name, value in counters.items()
            if name.startswith(prefix)
        }

    def slots(self) -> Slots:
        """Over online nodes."""
        online = [node for node in self.nodes.values() if node.status == "online"]
        capacity = sum(node.capacity for node in online)
        allocated = sum(node.allocated for node in online)
        return Slots(capacity=capacity, allocated=allocated, free=max(0, capacity - allocated))

    def oldest_wait_us(self) -> int | None:
        """Since when the longest open wait is open."""
        return min((run.wait.since_us for run in self._waiting.values() if run.wait), default=None)

    def stats(self, now_us: int) -> Stats:
        """The fleet at ``now_us`` (contract 6.4)."""
        day = self._day_start_us(now_us)
        by_status = self._enum("run:status:", RUN_STATUSES)
        by_state = self._enum("run:state:", WORKFLOW_STATES)
        by_node: dict[str, int] = dict.fromkeys(NODE_STATUSES, 0)
        for node in self.nodes.values():
            by_node[node.status] += 1
        tasks = self._enum("task:status:", TASK_STATUSES)
        ended = self.value("durations")
        return Stats(
            total_workflows=sum(by_status.values()),
            active_workflows=sum(by_state[state] for state in ACTIVE_STATES),
            completed_today=int(self.value("ended:completed", "day", day)),
            failed_today=int(self.value("ended:failed", "day", day)),
            cancelled_today=int(self.value("ended:cancelled", "day", day)),
            avg_duration_ms=round(self.value("duration_ms") / ended) if ended else None,
            workflows_by_type={"auth": 0, "run": sum(by_status.values())},
            workflows_by_state=by_state,
            total_tasks=sum(tasks.values()),
            tasks_by_status=tasks,
            total_runs=sum(by_status.values()),
            active_runs=by_status["queued"] + by_status["assigned"] + by_status["running"],
            runs_by_status=by_status,
            total_nodes=len(self.nodes),
            online_nodes=by_node["online"],
            nodes_by_status=by_node,
            total_events=int(self.value("events")),
            health=self._enum("run:health:", _UNHEALTHY),
            waiting=WaitingTotals(
                count=len(self._waiting),
                oldest_since=format_optional_time(self.oldest_wait_us()),
                held_slots=int(self.value("run:waiting_slot")),
            ),
            slots=self.slots(),
            usage=UsageTotals(
                today=self._usage("day", day, now_us), total=self._usage("all", 0, now_us)
            ),
            burn=self._burn(now_us),
            queue_wait_ms=self._queue_wait(now_us),
            failures_per_h=int(self._over(now_us, 3600, "ended:failed")),
            day_start=format_time(day),
            revision=self.revision,
            server_time=format_time(now_us),
        )

    def history(self, now_us: int, minutes: int) -> History:
        """The last ``minutes`` whole minutes, oldest first (contract 6.4)."""
        end_us = minute_of(now_us)
        starts = [end_us - n * MINUTE_US for n in range(minutes, 0, -1)]
        series: dict[str, list[float | None]] = defaultdict(list)
        for start_us in starts:
            for name, value in self._minute(start_us).items():
                series[name].append(value)
        return History(
            bucket_s=60,
            from_=format_time(starts[0]),
            to=format_time(end_us),
            series=dict(series),
            server_time=format_time(now_us),
        )

    def tick(self, now_us: int) -> None:
        """Note what is present now, and let go of minutes out of reach. Call it each minute or
        more often: a minute without a commit would have no level otherwise."""
        self._keep_level(now_us)
        oldest = minute_of(now_us) - (MOST_HISTORY_MINUTES + 1) * MINUTE_US
        for key in [key for key in self._counters if key[0] == "minute" and key[1] < oldest]:
            del self._counters[key]
        for start_us in [start_us for start_us in self._levels if start_us < oldest]:
            del self._levels[start_us]

    def _add(self, span: Span, start_us: int, name: str, value: float) -> None:
        counters = self._counters.setdefault((span, start_us), {})
        counters[name] = counters.get(name, 0) + value

    def _enum(self, prefix: str, names: tuple[str, ...]) -> dict[str, int]:
        return {name: int(self.value(prefix + name)) for name in names}

    def _keep_level(self, now_us: int) -> None:
        self._levels[minute_of(now_us)] = {
            "queued": self.value("run:status:queued"),
            "running": self.value("run:status:running"),
            "waiting": len(self._waiting),
            "slots_allocated": self.slots().allocated,
            "nodes_online": sum(node.status == "online" for node in self.nodes.values()),
        }

    def _minute(self, start_us: int) -> dict[str, float | None]:
        counters = self._counters.get(("minute", start_us))
        level = self._levels.get(start_us)
        recorded = counters is not None or level is not None or start_us >= self._started_us
        happened = counters or {}
        waits = _queue_waits(happened)
        shown: dict[str, float | None] = {
            name: (level or {}).get(name)
            for name in ("queued", "running", "waiting", "slots_allocated", "nodes_online")
        }
        shown.update(
            completed=happened.get("ended:completed", 0),
            failed=happened.get("ended:failed", 0),
            cancelled=happened.get("ended:cancelled", 0),
            events=happened.get("events", 0),
            tokens=_sum(happened, "tokens:"),
            cost_usd=round(_sum(happened, "cost_usd:"), 6),
        )
        shown.update(
            queue_wait_p50_ms=percentile_ms(waits, 0.5),
            queue_wait_p95_ms=percentile_ms(waits, 0.95),
        )
        return shown if recorded else dict.fromkeys(shown)

    def _minutes(self, now_us: int, window_s: int) -> list[Counters]:
        """The counters of the minutes that touch the window before ``now_us``."""
        last = minute_of(now_us)
        starts = range(last - (window_s // 60 - 1) * MINUTE_US, last + 1, MINUTE_US)
        return [self._counters.get(("minute", start_us), {}) for start_us in starts]

    def _over(self, now_us: int, window_s: int, name: str) -> float:
        return sum(counters.get(name, 0) for counters in self._minutes(now_us, window_s))

    def _usage(self, span: Span, start_us: int, now_us: int) -> Usage | None:
        if not self.value("usage_known", span, start_us):
            return None
        tokens = {
            kind: int(sum(self.values(f"tokens:{kind}:", span, start_us).values()))
            for kind in _TOKEN_KINDS
        }
        cost = sum(self.values("cost_usd:", span, start_us).values())
        return Usage(
            input_tokens=tokens["input"],
            output_tokens=tokens["output"],
            cache_read_tokens=tokens["cache_read"],
            cache_write_tokens=tokens["cache_write"],
            total_tokens=sum(tokens.values()),
            cost_usd=round(cost, 6) if self.value("cost_known", span, start_us) else None,
            partial=bool(self.value("usage_partial", span, start_us))
            or self.value("cost_known", span, start_us) < self.value("usage_known", span, start_us),
            as_of=format_time(now_us),
        )

    def _burn(self, now_us: int) -> FleetBurn:
        minutes = self._minutes(now_us, BURN_WINDOW_S)
        tokens = sum(_sum(counters, "tokens:") for counters in minutes)
        cost = sum(_sum(counters, "cost_usd:") for counters in minutes)
        return FleetBurn(
            cost_usd_per_h=round(cost * 3600 / BURN_WINDOW_S, 6)
            if self.value("cost_known")
            else None,
            tokens_per_min=round(tokens * 60 / BURN_WINDOW_S, 3),
            window_s=BURN_WINDOW_S,
        )

    def _queue_wait(self, now_us: int) -> QueueWait:
        waits: dict[int, float] = defaultdict(float)
        for counters in self._minutes(now_us, QUEUE_WAIT_WINDOW_S):
            for bucket, count in _queue_waits(counters).items():
                waits[bucket] += count
        return QueueWait(
            p50=percentile_ms(waits, 0.5),
            p95=percentile_ms(waits, 0.95),
            samples=int(sum(waits.values())),
            window_s=QUEUE_WAIT_WINDOW_S,
        )


def _queue_waits(counters: Counters) -> dict[int, float]:
    prefix = "queue_wait:"
    return {
        int(name.removeprefix(prefix)): value
        for name, value in counters.items()
        if name.startswith(prefix)
    }


def _sum(counters: Counters, prefix: str) -> float:
    return sum(value for name, value in counters.items() if name.startswith(prefix))
