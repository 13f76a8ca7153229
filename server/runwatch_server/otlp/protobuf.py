"""OTLP bodies in protobuf, decoded by `opentelemetry-proto` into flat records; answers in it.

The only module that knows protobuf.
"""

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

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

MOST_MESSAGES: Final = 1_000_000
"""In one body: decoded, an empty message takes sixty times its bytes."""
COUNTED_BYTES: Final = 512 * 1024
"""A smaller body is decoded uncounted: it cannot hold enough of them."""
MOST_DEPTH: Final = 32
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def logs(body: bytes) -> Batch:
    """The log records of a body.

    Raises:
        RefusedError: 400 for what is no such message; 413 for too many in one. So do the two
            below.
    """
    request = ExportLogsServiceRequest()
    _parse(request, body)
    found = [
        _log(record, attributes, scope.scope.name)
        for resource in request.resource_logs
        for attributes in (_attributes(resource.resource.attributes),)
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
    return Batch(logs=found)


def metrics(body: bytes) -> Batch:
    """The numbers of a body's sums and histograms; points of other kinds are not read."""
    request = ExportMetricsServiceRequest()
    _parse(request, body)
    points: list[Point] = []
    unread = 0
    for resource in request.resource_metrics:
        attributes = _attributes(resource.resource.attributes)
        for metric in (each for scope in resource.scope_metrics for each in scope.metrics):
            flat = list(_points(metric, attributes))
            points += [point for point in flat if point is not None]
            others = (metric.gauge, metric.exponential_histogram, metric.summary)
            unread += flat.count(None) + sum(len(data.data_points) for data in others)
    return Batch(points=points, unread=unread)


def traces(body: bytes) -> Batch:
    """A body's spans, counted."""
    request = ExportTraceServiceRequest()
    _parse(request, body)
    spans = sum(
        len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans
    )
    return Batch(unread=spans)


DECODERS: Final[dict[Signal, Decode]] = {"logs": logs, "metrics": metrics, "traces": traces}


def answer(signal: Signal, rejected: int, message: str) -> bytes:
    """The response of a signal; the empty message where there is nothing to say."""
    match signal:
        case "logs":
            to_logs = ExportLogsServiceResponse()
            if message:
                to_logs.partial_success.rejected_log_records = rejected
                to_logs.partial_success.error_message = message
            return to_logs.SerializeToString()
        case "metrics":
            to_metrics = ExportMetricsServiceResponse()
            if message:
                to_metrics.partial_success.rejected_data_points = rejected
                to_metrics.partial_success.error_message = message
            return to_metrics.SerializeToString()
        case "traces":
            to_traces = ExportTraceServiceResponse()
            if message:
                to_traces.partial_success.rejected_spans = rejected
                to_traces.partial_success.error_message = message
            return to_traces.SerializeToString()


def count_messages(body: bytes, kind: Message, at_most: int) -> int:
    """How many messages a body of this kind holds, not looking further than ``at_most + 1``.

    A body that is cut or twisted is counted up to there: decoding it fails.
    """
    found = 0
    parts: list[tuple[int, int, Any]] = [(0, len(body), kind.DESCRIPTOR)]
    while parts and found <= at_most:
        at, end, descriptor = parts.pop()
        fields = descriptor.fields_by_number
        while at < end and found <= at_most:
            tag, at = _varint(body, at, end)
            wire = tag & 7
            if wire == _BYTES:
                size, at = _varint(body, at, end)
                field = fields.get(tag >> 3)
                if field is not None and field.message_type is not None:
                    found += 1
                    parts.append((at, min(at + size, end), field.message_type))
                at += size
            elif wire == _VARINT:
                _, at = _varint(body, at, end)
            elif wire in {_FIXED64, _FIXED32}:
                at += 8 if wire == _FIXED64 else 4
            else:
                break
    return found


def _varint(body: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            return 0, end
    return value, at


def _parse(request: Message, body: bytes) -> None:
    if len(body) > COUNTED_BYTES:
        messages = count_messages(body, request, MOST_MESSAGES)
        if messages > MOST_MESSAGES:
            raise RefusedError(
                "batch_too_large", "the body has too many messages", details={"max": MOST_MESSAGES}
            )
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        name = request.DESCRIPTOR.name
        raise RefusedError("invalid_field", f"the body is no {name} in protobuf") from error


def _log(record: LogRecord, resource: Attributes, scope: str) -> Log:
    attributes = _attributes(record.attributes)
    named = attributes.get("event.name")
    return Log(
        time_ns=record.time_unix_nano,
        observed_ns=record.observed_time_unix_nano,
        name=named if isinstance(named, str) else record.event_name,
        body=_value(record.body),
        attributes=attributes,
        resource=resource,
        scope=scope,
    )


def _points(metric: Metric, resource: Attributes) -> Iterable[Point | None]:
    for number in metric.sum.data_points:
        told = float(number.as_int) if number.HasField("as_int") else number.as_double
        yield _point(metric, metric.sum.aggregation_temporality, number, told, resource)
    for histogram in metric.histogram.data_points:
        total = histogram.sum if histogram.HasField("sum") else None
        yield _point(metric, metric.histogram.aggregation_temporality, histogram, total, resource)


def _point(
    metric: Metric,
    temporality: int,
    point: NumberDataPoint | HistogramDataPoint,
    told: float | None,
    resource: Attributes,
) -> Point | None:
    value = summed(told)
    if value is None or temporality not in {DELTA, CUMULATIVE}:
        return None
    return Point(
        metric=metric.name,
        delta=temporality == DELTA,
        start_ns=point.start_time_unix_nano,
        time_ns=point.time_unix_nano,
        value=value,
        attributes=_attributes(point.attributes),
        resource=resource,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue, depth: int = 0) -> Value:
    kind = value.WhichOneof("value")
    if kind is None or depth > MOST_DEPTH:
        return None
    if kind == "array_value":
        return [_value(each, depth + 1) for each in value.array_value.values]
    if kind == "kvlist_value":
        pairs = value.kvlist_value.values
        return {pair.key: _value(pair.value, depth + 1) for pair in pairs}
    return getattr(value, kind)
