"""Leases on SQLite, in a table of their own: a renewal is no change of the run."""

from typing import Final

from runwatch_server.rows import LeaseRow
from runwatch_server.storage.sqlite.connection import Connection, SqlRow
from runwatch_server.storage.statements import load

_SQL: Final = load("sqlite", "leases")


class LeaseReader:
    """`protocols.LeaseReads`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, run_id: str) -> LeaseRow | None:
        row = self._connection.one(_SQL["get"], (run_id,))
        return None if row is None else _lease(row)

    def of_node(self, node_id: str) -> list[LeaseRow]:
        return [_lease(row) for row in self._connection.all(_SQL["of_node"], (node_id,))]

    def expired(self, now_us: int, *, limit: int) -> list[LeaseRow]:
        return [_lease(row) for row in self._connection.all(_SQL["expired"], (now_us, limit))]


class LeaseWriter(LeaseReader):
    """`protocols.LeaseWrites`."""

    def put(self, row: LeaseRow) -> None:
        self._connection.run(_SQL["renew"], (row.expires_us, row.run_id, row.epoch, row.node_id))
        if not self._connection.raw.changes():
            self._connection.run(_SQL["put"], (row.run_id, row.epoch, row.node_id, row.expires_us))

    def drop(self, run_id: str) -> None:
        self._connection.run(_SQL["drop"], (run_id,))


def _lease(row: SqlRow) -> LeaseRow:
    run_id, epoch, node_id, expires_us = row
    return LeaseRow(run_id=run_id, epoch=epoch, node_id=node_id, expires_us=expires_us)
