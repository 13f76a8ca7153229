"""What ``monitor-server prune`` asked of the server, in SQL; a handful of rows at most."""

import msgspec

from runwatch_server.rows import PruneRow
from runwatch_server.storage.sql.connection import Connection, SqlRow
from runwatch_server.storage.sql.documents import PRUNE


class PruneReader:
    """`protocols.PruneReads`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = connection.statements("prunes")

    def get(self, prune_id: int) -> PruneRow | None:
        return _row(self._connection.one(self._sql["get"], (prune_id,)))

    def open(self) -> PruneRow | None:
        return _row(self._connection.one(self._sql["open"]))


class PruneWriter(PruneReader):
    """`protocols.PruneWrites`."""

    def put(self, row: PruneRow) -> PruneRow:
        if row.id:
            self._connection.run(self._sql["replace"], (int(row.done), PRUNE.text(row), row.id))
            return row
        number = self._connection.value(self._sql["insert"], (int(row.done), PRUNE.text(row)))
        return msgspec.structs.replace(row, id=number)

    def drop(self, prune_id: int) -> None:
        self._connection.run(self._sql["drop"], (prune_id,))

    def drop_done(self, asked_before_us: int) -> None:
        self._connection.run(self._sql["drop_done"], (asked_before_us,))


def _row(found: SqlRow | None) -> PruneRow | None:
    return None if found is None else msgspec.structs.replace(PRUNE.row(found[1]), id=found[0])
