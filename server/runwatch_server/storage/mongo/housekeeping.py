"""Removing what is past its time, a bounded piece at once, so that no commit takes long."""

from runwatch_server.storage.mongo import counters, tombstones
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.view import View


class Housekeeper:
    """`protocols.Housekeeping`."""

    def __init__(self, view: View) -> None:
        self._view = view

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
        over = {"$lt": sessions_before_us}
        gone = counters.prune(self._view, "minute", minutes_before_us, limit)
        gone += counters.prune(self._view, "day", days_before_us, limit)
        gone += tombstones.prune(self._view, tombstones_before_us, limit)
        gone += self._remove("replays", {"at_us": {"$lt": replays_before_us}}, limit)
        # A session is of no use once it ended or expired.
        gone += self._remove("sessions", {"$or": [{"expires_us": over}, {"ended_us": over}]}, limit)
        return gone

    def look_again(self, thresholds: str) -> bool:
        row = self._view.get("state", "thresholds")
        if row is not None and row["value"] == thresholds:
            return False
        self._view.put("state", "thresholds", {"value": thresholds})
        for found in self._view.find("runs", {"active": True}, [("_id", 1)]):
            self._view.put("dues", found["_id"], {"due_us": 0})
        return True

    def _remove(self, kind: str, where: Fields, limit: int) -> int:
        rows = self._view.find(kind, where, [("_id", 1)], limit=limit)
        return sum(self._view.remove(kind, row["_id"]) for row in rows)
