"""The fleet in numbers, kept current from commits: counters, nodes, what waits; no rows of runs.

Built from the store at start and thrown away at stop. Everything here is a sum that `tally` moved
in the same commit as the run, so `stats` costs the same whatever there is and was: what it shows
is added up when it is counted. Only the node table is held as rows, since it is small.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final

from runwatch_server import ledger, levels
from runwatch_server.accounting import BURN_WINDOW_S
from runwatch_server.accounts.numbers import LoginNumbers
from runwatch_server.accounts.rows import ActionRow
from runwatch_server.levels import Levels
from runwatch_server.minutes import Minute, Minutes
from runwatch_server.rows import NodeRow, RunRow
from runwatch_server.storage.protocols import Commit, Query, ReadTx, Span
from runwatch_server.tally import MINUTE_US, minute_of
from runwatch_server.waiting import OpenWaits
from runwatch_server.workflow_lists import MOST_LOGINS
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
    AGENT_TYPES,
    HEALTH_FLAGS,
    NODE_STATUSES,
    RUN_STATUSES,
    TASK_STATUSES,
    WORKFLOW_STATES,
)
from runwatch_shared.timestamps import format_optional_time, format_time

LEDGER_KINDS: Final = ("real", "phantom", "orphan")
QUEUE_WAIT_WINDOW_S: Final = 3600
FAILURES_WINDOW_S: Final = 3600
MOST_HISTORY_MINUTES: Final = 1440
KEPT_DAYS_US: Final = 2 * 86_400_000_000
LOOKED_AT: Final = 200
"""Runs changed last that are asked at the start when usage was last reported."""
OTHER: Final = "other"
_TOKEN_KINDS: Final = ("input", "output", "cache_read", "cache_write")
_UNHEALTHY: Final = tuple(flag for flag in HEALTH_FLAGS if flag != "ok")

_AGENT_AT: Final = {"run:agent": 3, "tokens": 2, "cost_usd": 1}
"""Topics of counters an agent type, and which part of the name it is."""
_AGENTS: Final = frozenset(AGENT_TYPES)
_NOTHING: Final = Minute()

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
        """Of all time and of days."""
        self._minutes = self._no_minutes()
        self._waits = OpenWaits()
        self._by_status: Counter[str] = Counter()
        """Nodes; `_capacity` and `_allocated` are of those online."""
        self._capacity = self._allocated = 0
        self._ledger: Counter[str] = Counter()
        """What online nodes say of their slots, by kind."""
        self._levels = Levels(kept=MOST_HISTORY_MINUTES + 1)
        self.logins = LoginNumbers()
        self._used_us = 0
        """Time of the last turn whose usage was counted."""

    def load(self, tx: ReadTx) -> None:
        """Take everything from the store."""
        self.revision = tx.revision()
        self.nodes = {}
        self._by_status.clear()
        self._capacity = self._allocated = 0
        self._ledger.clear()
        for node in tx.nodes.all():
            self._put_node(node)
        self._waits = OpenWaits()
        for run in tx.waiting_runs():
            self._waits.follow(None, run)
        self.logins = LoginNumbers()
        for login in tx.kept(ActionRow).find(limit=MOST_LOGINS):
            self._follow_login(None, login)
        self._counters = {}
        self._minutes = self._no_minutes()
        self._used_us = counted_us = 0
        self._levels = Levels(kept=MOST_HISTORY_MINUTES + 1)
        for span, start_us, name, value in tx.counters():
            self._add(span, start_us, name, value)
            if span == "minute" and name.startswith("tokens:"):
                counted_us = max(counted_us, start_us)
        for run in tx.runs.page(Query(limit=LOOKED_AT)):
            self._follow_usage(None, run)
        # A minute says only when it was counted, to the minute.
        self._used_us = self._used_us or counted_us

    def apply(self, commit: Commit) -> None:
        """Follow one commit; commits come in the order of their revisions."""
        self.revision = commit.revision
        for span, start_us, name, value in commit.counts:
            self._add(span, start_us, name, value)
        for change in commit.nodes:
            if change.after is not None:
                self._put_node(change.after)
            elif change.before is not None:
                self._drop_node(change.before.id)
        for run in commit.runs:
            self._waits.follow(run.before, run.after)
            self._follow_usage(run.before, run.after)
        for kept in commit.kept:
            before = kept.before if isinstance(kept.before, ActionRow) else None
            after = kept.after if isinstance(kept.after, ActionRow) else None
            self._follow_login(before, after)
        self._keep_level(commit.at_us)

    def _follow_login(self, before: ActionRow | None, after: ActionRow | None) -> None:
        if before is not None or after is not None:
            self._waits.follow(before, after)
            self.logins.follow(before, after)

    def value(self, name: str, span: Span = "all", start_us: int = 0) -> float:
        """One counter of all time or a day; 0 where nothing was counted. A topic that is counted
        by agent type has its sum under its own name.
        """
        return self._counters.get((span, start_us), {}).get(name, 0)

    def values(self, prefix: str, span: Span = "all", start_us: int = 0) -> Counters:
        """The counters whose name begins so, by the rest of the name; unknown agent types are
        together.
        """
        counters = self._counters.get((span, start_us), {})
        return {
            name.removeprefix(prefix): value
            for name, value in counters.items()
            if name.startswith(prefix)
        }

    def slots(self) -> Slots:
        """Over online nodes."""
        free = max(0, self._capacity - self._allocated)
        return Slots(capacity=self._capacity, allocated=self._allocated, free=free)

    def reported_slots(self) -> dict[str, int]:
        """Real, phantom and orphan slots, over online nodes (contract 11.4)."""
        return {kind: self._ledger[kind] for kind in LEDGER_KINDS}

    def oldest_wait_us(self) -> int | None:
        """Since when the longest open wait is open."""
        return self._waits.oldest_us()

    def stats(self, now_us: int) -> Stats:
        """The fleet at ``now_us`` (contract 6.4)."""
        day = self._day_start_us(now_us)
        by_status = self._enum("run:status:", RUN_STATUSES)
        by_state = self._enum("run:state:", WORKFLOW_STATES)
        logins = self.logins.by_state()
        for state, number in logins.items():
            by_state[state] += number
        ended_logins = self.logins.ended_since(day)
        by_node: dict[str, int] = {status: self._by_status[status] for status in NODE_STATUSES}
        tasks = self._enum("task:status:", TASK_STATUSES)
        ended = self.value("durations")
        return Stats(
            total_workflows=sum(by_state.values()),
            active_workflows=sum(by_state[state] for state in ACTIVE_STATES),
            completed_today=int(self.value("ended:completed", "day", day))
            + ended_logins["completed"],
            failed_today=int(self.value("ended:failed", "day", day)) + ended_logins["failed"],
            cancelled_today=int(self.value("ended:cancelled", "day", day))
            + ended_logins["cancelled"],
            avg_duration_ms=round(self.value("duration_ms") / ended) if ended else None,
            workflows_by_type={"auth": sum(logins.values()), "run": sum(by_status.values())},
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
                count=len(self._waits),
                oldest_since=format_optional_time(self.oldest_wait_us()),
                held_slots=int(self.value("run:waiting_slot")),
            ),
            slots=self.slots(),
            usage=UsageTotals(
                today=self._usage("day", day, now_us), total=self._usage("all", 0, now_us)
            ),
            burn=self._burn(now_us),
            queue_wait_ms=self._queue_wait(now_us),
            failures_per_h=int(self._minutes.window("failures", now_us).sums["ended:failed"]),
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
        self._minutes.forget(now_us)
        oldest_day = now_us - KEPT_DAYS_US
        for key in [key for key in self._counters if key[0] == "day" and key[1] < oldest_day]:
            del self._counters[key]
        self._levels.forget(now_us)

    def unwritten_levels(self, now_us: int) -> list[tuple[int, str, float]]:
        """See `levels.Levels.unwritten`."""
        return self._levels.unwritten(now_us)

    def _add(self, span: Span, start_us: int, name: str, value: float) -> None:
        if name.startswith(levels.TOPIC):
            self._levels.count(start_us, name, value)
            return
        if span == "minute":
            self._minutes.count(start_us, name, value)
            return
        counters = self._counters.setdefault((span, start_us), {})
        for each in _kept_names(name):
            counters[each] = counters.get(each, 0) + value

    def _put_node(self, node: NodeRow) -> None:
        self._drop_node(node.id)
        self.nodes[node.id] = node
        self._count_node(node, 1)

    def _drop_node(self, node_id: str) -> None:
        node = self.nodes.pop(node_id, None)
        if node is not None:
            self._count_node(node, -1)

    def _count_node(self, node: NodeRow, sign: int) -> None:
        self._by_status[node.status] += sign
        if node.status == "online":
            self._capacity += sign * node.capacity
            self._allocated += sign * node.allocated
            counts = ledger.count(node)
            for kind in LEDGER_KINDS:
                self._ledger[kind] += sign * getattr(counts, kind)

    @staticmethod
    def _no_minutes() -> Minutes:
        return Minutes(
            kept=MOST_HISTORY_MINUTES + 1,
            windows={
                "burn": BURN_WINDOW_S // 60,
                "queue_wait": QUEUE_WAIT_WINDOW_S // 60,
                "failures": FAILURES_WINDOW_S // 60,
            },
        )

    def _enum(self, prefix: str, names: tuple[str, ...]) -> dict[str, int]:
        return {name: int(self.value(prefix + name)) for name in names}

    def _keep_level(self, now_us: int) -> None:
        present = {
            "queued": self.value("run:status:queued"),
            "running": self.value("run:status:running"),
            "waiting": float(len(self._waits)),
            "slots_allocated": float(self._allocated),
            "nodes_online": float(self._by_status["online"]),
        }
        self._levels.note(now_us, present)

    def _minute(self, start_us: int) -> dict[str, float | None]:
        minute = self._minutes.get(start_us)
        level = self._levels.get(start_us)
        recorded = minute is not None or level is not None or start_us >= self._started_us
        minute = minute or _NOTHING
        shown: dict[str, float | None] = {name: (level or {}).get(name) for name in levels.NAMES}
        shown.update(
            completed=minute.sums.get("ended:completed", 0),
            failed=minute.sums.get("ended:failed", 0),
            cancelled=minute.sums.get("ended:cancelled", 0),
            events=minute.sums.get("events", 0),
            tokens=minute.sums.get("tokens:", 0),
            cost_usd=round(minute.sums.get("cost_usd:", 0), 6),
        )
        shown.update(
            queue_wait_p50_ms=minute.wait_ms(0.5),
            queue_wait_p95_ms=minute.wait_ms(0.95),
        )
        return shown if recorded else dict.fromkeys(shown)

    def _usage(self, span: Span, start_us: int, now_us: int) -> Usage | None:
        if not self.value("usage_known", span, start_us):
            return None
        tokens = {kind: int(self.value(f"tokens:{kind}", span, start_us)) for kind in _TOKEN_KINDS}
        cost = self.value("cost_usd", span, start_us)
        return Usage(
            input_tokens=tokens["input"],
            output_tokens=tokens["output"],
            cache_read_tokens=tokens["cache_read"],
            cache_write_tokens=tokens["cache_write"],
            total_tokens=sum(tokens.values()),
            cost_usd=round(cost, 6) if self.value("cost_known", span, start_us) else None,
            partial=bool(self.value("usage_partial", span, start_us))
            or self.value("cost_known", span, start_us) < self.value("usage_known", span, start_us),
            as_of=format_time(self._used_us or now_us),
        )

    def _follow_usage(self, before: RunRow | None, after: RunRow | None) -> None:
        used = None if after is None else after.usage
        if used is not None and (before is None or before.usage is not used):
            self._used_us = max(self._used_us, used.as_of_us)

    def _burn(self, now_us: int) -> FleetBurn:
        spent = self._minutes.window("burn", now_us).sums
        # A window that was moved may leave the rounding error of what it lost.
        tokens, cost = max(0.0, spent["tokens:"]), max(0.0, spent["cost_usd:"])
        return FleetBurn(
            cost_usd_per_h=round(cost * 3600 / BURN_WINDOW_S, 6)
            if self.value("cost_known")
            else None,
            tokens_per_min=round(tokens * 60 / BURN_WINDOW_S, 3),
            window_s=BURN_WINDOW_S,
        )

    def _queue_wait(self, now_us: int) -> QueueWait:
        window = self._minutes.window("queue_wait", now_us)
        return QueueWait(
            p50=window.wait_ms(0.5),
            p95=window.wait_ms(0.95),
            samples=int(sum(window.waits.values())),
            window_s=QUEUE_WAIT_WINDOW_S,
        )


def _kept_names(name: str) -> tuple[str, ...]:
    """Under which names a counter is kept here: with the agent type, those that are not known
    together as `OTHER`, and what is used also without it. Agents have any name; what is held must
    not grow with them.
    """
    for topic, at in _AGENT_AT.items():
        if name.startswith(f"{topic}:"):
            *parts, agent_type = name.split(":", at)
            whole = ":".join(parts)
            kept = agent_type if agent_type in _AGENTS else OTHER
            named = f"{whole}:{kept}"
            return (named,) if topic == "run:agent" else (named, whole)
    if name.startswith(("tool_calls:", "tool_failures:", "queue_wait:")):
        return ()  # of minutes and of the metrics; nothing here shows their sums
    return (name,)
