"""Leases in MongoDB, in a collection of their own: a renewal is no change of the run."""

from runwatch_server.rows import LeaseRow
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.view import View


class LeaseReader:
    """`protocols.LeaseReads`."""

    def __init__(self, view: View) -> None:
        self._view = view

    def get(self, run_id: str) -> LeaseRow | None:
        row = self._view.get("leases", run_id)
        return None if row is None else _lease(row)

    def of_node(self, node_id: str) -> list[LeaseRow]:
        return [
            _lease(row) for row in self._view.find("leases", {"node_id": node_id}, [("_id", 1)])
        ]

    def expired(self, now_us: int, *, limit: int) -> list[LeaseRow]:
        rows = self._view.find(
            "leases",
            {"expires_us": {"$lte": now_us}},
            [("expires_us", 1), ("_id", 1)],
            limit=limit,
        )
        return [_lease(row) for row in rows]


class LeaseWriter(LeaseReader):
    """`protocols.LeaseWrites`."""

    def put(self, row: LeaseRow) -> None:
        fields = {"epoch": row.epoch, "node_id": row.node_id, "expires_us": row.expires_us}
        self._view.put("leases", row.run_id, fields)

    def drop(self, run_id: str) -> None:
        self._view.remove("leases", run_id)


def _lease(row: Fields) -> LeaseRow:
    return LeaseRow(
        run_id=row["_id"],
        epoch=row["epoch"],
        node_id=row["node_id"],
        expires_us=row["expires_us"],
    )
