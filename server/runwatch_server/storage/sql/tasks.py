"""Tasks in SQL."""

import msgspec

from runwatch_server.rows import TaskRow
from runwatch_server.storage.protocols import TaskQuery
from runwatch_server.storage.sql import conditions
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.sql.context import WriteContext
from runwatch_server.storage.sql.documents import TASK
from runwatch_server.storage.sql.pages import Page
from runwatch_server.storage.sql.run_columns import SEPARATOR
from runwatch_server.storage.sql.search_lists import count_found, found_for_page
from runwatch_server.storage.sql.searching import Search
from runwatch_server.storage.sql.tombstones import bury, unbury
from runwatch_shared.errors import ConflictError


class TaskReader:
    """`protocols.TaskReads`."""

    def __init__(self, connection: Connection, search: Search | None = None) -> None:
        self._connection = connection
        self._sql = connection.statements("tasks")
        self._search = search

    def get(self, task_id: str) -> TaskRow | None:
        text = self._connection.value(self._sql["get"], (task_id,))
        return None if text is None else TASK.row(text)

    def page(self, query: TaskQuery) -> list[TaskRow]:
        page = Page(
            table="tasks",
            column="created_us",
            descending=True,
            after=query.after,
            limit=query.limit,
            offset=query.offset,
        )
        sought = found_for_page(self._search, "tasks", query.q, query.limit + query.offset)
        rows = page.read(self._connection, conditions.of_tasks(self._connection, query, sought))
        return [TASK.row(text) for (text,) in rows]

    def count(self, query: TaskQuery, *, at_most: int) -> int:
        return count_found(
            self._connection,
            self._search,
            "tasks",
            query.q,
            lambda sought: conditions.of_tasks(self._connection, query, sought),
            at_most=at_most + 1,
        )

    def children(self, task_id: str) -> list[TaskRow]:
        return [
            TASK.row(text) for (text,) in self._connection.all(self._sql["children"], (task_id,))
        ]

    def changed_since(self, revision: int, limit: int) -> list[TaskRow]:
        rows = self._connection.all(self._sql["changed"], (revision, limit))
        return [TASK.row(text) for (text,) in rows]


class TaskWriter(TaskReader):
    """`protocols.TaskWrites`; remembers what it last saw, as nobody else writes."""

    def __init__(self, connection: Connection, context: WriteContext) -> None:
        super().__init__(connection)
        self._context = context

    def get(self, task_id: str) -> TaskRow | None:
        row = self._context.tasks.get(task_id)
        if row is None:
            row = super().get(task_id)
            if row is not None:
                self._context.tasks.put(task_id, row)
        return row

    def insert(self, row: TaskRow) -> TaskRow:
        row = msgspec.structs.replace(row, revision=self._context.revision)
        self._connection.run(self._sql["insert"], (row.id, *values_of_task(row)))
        self._put_labels(row)
        # The task of a found session has the same id again after it was deleted.
        unbury(self._connection, "task", row.id)
        self._changed(None, row)
        return row

    def save(self, row: TaskRow) -> TaskRow:
        before = self.get(row.id)
        if before is None:
            raise ConflictError(f"task {row.id} is gone")
        row = msgspec.structs.replace(row, revision=self._context.revision)
        self._connection.run(self._sql["update"], (*values_of_task(row), row.id))
        if row.labels != before.labels:
            self._connection.run(self._sql["delete_labels"], (row.id,))
            self._put_labels(row)
        self._changed(before, row)
        return row

    def delete(self, row: TaskRow) -> None:
        context = self._context
        before = self.get(row.id)
        if before is None:
            raise ConflictError(f"task {row.id} is gone")
        self._connection.run(self._sql["delete"], (row.id,))
        self._connection.run(self._sql["delete_labels"], (row.id,))
        context.tasks.forget(row.id)
        bury(self._connection, "task", row.id, context.revision, context.now_us)
        context.changes.task(before, None)

    def _put_labels(self, row: TaskRow) -> None:
        for name, value in row.labels.items():
            self._connection.run(self._sql["put_label"], (row.id, name, value))

    def _changed(self, before: TaskRow | None, after: TaskRow) -> None:
        self._context.tasks.put(after.id, after)
        self._context.changes.task(before, after)


def values_of_task(row: TaskRow) -> tuple[object, ...]:
    """The columns of ``tasks`` behind its id, its document last."""
    search = SEPARATOR.join((row.id, row.name, row.description or "")).casefold()
    return (
        row.status,
        row.parent_id,
        row.created_us,
        search,
        row.revision,
        TASK.text(row),
    )
