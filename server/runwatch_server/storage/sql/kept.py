"""Kept rows in SQL: one table for all kinds."""

from collections.abc import Collection
from functools import cache
from typing import Any, Final, Generic, TypeVar

import msgspec

from runwatch_server.kept import KeptRow
from runwatch_server.storage.kinds import any_row_of, columns_of, row_of, text_of
from runwatch_server.storage.sql import alerts
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.sql.context import WriteContext
from runwatch_server.storage.sql.tombstones import bury, unbury
from runwatch_server.storage.statements import Statement, statement

K = TypeVar("K", bound=KeptRow)

COLUMNS: Final = (
    "kind", "id", "node_id", "account_id", "status", "name", "due_us", "created_us", "updated_us",
    "revision", "doc",
)  # fmt: skip


def values_of(row: KeptRow) -> tuple[Any, ...]:
    """What the columns have of a row, the document last."""
    return (*columns_of(row).values(), text_of(row))


def changed_since(connection: Connection, revision: int, limit: int) -> list[KeptRow]:
    """Rows of all kinds that are told, changed later, oldest change first."""
    found = connection.all(connection.statements("kept")["changed"], (revision, limit))
    rows = [any_row_of(kind, doc) for kind, doc in found]
    return [row for row in rows if row is not None]


class KeptReader(Generic[K]):
    """`storage.kept.KeptReads`."""

    def __init__(self, connection: Connection, row: type[K]) -> None:
        self._connection = connection
        self._row = row
        self._sql = connection.statements("kept")

    def get(self, row_id: str) -> K | None:
        text = self._connection.value(self._sql["get"], (self._row.KIND, row_id))
        return None if text is None else row_of(self._row, text)

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
        wanted = {column: value for column, value in given.items() if value is not None}
        statuses = () if status is None else tuple(status)
        if status is not None and not statuses:
            return []
        query = _query(tuple(wanted), len(statuses), newest_first, after is not None)
        bound = (self._row.KIND, *wanted.values(), *statuses, *(after or ()), limit)
        return self._rows(query, bound)

    def due(self, now_us: int, *, limit: int) -> list[K]:
        return self._rows(self._sql["due"], (self._row.KIND, now_us, limit))

    def _rows(self, query: Statement, bound: tuple[Any, ...]) -> list[K]:
        return [row_of(self._row, text) for (text,) in self._connection.all(query, bound)]


class KeptWriter(KeptReader[K]):
    """`storage.kept.KeptWrites`."""

    def __init__(self, connection: Connection, context: WriteContext, row: type[K]) -> None:
        super().__init__(connection, row)
        self._context = context

    def save(self, row: K) -> K:
        if not row.TOLD:
            self._connection.run(self._sql["save"], values_of(row))
            return row
        before = self.get(row.id)
        row = msgspec.structs.replace(row, revision=self._context.revision)
        self._connection.run(self._sql["save"], values_of(row))
        if before is None:
            unbury(self._connection, row.KIND, row.id)
        context = self._context
        context.changes.kept_row(before, row)
        if context.rules.kept_alerts is not None:
            for alert in context.rules.kept_alerts(before, row, context.now_us):
                alerts.insert(self._connection, alert)
                context.changes.alerted(alert)
        return row

    def delete(self, row_id: str) -> bool:
        before = self.get(row_id) if self._row.TOLD else None
        self._connection.run(self._sql["delete"], (self._row.KIND, row_id))
        if not self._connection.changes():
            return False
        if before is not None:
            context = self._context
            bury(self._connection, before.KIND, row_id, context.revision, context.now_us)
            context.changes.kept_row(before, None)
        return True


@cache
def _query(columns: tuple[str, ...], statuses: int, newest_first: bool, follows: bool) -> Statement:
    terms = ["kind = ?", *(f"{column} = ?" for column in columns)]
    if statuses:
        terms.append(f"status IN ({', '.join('?' * statuses)})")
    if follows:
        terms.append(f"(created_us, id) {'<' if newest_first else '>'} (?, ?)")
    way = "DESC" if newest_first else "ASC"
    return statement(
        f"SELECT doc FROM kept WHERE {' AND '.join(terms)} "
        f"ORDER BY created_us {way}, id {way} LIMIT ?"
    )
