"""Lists as SQL: the conditions of a query, and keyset pages with missing values last."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from runwatch_server.storage.protocols import Query, TaskQuery
from runwatch_server.storage.sqlite.connection import Connection, SqlRow
from runwatch_server.storage.sqlite.run_columns import SEPARATOR
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

_MAY_BE_MISSING: Final = frozenset({"duration_ms", "cost_usd", "total_tokens"})

_COMMON_LABEL: Final = 2000
"""A label on more rows than this is looked up row by row, in the list's own order."""


class Where:
    """Conditions joined by AND, with their parameters."""

    def __init__(self) -> None:
        self._terms: list[str] = []
        self._parameters: list[Any] = []
        self.few = False
        """Whether an index finds the few rows that match, so that they are better sorted than
        looked for in the order of the list.
        """

    def add(self, term: str, *parameters: Any) -> None:
        self._terms.append(term)
        self._parameters.extend(parameters)

    def among(self, column: str, values: Sequence[Any] | None) -> None:
        """``column`` is one of ``values``; None asks nothing, no value matches nothing."""
        if values is not None:
            self.add(f"{column} IN ({', '.join('?' * len(values))})", *values)

    def labelled(
        self,
        connection: Connection,
        labels: Mapping[str, str | None] | None,
        *,
        table: str,
        owner: str,
        of: str,
    ) -> None:
        """Rows of ``of`` have every label; ``table`` holds them by the ``owner`` column.

        Rare labels name the rows; a common one is asked for row by row, as its rows are too many to
        sort and soon met in any order.
        """
        for name, value in (labels or {}).items():
            matching = f"SELECT {owner} FROM {table} WHERE name = ?"
            parameters = [name]
            if value is not None:
                matching += " AND value = ?"
                parameters.append(value)
            probe = Statement(f"SELECT count(*) FROM ({matching} LIMIT ?)", "select", table)
            if connection.value(probe, (*parameters, _COMMON_LABEL)) < _COMMON_LABEL:
                self.add(f"id IN ({matching})", *parameters)
                self.few = True
            else:
                # Counted and not EXISTS, which SQLite would turn into a join from the label.
                one = matching.replace(f"SELECT {owner}", "SELECT count(*)")
                self.add(f"({one} AND {owner} = {of}.id) > 0", *parameters)

    def containing(self, column: str, q: str | None) -> None:
        """A folded column has ``q`` somewhere; parts of it are lines, so ``q`` is within one."""
        if q and SEPARATOR in q:
            self.add("0")
        elif q:
            self.add(f"instr({column}, ?) > 0", q.casefold())

    def between(self, column: str, since: int | None, until: int | None) -> None:
        """Both ends included."""
        if since is not None:
            self.add(f"{column} >= ?", since)
        if until is not None:
            self.add(f"{column} <= ?", until)

    def also(self, term: str, *parameters: Any) -> "Where":
        """These conditions and one more, apart from these."""
        more = Where()
        more._terms = [*self._terms, term]
        more._parameters = [*self._parameters, *parameters]
        more.few = self.few
        return more

    @property
    def sql(self) -> str:
        return f" WHERE {' AND '.join(self._terms)}" if self._terms else ""

    @property
    def parameters(self) -> list[Any]:
        return self._parameters


def of_runs(connection: Connection, query: Query) -> Where:
    """The conditions of a list of runs (contract 6.1)."""
    where = Where()
    where.among("id", query.ids)
    where.among("state", query.state)
    where.among("status", query.status)
    where.among("node_id", query.node)
    where.among("agent_type", query.agent_type)
    where.among("health", query.health)
    if query.health is not None and "ok" not in query.health:
        where.add("health <> 'ok'")  # lets the partial index serve
        where.few = True
    if query.task is not None:
        where.add("task_id = ?", query.task)
    if query.waiting is not None:
        where.add("waiting = 1" if query.waiting else "waiting = 0")
        where.few = where.few or query.waiting
    if query.active is not None:
        where.add("active = 1" if query.active else "active = 0")
    where.labelled(connection, query.labels, table="run_labels", owner="run_id", of="runs")
    where.containing("search", query.q)
    where.between("updated_us", query.since_us, query.until_us)
    return where


def of_tasks(connection: Connection, query: TaskQuery) -> Where:
    """The conditions of a list of tasks (contract 8.1)."""
    where = Where()
    where.among("status", query.status)
    if query.parent_id is not None:
        where.add("parent_id = ?", query.parent_id)
    where.labelled(connection, query.labels, table="task_labels", owner="task_id", of="tasks")
    where.containing("search", query.q)
    where.between("created_us", query.since_us, query.until_us)
    return where


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A keyset page: rows by (``column``, id), both in one direction, missing values last."""

    table: str
    column: str
    descending: bool
    after: tuple[Any, str] | None
    limit: int
    offset: int

    def read(self, connection: Connection, where: Where) -> list[SqlRow]:
        """The ``doc`` of each row.

        Rows with a value and rows without one are two stretches, each in the order of the index.
        """
        # A plus keeps SQLite from reading by the index of the order.
        plus = "+" if where.few else ""
        by_value = f"{plus}{self.column}{self._way}, id{self._way}"
        if self.column not in _MAY_BE_MISSING:
            return self._rows(connection, self._beyond(where), by_value, self.limit, self.offset)
        present = where.also(f"{self.column} IS NOT NULL")
        missing = where.also(f"{self.column} IS NULL")
        by_id = f"id{self._way}"
        if self.after is not None and self.after[0] is None:
            missing = missing.also(f"id {self._sign} ?", self.after[1])
            return self._rows(connection, missing, by_id, self.limit, self.offset)
        present = self._beyond(present)
        rows = self._rows(connection, present, by_value, self.limit, self.offset)
        wanted = self.limit - len(rows)
        if not wanted:
            return rows
        offset = 0
        if not rows and self.offset:
            offset = self.offset - count(connection, self.table, present, at_most=self.offset)
        return rows + self._rows(connection, missing, by_id, wanted, offset)

    @property
    def _way(self) -> str:
        return " DESC" if self.descending else ""

    @property
    def _sign(self) -> str:
        return "<" if self.descending else ">"

    def _beyond(self, where: Where) -> Where:
        if self.after is None:
            return where
        plus = "+" if where.few else ""
        return where.also(f"({plus}{self.column}, id) {self._sign} (?, ?)", *self.after)

    def _rows(
        self, connection: Connection, where: Where, order: str, limit: int, offset: int
    ) -> list[SqlRow]:
        sql = f"SELECT doc FROM {self.table}{where.sql} ORDER BY {order} LIMIT ? OFFSET ?"
        parameters = (*where.parameters, limit, offset)
        return connection.all(Statement(sql, "select", self.table), parameters)


def count(connection: Connection, table: str, where: Where, *, at_most: int) -> int:
    """How many rows match, not looking further than ``at_most`` rows."""
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {table}{where.sql} LIMIT ?)"
    found = connection.value(Statement(sql, "select", table), (*where.parameters, at_most))
    return int(found)
