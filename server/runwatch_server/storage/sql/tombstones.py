"""What is left of deleted rows, so that a resumed feed can say they are gone."""

from runwatch_server.rows import Tombstone
from runwatch_server.storage.sql.connection import Connection


def bury(
    connection: Connection,
    kind: str,
    key: str,
    revision: int,
    at_us: int,
    *,
    process_id: str | None = None,
) -> None:
    """Leave a tombstone; ``process_id`` is the node process that beat last."""
    connection.run(
        connection.statements("tombstones")["bury"], (kind, key, revision, at_us, process_id)
    )


def unbury(connection: Connection, kind: str, key: str) -> None:
    """A row of this key exists again."""
    connection.run(connection.statements("tombstones")["unbury"], (kind, key))


def process_of_deleted(connection: Connection, node_id: str) -> str | None:
    """See `protocols.NodeReads.deleted_process`."""
    found = connection.value(connection.statements("tombstones")["process"], (node_id,))
    return None if found is None else str(found)


def removed_since(connection: Connection, revision: int, limit: int) -> list[Tombstone]:
    rows = connection.all(connection.statements("tombstones")["changed"], (revision, limit))
    return [
        Tombstone(kind=kind, id=key, revision=number, at_us=at_us)
        for kind, key, number, at_us in rows
    ]


def oldest_resumable(connection: Connection) -> int:
    """See `protocols.ReadTx.oldest_resumable`."""
    return int(connection.value(connection.statements("tombstones")["resumable"]))


def prune(connection: Connection, before_us: int, limit: int) -> int:
    """Remove at most ``limit`` tombstones; a feed may then resume only from later revisions."""
    revisions = [
        number
        for (number,) in connection.all(
            connection.statements("tombstones")["old"], (before_us, limit)
        )
    ]
    if not revisions:
        return 0
    connection.run(connection.statements("tombstones")["prune"], (before_us, revisions[-1]))
    gone = connection.changes()
    connection.run(connection.statements("tombstones")["set_resumable"], (revisions[-1],))
    return gone
