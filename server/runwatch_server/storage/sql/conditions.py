"""What a list asks for, as SQL conditions; how a page of it is read is in `pages`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from runwatch_server.storage.protocols import Query, TaskQuery
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.sql.run_columns import SEPARATOR
from runwatch_server.storage.sql.searching import Found
from runwatch_server.storage.statements import Statement


class Condition(msgspec.Struct, frozen=True):
    """One of the conditions that must all hold.

    ``by_row`` is the same in a form no index serves; None when no index serves it anyway.
    ``in_order_of`` is the column in whose order the condition's index has its rows. ``found_in``
    has a row for each match, where those are counted more cheaply than by the term itself.
    """

    term: str
    parameters: tuple[Any, ...] = ()
    by_row: str | None = None
    in_order_of: str | None = None
    found_in: str | None = None
    few: bool = False
    """Whether it is known to leave few rows, that are better found and sorted."""

    def is_rare(self, connection: Connection, table: str, fewer_than: int) -> bool:
        """Whether fewer rows than that match."""
        source = self.found_in or f"FROM {table} WHERE {self.term}"
        probe = Statement(
            f"SELECT count(*) FROM (SELECT 1 {source} LIMIT ?) AS found", "select", table
        )
        found: int = connection.value(probe, (*self.parameters, fewer_than))
        return found < fewer_than


def where(conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
    """The WHERE clause and its parameters."""
    if not conditions:
        return "", []
    terms = " AND ".join(condition.term for condition in conditions)
    return f" WHERE {terms}", [value for each in conditions for value in each.parameters]


def narrowed(conditions: Sequence[Condition]) -> list[Condition] | None:
    """Where one is known to leave few rows, the others in the form no index serves: SQLite would
    take any of them for the better one. None where none is.
    """
    if not any(condition.few for condition in conditions):
        return None
    return [
        each if each.few or each.by_row is None else Condition(each.by_row, each.parameters)
        for each in conditions
    ]


def count(
    connection: Connection, table: str, conditions: Sequence[Condition], *, at_most: int
) -> int:
    """How many rows match, not looking further than ``at_most`` rows."""
    if len(conditions) == 1 and conditions[0].found_in is not None:
        only = conditions[0]
        sql = f"SELECT count(*) FROM (SELECT 1 {only.found_in} LIMIT ?) AS found"
        return int(connection.value(Statement(sql, "select", table), (*only.parameters, at_most)))
    clause, parameters = where(narrowed(conditions) or conditions)
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {table}{clause} LIMIT ?) AS found"
    return int(connection.value(Statement(sql, "select", table), (*parameters, at_most)))


def of_runs(connection: Connection, query: Query, sought: Found | None = None) -> list[Condition]:
    """The conditions of a list of runs (contract 6.1)."""
    return [
        *_among("id", query.ids),
        *_standing(connection, query),
        *_health(query.health),
        *_equal("task_id", query.task, "created_us"),
        *_flag("waiting", query.waiting, "updated_us"),
        *_flag("active", query.active, "attention"),
        *_labelled("runs", "run_labels", "run_id", query.labels),
        *_containing(connection, query.q, sought),
        *_between("updated_us", query.since_us, query.until_us),
    ]


def of_tasks(
    connection: Connection, query: TaskQuery, sought: Found | None = None
) -> list[Condition]:
    """The conditions of a list of tasks (contract 8.1)."""
    return [
        *_among("status", query.status, "created_us"),
        *_equal("parent_id", query.parent_id, "created_us"),
        *_labelled("tasks", "task_labels", "task_id", query.labels),
        *_containing(connection, query.q, sought),
        *_between("created_us", query.since_us, query.until_us),
    ]


def of_runs_of(task_id: str) -> list[Condition]:
    return _equal("task_id", task_id, "created_us")


def _among(
    column: str, values: Sequence[str] | None, in_order_of: str | None = None
) -> list[Condition]:
    """``column`` is one of ``values``; None asks nothing, no value matches nothing."""
    if values is None:
        return []
    if not values:
        return [Condition("1 = 0", (), "1 = 0")]
    term = f"{column} IN ({', '.join('?' * len(values))})"
    ordered = in_order_of if len(values) == 1 else None
    return [Condition(term, tuple(values), f"+{term}", ordered)]


def _standing(connection: Connection, query: Query) -> list[Condition]:
    """Status, state, node and agent type. A state and one of the last two are one condition, as
    they have an index together: either alone may leave many rows where both leave few. Where only
    the status is asked, the states it may show as are asked too.
    """
    among = {"node_id": query.node, "agent_type": query.agent_type}
    statuses = _among("status", query.status, "updated_us")
    shown_as = query.state
    if query.status is not None and shown_as is None and (query.node or query.agent_type):
        shown_as = tuple({state: None for each in query.status for state in _SHOWN_AS[each]})
        statuses = [Condition(connection.unserved(each.term), each.parameters) for each in statuses]
    states = _among("state", shown_as, "updated_us")
    conditions: list[Condition] = []
    for column, values in among.items():
        found = _among(column, values, "updated_us")
        if found and states:
            found = [_both(found[0], states[0])]
            states = []
        conditions += found
    return [*conditions, *states, *statuses]


_SHOWN_AS: Final[dict[str, tuple[str, ...]]] = {
    "queued": ("pending",),
    "assigned": ("pending", "unknown"),
    "running": ("running", "waiting", "unknown"),
    "done": ("completed",),
    "failed": ("failed",),
    "cancelled": ("failed",),
    "timeout": ("failed",),
    "waiting": (),
    "success": (),
}
"""States a status may be shown as (contract 6.2); the last two are of other workflows than runs."""


def _both(first: Condition, second: Condition) -> Condition:
    ordered = first.in_order_of if second.in_order_of else None
    return Condition(
        f"{first.term} AND {second.term}",
        (*first.parameters, *second.parameters),
        f"{first.by_row} AND {second.by_row}",
        ordered,
    )


def _equal(column: str, value: str | None, in_order_of: str) -> list[Condition]:
    return [] if value is None else _among(column, (value,), in_order_of)


def _flag(column: str, value: bool | None, in_order_of: str) -> list[Condition]:
    """Only the rows that have a flag have an index, as they are few."""
    if value is None:
        return []
    if value:
        return [Condition(f"{column} = 1", (), f"+{column} = 1", in_order_of)]
    return [Condition(f"{column} = 0")]


def _health(values: Sequence[str] | None) -> list[Condition]:
    if values is None or "ok" in values:
        return [Condition(each.term, each.parameters) for each in _among("health", values)]
    # Saying so lets the index of what is not well serve.
    return [
        Condition(f"{each.term} AND health <> 'ok'", each.parameters, each.by_row)
        for each in _among("health", values)
    ]


def _labelled(
    table: str, labels_table: str, owner: str, labels: Mapping[str, str | None] | None
) -> list[Condition]:
    conditions: list[Condition] = []
    for name, value in (labels or {}).items():
        of_label = f"FROM {labels_table} WHERE name = ?"
        parameters: tuple[str, ...] = (name,)
        if value is not None:
            of_label += " AND value = ?"
            parameters = (name, value)
        conditions.append(
            Condition(
                f"id IN (SELECT {owner} {of_label})",
                parameters,
                # Counted and not EXISTS, which SQLite would turn into a join from the label.
                f"(SELECT count(*) {of_label} AND {owner} = {table}.id) > 0",
                found_in=of_label,
            )
        )
    return conditions


def _containing(connection: Connection, q: str | None, sought: Found | None) -> list[Condition]:
    """``search`` has ``q`` somewhere; its parts are lines, so ``q`` is within one of them.

    Args:
        sought: The only rows that are looked at; None looks at all.
    """
    if not q:
        return []
    if SEPARATOR in q:
        return [Condition("1 = 0")]
    term, folded = connection.containing("search", q.casefold())
    if sought is None:
        return [Condition(term, (folded,))]
    among = "id IN (SELECT value FROM json_each(?))"
    return [Condition(f"{among} AND {term}", (sought.ids, folded), few=True)]


def _between(column: str, since: int | None, until: int | None) -> list[Condition]:
    """Both ends included; one condition, as together they may leave few rows."""
    terms: list[str] = []
    bounds: list[int] = []
    for sign, bound in ((">=", since), ("<=", until)):
        if bound is not None:
            terms.append(f"{column} {sign} ?")
            bounds.append(bound)
    if not terms:
        return []
    by_row = " AND ".join(f"+{term}" for term in terms)
    return [Condition(" AND ".join(terms), tuple(bounds), by_row, column)]
