"""What an OTLP body holds, flat: each record with the resource and scope it came in.

Source: opentelemetry-proto 1.x, `logs.proto`, `metrics.proto`, `common.proto`. Decoding is in
`json_body` and `protobuf`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

Signal = Literal["logs", "metrics", "traces"]
Value = Any
"""A text, bool, int, float, bytes, list or dict of these, or None where nothing was given."""
Attributes = Mapping[str, Value]


class Log(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A log record. Times are nanoseconds since the epoch, 0 where none was given."""

    time_ns: int
    observed_ns: int
    name: str
    """Of the event: the attribute ``event.name``, else ``eventName``; may be empty."""
    body: Value
    attributes: Attributes
    resource: Attributes
    scope: str


class Point(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One number of a metric: a sum's value, or a histogram's sum."""

    metric: str
    delta: bool
    """Whether it tells what was added since ``start_ns``; else the sum since then."""
    start_ns: int
    time_ns: int
    value: float
    attributes: Attributes
    resource: Attributes


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded body. ``unread`` are records that were accepted and are not looked at."""

    logs: list[Log] = []
    points: list[Point] = []
    unread: int = 0


DELTA = 1
"""``AGGREGATION_TEMPORALITY_DELTA``."""
CUMULATIVE = 2


def summed(value: float | None) -> float | None:
    """A number that can be added up; None for none, infinities and NaN."""
    return value if value is not None and math.isfinite(value) else None


Decode = Callable[[bytes], Batch]
