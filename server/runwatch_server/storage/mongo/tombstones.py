"""What is left of deleted rows, so that a resumed feed can say they are gone."""

from runwatch_server.rows import Tombstone
from runwatch_server.storage.mongo.context import WriteContext
from runwatch_server.storage.mongo.state import number
from runwatch_server.storage.mongo.view import View


def bury(context: WriteContext, kind: str, key: str, *, process_id: str | None = None) -> None:
    """Leave a tombstone; ``process_id`` is the node process that beat last."""
    row = {
        "kind": kind,
        "id": key,
        "revision": context.revision,
        "at_us": context.now_us,
        "process_id": process_id,
    }
    context.view.put("tombstones", f"{kind}:{key}", row)


def unbury(view: View, kind: str, key: str) -> None:
    """A row of this key exists again."""
    view.remove("tombstones", f"{kind}:{key}")


def process_of_deleted(view: View, node_id: str) -> str | None:
    """See `protocols.NodeReads.deleted_process`."""
    row = view.get("tombstones", f"node:{node_id}")
    return None if row is None else row["process_id"]


def removed_since(view: View, revision: int, limit: int) -> list[Tombstone]:
    rows = view.find(
        "tombstones", {"revision": {"$gt": revision}}, [("revision", 1), ("_id", 1)], limit=limit
    )
    return [
        Tombstone(kind=row["kind"], id=row["id"], revision=row["revision"], at_us=row["at_us"])
        for row in rows
    ]


def prune(view: View, before_us: int, limit: int) -> int:
    """Remove at most ``limit`` tombstones, those of one revision together; a feed may then resume
    only from later revisions.
    """
    old = {"at_us": {"$lt": before_us}}
    order = [("revision", 1), ("_id", 1)]
    first = view.find("tombstones", old, order, limit=limit)
    if not first:
        return 0
    last = first[-1]["revision"]
    rows = view.find("tombstones", {**old, "revision": {"$lte": last}}, order)
    for row in rows:
        view.remove("tombstones", row["_id"])
    view.put("state", "resumable", {"value": max(last, number(view, "resumable"))})
    return len(rows)
