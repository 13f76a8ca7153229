"""HTTP requests as metrics, under both families of names.

Dicts and a bisection instead of library children: this is in the path of every request, and both
families share one set of numbers.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, cast

from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from runwatch_server.metering.children import children
from runwatch_shared.errors import STATUS_OF_CODE

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "OTHER"
DURATION_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LONG_POLL_BUCKETS: Final = (1, 5, 10, 20, 30)
FAMILIES: Final = ("http", "api_http")


class Durations:
    """Counts by bucket, and their sum; the last bucket is everything longer."""

    __slots__ = ("counts", "sum_s")

    def __init__(self, buckets: tuple[float, ...]) -> None:
        self.counts = [0] * (len(buckets) + 1)
        self.sum_s = 0.0

    def cumulative(self, buckets: tuple[float, ...]) -> list[tuple[str, float]]:
        """As Prometheus wants them: each bucket holds the ones before it."""
        total = 0
        rising: list[tuple[str, float]] = []
        for edge, count in zip((*buckets, float("inf")), self.counts, strict=True):
            total += count
            rising.append(("+Inf" if edge == float("inf") else repr(float(edge)), total))
        return rising


class RequestMeter:
    """Counts requests; a Prometheus collector beside its own counter of refusals."""

    def __init__(self, registry: CollectorRegistry) -> None:
        refusals = Counter(
            "runwatch_requests_rejected_total",
            "Requests refused by a limit or a rule",
            ("code",),
            registry=registry,
        )
        self._rejected = children(refusals, STATUS_OF_CODE)
        self._in_flight = 0
        self._counts: dict[tuple[str, str, int], int] = {}
        self._durations: dict[tuple[str, str], Durations] = {}
        self._waits = Durations(LONG_POLL_BUCKETS)
        registry.register(cast(Collector, self))

    def began(self) -> None:
        """A request came."""
        self._in_flight += 1

    def answered(
        self, method: str, path: str, status: int, seconds: float, *, long_poll: bool
    ) -> None:
        """A request was answered; ``path`` is a route's template."""
        self._in_flight -= 1
        if method not in METHODS:
            method = OTHER_METHOD
        key = (method, path, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        if long_poll:
            self._waits.counts[bisect_left(LONG_POLL_BUCKETS, seconds)] += 1
            self._waits.sum_s += seconds
            return
        durations = self._durations.get(key[:2])
        if durations is None:
            durations = self._durations[key[:2]] = Durations(DURATION_BUCKETS)
        durations.counts[bisect_left(DURATION_BUCKETS, seconds)] += 1
        durations.sum_s += seconds

    def upgraded(self, path: str) -> None:
        """A socket was opened."""
        key = ("GET", path, 101)
        self._counts[key] = self._counts.get(key, 0) + 1

    def rejected(self, code: str) -> None:
        """A request was refused with this code."""
        self._rejected[code].inc()

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`; may run in another thread."""
        counts, durations = list(self._counts.items()), list(self._durations.items())
        for family in FAMILIES:
            requests = CounterMetricFamily(
                f"{family}_requests", "Requests answered", labels=("method", "path", "status")
            )
            for (method, path, status), count in counts:
                requests.add_metric((method, path, str(status)), count)
            yield requests
            times = HistogramMetricFamily(
                f"{family}_request_duration_seconds", "Time to answer", labels=("method", "path")
            )
            for key, each in durations:
                times.add_metric(key, each.cumulative(DURATION_BUCKETS), each.sum_s)
            yield times
        waits = HistogramMetricFamily(
            "runwatch_long_poll_seconds", "Time a long poll waited for news"
        )
        waits.add_metric((), self._waits.cumulative(LONG_POLL_BUCKETS), self._waits.sum_s)
        yield waits
        yield GaugeMetricFamily(
            "api_http_requests_in_flight", "Requests being answered", value=self._in_flight
        )
