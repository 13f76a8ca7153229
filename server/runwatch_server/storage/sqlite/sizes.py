"""How much a database holds, from numbers that are kept: a counter and the head of the file."""

from runwatch_server.rows import Size
from runwatch_server.storage.sqlite import counters
from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.tally import KEPT_EVENTS


def of(connection: Connection) -> Size:
    """As this connection's transaction sees it."""
    page_bytes, pages, free = (
        int(connection.raw.pragma(name)) for name in ("page_size", "page_count", "freelist_count")
    )
    return Size(
        events=max(0, round(counters.value(connection, KEPT_EVENTS))),
        used_bytes=(pages - free) * page_bytes,
        file_bytes=pages * page_bytes,
    )
