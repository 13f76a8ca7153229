"""OTLP/HTTP: the telemetry of agents (contract 14). What it means is in the package `otlp`."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec

from runwatch_server.api.bodies import read_body
from runwatch_server.api.call import ENCODER, Call, Route
from runwatch_server.otlp import json_body, protobuf, sessions
from runwatch_server.otlp.decoding import Encoding
from runwatch_server.otlp.intake import Delivery, Part, why_rejected
from runwatch_server.otlp.records import Signal
from runwatch_server.otlp.unpacking import check_encoding
from runwatch_server.problems import Answer
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import RefusedError
from runwatch_shared.logs import log

logger: Final = logging.getLogger(__name__)

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
PIECE_ITEMS: Final = 500
"""Records of a session that are taken in one commit; each may be three events."""

_ENCODINGS: Final[dict[str, Encoding]] = {JSON: "json", PROTOBUF: "protobuf"}
_REJECTED: Final[dict[Signal, str]] = {
    "logs": "rejected_log_records",
    "metrics": "rejected_data_points",
    "traces": "rejected_spans",
}


class PartialSuccess(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How many records were rejected, and why (OTLP, ``partial_success``)."""

    rejected_log_records: int = 0
    rejected_data_points: int = 0
    rejected_spans: int = 0
    error_message: str = ""


class ExportAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer to telemetry: empty unless something was rejected."""

    partial_success: PartialSuccess | None = None


async def export(call: Call, signal: Signal) -> Answer:
    """Take a body, each session's records in a commit of their own."""
    packed = call.headers.get(b"content-encoding", b"")
    check_encoding(packed)
    limits = call.services.settings.limits
    async with call.services.otlp.room():
        body = await read_body(
            call.headers, call.receive, most_bytes=limits.otlp_bytes, most_s=limits.body_time_s
        )
        encoding = _encoding(call, body)
        delivery = await call.services.otlp.delivery(signal, body, packed=packed, encoding=encoding)
        del body
        outcomes = await _take(call, delivery)
    call.services.metrics.otlp.received(signal, outcomes)
    message = why_rejected(delivery.rejected)
    log(
        logger,
        logging.INFO if message else logging.DEBUG,
        "otlp",
        "Some telemetry was rejected" if message else "Telemetry was taken",
        signal=signal,
        count=sum(outcomes.values()),
        outcome=", ".join(f"{count} {outcome}" for outcome, count in outcomes.items() if count),
        reason=message or None,
        by=call.principal.name,
    )
    return _answer(signal, encoding, outcomes["rejected"], message)


async def _take(call: Call, delivery: Delivery) -> dict[str, int]:
    """How many records had which outcome."""
    stored = duplicates = 0
    for part in delivery.parts.values():
        for piece in _pieces(part):
            taken = await call.services.writer.write(_taking(call, piece), events=len(piece.items))
            stored += taken.stored
            duplicates += taken.duplicates
            if taken.rejected:
                rejected = delivery.rejected
                rejected[sessions.OTHER_NODE] = (
                    rejected.get(sessions.OTHER_NODE, 0) + taken.rejected
                )
            if taken.made is not None:
                log(
                    logger,
                    logging.INFO,
                    "otlp",
                    "A session became a run",
                    run_id=taken.made,
                    agent_type=piece.agent.type,
                    by=call.principal.name,
                )
    return {
        "stored": stored,
        "ignored": delivery.ignored + sum(part.quiet for part in delivery.parts.values()),
        "duplicate": duplicates,
        "rejected": sum(delivery.rejected.values()),
    }


def _taking(call: Call, piece: Part) -> Callable[[WriteTx], sessions.Taken]:
    settings = call.services.settings
    return lambda tx: sessions.take(tx, piece, by=call.principal, settings=settings)


def _pieces(part: Part) -> Iterator[Part]:
    yield msgspec.structs.replace(part, items=part.items[:PIECE_ITEMS])
    for at in range(PIECE_ITEMS, len(part.items), PIECE_ITEMS):
        yield msgspec.structs.replace(part, items=part.items[at : at + PIECE_ITEMS])


def _encoding(call: Call, body: bytes) -> Encoding:
    """How the body is encoded; one without a type that is empty is JSON."""
    given = call.headers.get(b"content-type", b"" if body else JSON.encode())
    kind = given.partition(b";")[0].strip().lower().decode("latin-1")
    found = _ENCODINGS.get(kind)
    if found is None:
        raise RefusedError(
            "unsupported_media_type",
            f"the body must be {JSON} or {PROTOBUF}",
            details={"allowed": list(_ENCODINGS)},
        )
    return found


def _answer(signal: Signal, encoding: Encoding, rejected: int, message: str) -> Answer:
    if encoding == "protobuf":
        body = protobuf.answer(signal, rejected, message)
        return Answer(body=body, content_type=PROTOBUF.encode())
    told = ExportAnswer()
    if message:
        counts = {_REJECTED[signal]: rejected}
        told = ExportAnswer(partial_success=PartialSuccess(error_message=message, **counts))
    return Answer(body=ENCODER.encode(told))


def _handler(signal: Signal) -> Callable[[Call], Awaitable[Answer]]:
    async def handle(call: Call) -> Answer:
        return await export(call, signal)

    return handle


_BODIES: Final[dict[Signal, Any]] = {
    "logs": json_body.OtlpLogs,
    "metrics": json_body.OtlpMetrics,
    "traces": json_body.OtlpTraces,
}
ROUTES: Final = tuple(
    Route(
        method="POST",
        path=f"/v1/{signal}",
        handler=_handler(signal),
        summary=f"OpenTelemetry in: {signal} of agents (OTLP/HTTP)",
        body=body,
        body_types=(JSON, PROTOBUF),
        answers={200: ExportAnswer},
        errors=("invalid_field", "invalid_value", "batch_too_large", "overloaded", "storage_full"),
    )
    for signal, body in _BODIES.items()
)
