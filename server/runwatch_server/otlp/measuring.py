"""What metrics say a session used: counted where its log records say nothing, else taken back.

A metric's usage stands in the run as a total of its own (contract 9.3, ``total``), so that it can
be replaced whole.
"""

from typing import Any, Final

import msgspec

from runwatch_server.otlp.agents import Agent
from runwatch_server.otlp.facts import Measured
from runwatch_server.otlp.row import StreamRow, TelemetryRow
from runwatch_server.otlp.telling import Draft

METRICS: Final = "metrics"
"""Subtype of the ``result`` that tells what metrics have counted so far."""
MOST_STREAMS: Final = 200
MOST_KINDS: Final = 32
COST_DIGITS: Final = 9


def measured(row: TelemetryRow, told: Measured) -> TelemetryRow:
    """The session after one number of a metric, whatever their order.

    Of a cumulative counter the newest value counts; when there are too many counters the oldest
    are closed, which no later value of theirs can be told from a new one.
    """
    row = msgspec.structs.replace(row, model=told.model or row.model)
    if told.delta:
        if told.kind not in row.deltas and len(row.deltas) >= MOST_KINDS:
            return row
        return msgspec.structs.replace(row, deltas=_added(row.deltas, told.kind, told.value))
    known = row.streams.get(told.stream)
    if known is not None and known.time_ns >= told.time_ns:
        return row
    streams = {**row.streams, told.stream: StreamRow(told.time_ns, told.kind, told.value)}
    deltas = row.deltas
    if len(streams) > MOST_STREAMS:
        oldest = min(streams, key=lambda name: streams[name].time_ns)
        closed = streams.pop(oldest)
        deltas = _added(deltas, closed.kind, closed.value)
    return msgspec.structs.replace(row, streams=streams, deltas=deltas)


def usage_by_metrics(row: TelemetryRow, agent: Agent) -> dict[str, float]:
    """What the present run used, by the session's metrics."""
    whole, earlier = agent.usage_of(row.measured()), agent.usage_of(row.counted)
    used = {name: max(0, value - earlier.get(name, 0)) for name, value in whole.items()}
    return {name: round(value, COST_DIGITS) for name, value in used.items()}


def counted(row: TelemetryRow, agent: Agent, at_us: int) -> tuple[TelemetryRow, list[Draft]]:
    """The session of an own run and the event that puts the metrics' usage right, if it is not."""
    used = {} if row.by_logs else usage_by_metrics(row, agent)
    if used == row.shown:
        return row, []
    zeros = dict.fromkeys(row.shown, 0.0)
    payload = {"subtype": METRICS, "usage": _usage(row, {**zeros, **used})}
    return msgspec.structs.replace(row, shown=used), [Draft("result", at_us, payload)]


def _usage(row: TelemetryRow, used: dict[str, float]) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        name: value if name == "cost_usd" else round(value) for name, value in used.items()
    }
    usage = {"scope": "total", "session_id": f"{row.session_id} metrics", **numbers}
    if "cost_usd" in used:
        usage["cost_source"] = "agent"
    if row.model is not None:
        usage["model"] = row.model
    return usage


def _added(sums: dict[str, float], kind: str, value: float) -> dict[str, float]:
    return {**sums, kind: sums.get(kind, 0) + value}
