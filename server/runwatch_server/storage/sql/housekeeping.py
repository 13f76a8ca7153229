"""Removing what is past its time, a bounded piece at once, so that no commit takes long."""

from runwatch_server.storage.sql import counters, tombstones
from runwatch_server.storage.sql.connection import Connection


class Housekeeper:
    """`protocols.Housekeeping`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = connection.statements("housekeeping")

    def prune(
        self,
        *,
        minutes_before_us: int,
        days_before_us: int,
        tombstones_before_us: int,
        replays_before_us: int,
        sessions_before_us: int,
        limit: int,
    ) -> int:
        gone = counters.prune(self._connection, "minute", minutes_before_us, limit)
        gone += counters.prune(self._connection, "day", days_before_us, limit)
        gone += tombstones.prune(self._connection, tombstones_before_us, limit)
        gone += self._delete("prune_replays", replays_before_us, limit)
        gone += self._delete("prune_sessions", sessions_before_us, limit)
        return gone

    def look_again(self, thresholds: str) -> bool:
        if self._connection.value(self._sql["thresholds"]) == thresholds:
            return False
        self._connection.run(self._sql["set_thresholds"], (thresholds,))
        self._connection.run(self._sql["make_active_due"])
        return True

    def _delete(self, name: str, before_us: int, limit: int) -> int:
        self._connection.run(self._sql[name], (before_us, limit))
        return self._connection.changes()
