"""Nodes in MongoDB; a fleet has thousands at most."""

import msgspec

from runwatch_server.rows import NodeRow
from runwatch_server.storage.mongo.context import WriteContext
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.tombstones import bury, process_of_deleted, unbury
from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.sql.documents import NODE
from runwatch_shared.errors import ConflictError


class NodeReader:
    """`protocols.NodeReads`."""

    def __init__(self, view: View) -> None:
        self._view = view

    def get(self, node_id: str) -> NodeRow | None:
        row = self._view.get("nodes", node_id)
        return None if row is None else NODE.row(row["doc"])

    def all(self) -> list[NodeRow]:
        return [NODE.row(row["doc"]) for row in self._view.find("nodes", {}, [("_id", 1)])]

    def deleted_process(self, node_id: str) -> str | None:
        return process_of_deleted(self._view, node_id)

    def changed_since(self, revision: int, limit: int) -> list[NodeRow]:
        rows = self._view.find(
            "nodes", {"revision": {"$gt": revision}}, [("revision", 1), ("_id", 1)], limit=limit
        )
        return [NODE.row(row["doc"]) for row in rows]


class NodeWriter(NodeReader):
    """`protocols.NodeWrites`."""

    def __init__(self, context: WriteContext) -> None:
        super().__init__(context.view)
        self._context = context

    def save(self, row: NodeRow) -> NodeRow:
        context = self._context
        before = self.get(row.id)
        row = msgspec.structs.replace(row, revision=context.revision)
        self._view.put("nodes", row.id, fields_of(row, NODE.text(row)))
        if before is None:
            unbury(self._view, "node", row.id)
        context.changes.node(before, row)
        return row

    def delete(self, row: NodeRow) -> None:
        before = self.get(row.id)
        if before is None:
            raise ConflictError(f"node {row.id} is gone")
        self._view.remove("nodes", row.id)
        bury(self._context, "node", row.id, process_id=before.process_id)
        self._context.changes.node(before, None)


def fields_of(row: NodeRow, doc: str) -> Fields:
    """A node as it is stored."""
    return {"revision": row.revision, "doc": doc}
