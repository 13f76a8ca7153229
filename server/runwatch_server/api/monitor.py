"""The monitor over HTTP: workflows, their events and steps, the fleet in numbers (contract 6)."""

from typing import Final, get_args

import msgspec

from runwatch_server import details, records, workflow_lists
from runwatch_server import workflows as workflows_of
from runwatch_server.accounts import rowing
from runwatch_server.accounts.rows import ActionRow, action_id_of
from runwatch_server.api import login_pages
from runwatch_server.api.call import Call, Route, json
from runwatch_server.api.cursors import read_place, write_cursor
from runwatch_server.api.events import event_query, gap_of
from runwatch_server.api.queries import (
    LEVELS,
    SORTS,
    WORKFLOW_STATUSES,
    QueryReader,
    event_types,
)
from runwatch_server.problems import Answer
from runwatch_server.rows import EventRow, RunRow, StepRow
from runwatch_server.storage.protocols import EventQuery, Query, ReadTx
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.models import History, Stats, WorkflowDetail, WorkflowType
from runwatch_shared.states import HEALTH_FLAGS, WORKFLOW_STATES
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import EventViewPage, StepPage, WorkflowList

DEFAULT_LIMIT: Final = 50
EVENTS_LIMIT: Final = 100
STEPS_LIMIT: Final = 200
DEFAULT_SORT: Final = "-update_time"
DEFAULT_MINUTES: Final = 30
MOST_MINUTES: Final = 1440
TYPES: Final[tuple[WorkflowType, ...]] = get_args(WorkflowType)


async def workflows(call: Call) -> Answer:
    query = call.query()
    page = query.page(DEFAULT_LIMIT)
    wanted = workflow_query(query)
    place = None
    if page.cursor is not None:
        columns = 3 if wanted.sort in workflows_of.THEN_BY else 2
        place = read_place(query.filter(), page.cursor, columns=columns)
    wanted = msgspec.structs.replace(wanted, after=place, limit=page.limit, offset=page.offset)
    most = call.services.settings.limits.exact_total_rows
    now_us = call.services.clock.now_us()

    def read(tx: ReadTx) -> Answer:
        one_more = msgspec.structs.replace(wanted, limit=page.limit + 1)
        rows, total = workflow_lists.page_and_count(tx, one_more, at_most=most)
        shown = rows[: page.limit]
        cursor = None
        if len(rows) > page.limit:
            cursor = write_cursor(query.filter(), workflows_of.place_of(shown[-1], wanted.sort))
        return json(
            WorkflowList(
                workflows=[workflows_of.summary(row) for row in shown],
                total=min(total, most),
                total_exact=total <= most,
                limit=page.limit,
                offset=page.offset,
                next_cursor=cursor,
                revision=tx.revision(),
                server_time=format_time(now_us),
            )
        )

    return await call.services.reader.read(read)


def workflow_query(query: QueryReader) -> Query:
    """Filter and order of a list of workflows."""
    sort = query.text("sort") or DEFAULT_SORT
    if sort not in SORTS:
        raise RefusedError(
            "invalid_value",
            "sort has an unknown value",
            field="sort",
            details={"allowed": list(SORTS)},
        )
    return Query(
        types=query.enums("type", TYPES),
        state=query.enums("state", WORKFLOW_STATES),
        status=query.enums("status", WORKFLOW_STATUSES),
        node=query.node_ids("node"),
        agent_type=query.several("agent_type"),
        health=query.enums("health", HEALTH_FLAGS),
        task=query.text("task"),
        labels=query.labels(),
        q=query.sought(),
        waiting=query.flag("waiting"),
        active=query.flag("active"),
        since_us=query.moment("since"),
        until_us=query.moment("until"),
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
    )


async def workflow(call: Call) -> Answer:
    kind, workflow_id = _workflow_id(call)
    if kind == "auth":
        return json(rowing.detail(await _login(call, workflow_id)))
    return json(
        await call.services.reader.read(lambda tx: details.detail(tx, _row(tx, workflow_id)))
    )


async def events(call: Call) -> Answer:
    kind, run_id = _workflow_id(call)
    query = call.query()
    if kind == "auth":
        return login_pages.events(
            await _login(call, run_id), query, server_time_us=call.services.clock.now_us()
        )
    wanted = msgspec.structs.replace(
        event_query(run_id, query, EVENTS_LIMIT),
        types=event_types(query.several("type")),
        levels=query.enums("level", LEVELS),
        q=query.sought(),
    )
    now_us = call.services.clock.now_us()

    def read(tx: ReadTx) -> Answer:
        row = _row(tx, run_id)
        found = tx.events.page(wanted)
        before, after = _has_more(row, wanted, found.events, found.scanned_to_seq)
        return json(
            EventViewPage(
                events=[
                    records.event_view(
                        run_id, event, producer_id=records.producer_of(row, event), raw=wanted.raw
                    )
                    for event in found.events
                ],
                total=row.event_count,
                first_seq=row.first_seq,
                last_seq=row.last_seq,
                has_before=before,
                has_after=after,
                gap=gap_of(row, wanted, found.events),
                scanned_to_seq=found.scanned_to_seq,
                server_time=format_time(now_us),
            )
        )

    return await call.services.reader.read(read)


def _has_more(
    row: RunRow, wanted: EventQuery, events: list[EventRow], scanned_to_seq: int | None
) -> tuple[bool, bool]:
    """Whether there may be events before and after a page that fit the same filter."""
    full = len(events) == wanted.limit or scanned_to_seq is not None
    if wanted.after_seq is not None:
        before = row.event_count > 0 and wanted.after_seq >= row.first_seq
        return before, full and (not events or events[-1].seq < row.last_seq)
    first = events[0].seq if events else row.first_seq
    kept_to = row.last_seq if row.first_seq <= row.last_seq else 0
    after = wanted.before_seq is not None and wanted.before_seq <= kept_to
    return full and (not events or first > row.first_seq), after


async def steps(call: Call) -> Answer:
    kind, run_id = _workflow_id(call)
    query = call.query()
    if kind == "auth":
        return login_pages.steps(await _login(call, run_id), query)
    after, before = query.number("after_seq"), query.number("before_seq")
    if after is not None and before is not None:
        raise RefusedError(
            "invalid_parameter", "after_seq and before_seq exclude each other", field="before_seq"
        )
    limit = query.limit(STEPS_LIMIT)

    def read(tx: ReadTx) -> Answer:
        row = _row(tx, run_id)
        total = tx.runs.fold(run_id).steps
        found = tx.runs.steps(
            run_id,
            after_n=None if after is None else _steps_until(tx, run_id, after, total),
            before_n=None if before is None else _steps_until(tx, run_id, before - 1, total) + 1,
            limit=limit,
        )
        newest = after is None and before is None
        return json(
            StepPage(
                steps=details.step_page(row, found, with_phases=newest),
                total=total + len(details.phases_of(row)),
            )
        )

    return await call.services.reader.read(read)


def _steps_until(tx: ReadTx, run_id: str, seq: int, total: int) -> int:
    """The number of the last tool step that began at or before ``seq``; steps rise with both."""
    low, high = 0, total
    while low < high:
        middle = (low + high + 1) // 2
        found = tx.runs.steps(run_id, after_n=middle - 1, before_n=None, limit=1)
        low, high = (middle, high) if _begun_by(found, seq) else (low, middle - 1)
    return low


def _begun_by(steps: list[StepRow], seq: int) -> bool:
    return bool(steps) and steps[0].seq <= seq


async def stats(call: Call) -> Answer:
    services = call.services
    return json(services.projection.stats(services.clock.now_us()))


async def history(call: Call) -> Answer:
    services = call.services
    minutes = call.query().number_within("minutes", DEFAULT_MINUTES, 1, MOST_MINUTES)
    return json(services.projection.history(services.clock.now_us(), minutes))


def _workflow_id(call: Call) -> tuple[str, str]:
    """The type and the id in the path."""
    kind: str = call.scope["path_params"]["type"]
    if kind not in TYPES:
        raise RefusedError(
            "invalid_value",
            "type has an unknown value",
            field="type",
            details={"allowed": list(TYPES)},
        )
    return kind, call.id("workflow")


async def _login(call: Call, some_id: str) -> ActionRow:
    """The action of an id, which may be its operation's."""
    row = await call.services.reader.read(lambda tx: tx.kept(ActionRow).get(action_id_of(some_id)))
    if row is None:
        raise not_found("workflow")
    return row


def _row(tx: ReadTx, run_id: str) -> RunRow:
    row = tx.runs.get(run_id)
    if row is None:
        raise not_found("workflow")
    return row


_PATH: Final = "/api/v1/monitor/workflows"

ROUTES: Final = (
    Route(
        method="GET",
        path=_PATH,
        handler=workflows,
        summary="List workflows",
        answers={200: WorkflowList},
        errors=("invalid_parameter", "invalid_value", "invalid_cursor"),
        parameters=(
            "type",
            "state",
            "status",
            "node",
            "agent_type",
            "task",
            "label",
            "q",
            "health",
            "waiting",
            "active",
            "since",
            "until",
            "sort",
            "limit",
            "offset",
            "cursor",
        ),
    ),
    Route(
        method="GET",
        path=f"{_PATH}/{{type}}/{{id}}",
        handler=workflow,
        summary="One workflow with its newest events, steps, tools and lanes",
        answers={200: WorkflowDetail},
        errors=("invalid_value", "not_found"),
    ),
    Route(
        method="GET",
        path=f"{_PATH}/{{type}}/{{id}}/events",
        handler=events,
        summary="A page of a workflow's events, rising",
        answers={200: EventViewPage},
        errors=("invalid_parameter", "invalid_value", "not_found"),
        parameters=("after_seq", "before_seq", "tail", "limit", "type", "level", "q", "include"),
    ),
    Route(
        method="GET",
        path=f"{_PATH}/{{type}}/{{id}}/steps",
        handler=steps,
        summary="A page of a workflow's steps",
        answers={200: StepPage},
        errors=("invalid_parameter", "invalid_value", "not_found"),
        parameters=("after_seq", "before_seq", "limit"),
    ),
    Route(
        method="GET",
        path="/api/v1/monitor/stats",
        handler=stats,
        summary="The fleet in numbers",
        answers={200: Stats},
    ),
    Route(
        method="GET",
        path="/api/v1/monitor/stats/history",
        handler=history,
        summary="The fleet in numbers, a minute each",
        answers={200: History},
        errors=("invalid_parameter",),
        parameters=("minutes",),
    ),
)
