"""What Prometheus reads of a node: the ``executor_*`` names of contract 4, each with ``node_id``.

How they are served is in `metrics_listener`.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runwatch_shared.states import AGENT_TYPES, EVENT_TYPES, TERMINAL_STATUSES

PREFIX: Final = "executor_"
TASK_SECONDS: Final = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
HEARTBEAT_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
REPORT_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
BATCH_EVENTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
CONTAINER_STATUSES: Final = ("started", "failed")
REPORT_CODES: Final = (
    "batch_too_large",
    "body_too_large",
    "event_too_large",
    "internal",
    "invalid_credential",
    "invalid_field",
    "invalid_json",
    "invalid_value",
    "lease_lost",
    "lease_required",
    "not_found",
    "not_ready",
    "not_your_run",
    "other",
    "overloaded",
    "rate_limited",
    "request_timeout",
    "run_finished",
    "seq_conflict",
    "storage_full",
    "store_unavailable",
    "unauthenticated",
    "unreachable",
)
"""Codes of contract 1.2 that a batch of events may be answered with; ``unreachable`` is no answer,
``other`` whatever is not here, as what a proxy says."""
LOGIN_STATUSES: Final = ("success", "failed", "timeout", "cancelled")
CLAIM_RESULTS: Final = ("claimed", "adopted", "refused", "failed")


class NodeMetrics:
    """One node's numbers, in a registry of their own."""

    def __init__(self, *, node_id: str, version: str) -> None:
        self.registry = CollectorRegistry()
        self._node_id = node_id
        self.heartbeats = self._counter("heartbeat", "Heartbeats sent.")
        self.heartbeat_errors = self._counter("heartbeat_errors", "Heartbeats without an answer.")
        self.heartbeat_seconds = self._histogram(
            "heartbeat_latency_seconds", "Time to a heartbeat's answer.", HEARTBEAT_SECONDS
        )
        self.pending = self._gauge("tasks_pending", "Runs taken and not yet begun.")
        self.running = self._gauge("tasks_running", "Runs begun and not yet ended.")
        self.capacity = self._gauge("capacity", "Runs this node takes at once.")
        self.containers_running = self._gauge("containers_running", "Containers of runs.")
        self.auth_running = self._gauge("auth_tasks_running", "Logins under way.")
        self.leases_lost = self._counter("leases_lost", "Runs the server gave to another.")
        self.events_truncated = self._counter("events_truncated", "Events cut to the limits.")
        self.spool_events = self._gauge("spool_events", "Events the server does not have yet.")
        self.spool_bytes = self._gauge("spool_bytes", "Bytes of runs' logs on this node's disk.")
        self.spool_limit_bytes = self._gauge("spool_limit_bytes", "Most bytes they may take.")
        self.spool_oldest = self._gauge(
            "spool_oldest_timestamp_seconds", "Time of the oldest event not yet acknowledged."
        )
        self.sessions = self._gauge("sessions", "Found agent sessions that are shown as running.")
        self.session_reads = self._counter(
            "session_reads", "Looks into the transcripts of found agent sessions."
        )
        self.report_seconds = self._histogram(
            "event_report_latency_seconds", "Time to the answer to a batch.", REPORT_SECONDS
        )
        self.batch_events = self._histogram(
            "event_report_batch_events", "Events in a batch.", BATCH_EVENTS
        )
        labels = ["node_id"]
        self._tasks = Counter(
            PREFIX + "tasks_total",
            "Runs that ended.",
            [*labels, "driver", "status"],
            registry=self.registry,
        )
        self._task_seconds = Histogram(
            PREFIX + "task_duration_seconds",
            "From begin to end of a run.",
            [*labels, "driver", "status"],
            buckets=TASK_SECONDS,
            registry=self.registry,
        )
        self._container_starts = Counter(
            PREFIX + "container_starts_total",
            "Containers started, by agent type.",
            [*labels, "image", "status"],
            registry=self.registry,
        )
        self._events = Counter(
            PREFIX + "events_reported_total",
            "Events the server has acknowledged.",
            [*labels, "type"],
            registry=self.registry,
        )
        self._report_errors = Counter(
            PREFIX + "event_report_errors_total",
            "Batches without success, by the answer's code.",
            [*labels, "code"],
            registry=self.registry,
        )
        self._auth_tasks = Counter(
            PREFIX + "auth_tasks_total",
            "Logins that ended.",
            [*labels, "status"],
            registry=self.registry,
        )
        self._claims = Counter(
            PREFIX + "claims_total",
            "Claims of runs, by result.",
            [*labels, "result"],
            registry=self.registry,
        )
        info = Gauge(
            PREFIX + "build_info", "Always 1.", [*labels, "version"], registry=self.registry
        )
        info.labels(node_id, version).set(1)
        self._begin_at_zero()

    def ended(self, driver: str, status: str, duration_s: float | None) -> None:
        """A run is over. ``driver`` is an agent type, one that is not known counts as ``other``."""
        name = driver if driver in AGENT_TYPES else "other"
        self._tasks.labels(self._node_id, name, status).inc()
        if duration_s is not None:
            self._task_seconds.labels(self._node_id, name, status).observe(duration_s)

    def container_started(self, agent_type: str, *, ok: bool) -> None:
        """A container was made for a run, or could not be."""
        name = agent_type if agent_type in AGENT_TYPES else "other"
        status = CONTAINER_STATUSES[0] if ok else CONTAINER_STATUSES[1]
        self._container_starts.labels(self._node_id, name, status).inc()

    def reported(self, types: dict[str, int]) -> None:
        """Events acknowledged, by type; types of an agent's own count as ``other``."""
        for kind, count in types.items():
            name = kind if kind in EVENT_TYPES else "other"
            self._events.labels(self._node_id, name).inc(count)

    def report_failed(self, code: str) -> None:
        """A batch was not taken; a code that is not of `REPORT_CODES` counts as ``other``."""
        name = code if code in REPORT_CODES else "other"
        self._report_errors.labels(self._node_id, name).inc()

    def claim(self, result: str) -> None:
        """One of ``CLAIM_RESULTS``."""
        self._claims.labels(self._node_id, result).inc()

    def login_ended(self, status: str) -> None:
        """One of ``LOGIN_STATUSES``."""
        self._auth_tasks.labels(self._node_id, status).inc()

    def _begin_at_zero(self) -> None:
        for status in sorted(TERMINAL_STATUSES):
            for driver in (*AGENT_TYPES, "other"):
                self._tasks.labels(self._node_id, driver, status)
                self._task_seconds.labels(self._node_id, driver, status)
        for status in LOGIN_STATUSES:
            self._auth_tasks.labels(self._node_id, status)
        for kind in (*EVENT_TYPES, "other"):
            self._events.labels(self._node_id, kind)
        for code in REPORT_CODES:
            self._report_errors.labels(self._node_id, code)
        for result in CLAIM_RESULTS:
            self._claims.labels(self._node_id, result)
        for status in CONTAINER_STATUSES:
            for image in (*AGENT_TYPES, "other"):
                self._container_starts.labels(self._node_id, image, status)

    def _counter(self, name: str, text: str) -> Counter:
        metric = Counter(f"{PREFIX}{name}_total", text, ["node_id"], registry=self.registry)
        return metric.labels(self._node_id)

    def _gauge(self, name: str, text: str) -> Gauge:
        metric = Gauge(f"{PREFIX}{name}", text, ["node_id"], registry=self.registry)
        return metric.labels(self._node_id)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        metric = Histogram(
            f"{PREFIX}{name}", text, ["node_id"], buckets=buckets, registry=self.registry
        )
        return metric.labels(self._node_id)
