"""Kept rows in MongoDB: one collection for all kinds."""

from collections.abc import Collection
from typing import Any, Generic, TypeVar

import msgspec

from runwatch_server.kept import KeptRow
from runwatch_server.storage.kinds import any_row_of, columns_of, row_of, text_of
from runwatch_server.storage.mongo.context import WriteContext
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.small import insert_alert
from runwatch_server.storage.mongo.tombstones import bury, unbury
from runwatch_server.storage.mongo.view import View

K = TypeVar("K", bound=KeptRow)


def changed_since(view: View, revision: int, limit: int) -> list[KeptRow]:
    """Rows of all kinds that are told, changed later, oldest change first."""
    found = view.find(
        "kept", {"revision": {"$gt": revision}}, [("revision", 1), ("_id", 1)], limit=limit
    )
    rows = [any_row_of(row["kind"], row["doc"]) for row in found]
    return [row for row in rows if row is not None]


def fields_of(row: KeptRow, doc: str) -> Fields:
    """A kept row as it is stored; its id stands in ``_id``, behind its kind."""
    fields = {**columns_of(row), "doc": doc}
    del fields["id"]
    return fields


class KeptReader(Generic[K]):
    """`storage.kept.KeptReads`."""

    def __init__(self, view: View, row: type[K]) -> None:
        self._view = view
        self._row = row

    def get(self, row_id: str) -> K | None:
        found = self._view.get("kept", self._key(row_id))
        return None if found is None else row_of(self._row, found["doc"])

    def find(
        self,
        *,
        node_id: str | None = None,
        account_id: str | None = None,
        name: str | None = None,
        status: Collection[str] | None = None,
        newest_first: bool = False,
        after: tuple[int, str] | None = None,
        limit: int,
    ) -> list[K]:
        given = {"node_id": node_id, "account_id": account_id, "name": name}
        where: dict[str, Any] = {"kind": self._row.KIND}
        where |= {field: value for field, value in given.items() if value is not None}
        if status is not None:
            where["status"] = {"$in": list(status)}
        if after is not None:
            created_us, row_id = after
            beyond = "$lt" if newest_first else "$gt"
            where["$or"] = [
                {"created_us": {beyond: created_us}},
                {"created_us": created_us, "_id": {beyond: self._key(row_id)}},
            ]
        way = -1 if newest_first else 1
        found = self._view.find("kept", where, [("created_us", way), ("_id", way)], limit=limit)
        return [row_of(self._row, each["doc"]) for each in found]

    def due(self, now_us: int, *, limit: int) -> list[K]:
        where = {"kind": self._row.KIND, "due_us": {"$lte": now_us}}
        found = self._view.find("kept", where, [("due_us", 1), ("_id", 1)], limit=limit)
        return [row_of(self._row, each["doc"]) for each in found]

    def _key(self, row_id: str) -> str:
        return f"{self._row.KIND}:{row_id}"


class KeptWriter(KeptReader[K]):
    """`storage.kept.KeptWrites`."""

    def __init__(self, context: WriteContext, row: type[K]) -> None:
        super().__init__(context.view, row)
        self._context = context

    def save(self, row: K) -> K:
        if not row.TOLD:
            self._put(row)
            return row
        before = self.get(row.id)
        row = msgspec.structs.replace(row, revision=self._context.revision)
        self._put(row)
        if before is None:
            unbury(self._view, row.KIND, row.id)
        context = self._context
        context.changes.kept_row(before, row)
        if context.rules.kept_alerts is not None:
            for alert in context.rules.kept_alerts(before, row, context.now_us):
                insert_alert(context, alert)
                context.changes.alerted(alert)
        return row

    def delete(self, row_id: str) -> bool:
        before = self.get(row_id) if self._row.TOLD else None
        if not self._view.remove("kept", self._key(row_id)):
            return False
        if before is not None:
            bury(self._context, before.KIND, row_id)
            self._context.changes.kept_row(before, None)
        return True

    def _put(self, row: K) -> None:
        self._view.put("kept", row.key, fields_of(row, text_of(row)))
