"""Tasks over HTTP (contract 8.1)."""

from typing import Final

import msgspec

from runwatch_server import checks, records, tasks
from runwatch_server.api.call import Call, Route, json, nothing
from runwatch_server.api.cursors import read_cursor, write_cursor
from runwatch_server.api.idempotency import write_once
from runwatch_server.problems import Answer
from runwatch_server.rows import TaskRow
from runwatch_server.storage.protocols import ReadTx, TaskQuery, WriteTx
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.models import Task
from runwatch_shared.states import TASK_STATUSES
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import TaskDelete, TaskFamily, TaskList, TaskPatch, TaskRequest

DEFAULT_LIMIT: Final = 20
MOST_DESCENDANTS: Final = 1000
_REQUEST: Final = msgspec.json.Decoder(TaskRequest)
_PATCH: Final = msgspec.json.Decoder(TaskPatch)
_DELETE: Final = msgspec.json.Decoder(TaskDelete)


async def create(call: Call) -> Answer:
    request = call.decode(_REQUEST)
    settings, by_name = call.services.settings, call.principal.name
    checks.check_env(request.env)
    request = msgspec.structs.replace(request, env=call.services.vault.seal(request.env))

    def work(tx: WriteTx) -> Answer:
        row = tasks.create_task(tx, request, by_name=by_name, settings=settings)
        return json(records.task_record(row), 201)

    return await write_once(call, work)


async def listing(call: Call) -> Answer:
    query = call.query()
    page = query.page(DEFAULT_LIMIT)
    after = None if page.cursor is None else read_cursor(query.filter(), page.cursor)
    wanted = TaskQuery(
        status=query.enums("status", TASK_STATUSES),
        labels=query.labels(),
        q=query.sought("q", "search"),
        since_us=query.moment("since"),
        until_us=query.moment("until"),
        after=None if after is None else (_moment_of(after[0]), after[1]),
        limit=page.limit,
        offset=page.offset,
    )
    most = call.services.settings.limits.exact_total_rows
    now_us = call.services.clock.now_us()

    def read(tx: ReadTx) -> Answer:
        rows = tx.tasks.page(wanted)
        total = tx.tasks.count(wanted, at_most=most)
        more = len(rows) == page.limit and bool(
            tx.tasks.page(
                msgspec.structs.replace(wanted, after=place_of(rows[-1]), limit=1, offset=0)
            )
        )
        return json(
            TaskList(
                tasks=[records.task_record(row) for row in rows],
                count=len(rows),
                total=min(total, most),
                total_exact=total <= most,
                has_more=more,
                next_cursor=write_cursor(query.filter(), place_of(rows[-1])) if more else None,
                revision=tx.revision(),
                server_time=format_time(now_us),
            )
        )

    return await call.services.reader.read(read)


async def one(call: Call) -> Answer:
    task_id = call.id("task")
    return json(records.task_record(await call.services.reader.read(lambda tx: _row(tx, task_id))))


async def patch(call: Call) -> Answer:
    task_id, changes = call.id("task"), call.decode(_PATCH)
    settings = call.services.settings
    row = await call.services.writer.write(
        lambda tx: tasks.patch_task(tx, task_id, changes, settings=settings)
    )
    return json(records.task_record(row))


async def delete(call: Call) -> Answer:
    task_id, force = call.id("task"), call.query().flag("force")
    if force is None:
        force = call.decode(_DELETE).force
    settings = call.services.settings
    await call.services.writer.write(
        lambda tx: tasks.delete_task(tx, task_id, force=force, settings=settings)
    )
    return nothing()


async def subtasks(call: Call) -> Answer:
    task_id = call.id("task")

    def read(tx: ReadTx) -> list[TaskRow]:
        _row(tx, task_id)
        return tx.tasks.children(task_id)

    return _family(await call.services.reader.read(read))


async def tree(call: Call) -> Answer:
    task_id = call.id("task")

    def read(tx: ReadTx) -> list[TaskRow]:
        level = [_row(tx, task_id)]
        found: list[TaskRow] = []
        while level and len(found) < MOST_DESCENDANTS:
            level = [child for parent in level for child in tx.tasks.children(parent.id)]
            found += level
        return found[:MOST_DESCENDANTS]

    return _family(await call.services.reader.read(read))


def place_of(row: TaskRow) -> tuple[int, str]:
    """Where a task stands in the list."""
    return row.created_us, row.id


def _family(rows: list[TaskRow]) -> Answer:
    return json(TaskFamily(tasks=[records.task_record(row) for row in rows], count=len(rows)))


def _row(tx: ReadTx, task_id: str) -> TaskRow:
    row = tx.tasks.get(task_id)
    if row is None:
        raise not_found("task")
    return row


def _moment_of(value: str | int | float | None) -> int:
    if not isinstance(value, int):
        raise RefusedError("invalid_cursor", "this cursor does not belong to this list")
    return value


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/tasks",
        handler=create,
        summary="Make a task",
        body=TaskRequest,
        answers={201: Task},
        errors=("missing_field", "invalid_field", "idempotency_conflict"),
        idempotent=True,
    ),
    Route(
        method="GET",
        path="/api/v1/tasks",
        handler=listing,
        summary="List tasks, newest first",
        answers={200: TaskList},
        errors=("invalid_parameter", "invalid_cursor"),
        parameters=(
            "status",
            "q",
            "search",
            "label",
            "since",
            "until",
            "limit",
            "offset",
            "cursor",
        ),
    ),
    Route(
        method="GET",
        path="/api/v1/tasks/{id}",
        handler=one,
        summary="Read a task",
        answers={200: Task},
        errors=("not_found",),
    ),
    Route(
        method="PATCH",
        path="/api/v1/tasks/{id}",
        handler=patch,
        summary="Change what later runs of a task start with",
        body=TaskPatch,
        answers={200: Task},
        errors=("invalid_field", "not_found"),
    ),
    Route(
        method="DELETE",
        path="/api/v1/tasks/{id}",
        handler=delete,
        summary="Delete a task with its runs and events",
        answers={204: None},
        errors=("not_found", "in_use"),
        parameters=("force",),
    ),
    Route(
        method="GET",
        path="/api/v1/tasks/{id}/subtasks",
        handler=subtasks,
        summary="A task's children",
        answers={200: TaskFamily},
        errors=("not_found",),
    ),
    Route(
        method="GET",
        path="/api/v1/tasks/{id}/tree",
        handler=tree,
        summary="All descendants of a task",
        answers={200: TaskFamily},
        errors=("not_found",),
    ),
)
