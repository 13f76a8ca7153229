"""The columns of ``runs``: what is taken out of a row for filters, order and compare-and-set."""

from collections.abc import Sequence
from typing import Any, Final

from runwatch_server import standing
from runwatch_server.rows import RunRow
from runwatch_server.storage.sql.documents import RUN
from runwatch_server.storage.statements import Statement

COLUMNS: Final = (
    "id",
    "task_id",
    "parent_id",
    "status",
    "state",
    "active",
    "waiting",
    "health",
    "attention",
    "node_id",
    "agent_type",
    "priority",
    "name",
    "created_us",
    "updated_us",
    "duration_ms",
    "cost_usd",
    "total_tokens",
    "tool_failures",
    "search",
    "epoch",
    "last_seq",
    "revision",
    "agent_session_id",
)
"""In the order `values_of` gives them; ``due_us`` and ``doc`` come behind."""

SEPARATOR: Final = "\n"
"""Between the parts of ``search``; no name has it, so no search word matches across two."""


def values_of(row: RunRow) -> tuple[object, ...]:
    """The values of `COLUMNS`."""
    usage = row.usage
    return (
        row.id,
        row.task_id,
        row.parent_id,
        row.status,
        standing.state_of(row),
        standing.is_active(row),
        row.wait is not None,
        row.health,
        standing.attention_of(row),
        row.node_id,
        row.agent_type,
        row.priority,
        row.name,
        row.created_us,
        row.updated_us,
        standing.duration_ms(row),
        None if usage is None else usage.cost_usd,
        None if usage is None else usage.total_tokens,
        row.tool_failures,
        search_text(row),
        row.epoch,
        row.last_seq,
        row.revision,
        row.agent_session_id,
    )


def search_text(row: RunRow) -> str:
    """What ``q`` looks in: id, name, task, node and account, folded (contract 6.1)."""
    parts = (row.id, row.name, row.task_id, row.node_id or "", row.account_id or "")
    return SEPARATOR.join(parts).casefold()


INSERT: Final = Statement(
    f"INSERT INTO runs({', '.join(COLUMNS)}, due_us, doc) "
    f"VALUES ({', '.join('?' * (len(COLUMNS) + 2))})",
    "insert",
    "runs",
)


def gathered(
    before: RunRow,
    after: RunRow,
    *,
    due: tuple[bool, int | None],
    instead_of: Sequence[Any] | None,
) -> tuple[Any, ...]:
    """A changed run as it is put off: how it stood (epoch, last_seq, revision), `COLUMNS`, whether
    ``due_us`` moves and to what, the document.

    Args:
        due: Whether ``due_us`` is written, and its value.
        instead_of: The earlier change of it that is put off.
    """
    stood: Sequence[Any] = (before.epoch, before.last_seq, before.revision)
    if instead_of is not None:
        stood = instead_of[:_STOOD]
        if not due[0]:
            due = instead_of[-3], instead_of[-2]
    return (*stood, *values_of(after), *due, RUN.text(after))


_STOOD: Final = 3
_CAS: Final = " WHERE id = ? AND epoch = ? AND last_seq = ? AND revision = ?"


class Update:
    """Makes the narrowest UPDATE: SQLite rewrites an index when one of its columns is only named.

    Statements are kept by the columns that differ; there are a few dozen combinations in practice,
    and never more than `limit` are kept.
    """

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._known: dict[tuple[str, ...], Statement] = {}

    def of(
        self, before: RunRow, after: RunRow, *, due: tuple[bool, int | None]
    ) -> tuple[Statement, list[object]]:
        """The statement and its parameters, the compare-and-set on ``before`` included.

        Args:
            due: Whether ``due_us`` is written, and its value.
        """
        old, new = values_of(before), values_of(after)
        names: list[str] = []
        values: list[object] = []
        for name, was, value in zip(COLUMNS, old, new, strict=True):
            if was != value:
                names.append(name)
                values.append(value)
        moved, due_us = due
        if moved:
            names.append("due_us")
            values.append(due_us)
        values.append(RUN.text(after))
        values += (before.id, before.epoch, before.last_seq, before.revision)
        return self._statement(tuple(names)), values

    def _statement(self, names: tuple[str, ...]) -> Statement:
        known = self._known.get(names)
        if known is None:
            changed = "".join(f"{name} = ?, " for name in names)
            known = Statement(f"UPDATE runs SET {changed}doc = ?{_CAS}", "update", "runs")
            if len(self._known) >= self._limit:
                self._known.clear()
            self._known[names] = known
        return known
