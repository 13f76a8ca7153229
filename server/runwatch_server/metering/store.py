"""The store and its writer, as metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runwatch_server.metering.children import children
from runwatch_server.storage.observing import Operation

BATCH_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
QUERY_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
STORE_ERRORS: Final = ("full", "unavailable", "conflict", "other")


class StoreMeter:
    """Hears of statements and groups (`storage.observing`); in the store's own threads, too."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
        self._queries = Counter(
            "api_db_queries_total",
            "Statements of the store",
            ("operation", "table"),
            registry=registry,
        )
        self._query_seconds = Histogram(
            "api_db_query_duration_seconds",
            "Their time",
            ("operation", "table"),
            buckets=QUERY_BUCKETS,
            registry=registry,
        )
        self._query_children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._store_errors = children(
            Counter(
                "runwatch_store_errors_total", "Errors of the store", ("kind",), registry=registry
            ),
            STORE_ERRORS,
        )
        self.removed_events = Counter(
            "runwatch_retention_removed_events_total",
            "Events removed after their time",
            registry=registry,
        )

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
