"""Pages of a login's events and steps, all of which are on its row (contract 6.1)."""

from typing import Final

from runwatch_server.accounts import rowing
from runwatch_server.accounts.rows import ActionRow
from runwatch_server.api.call import json
from runwatch_server.api.queries import LEVELS, QueryReader
from runwatch_server.problems import Answer
from runwatch_shared.errors import RefusedError
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import EventViewPage, Gap, StepPage

EVENTS_LIMIT: Final = 100
STEPS_LIMIT: Final = 200


def events(row: ActionRow, query: QueryReader, *, server_time_us: int) -> Answer:
    """A page of the phases as events."""
    after, before = query.number("after_seq"), query.number("before_seq")
    tail = bool(query.flag("tail"))
    if sum((after is not None, before is not None, tail)) > 1:
        raise RefusedError(
            "invalid_parameter", "after_seq, before_seq and tail exclude each other", field="tail"
        )
    limit = query.limit(EVENTS_LIMIT)
    found = rowing.fitting(
        list(rowing.event_views(row)),
        types=query.several("type"),
        levels=query.enums("level", LEVELS),
        q=query.sought(),
    )
    first = rowing.first_seq(row)
    gap = None
    if before is not None or tail:
        within = [view for view in found if before is None or view.seq < before]
        page = within[-limit:]
        has_before = len(within) > len(page)
        has_after = before is not None and before <= row.phases_total
    else:
        asked_from = 1 if after is None else after + 1
        within = [view for view in found if view.seq >= asked_from]
        page = within[:limit]
        has_before = asked_from > first
        has_after = len(within) > len(page)
        if asked_from < first:
            gap = Gap(from_seq=asked_from, to_seq=first - 1, reason="expired")
    return json(
        EventViewPage(
            events=page,
            total=row.phases_total,
            first_seq=first,
            last_seq=row.phases_total,
            has_before=has_before,
            has_after=has_after,
            gap=gap,
            server_time=format_time(server_time_us),
        )
    )


def steps(row: ActionRow, query: QueryReader) -> Answer:
    """A page of the phases as steps."""
    after, before = query.number("after_seq"), query.number("before_seq")
    if after is not None and before is not None:
        raise RefusedError(
            "invalid_parameter", "after_seq and before_seq exclude each other", field="before_seq"
        )
    limit = query.limit(STEPS_LIMIT)
    found = rowing.steps(row)
    if after is not None:
        page = [step for step in found if (step.seq or 0) > after][:limit]
    else:
        page = [step for step in found if before is None or (step.seq or 0) < before][-limit:]
    return json(StepPage(steps=page, total=len(found)))
