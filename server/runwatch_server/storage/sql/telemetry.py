"""Sessions known by telemetry, and which records of theirs were taken, in SQL."""

from collections.abc import Sequence

import msgspec

from runwatch_server.otlp.row import TelemetryRow
from runwatch_server.storage.sql.connection import Connection, SqlRow
from runwatch_server.storage.sql.documents import TELEMETRY


class TelemetryWriter:
    """`storage.telemetry.TelemetryWrites`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = connection.statements("telemetry")

    def get(self, agent_type: str, session_id: str) -> TelemetryRow | None:
        found = self._connection.one(self._sql["get"], (agent_type, session_id))
        return None if found is None else _row(found)

    def put(self, row: TelemetryRow) -> TelemetryRow:
        moments = (row.last_us, row.due_us, TELEMETRY.text(row))
        if row.key:
            self._connection.run(self._sql["replace"], (*moments, row.key))
            return row
        key = self._connection.value(
            self._sql["insert"], (row.agent_type, row.session_id, *moments)
        )
        return msgspec.structs.replace(row, key=key)

    def remember(self, row: TelemetryRow, digests: Sequence[int]) -> list[bool]:
        new: list[bool] = []
        number = row.seen
        for digest in digests:
            self._connection.run(self._sql["remember"], (row.key, digest, number + 1))
            new.append(self._connection.changes() > 0)
            number += new[-1]
        return new

    def forget(self, row: TelemetryRow, *, up_to: int) -> None:
        self._connection.run(self._sql["forget"], (row.key, up_to))

    def due(self, now_us: int, *, limit: int) -> list[TelemetryRow]:
        return [_row(found) for found in self._connection.all(self._sql["due"], (now_us, limit))]

    def prune(self, before_us: int, *, limit: int) -> int:
        gone = self._connection.all(self._sql["settled"], (before_us, limit))
        for (key,) in gone:
            self._connection.run(self._sql["drop_seen"], (key,))
            self._connection.run(self._sql["drop"], (key,))
        return len(gone)


def _row(found: SqlRow) -> TelemetryRow:
    return msgspec.structs.replace(TELEMETRY.row(found[1]), key=found[0])
