"""What there is now, as metrics: a snapshot taken on the event loop, shown to Prometheus."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, get_args

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, UntypedMetricFamily

from runwatch_server.metering.commits import AGENT_LABELS, agent_label
from runwatch_server.projection import Projection
from runwatch_shared.models import WaitKind
from runwatch_shared.states import (
    HEALTH_FLAGS,
    INSTANCE_STATUSES,
    NODE_STATUSES,
    RUN_STATUSES,
    TASK_STATUSES,
    WORKFLOW_STATES,
)

WAIT_KINDS: Final[tuple[str, ...]] = get_args(WaitKind)
SLOT_KINDS: Final = ("capacity", "allocated", "real", "phantom", "orphan")
_SECOND_US: Final = 1_000_000

Labels = tuple[str, ...]
Numbers = list[tuple[Labels, float]]


class Present:
    """A collector of gauges. `look` runs on the event loop, `collect` anywhere."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._families: list[Metric] = []

    def look(
        self,
        *,
        now_us: int,
        oldest_queued_us: int | None,
        wal_bytes: int,
        search_behind: int,
        disk_free_bytes: int,
        instances: Mapping[str, int],
    ) -> None:
        """Take everything down as of now."""
        self._families = [
            *self._of_runs(),
            *self._of_nodes(now_us),
            _of_instances(instances),
            _gauge("runwatch_revision", "The last committed revision", self._projection.revision),
            _gauge(
                "runwatch_queue_oldest_seconds",
                "Age of the oldest queued run",
                _age_s(oldest_queued_us, now_us),
            ),
            _gauge("runwatch_sqlite_wal_bytes", "Size of SQLite's write-ahead log", wal_bytes),
            _gauge(
                "runwatch_search_behind_revisions",
                "Revisions the search index has still to take in",
                search_behind,
            ),
            _gauge(
                "runwatch_disk_free_bytes",
                "Room left on the disk of the data directory; 0 where that cannot be told",
                disk_free_bytes,
            ),
        ]

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        return iter(self._families)

    def _of_runs(self) -> Iterator[Metric]:
        value = self._projection.value
        yield _untyped(
            "api_tasks_total",
            "Tasks there are now",
            ("status",),
            [((status,), value(f"task:status:{status}")) for status in TASK_STATUSES],
        )
        by_agent: Counter[Labels] = Counter()
        for name, count in self._projection.values("run:agent:").items():
            status, _, agent_type = name.partition(":")
            by_agent[status, agent_label(agent_type)] += int(count)
        yield _untyped(
            "api_runs_total",
            "Runs there are now",
            ("status", "agent_type"),
            [
                ((status, agent), by_agent[status, agent])
                for status in RUN_STATUSES
                for agent in AGENT_LABELS
            ],
        )
        states: Numbers = [
            (("run", state), value(f"run:state:{state}")) for state in WORKFLOW_STATES
        ]
        logins = self._projection.logins.by_state()
        states += [(("auth", state), logins[state]) for state in WORKFLOW_STATES]
        yield _gauges("runwatch_workflows", "Workflows there are now", ("type", "state"), states)
        yield _gauges(
            "runwatch_unhealthy",
            "Workflows with a health flag",
            ("health",),
            [((flag,), value(f"run:health:{flag}")) for flag in HEALTH_FLAGS if flag != "ok"],
        )
        yield _gauges(
            "runwatch_waiting",
            "Workflows that wait for a person",
            ("kind",),
            [
                ((kind,), value(f"run:waiting:{kind}") + logins["waiting"] * (kind == "login"))
                for kind in WAIT_KINDS
            ],
        )

    def _of_nodes(self, now_us: int) -> Iterator[Metric]:
        nodes = list(self._projection.nodes.values())
        by_status = Counter(node.status for node in nodes)
        slots = self._projection.slots()
        online = [node for node in nodes if node.status == "online"]
        spools = [node.spool for node in nodes if node.spool is not None]
        yield _untyped("api_nodes_total", "Nodes there are now", (), [((), len(nodes))])
        yield _gauge("api_nodes_online", "Nodes online", by_status["online"])
        yield _gauges(
            "runwatch_nodes",
            "Nodes there are now",
            ("status",),
            [((status,), by_status[status]) for status in NODE_STATUSES],
        )
        known = {
            "capacity": slots.capacity,
            "allocated": slots.allocated,
            **self._projection.reported_slots(),
        }
        yield _gauges(
            "runwatch_node_slots",
            "Slots of the nodes that are online",
            ("kind",),
            [((kind,), known[kind]) for kind in SLOT_KINDS],
        )
        yield _gauge(
            "runwatch_node_clock_skew_seconds",
            "How far the worst clock of the nodes that are online is off",
            max((abs(each.clock_skew_ms or 0) / 1000 for each in online), default=0),
        )
        yield _gauge(
            "runwatch_node_spool_bytes",
            "What the worst node has not delivered yet",
            max((spool.bytes for spool in spools), default=0),
        )
        yield _gauge(
            "runwatch_node_spool_oldest_seconds",
            "Age of the oldest undelivered event",
            max((_age_s(spool.oldest_us, now_us) for spool in spools), default=0),
        )


def _of_instances(by_status: Mapping[str, int]) -> Metric:
    return _gauges(
        "runwatch_instances",
        "Instances there are now",
        ("status",),
        [((status,), by_status.get(status, 0)) for status in INSTANCE_STATUSES],
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _gauges(name: str, text: str, labels: Labels, numbers: Numbers) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in numbers:
        family.add_metric(values, number)
    return family


def _untyped(name: str, text: str, labels: Labels, numbers: Numbers) -> Metric:
    """A present count whose name ends in ``_total``, which only counters should (contract 4)."""
    family = UntypedMetricFamily(name, text, labels=labels)
    for values, number in numbers:
        family.add_metric(values, number)
    return family


def _age_s(since_us: int | None, now_us: int) -> float:
    return 0.0 if since_us is None else max(0, now_us - since_us) / _SECOND_US
