"""Single values that are kept, and what a store holds altogether."""

from typing import Final

from runwatch_server.rows import Size
from runwatch_server.storage.mongo import counters
from runwatch_server.storage.mongo.view import View

EVENT_BYTES: Final = 160
"""What an event takes beside its payload and raw line: names of fields, numbers, index entries."""


def revision_of(view: View) -> int:
    """The revision of the last commit a view sees."""
    return number(view, "revision")


def oldest_resumable(view: View) -> int:
    """See `protocols.ReadTx.oldest_resumable`."""
    return number(view, "resumable")


def number(view: View, name: str) -> int:
    """A kept number; 0 when it was never set."""
    row = view.get("state", name)
    return 0 if row is None else int(row["value"])


def size_of(view: View, file_bytes: int) -> Size:
    """What a view holds; of what retention bounds, the events are all that grows."""
    events = int(counters.value(view, "kept_events"))
    used = number(view, "event_bytes") + events * EVENT_BYTES
    return Size(events=events, used_bytes=used, file_bytes=max(file_bytes, used))
