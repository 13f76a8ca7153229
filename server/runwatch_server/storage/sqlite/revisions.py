"""The revision a snapshot stands at."""

from typing import Final

from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.statements import load

_SQL: Final = load("sqlite", "meta")


def revision_of(connection: Connection) -> int:
    """The revision of the last commit this connection sees."""
    return int(connection.value(_SQL["revision"]))
