"""Undelivered alerts in SQL."""

from collections.abc import Collection, Mapping

from runwatch_server.alerts.row import AlertRow
from runwatch_server.storage.sql.connection import Connection


def pending(connection: Connection) -> list[AlertRow]:
    """Oldest first."""
    return [AlertRow(*row) for row in connection.all(connection.statements("alerts")["pending"])]


def insert(connection: Connection, alert: AlertRow) -> None:
    """Store an alert in the transaction of the change that made it."""
    connection.run(connection.statements("alerts")["insert"], alert)


class AlertWriter:
    """`protocols.AlertWrites`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = connection.statements("alerts")

    def mark(self, *, over: Collection[str], tried: Mapping[str, int]) -> None:
        for alert_id in over:
            self._connection.run(self._sql["over"], (alert_id,))
        for alert_id, attempts in tried.items():
            self._connection.run(self._sql["tried"], (attempts, alert_id))
