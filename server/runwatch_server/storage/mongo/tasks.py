"""Tasks in MongoDB."""

import msgspec

from runwatch_server.rows import TaskRow
from runwatch_server.storage.mongo import asking
from runwatch_server.storage.mongo.context import WriteContext
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.tombstones import bury, unbury
from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.protocols import TaskQuery
from runwatch_server.storage.sql.documents import TASK
from runwatch_server.storage.sql.run_columns import SEPARATOR
from runwatch_shared.errors import ConflictError


class TaskReader:
    """`protocols.TaskReads`."""

    def __init__(self, view: View) -> None:
        self._view = view

    def get(self, task_id: str) -> TaskRow | None:
        row = self._view.get("tasks", task_id)
        return None if row is None else TASK.row(row["doc"])

    def page(self, query: TaskQuery) -> list[TaskRow]:
        page = asking.Page(
            kind="tasks",
            column="created_us",
            descending=True,
            after=query.after,
            limit=query.limit,
            offset=query.offset,
        )
        return [TASK.row(row["doc"]) for row in page.read(self._view, asking.of_tasks(query))]

    def count(self, query: TaskQuery, *, at_most: int) -> int:
        return self._view.count("tasks", asking.of_tasks(query), at_most=at_most + 1)

    def children(self, task_id: str) -> list[TaskRow]:
        rows = self._view.find("tasks", {"parent_id": task_id}, [("created_us", 1), ("_id", 1)])
        return [TASK.row(row["doc"]) for row in rows]

    def changed_since(self, revision: int, limit: int) -> list[TaskRow]:
        rows = self._view.find(
            "tasks", {"revision": {"$gt": revision}}, [("revision", 1), ("_id", 1)], limit=limit
        )
        return [TASK.row(row["doc"]) for row in rows]


class TaskWriter(TaskReader):
    """`protocols.TaskWrites`."""

    def __init__(self, context: WriteContext) -> None:
        super().__init__(context.view)
        self._context = context

    def insert(self, row: TaskRow) -> TaskRow:
        if self._view.get("tasks", row.id) is not None:
            raise ConflictError(f"task {row.id} is there already")
        # The task of a found session has the same id again after it was deleted.
        unbury(self._view, "task", row.id)
        return self._put(None, row)

    def save(self, row: TaskRow) -> TaskRow:
        before = self.get(row.id)
        if before is None:
            raise ConflictError(f"task {row.id} is gone")
        return self._put(before, row)

    def delete(self, row: TaskRow) -> None:
        before = self.get(row.id)
        if before is None:
            raise ConflictError(f"task {row.id} is gone")
        self._view.remove("tasks", row.id)
        bury(self._context, "task", row.id)
        self._context.changes.task(before, None)

    def _put(self, before: TaskRow | None, row: TaskRow) -> TaskRow:
        row = msgspec.structs.replace(row, revision=self._context.revision)
        self._view.put("tasks", row.id, fields_of(row, TASK.text(row)))
        self._context.changes.task(before, row)
        return row


def fields_of(row: TaskRow, doc: str) -> Fields:
    """A task as it is stored."""
    return {
        "status": row.status,
        "parent_id": row.parent_id,
        "created_us": row.created_us,
        "search": asking.searched(
            SEPARATOR.join((row.id, row.name, row.description or "")).casefold()
        ),
        "labels": asking.labels_of(row.labels),
        "revision": row.revision,
        "doc": doc,
    }
