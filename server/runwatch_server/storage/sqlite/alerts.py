"""Undelivered alerts on SQLite."""

from collections.abc import Collection, Mapping
from typing import Final

from runwatch_server.alerts.row import AlertRow
from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.statements import load

_SQL: Final = load("sqlite", "alerts")


def pending(connection: Connection) -> list[AlertRow]:
    """Oldest first."""
    return [AlertRow(*row) for row in connection.all(_SQL["pending"])]


def insert(connection: Connection, alert: AlertRow) -> None:
    """Store an alert in the transaction of the change that made it."""
    connection.run(_SQL["insert"], alert)


class AlertWriter:
    """`protocols.AlertWrites`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def mark(self, *, over: Collection[str], tried: Mapping[str, int]) -> None:
        for alert_id in over:
            self._connection.run(_SQL["over"], (alert_id,))
        for alert_id, attempts in tried.items():
            self._connection.run(_SQL["tried"], (attempts, alert_id))
