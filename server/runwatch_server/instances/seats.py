"""The instances that runs may want, as `fitting` looks at them."""

from typing import Final

from runwatch_server.fitting import NO_SEATS, Seat, Seats
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.storage.kept import KeptReads

PAGE: Final = 1000


def seats_of(rows: KeptReads[InstanceRow]) -> dict[str, Seat]:
    """Those of all instances."""
    found: dict[str, Seat] = {}
    after: tuple[int, str] | None = None
    while True:
        page = rows.find(after=after, limit=PAGE)
        found |= {row.id: row.seat for row in page if row.seat is not None}
        if len(page) < PAGE:
            return found
        after = (page[-1].created_us, page[-1].id)


def seat_of(rows: KeptReads[InstanceRow], instance_id: str | None) -> Seats:
    """That of one, where one is wanted."""
    row = None if instance_id is None else rows.get(instance_id)
    if row is None or row.seat is None:
        return NO_SEATS
    return {row.id: row.seat}
