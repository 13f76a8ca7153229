"""The revision a snapshot stands at."""

from runwatch_server.storage.sql.connection import Connection


def revision_of(connection: Connection) -> int:
    """The revision of the last commit this connection sees."""
    return int(connection.value(connection.statements("meta")["revision"]))
