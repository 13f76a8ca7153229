"""Rows that one statement writes for a whole group: how each table takes them, and which statements
must find them written.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from runwatch_server.storage.sql.run_columns import COLUMNS
from runwatch_server.storage.statements import Statement

EVENTS: Final = "events"
_NUMBERS: Final = {
    "active": "integer",
    "waiting": "integer",
    "attention": "integer",
    "priority": "integer",
    "created_us": "bigint",
    "updated_us": "bigint",
    "duration_ms": "bigint",
    "cost_usd": "double precision",
    "total_tokens": "bigint",
    "tool_failures": "bigint",
    "epoch": "bigint",
    "last_seq": "bigint",
    "revision": "bigint",
}
"""Columns of ``runs`` that are no text."""
_GUARDS: Final = ("epoch", "last_seq", "revision")
"""A run is changed only where it stands as it was when it was read."""
_WORD: Final = re.compile(r"\w+")


def _upsert(table: str, keys: dict[str, str], values: dict[str, str], *, add: bool) -> Statement:
    columns = keys | values
    # Documents and numbers in arrays, which are as many parameters for one row as for a thousand.
    arrays = ", ".join(f"?::{kind}[]" for kind in columns.values())
    old = f"{table}.{{0}} + " if add else ""
    changes = ", ".join(f"{name} = {old.format(name)}excluded.{name}" for name in values)
    return Statement(
        f"INSERT INTO {table}({', '.join(columns)}) SELECT * FROM unnest({arrays}) "
        f"ON CONFLICT({', '.join(keys)}) DO UPDATE SET {changes}",
        "insert",
        table,
    )


def _update_runs() -> Statement:
    """Takes what `run_columns.gathered` gives."""
    columns = {name: _NUMBERS.get(name, "text") for name in COLUMNS}
    given = {f"old_{name}": "bigint" for name in _GUARDS} | columns
    given |= {"moved": "boolean", "due_us": "bigint", "doc": "text"}
    changes = ", ".join(f"{name} = new.{name}" for name in COLUMNS if name != "id")
    guards = " AND ".join(f"runs.{name} = new.old_{name}" for name in _GUARDS)
    return Statement(
        f"UPDATE runs SET {changes}, doc = new.doc, "
        "due_us = CASE WHEN new.moved THEN new.due_us ELSE runs.due_us END "
        f"FROM unnest({', '.join(f'?::{kind}[]' for kind in given.values())}) "
        f"AS new({', '.join(given)}) WHERE runs.id = new.id AND {guards}",
        "update",
        "runs",
    )


STATEMENTS: Final = {
    "runs": _update_runs(),
    "run_folds": _upsert("run_folds", {"run_id": "text"}, {"doc": "text"}, add=False),
    "steps": _upsert("steps", {"run_id": "text", "n": "bigint"}, {"doc": "text"}, add=False),
    "leases": _upsert(
        "leases",
        {"run_id": "text"},
        {"epoch": "bigint", "node_id": "text", "expires_us": "bigint"},
        add=False,
    ),
    "event_blocks": _upsert(
        "event_blocks",
        {"run": "bigint", "block": "bigint"},
        {"types": "bigint", "levels": "bigint"},
        add=False,
    ),
    "counters": _upsert(
        "counters",
        {"span": "text", "start_us": "bigint", "name": "text"},
        {"value": "double precision"},
        add=True,
    ),
}
"""By table, in the order they are written."""
_GATHERED: Final = frozenset({*STATEMENTS, EVENTS})


@lru_cache(maxsize=4096)
def tables_named(sql: str) -> frozenset[str]:
    """The tables with gathered rows that a statement might look at or change."""
    return _GATHERED.intersection(_WORD.findall(sql))


def as_arrays(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows, at least one, as a list for each column."""
    return [list(column) for column in zip(*rows, strict=True)]
