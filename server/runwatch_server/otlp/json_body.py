"""OTLP bodies in JSON, decoded by msgspec into flat records.

Source: OTLP 1.x, "JSON Protobuf Encoding": lowerCamelCase names, 64-bit numbers as texts or
numbers, unknown fields passed over.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from runwatch_server.misfits import of_decoding
from runwatch_server.otlp.records import (
    CUMULATIVE,
    DELTA,
    Attributes,
    Batch,
    Decode,
    Log,
    Point,
    Signal,
    Value,
    summed,
)
from runwatch_shared.errors import RefusedError

T = TypeVar("T")

MOST_OBJECTS: Final = 1_000_000
"""In one body: decoded, a tiny object takes fifty times its bytes."""
MOST_DEPTH: Final = 32
_WHOLE: Final = re.compile(r"-?[0-9]{1,20}")


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of what is decoded; every field may be absent."""


class AnyValue(Wire, frozen=True, kw_only=True):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: "ArrayValue | None" = None
    kvlist_value: "KeyValueList | None" = None
    bytes_value: str | None = None


class ArrayValue(Wire, frozen=True, kw_only=True):
    values: list[AnyValue | None] | None = None


class KeyValue(Wire, frozen=True, kw_only=True):
    key: str = ""
    value: AnyValue | None = None


class KeyValueList(Wire, frozen=True, kw_only=True):
    values: list[KeyValue] | None = None


class Resource(Wire, frozen=True, kw_only=True):
    attributes: list[KeyValue] | None = None


class ScopeName(Wire, frozen=True, kw_only=True):
    name: str = ""


class LogRecord(Wire, frozen=True, kw_only=True):
    time_unix_nano: int | str = 0
    observed_time_unix_nano: int | str = 0
    event_name: str | None = None
    body: AnyValue | None = None
    attributes: list[KeyValue] | None = None


class ScopeLogs(Wire, frozen=True, kw_only=True):
    scope: ScopeName | None = None
    log_records: list[LogRecord] | None = None


class ResourceLogs(Wire, frozen=True, kw_only=True):
    resource: Resource | None = None
    scope_logs: list[ScopeLogs] | None = None


class OtlpLogs(Wire, frozen=True, kw_only=True):
    """ExportLogsServiceRequest of OTLP."""

    resource_logs: list[ResourceLogs] | None = None


class DataPoint(Wire, frozen=True, kw_only=True):
    start_time_unix_nano: int | str = 0
    time_unix_nano: int | str = 0
    attributes: list[KeyValue] | None = None
    as_int: int | str | None = None
    as_double: float | str | None = None
    sum: float | str | None = None


class Data(Wire, frozen=True, kw_only=True):
    aggregation_temporality: int | str | None = None
    data_points: list[DataPoint] | None = None


class Metric(Wire, frozen=True, kw_only=True):
    name: str = ""
    sum: Data | None = None
    histogram: Data | None = None
    gauge: Data | None = None
    exponential_histogram: Data | None = None
    summary: Data | None = None


class ScopeMetrics(Wire, frozen=True, kw_only=True):
    metrics: list[Metric] | None = None


class ResourceMetrics(Wire, frozen=True, kw_only=True):
    resource: Resource | None = None
    scope_metrics: list[ScopeMetrics] | None = None


class OtlpMetrics(Wire, frozen=True, kw_only=True):
    """ExportMetricsServiceRequest of OTLP."""

    resource_metrics: list[ResourceMetrics] | None = None


class Span(Wire, frozen=True, kw_only=True):
    name: str = ""


class ScopeSpans(Wire, frozen=True, kw_only=True):
    spans: list[Span] | None = None


class ResourceSpans(Wire, frozen=True, kw_only=True):
    scope_spans: list[ScopeSpans] | None = None


class OtlpTraces(Wire, frozen=True, kw_only=True):
    """ExportTraceServiceRequest of OTLP."""

    resource_spans: list[ResourceSpans] | None = None


_LOGS: Final = msgspec.json.Decoder(OtlpLogs)
_METRICS: Final = msgspec.json.Decoder(OtlpMetrics)
_TRACES: Final = msgspec.json.Decoder(OtlpTraces)
_TEMPORALITY: Final = {
    DELTA: DELTA,
    CUMULATIVE: CUMULATIVE,
    "AGGREGATION_TEMPORALITY_DELTA": DELTA,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": CUMULATIVE,
}


def logs(body: bytes) -> Batch:
    """The log records of a body.

    Raises:
        RefusedError: 400 naming the field; 413 for too many objects. So do the two below.
    """
    found = [
        _log(record, attributes, (scope.scope or ScopeName()).name)
        for resource in _decoded(body, _LOGS).resource_logs or ()
        for attributes in (_attributes((resource.resource or Resource()).attributes),)
        for scope in resource.scope_logs or ()
        for record in scope.log_records or ()
    ]
    return Batch(logs=found)


def metrics(body: bytes) -> Batch:
    """The numbers of a body's sums and histograms; points of other kinds are not read."""
    points: list[Point] = []
    unread = 0
    for resource in _decoded(body, _METRICS).resource_metrics or ():
        attributes = _attributes((resource.resource or Resource()).attributes)
        for metric in (each for scope in resource.scope_metrics or () for each in _of(scope)):
            for data in (metric.sum, metric.histogram):
                for point in _points(data):
                    flat = _point(metric.name, data, point, attributes)
                    points += [] if flat is None else [flat]
                    unread += flat is None
            others = (metric.gauge, metric.exponential_histogram, metric.summary)
            unread += sum(len(_points(data)) for data in others)
    return Batch(points=points, unread=unread)


def traces(body: bytes) -> Batch:
    """A body's spans, counted."""
    spans = sum(
        len(scope.spans or ())
        for resource in _decoded(body, _TRACES).resource_spans or ()
        for scope in resource.scope_spans or ()
    )
    return Batch(unread=spans)


DECODERS: Final[dict[Signal, Decode]] = {"logs": logs, "metrics": metrics, "traces": traces}


def _decoded(body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    if body.count(b"{") > MOST_OBJECTS:
        raise RefusedError(
            "batch_too_large", "the body has too many objects", details={"max": MOST_OBJECTS}
        )
    try:
        if not body.isascii():
            body.decode()  # what is passed over undecoded is checked here
        return decoder.decode(body or b"{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise of_decoding(error, decoder.type, body) from error
    except UnicodeDecodeError as error:
        raise RefusedError("invalid_json", "the body is not valid JSON") from error


def _log(record: LogRecord, resource: Attributes, scope: str) -> Log:
    attributes = _attributes(record.attributes)
    named = attributes.get("event.name")
    return Log(
        time_ns=_time(record.time_unix_nano),
        observed_ns=_time(record.observed_time_unix_nano),
        name=named if isinstance(named, str) else record.event_name or "",
        body=_value(record.body),
        attributes=attributes,
        resource=resource,
        scope=scope,
    )


def _of(scope: ScopeMetrics) -> Sequence[Metric]:
    return scope.metrics or ()


def _points(data: Data | None) -> Sequence[DataPoint]:
    return () if data is None else data.data_points or ()


def _point(metric: str, data: Data | None, point: DataPoint, resource: Attributes) -> Point | None:
    told = next(
        (each for each in (point.as_int, point.as_double, point.sum) if each is not None), None
    )
    value = summed(_number(told))
    temporality = _TEMPORALITY.get(data.aggregation_temporality or 0) if data else None
    if value is None or temporality is None:
        return None
    return Point(
        metric=metric,
        delta=temporality == DELTA,
        start_ns=_time(point.start_time_unix_nano),
        time_ns=_time(point.time_unix_nano),
        value=value,
        attributes=_attributes(point.attributes),
        resource=resource,
    )


def _attributes(pairs: Sequence[KeyValue] | None) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs or ()}


def _value(value: AnyValue | None, depth: int = 0) -> Value:
    if value is None or depth > MOST_DEPTH:
        return None
    plain = (value.string_value, value.bool_value, value.bytes_value)
    found: Any = next((each for each in plain if each is not None), None)
    if found is not None:
        return found
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.double_value is not None:
        return _number(value.double_value)
    if value.array_value is not None:
        return [_value(each, depth + 1) for each in value.array_value.values or ()]
    if value.kvlist_value is not None:
        pairs = value.kvlist_value.values or ()
        return {pair.key: _value(pair.value, depth + 1) for pair in pairs}
    return None


def _integer(told: int | str) -> int | None:
    if isinstance(told, str):
        if not _WHOLE.fullmatch(told):
            return None
        told = int(told)
    return told if -(2**63) <= told < 2**64 else None


def _time(told: int | str) -> int:
    return max(0, _integer(told) or 0)


def _number(told: float | str | None) -> float | None:
    try:
        return None if told is None else float(told)
    except (ValueError, OverflowError):
        return None
