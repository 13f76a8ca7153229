"""Reported events and the leases they hold, as metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter

from runwatch_server.appends import REFUSALS
from runwatch_server.metering.children import children

INGEST_CODES: Final = (
    "invalid_json",
    *REFUSALS,
    "overloaded",
    "store_unavailable",
    "storage_full",
)


class IngestMeter:
    """What came of batches and heartbeats."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
        self._renewals = Counter(
            "runwatch_lease_renewals_total", "Leases renewed", registry=registry
        )
        self._fenced = Counter(
            "runwatch_fenced_writes_total",
            "Writes refused because the lease was lost",
            registry=registry,
        )

    def ingested(self, created: int, duplicates: int, *, renewed: bool) -> None:
        """A batch was taken."""
        if created:
            self._created.inc(created)
        if duplicates:
            self._duplicates.inc(duplicates)
        if renewed:
            self._renewals.inc()

    def refused(self, code: str) -> None:
        """A batch was refused."""
        if (child := self._refused_batches.get(code)) is not None:
            child.inc()

    def renewed(self, count: int) -> None:
        """A heartbeat renewed leases."""
        self._renewals.inc(count)

    def fenced(self) -> None:
        """A write under an ended lease was refused."""
        self._fenced.inc()
