"""A page of a run's events of some types and levels, block by block; unfiltered pages are in
`events`.
"""

from collections.abc import Iterator
from typing import Final

from runwatch_server.rows import EventRow
from runwatch_server.storage.protocols import EventQuery, EventRows
from runwatch_server.storage.sql import event_blocks
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.sql.event_blocks import BLOCK
from runwatch_server.storage.statements import Statement

_BEYOND_ALL: Final = 2**62

Range = tuple[int, int]
"""Numbers from the first to the last, both included."""


def page(
    connection: Connection, query: EventQuery, run: int, columns: str, *, downward: bool
) -> EventRows:
    """See `protocols.EventReads.page`; without ``q``.

    Args:
        run: The run's small key.
        columns: What is read of an event, in the order of `EventRow`.
    """
    low = 1 if query.after_seq is None else query.after_seq + 1
    high = _BEYOND_ALL if query.before_seq is None else query.before_seq - 1
    terms: list[str] = []
    given: list[str] = []
    for column, values in (("type", query.types), ("level", query.levels)):
        if values is not None:
            terms.append(f"{column} IN ({', '.join('?' * len(values))})")
            given.extend(values)
    order = "DESC" if downward else "ASC"
    where = " AND ".join(["run = ?", "seq BETWEEN ? AND ?", *terms])
    sql = f"SELECT {columns} FROM events WHERE {where} ORDER BY seq {order} LIMIT ?"
    statement = Statement(sql, "select", "events")
    found: list[EventRow] = []
    looked_at, scanned_to = 0, None
    for first, last in _ranges(connection, query, run, low, high, downward=downward):
        if looked_at >= query.filter_scan_limit:
            scanned_to = last + 1 if downward else first - 1
            break
        wanted = query.limit - len(found)
        rows = connection.all(statement, (run, first, last, *given, wanted))
        found += map(connection.event, rows)
        if len(found) >= query.limit:
            break
        looked_at += BLOCK
    if downward:
        found.reverse()
    return EventRows(events=found, scanned_to_seq=scanned_to)


def _ranges(
    connection: Connection, query: EventQuery, run: int, low: int, high: int, *, downward: bool
) -> Iterator[Range]:
    """What must be looked at, in the order of reading.

    Events stored before blocks were kept come before the first block and are one range.
    """
    known = event_blocks.first_block(connection, run)
    if known is None:
        yield low, high
        return
    types, levels = event_blocks.types_of(query.types), event_blocks.levels_of(query.levels)
    edge = event_blocks.first_seq(known)
    if not downward and low < edge:
        yield low, min(high, edge - 1)
    begin = min(high, _BEYOND_ALL) // BLOCK if downward else max(low, edge) // BLOCK
    for block in event_blocks.matching(connection, run, begin, types, levels, downward=downward):
        first = max(low, event_blocks.first_seq(block))
        last = min(high, event_blocks.first_seq(block) + BLOCK - 1)
        if first > last:
            return
        yield first, last
    if downward and low < edge:
        yield low, min(high, edge - 1)
