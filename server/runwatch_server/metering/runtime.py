"""The process itself, as metrics: version, event loop, scheduler, certificate, disk."""

import shutil
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from runwatch_server.version import VERSION
from runwatch_shared.wire import PROTOCOL

CYCLE_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1)
LAG_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
)


class RuntimeMeter:
    """Hears of the scheduler (`scheduler.SchedulerObserver`) and of the event loop."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        build = Gauge("runwatch_build_info", "Version", ("version", "protocol"), registry=registry)
        build.labels(VERSION, str(PROTOCOL)).set(1)
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


def free_bytes(folder: str) -> int:
    """Room on the disk of a folder; 0 where that cannot be told."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
