"""Kept counters in SQL: each moved once a commit, whatever the number of works in it."""

from typing import Final

from runwatch_server.storage.protocols import Span
from runwatch_server.storage.sql.bulk import BulkInsert
from runwatch_server.storage.sql.connection import Connection, WritingConnection

_ADD: Final = BulkInsert(
    "INSERT INTO counters(span, start_us, name, value)",
    table="counters",
    columns=4,
    tail="ON CONFLICT(span, start_us, name) DO UPDATE SET value = counters.value + excluded.value",
)


def add(connection: WritingConnection, increments: list[tuple[Span, int, str, float]]) -> None:
    """Add to counters, each named once; the last of a transaction."""
    if not all(connection.later("counters", row[:3], row) for row in increments):
        _ADD.run(connection, increments)


def all_of(connection: Connection) -> list[tuple[Span, int, str, float]]:
    """(span, start_us, name, value) of every counter."""
    return [
        (span, start, name, value)
        for span, start, name, value in connection.all(connection.statements("counters")["all"])
    ]


def value(connection: Connection, name: str) -> float:
    """A counter of all time; 0 when it was never moved."""
    found: float | None = connection.value(connection.statements("counters")["value"], (name,))
    return found or 0.0


def prune(connection: Connection, span: Span, before_us: int, limit: int) -> int:
    """Remove at most ``limit`` counters of a span that began before a moment."""
    connection.run(connection.statements("counters")["prune"], (span, before_us, limit))
    return connection.changes()
