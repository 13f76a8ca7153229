"""Sessions known by telemetry, and which records of theirs were taken, in MongoDB."""

from collections.abc import Sequence

import msgspec

from runwatch_server.otlp.row import TelemetryRow
from runwatch_server.storage.mongo.context import WriteContext
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.sql.documents import TELEMETRY


class TelemetryWriter:
    """`storage.telemetry.TelemetryWrites`."""

    def __init__(self, context: WriteContext) -> None:
        self._context = context
        self._view = context.view

    def get(self, agent_type: str, session_id: str) -> TelemetryRow | None:
        where = {"agent_type": agent_type, "session_id": session_id}
        rows = self._view.find("telemetry", where, [("_id", 1)], limit=1)
        return _row(rows[0]) if rows else None

    def put(self, row: TelemetryRow) -> TelemetryRow:
        if not row.key:
            row = msgspec.structs.replace(row, key=self._context.new_number("telemetry"))
        fields = {
            "agent_type": row.agent_type,
            "session_id": row.session_id,
            "last_us": row.last_us,
            "due_us": row.due_us,
            "doc": TELEMETRY.text(row),
        }
        self._view.put("telemetry", key_of(row.key), fields)
        return row

    def remember(self, row: TelemetryRow, digests: Sequence[int]) -> list[bool]:
        new: list[bool] = []
        number = row.seen
        for digest in digests:
            key = seen_key(row.key, digest)
            new.append(self._view.get("seen", key) is None)
            if new[-1]:
                number += 1
                self._view.put("seen", key, {"session": row.key, "number": number})
        return new

    def forget(self, row: TelemetryRow, *, up_to: int) -> None:
        self._forget({"session": row.key, "number": {"$lte": up_to}})

    def due(self, now_us: int, *, limit: int) -> list[TelemetryRow]:
        rows = self._view.find(
            "telemetry", {"due_us": {"$lte": now_us}}, [("due_us", 1), ("_id", 1)], limit=limit
        )
        return [_row(row) for row in rows]

    def prune(self, before_us: int, *, limit: int) -> int:
        where = {"due_us": None, "last_us": {"$lt": before_us}}
        rows = self._view.find("telemetry", where, [("last_us", 1), ("_id", 1)], limit=limit)
        for row in rows:
            self._forget({"session": int(row["_id"], 16)})
            self._view.remove("telemetry", row["_id"])
        return len(rows)

    def _forget(self, where: Fields) -> None:
        for row in self._view.find("seen", where, [("_id", 1)]):
            self._view.remove("seen", row["_id"])


def key_of(number: int) -> str:
    """The id of a session."""
    return f"{number:016x}"


def seen_key(number: int, digest: int) -> str:
    """The id of a digest that a session has seen."""
    return f"{key_of(number)}:{digest:x}"


def digest_of(key: str) -> int:
    """The digest of such an id."""
    return int(key.partition(":")[2], 16)


def _row(row: Fields) -> TelemetryRow:
    return msgspec.structs.replace(TELEMETRY.row(row["doc"]), key=int(row["_id"], 16))
