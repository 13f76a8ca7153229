"""Events of runs over HTTP: reporting and reading them (contract 9.1 and 9.2)."""

import logging
from typing import Final

import msgspec

from runwatch_server import appends, records
from runwatch_server.api.call import Call, Route, json
from runwatch_server.api.queries import QueryReader
from runwatch_server.api.runs import log_fenced
from runwatch_server.problems import Answer, refusal_of
from runwatch_server.rows import EventRow, RunRow
from runwatch_server.storage.protocols import EventQuery, ReadTx
from runwatch_shared.errors import RefusedError, RunwatchError, not_found
from runwatch_shared.logs import log
from runwatch_shared.wire import EventBatch, EventPage, EventsAnswer, Gap

logger: Final = logging.getLogger(__name__)

DEFAULT_LIMIT: Final = 100
_BATCH: Final = msgspec.json.Decoder(EventBatch)


async def report(call: Call) -> Answer:
    services, run_id = call.services, call.id("run")
    settings, principal = services.settings, call.principal
    try:
        batch = appends.prepare(
            call.decode(_BATCH), limits=settings.limits, now_us=services.clock.now_us()
        )
        answer = await services.writer.write(
            lambda tx: appends.append(tx, run_id, batch, by=principal, settings=settings),
            events=len(batch.events),
        )
    except RunwatchError as error:
        _refused(call, run_id, error)
        raise
    services.metrics.ingest.ingested(
        answer.created, answer.duplicates, renewed=answer.lease is not None
    )
    log(
        logger,
        logging.DEBUG,
        "events",
        "Events were taken",
        run_id=run_id,
        node_id=principal.node_id,
        count=answer.created,
        last_seq=answer.last_seq,
    )
    return json(answer, 201 if answer.created else 200)


async def listing(call: Call) -> Answer:
    run_id, query = call.id("run"), call.query()
    wanted = event_query(run_id, query, DEFAULT_LIMIT)

    def read(tx: ReadTx) -> Answer:
        row = tx.runs.get(run_id)
        if row is None:
            raise not_found("run")
        events = tx.events.page(wanted).events
        more = bool(events) and events[-1].seq < row.last_seq
        return json(
            EventPage(
                events=[records.event_record(run_id, event, raw=wanted.raw) for event in events],
                count=len(events),
                first_seq=row.first_seq,
                last_seq=row.last_seq,
                next_from_seq=events[-1].seq if more else None,
                gap=gap_of(row, wanted, events),
            )
        )

    return await call.services.reader.read(read)


def event_query(run_id: str, query: QueryReader, default_limit: int) -> EventQuery:
    """The position a query asks for: after, before or at the end; at the beginning without one."""
    after = query.number("after_seq")
    if query.has("from_seq"):
        after = query.number("from_seq") if after is None else after
    before, tail = query.number("before_seq"), query.flag("tail") or False
    if sum((after is not None, before is not None, tail)) > 1:
        raise RefusedError(
            "invalid_parameter",
            "only one of after_seq, before_seq and tail can be asked",
            field="before_seq" if before is not None else "tail",
        )
    return EventQuery(
        run_id=run_id,
        after_seq=0 if before is None and not tail and after is None else after,
        before_seq=before,
        tail=tail,
        raw=query.raw(),
        limit=query.limit(default_limit),
    )


def gap_of(row: RunRow, wanted: EventQuery, events: list[EventRow]) -> Gap | None:
    """Removed history the asked range begins in.

    Reading downward, the range is known to begin there once the page came to the first event kept.
    """
    if row.first_seq <= 1:
        return None
    if wanted.after_seq is not None:
        begin = wanted.after_seq + 1
    elif not events or events[0].seq <= row.first_seq:
        begin = 1
    else:
        return None
    if begin >= row.first_seq:
        return None
    return Gap(from_seq=begin, to_seq=row.first_seq - 1, reason="expired")


def _refused(call: Call, run_id: str, error: RunwatchError) -> None:
    refusal = refusal_of(error)
    if refusal is None:
        return
    call.services.metrics.ingest.refused(refusal.code)
    details = refusal.details or {}
    log(
        logger,
        logging.INFO,
        "events.refused",
        "Events were refused",
        run_id=run_id,
        node_id=call.principal.node_id,
        code=refusal.code,
        seq=details.get("seq"),
        last_seq=details.get("last_seq"),
    )
    if refusal.code == "lease_lost":
        log_fenced(call, run_id, refusal)


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/runs/{id}/events",
        handler=report,
        summary="Report events of a run",
        body=EventBatch,
        answers={201: EventsAnswer, 200: EventsAnswer},
        errors=appends.REFUSALS,
    ),
    Route(
        method="GET",
        path="/api/v1/runs/{id}/events",
        handler=listing,
        summary="Events of a run, rising",
        answers={200: EventPage},
        errors=("invalid_parameter", "not_found"),
        parameters=("from_seq", "after_seq", "before_seq", "tail", "limit", "include"),
    ),
)
