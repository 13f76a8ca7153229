"""Leases in SQL, in a table of their own: a renewal is no change of the run."""

from runwatch_server.rows import LeaseRow
from runwatch_server.storage.sql.connection import Connection, SqlRow, WritingConnection
from runwatch_server.storage.sql.context import WriteContext


class LeaseReader:
    """`protocols.LeaseReads`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = connection.statements("leases")

    def get(self, run_id: str) -> LeaseRow | None:
        row = self._connection.one(self._sql["get"], (run_id,))
        return None if row is None else _lease(row)

    def of_node(self, node_id: str) -> list[LeaseRow]:
        return [_lease(row) for row in self._connection.all(self._sql["of_node"], (node_id,))]

    def expired(self, now_us: int, *, limit: int) -> list[LeaseRow]:
        return [_lease(row) for row in self._connection.all(self._sql["expired"], (now_us, limit))]


class LeaseWriter(LeaseReader):
    """`protocols.LeaseWrites`; remembers what it last saw, as nobody else writes."""

    _connection: WritingConnection

    def __init__(self, connection: WritingConnection, context: WriteContext) -> None:
        super().__init__(connection)
        self._context = context

    def get(self, run_id: str) -> LeaseRow | None:
        row = self._context.leases.get(run_id)
        if row is None:
            row = super().get(run_id)
            if row is not None:
                self._context.leases.put(run_id, row)
        return row

    def put(self, row: LeaseRow) -> None:
        self._context.leases.put(row.run_id, row)
        values = (row.run_id, row.epoch, row.node_id, row.expires_us)
        if self._connection.later("leases", row.run_id, values):
            return
        self._connection.run(
            self._sql["renew"], (row.expires_us, row.run_id, row.epoch, row.node_id)
        )
        if not self._connection.changes():
            self._connection.run(self._sql["put"], values)

    def drop(self, run_id: str) -> None:
        self._context.leases.forget(run_id)
        self._connection.run(self._sql["drop"], (run_id,))


def _lease(row: SqlRow) -> LeaseRow:
    run_id, epoch, node_id, expires_us = row
    return LeaseRow(run_id=run_id, epoch=epoch, node_id=node_id, expires_us=expires_us)
