"""Answers kept for repeated requests (contract 1.5) in SQL."""

from runwatch_server.rows import ReplayRow
from runwatch_server.storage.sql.connection import Connection


class ReplayWriter:
    """`protocols.ReplayWrites`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = connection.statements("replays")

    def get(self, principal: str, route: str, key: str) -> ReplayRow | None:
        row = self._connection.one(self._sql["get"], (principal, route, key))
        if row is None:
            return None
        body_sha256, status, body, at_us = row
        return ReplayRow(
            principal=principal,
            route=route,
            key=key,
            body_sha256=body_sha256,
            status=status,
            body=body,
            at_us=at_us,
        )

    def put(self, row: ReplayRow) -> None:
        self._connection.run(
            self._sql["put"],
            (
                row.principal,
                row.route,
                row.key,
                row.body_sha256,
                row.status,
                row.body,
                row.at_us,
            ),
        )
