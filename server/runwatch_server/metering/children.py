"""Children of metrics made ahead: cheap on hot paths, and at 0 from the start."""

from collections.abc import Iterable
from typing import TypeVar

from prometheus_client.metrics import MetricWrapperBase

C = TypeVar("C", bound=MetricWrapperBase)


def children(metric: C, values: Iterable[str]) -> dict[str, C]:
    """The children of a metric with one label, made now so that each is at 0 from the start."""
    return {value: metric.labels(value) for value in values}
