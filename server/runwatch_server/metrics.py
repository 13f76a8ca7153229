"""The server's metrics by their documented names (contract 4), in a registry of their own.

Other modules hear of `Metrics` through small protocols of theirs; each method is cheap enough for
the path it stands in. Rendering is `Exposition`.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar, cast

import prometheus_client
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector

from runwatch_server.fanout.observer import Channel
from runwatch_server.metering.commits import CommitMeter
from runwatch_server.metering.present import Present
from runwatch_server.metering.requests import RequestMeter
from runwatch_server.projection import Projection
from runwatch_server.storage.observing import Operation
from runwatch_server.storage.protocols import Query, Reader, ReadTx
from runwatch_server.version import VERSION
from runwatch_shared.clock import Clock
from runwatch_shared.errors import STATUS_OF_CODE, RunwatchError
from runwatch_shared.wire import PROTOCOL

BATCH_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
QUERY_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
CYCLE_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1)
LAG_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
)  # fmt: skip
FRAME_TYPES: Final = (
    "change",
    "error",
    "event",
    "events",
    "gap",
    "heartbeat",
    "hello",
    "ping",
    "pong",
    "resync",
    "snapshot",
    "stats",
    "status",
    "subscribe",
    "workflows",
    "other",
)
CHANNELS: Final[tuple[Channel, ...]] = ("monitor", "run")
CLOSE_CODES: Final = (1000, 1001, 1006, 1008, 1009, 1011, 1013, 4400, 4404, 4429)
STUCK: Final = 1013
INGEST_CODES: Final = (
    "invalid_json",
    "missing_field",
    "invalid_field",
    "invalid_value",
    "not_your_run",
    "not_found",
    "lease_lost",
    "lease_required",
    "run_finished",
    "seq_conflict",
    "batch_too_large",
    "event_too_large",
    "overloaded",
    "store_unavailable",
    "storage_full",
)
AUTH_RESULTS: Final = {
    "token": ("ok", "unknown", "expired", "revoked"),
    "node_token": ("ok", "unknown", "expired", "revoked"),
    "session": ("ok", "unknown", "expired", "revoked", "disabled"),
    "password": ("ok", "invalid_login", "account_disabled"),
}
STORE_ERRORS: Final = ("full", "unavailable", "conflict", "other")
RESYNC_REASONS: Final = ("too_old", "store_changed", "lagging")

C = TypeVar("C", bound=MetricWrapperBase)


class Metrics:
    """Every counter, gauge and histogram that something counts as it happens."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # The library brings no types for this one.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self.requests = RequestMeter()
        registry.register(cast(Collector, self.requests))
        self.commits = CommitMeter(registry)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        build = Gauge("runwatch_build_info", "Version", ("version", "protocol"), registry=registry)
        build.labels(VERSION, str(PROTOCOL)).set(1)
        self._ingest(registry)
        self._store(registry)
        self._sockets(registry)
        self._rest(registry)
        self.began = self.requests.began
        self.answered = self.requests.answered
        self.upgraded = self.requests.upgraded

    def _ingest(self, registry: CollectorRegistry) -> None:
        events = Counter(
            "runwatch_ingest_events_total",
            "Events stored, and events that were known already",
            ("result",),
            registry=registry,
        )
        self._created, self._duplicates = events.labels("created"), events.labels("duplicate")
        self._refused_batches = children(
            Counter(
                "runwatch_ingest_refused_total", "Batches refused", ("code",), registry=registry
            ),
            INGEST_CODES,
        )
        self._batch_events = Histogram(
            "runwatch_ingest_batch_events",
            "Events a commit",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self._commit_seconds = Histogram(
            "runwatch_ingest_commit_seconds",
            "Time of a commit",
            buckets=COMMIT_BUCKETS,
            registry=registry,
        )
        self._queue_events = Gauge(
            "runwatch_ingest_queue_events", "Events waiting for the writer", registry=registry
        )
        self._renewals = Counter(
            "runwatch_lease_renewals_total", "Leases renewed", registry=registry
        )
        self._fenced = Counter(
            "runwatch_fenced_writes_total",
            "Writes refused because the lease was lost",
            registry=registry,
        )

    def _store(self, registry: CollectorRegistry) -> None:
        self._queries = Counter(
            "api_db_queries_total", "Statements of the store", ("operation", "table"),
            registry=registry,
        )  # fmt: skip
        self._query_seconds = Histogram(
            "api_db_query_duration_seconds",
            "Their time",
            ("operation", "table"),
            buckets=QUERY_BUCKETS,
            registry=registry,
        )
        self._query_children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._store_errors = children(
            Counter("runwatch_store_errors_total", "Errors of the store", ("kind",),
                    registry=registry),
            STORE_ERRORS,
        )  # fmt: skip
        self.removed_events = Counter(
            "runwatch_retention_removed_events_total",
            "Events removed after their time",
            registry=registry,
        )

    def _sockets(self, registry: CollectorRegistry) -> None:
        messages = Counter(
            "api_websocket_messages_total",
            "Frames received and sent",
            ("direction", "type"),
            registry=registry,
        )
        self._frames_in = {kind: messages.labels("in", kind) for kind in FRAME_TYPES}
        self._frames_out = {kind: messages.labels("out", kind) for kind in FRAME_TYPES}
        self._active = Gauge("api_websocket_connections_active", "Sockets open", registry=registry)
        self._open = children(
            Gauge("runwatch_websocket_connections", "Sockets open", ("channel",),
                  registry=registry),
            CHANNELS,
        )  # fmt: skip
        closes = Counter(
            "runwatch_websocket_closes_total", "Sockets closed", ("channel", "code"),
            registry=registry,
        )  # fmt: skip
        self._closes = {
            (channel, code): closes.labels(channel, str(code))
            for channel in CHANNELS
            for code in CLOSE_CODES
        }
        self._slow_closes = children(
            Counter(
                "runwatch_slow_consumer_closes_total",
                "Sockets closed because their reader was stuck",
                ("channel",),
                registry=registry,
            ),
            CHANNELS,
        )
        self._lag = children(
            Histogram(
                "runwatch_feed_lag_seconds",
                "From the commit until a change was given to a socket",
                ("channel",),
                buckets=LAG_BUCKETS,
                registry=registry,
            ),
            CHANNELS,
        )
        self._mailbox = children(
            Gauge(
                "runwatch_feed_mailbox_rows",
                "Rows not sent yet, all clients together",
                ("channel",),
                registry=registry,
            ),
            CHANNELS,
        )
        self._mailbox_most = children(
            Gauge(
                "runwatch_feed_mailbox_rows_max",
                "Rows not sent yet, the worst client",
                ("channel",),
                registry=registry,
            ),
            CHANNELS,
        )
        self._merged = Counter(
            "runwatch_feed_merged_changes_total",
            "Changes merged into later ones for slow readers",
            registry=registry,
        )
        self._resyncs = children(
            Counter(
                "runwatch_feed_resyncs_total",
                "Snapshots sent because changes were not enough",
                ("reason",),
                registry=registry,
            ),
            RESYNC_REASONS,
        )

    def _rest(self, registry: CollectorRegistry) -> None:
        self._cycles = Counter(
            "api_scheduler_cycles_total", "Rounds of the scheduler", registry=registry
        )
        self._assigned = Counter(
            "api_scheduler_runs_assigned_total", "Runs it gave to nodes", registry=registry
        )
        self._cycle_seconds = Histogram(
            "api_scheduler_cycle_duration_seconds",
            "Time of a round",
            buckets=CYCLE_BUCKETS,
            registry=registry,
        )
        judged = Counter(
            "runwatch_auth_total", "Credentials judged", ("kind", "result"), registry=registry
        )
        self._judged = {
            (kind, result): judged.labels(kind, result)
            for kind, results in AUTH_RESULTS.items()
            for result in results
        }
        self._rejected = children(
            Counter(
                "runwatch_requests_rejected_total",
                "Requests refused by a limit or a rule",
                ("code",),
                registry=registry,
            ),
            STATUS_OF_CODE,
        )
        self._loop_lag = Histogram(
            "runwatch_event_loop_lag_seconds",
            "Lateness of the event loop",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self._certificate = Gauge(
            "runwatch_certificate_expiry_timestamp_seconds",
            "When the certificate ends",
            registry=registry,
        )

    # Requests

    def rejected(self, code: str) -> None:
        """A request was refused with this code."""
        self._rejected[code].inc()

    def judged(self, kind: str, result: str) -> None:
        """A credential was judged."""
        self._judged[kind, result].inc()

    # Ingest

    def ingested(self, created: int, duplicates: int, *, renewed: bool) -> None:
        """A batch was taken."""
        if created:
            self._created.inc(created)
        if duplicates:
            self._duplicates.inc(duplicates)
        if renewed:
            self._renewals.inc()

    def ingest_refused(self, code: str) -> None:
        """A batch was refused."""
        if (child := self._refused_batches.get(code)) is not None:
            child.inc()

    def renewed(self, count: int) -> None:
        """A heartbeat renewed leases."""
        self._renewals.inc(count)

    def fenced(self) -> None:
        """A write under an ended lease was refused."""
        self._fenced.inc()

    # The store (`storage.observing`)

    def waiting(self, events: int) -> None:
        """See `storage.observing.WriteObserver`."""
        self._queue_events.set(events)

    def committed(self, works: int, events: int, seconds: float) -> None:
        """See `storage.observing.WriteObserver`."""
        if events:
            self._batch_events.observe(events)
        self._commit_seconds.observe(seconds)

    def failed(self, kind: str) -> None:
        """See `storage.observing.WriteObserver`."""
        self._store_errors[kind].inc()

    def queried(self, operation: Operation, table: str, seconds: float) -> None:
        """See `storage.observing.QueryObserver`."""
        known = self._query_children.get((operation, table))
        if known is None:
            known = (
                self._queries.labels(operation, table),
                self._query_seconds.labels(operation, table),
            )
            self._query_children[operation, table] = known
        known[0].inc()
        known[1].observe(seconds)

    # Sockets (`fanout.observer`)

    def opened(self, channel: Channel) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._active.inc()
        self._open[channel].inc()

    def closed(self, channel: Channel, code: int) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._active.dec()
        self._open[channel].dec()
        if (child := self._closes.get((channel, code))) is not None:
            child.inc()
        if code == STUCK:
            self._slow_closes[channel].inc()

    def received(self, frame_type: str) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._frames_in.get(frame_type, self._frames_in["other"]).inc()

    def sent(self, frame_type: str, count: int) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._frames_out.get(frame_type, self._frames_out["other"]).inc(count)

    def lag(self, channel: Channel, seconds: float) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._lag[channel].observe(seconds)

    def mailbox(self, channel: Channel, rows: int, most: int) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._mailbox[channel].set(rows)
        self._mailbox_most[channel].set(most)

    def merged(self, changes: int) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._merged.inc(changes)

    def resynced(self, reason: str) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._resyncs[reason].inc()

    # The rest

    def cycle(self, seconds: float, assigned: int) -> None:
        """See `scheduler.SchedulerObserver`."""
        self._cycles.inc()
        self._assigned.inc(assigned)
        self._cycle_seconds.observe(seconds)

    def loop_lag(self, seconds: float) -> None:
        """The event loop came this late to a timer."""
        self._loop_lag.observe(seconds)

    def certificate_ends(self, timestamp_s: float) -> None:
        """The certificate that is served ends then."""
        self._certificate.set(timestamp_s)


class Exposition:
    """Renders the registry, in a thread: a thousand lines would hold up the event loop."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        projection: Projection,
        reader: Reader,
        clock: Clock,
        wal_bytes: Callable[[], int],
    ) -> None:
        self._registry = metrics.registry
        self._present = Present(projection)
        self._registry.register(cast(Collector, self._present))
        self._reader = reader
        self._clock = clock
        self._wal_bytes = wal_bytes
        self._oldest_us: int | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._rendering = asyncio.Lock()

    async def render(self, *, openmetrics: bool) -> tuple[bytes, bytes]:
        """(content type, body) in the text format 0.0.4, or in OpenMetrics."""
        loop = asyncio.get_running_loop()
        async with self._rendering:
            with suppress(RunwatchError):  # a scrape must tell of a store that fails
                self._oldest_us = await self._reader.read(_oldest_queued_us)
            self._present.look(
                now_us=self._clock.now_us(),
                oldest_queued_us=self._oldest_us,
                wal_bytes=self._wal_bytes(),
            )
            if openmetrics:
                body = await loop.run_in_executor(
                    self._thread, openmetrics_exposition.generate_latest, self._registry
                )
                return openmetrics_exposition.CONTENT_TYPE_LATEST.encode(), body
            body = await loop.run_in_executor(self._thread, generate_latest, self._registry)
            return b"text/plain; version=0.0.4; charset=utf-8", body

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def children(metric: C, values: Iterable[str]) -> dict[str, C]:
    """The children of a metric with one label, made now so that each is at 0 from the start."""
    return {value: metric.labels(value) for value in values}


def _oldest_queued_us(tx: ReadTx) -> int | None:
    query = Query(status=("queued",), sort="start_time", descending=False, limit=1)
    rows = tx.runs.page(query)
    return rows[0].created_us if rows else None
