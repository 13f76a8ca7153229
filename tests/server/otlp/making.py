"""Bodies of OTLP for tests: the recorded ones, made ones, cut apart, and the same in protobuf."""

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = Path(os.environ.get("RUNWATCH_SAMPLES", ROOT.parent / "shared" / "samples")) / "otlp"
AGENTS = {
    "claude-2.1.330": "claude-code",
    "codex-0.169.0": "openai-codex",
    "gemini-0.61.0": "gemini-cli",
    "qwen-0.24.4": "qwen-code",
}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
MESSAGES = {
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
}
SESSION = "0b5e1c52-6f1d-4a0e-9a53-51f1a4a0c001"
START_NS = 1_795_476_000_000_000_000
"""2026-11-23T23:20:00Z."""
LEVELS = {
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
}

Body = dict[str, Any]


def recorded(agent: str, signal: str) -> list[Body]:
    """The bodies an agent sent, in order."""
    path = SAMPLES / f"local-run__{agent}-{signal}.jsonl"
    if not path.exists():
        pytest.skip(f"no recording {path.name}")
    return [json.loads(line) for line in path.read_text().splitlines()]


def in_protobuf(signal: str, body: Body) -> bytes:
    """The same body in protobuf; ids of traces, which are hexadecimal in JSON, are left out."""
    return ParseDict(_without_ids(body), MESSAGES[signal]()).SerializeToString()


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_ids(each)
            for name, each in value.items()
            if name not in {"traceId", "spanId", "parentSpanId"}
        }
    return [_without_ids(each) for each in value] if isinstance(value, list) else value


def cut_apart(signal: str, body: Body) -> Iterator[Body]:
    """A body as many, of one record (of metrics: one data point) each."""
    resources, scopes, records = LEVELS[signal]
    for resource in body[resources]:
        for scope in resource[scopes]:
            for record in scope[records]:
                for one in [record] if signal == "logs" else list(_points_apart(record)):
                    yield {resources: [{**resource, scopes: [{**scope, records: [one]}]}]}


def _points_apart(metric: Body) -> Iterator[Body]:
    kind = next(
        name for name in metric if isinstance(metric[name], dict) and "dataPoints" in metric[name]
    )
    for point in metric[kind]["dataPoints"]:
        yield {**metric, kind: {**metric[kind], "dataPoints": [point]}}


def joined(signal: str, bodies: list[Body]) -> Body:
    """Several bodies as one."""
    resources = LEVELS[signal][0]
    return {resources: [copy.deepcopy(each) for body in bodies for each in body[resources]]}


def counted(signal: str, body: Body) -> int:
    """Its log records or data points."""
    return sum(1 for _ in cut_apart(signal, body))


def value(told: Any) -> Body:
    match told:
        case bool():
            return {"boolValue": told}
        case int():
            return {"intValue": str(told)}
        case float():
            return {"doubleValue": told}
        case _:
            return {"stringValue": str(told)}


def pairs(attributes: dict[str, Any]) -> list[Body]:
    return [{"key": name, "value": value(told)} for name, told in attributes.items()]


def log(name: str, at_s: float = 0, *, session: str = SESSION, **attributes: Any) -> Body:
    """A record of Claude Code, ``at_s`` seconds after `START_NS`."""
    moment = START_NS + int(at_s * 1e9)
    told = {"event.name": name, "session.id": session, **attributes}
    return {
        "timeUnixNano": str(moment),
        "observedTimeUnixNano": str(moment),
        "body": {"stringValue": f"claude_code.{name}"},
        "attributes": pairs(told),
    }


def logs(*records: Body, service: str = "claude-code", **resource: Any) -> Body:
    told = {"service.name": service, "service.version": "2.1.330", **resource}
    scope = {"scope": {"name": "tests"}, "logRecords": list(records)}
    return {"resourceLogs": [{"resource": {"attributes": pairs(told)}, "scopeLogs": [scope]}]}


def turn(at_s: float = 0, *, session: str = SESSION, **more: Any) -> Body:
    """A call of the model: 10 tokens in, 20 out, half a cent."""
    return log(
        "api_request",
        at_s=at_s,
        session=session,
        **{
            "model": "claude-sonnet-4-5",
            "input_tokens": "10",
            "output_tokens": 20,
            "cost_usd": "0.005",
            **more,
        },
    )


def tokens(kind: str, value: float, *, at_s: float, session: str = SESSION) -> Body:
    """What Claude's metric adds at a moment: a whole body."""
    point = {
        "startTimeUnixNano": str(START_NS),
        "timeUnixNano": str(START_NS + int(at_s * 1e9)),
        "asDouble": value,
        "attributes": pairs({"session.id": session, "type": kind, "model": "m"}),
    }
    metric = {
        "name": "claude_code.token.usage",
        "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [point]},
    }
    resource = {"attributes": pairs({"service.name": "claude-code"})}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]}
