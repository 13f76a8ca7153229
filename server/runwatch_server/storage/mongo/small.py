"""What is kept of few rows each: what pruning was asked for, answers to be repeated, alerts."""

from collections.abc import Collection, Mapping

import msgspec

from runwatch_server.alerts.row import AlertRow
from runwatch_server.rows import PruneRow, ReplayRow
from runwatch_server.storage.mongo.context import WriteContext
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.sql.documents import PRUNE


class PruneReader:
    """`protocols.PruneReads`."""

    def __init__(self, view: View) -> None:
        self._view = view

    def get(self, prune_id: int) -> PruneRow | None:
        row = self._view.get("prunes", prune_key(prune_id))
        return None if row is None else _prune(row)

    def open(self) -> PruneRow | None:
        rows = self._view.find("prunes", {"done": False}, [("_id", 1)], limit=1)
        return _prune(rows[0]) if rows else None


class PruneWriter(PruneReader):
    """`protocols.PruneWrites`."""

    def __init__(self, context: WriteContext) -> None:
        super().__init__(context.view)
        self._context = context

    def put(self, row: PruneRow) -> PruneRow:
        if not row.id:
            row = msgspec.structs.replace(row, id=self._context.new_number("prunes"))
        elif self.get(row.id) is None:
            return row
        self._view.put("prunes", prune_key(row.id), prune_fields(row, PRUNE.text(row)))
        return row

    def drop(self, prune_id: int) -> None:
        self._view.remove("prunes", prune_key(prune_id))

    def drop_done(self, asked_before_us: int) -> None:
        where = {"done": True, "asked_us": {"$lt": asked_before_us}}
        for row in self._view.find("prunes", where, [("_id", 1)]):
            self._view.remove("prunes", row["_id"])


class ReplayWriter:
    """`protocols.ReplayWrites`."""

    def __init__(self, view: View) -> None:
        self._view = view

    def get(self, principal: str, route: str, key: str) -> ReplayRow | None:
        row = self._view.get("replays", replay_key(principal, route, key))
        if row is None:
            return None
        return ReplayRow(
            principal=principal,
            route=route,
            key=key,
            body_sha256=row["body_sha256"],
            status=row["status"],
            body=bytes(row["body"]),
            at_us=row["at_us"],
        )

    def put(self, row: ReplayRow) -> None:
        fields = {
            "body_sha256": row.body_sha256,
            "status": row.status,
            "body": row.body,
            "at_us": row.at_us,
        }
        self._view.put("replays", replay_key(row.principal, row.route, row.key), fields)


class AlertWriter:
    """`protocols.AlertWrites`."""

    def __init__(self, view: View) -> None:
        self._view = view

    def mark(self, *, over: Collection[str], tried: Mapping[str, int]) -> None:
        for alert_id in over:
            self._view.remove("alerts", alert_id)
        for alert_id, attempts in tried.items():
            row = self._view.get("alerts", alert_id)
            if row is not None:
                self._view.put("alerts", alert_id, {**row, "attempts": attempts})


def insert_alert(context: WriteContext, alert: AlertRow) -> None:
    """Store an alert in the group of the change that made it."""
    fields = dict(zip(AlertRow._fields, alert, strict=True))
    context.view.put("alerts", alert.id, {**fields, "place": context.new_number("alerts")})


def pending_alerts(view: View) -> list[AlertRow]:
    """Oldest first."""
    rows = view.find("alerts", {}, [("place", 1), ("_id", 1)])
    return [AlertRow(**{name: row[name] for name in AlertRow._fields}) for row in rows]


def prune_fields(row: PruneRow, doc: str) -> Fields:
    """A prune as it is stored."""
    return {"done": row.done, "asked_us": row.asked_us, "doc": doc}


def prune_key(prune_id: int) -> str:
    """The id of a prune."""
    return f"{prune_id:016x}"


def _prune(row: Fields) -> PruneRow:
    return msgspec.structs.replace(PRUNE.row(row["doc"]), id=int(row["_id"], 16))


def replay_key(principal: str, route: str, key: str) -> str:
    """The id of an answer to be repeated."""
    return msgspec.json.encode([principal, route, key]).decode()


def replay_of(key: str) -> tuple[str, str, str]:
    """Principal, route and key of such an id."""
    return msgspec.json.decode(key, type=tuple[str, str, str])
