"""Nodes in SQL; a fleet has thousands at most."""

import msgspec

from runwatch_server.rows import NodeRow
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.sql.context import WriteContext
from runwatch_server.storage.sql.documents import NODE
from runwatch_server.storage.sql.tombstones import bury, process_of_deleted, unbury
from runwatch_shared.errors import ConflictError


class NodeReader:
    """`protocols.NodeReads`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = connection.statements("nodes")

    def get(self, node_id: str) -> NodeRow | None:
        text = self._connection.value(self._sql["get"], (node_id,))
        return None if text is None else NODE.row(text)

    def all(self) -> list[NodeRow]:
        return [NODE.row(text) for (text,) in self._connection.all(self._sql["all"])]

    def deleted_process(self, node_id: str) -> str | None:
        return process_of_deleted(self._connection, node_id)

    def changed_since(self, revision: int, limit: int) -> list[NodeRow]:
        rows = self._connection.all(self._sql["changed"], (revision, limit))
        return [NODE.row(text) for (text,) in rows]


class NodeWriter(NodeReader):
    """`protocols.NodeWrites`; remembers what it last saw, as nobody else writes."""

    def __init__(self, connection: Connection, context: WriteContext) -> None:
        super().__init__(connection)
        self._context = context

    def get(self, node_id: str) -> NodeRow | None:
        row = self._context.nodes.get(node_id)
        if row is None:
            row = super().get(node_id)
            if row is not None:
                self._context.nodes.put(node_id, row)
        return row

    def save(self, row: NodeRow) -> NodeRow:
        context = self._context
        before = self.get(row.id)
        row = msgspec.structs.replace(row, revision=context.revision)
        self._connection.run(self._sql["save"], (row.id, row.revision, NODE.text(row)))
        if before is None:
            unbury(self._connection, "node", row.id)
        context.nodes.put(row.id, row)
        context.changes.node(before, row)
        return row

    def delete(self, row: NodeRow) -> None:
        context = self._context
        before = self.get(row.id)
        if before is None:
            raise ConflictError(f"node {row.id} is gone")
        self._connection.run(self._sql["delete"], (row.id,))
        context.nodes.forget(row.id)
        bury(
            self._connection,
            "node",
            row.id,
            context.revision,
            context.now_us,
            process_id=before.process_id,
        )
        context.changes.node(before, None)
