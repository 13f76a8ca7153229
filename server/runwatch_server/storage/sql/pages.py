"""Keyset pages: rows by a column and id, in the order of an index or sorted: what is less work.

SQLite knows no numbers of the rows here (nothing runs ANALYZE), and would take any equality for a
few rows. So a condition with an index is first counted, to a bound.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from runwatch_server.storage.sql.conditions import Condition, count, narrowed, where
from runwatch_server.storage.sql.connection import Connection, SqlRow
from runwatch_server.storage.statements import Statement

SORT_COLUMNS: Final[dict[str, str]] = {
    "update_time": "updated_us",
    "start_time": "created_us",
    "attention": "attention",
    "name": "name",
    "duration_ms": "duration_ms",
    "cost_usd": "cost_usd",
    "total_tokens": "total_tokens",
    "tool_failures": "tool_failures",
}
"""`wire.WORKFLOW_SORTS` as columns."""
THEN_BY: Final[dict[str, str]] = {"attention": "updated_us"}
"""Columns by which rows of one value stand, before their ids: what ended comes newest first."""

FEW: Final = 2000
"""Rows that are found and sorted; more are met soon enough in the order of the list."""

_MAY_BE_MISSING: Final = frozenset({"duration_ms", "cost_usd", "total_tokens"})


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of ``table``; column and id go in one direction, rows without the value come last.

    ``after`` has the values of `_order` of the last row of the page before.
    """

    table: str
    column: str
    descending: bool
    after: tuple[Any, ...] | None
    limit: int
    offset: int

    def read(self, connection: Connection, conditions: Sequence[Condition]) -> list[SqlRow]:
        """The ``doc`` of each row.

        Rows with a value and rows without one are two stretches, each in the order of the index.
        """
        asked, few = self._judged(connection, conditions)
        # A plus keeps SQLite from reading by the index of the order.
        column = connection.unserved(self.column) if few else self.column
        by_value = ", ".join(f"{part}{self._way}" for part in (column, *self._order[1:]))
        if self.column not in _MAY_BE_MISSING:
            asked += self._beyond(column)
            return self._rows(connection, asked, by_value, self.limit, self.offset)
        missing = [*asked, Condition(f"{column} IS NULL")]
        by_id = f"{'+' if few else ''}id{self._way}"
        if self.after is not None and self.after[0] is None:
            missing.append(Condition(f"id {self._sign} ?", (self.after[-1],)))
            return self._rows(connection, missing, by_id, self.limit, self.offset)
        present = [*asked, Condition(f"{column} IS NOT NULL"), *self._beyond(column)]
        rows = self._rows(connection, present, by_value, self.limit, self.offset)
        wanted = self.limit - len(rows)
        if not wanted:
            return rows
        offset = 0
        if not rows and self.offset:
            offset = self.offset - count(connection, self.table, present, at_most=self.offset)
        return rows + self._rows(connection, missing, by_id, wanted, offset)

    def _judged(
        self, connection: Connection, conditions: Sequence[Condition]
    ) -> tuple[list[Condition], bool]:
        """The conditions with only those left to an index that should be; whether they leave few
        rows, to be sorted.
        """
        if not connection.judges:
            return list(conditions), False
        by_one = narrowed(conditions)
        if by_one is not None:
            return by_one, True
        judged: list[Condition] = []
        few = False
        for condition in conditions:
            by_row = condition.by_row
            if by_row is None or condition.in_order_of == self.column:
                judged.append(condition)
            elif condition.is_rare(connection, self.table, FEW):
                judged.append(condition)
                few = True
            else:
                judged.append(Condition(by_row, condition.parameters))
        return judged, few

    @property
    def _order(self) -> tuple[str, ...]:
        then = THEN_BY.get(self.column)
        return (self.column, "id") if then is None else (self.column, then, "id")

    @property
    def _way(self) -> str:
        return " DESC" if self.descending else ""

    @property
    def _sign(self) -> str:
        return "<" if self.descending else ">"

    def _beyond(self, column: str) -> list[Condition]:
        if self.after is None:
            return []
        columns = ", ".join((column, *self._order[1:]))
        marks = ", ".join("?" * len(self._order))
        return [Condition(f"({columns}) {self._sign} ({marks})", self.after)]

    def _rows(
        self,
        connection: Connection,
        conditions: Sequence[Condition],
        order: str,
        limit: int,
        offset: int,
    ) -> list[SqlRow]:
        clause, parameters = where(conditions)
        sql = f"SELECT doc FROM {self.table}{clause} ORDER BY {order} LIMIT ? OFFSET ?"
        statement = Statement(sql, "select", self.table)
        return connection.all(statement, (*parameters, limit, offset))
