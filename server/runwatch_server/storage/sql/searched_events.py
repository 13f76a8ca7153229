"""A page of a run's events that hold a word: what the search index points to, and one by one what
it does not have yet. Pages without ``q`` are in `events`.
"""

from contextlib import closing
from typing import Final

from runwatch_server.rows import EventRow
from runwatch_server.storage.event_text import Word
from runwatch_server.storage.protocols import EventQuery, EventRows
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.sql.searching import Search, Spans
from runwatch_server.storage.statements import Statement

_BEYOND_ALL: Final = 2**62

Range = tuple[int, int]
"""Numbers from the first to the last, both included."""


def page(
    connection: Connection,
    query: EventQuery,
    columns: str,
    search: Search | None,
    *,
    downward: bool,
) -> EventRows:
    """See `protocols.EventReads.page`; with ``q``.

    Args:
        columns: What is read of an event, in the order of `EventRow`.
        search: None looks at every event.
    """
    low = 1 if query.after_seq is None else query.after_seq + 1
    high = _BEYOND_ALL if query.before_seq is None else query.before_seq - 1
    spans = None
    if search is not None and query.q:
        spans = search.spans(
            query.run_id, query.q, above_seq=low - 1, below_seq=high + 1, downward=downward
        )
    if spans is None:
        ranges, beyond = [(low, high)], None
    else:
        ranges, beyond = _ranges(spans, low, high, downward=downward)
    found, scanned_to = _look(connection, query, columns, ranges, downward=downward)
    if scanned_to is None and len(found) < query.limit:
        scanned_to = beyond
    if downward:
        found.reverse()
    return EventRows(events=found, scanned_to_seq=scanned_to)


def _ranges(spans: Spans, low: int, high: int, *, downward: bool) -> tuple[list[Range], int | None]:
    """What must be looked at, in the order of reading; how far that goes, if it is not all."""
    tail = [(max(low, spans.to_seq + 1), high)] if high > spans.to_seq else []
    if spans.complete:
        return (tail + spans.ranges if downward else spans.ranges + tail), None
    ranges = tail + spans.ranges if downward else spans.ranges
    first, last = ranges[-1] if ranges else (low, high)
    return ranges, first if downward else last


def _look(
    connection: Connection,
    query: EventQuery,
    columns: str,
    ranges: list[Range],
    *,
    downward: bool,
) -> tuple[list[EventRow], int | None]:
    """The events that hold the word, at most a page of them, and how far was looked where that was
    not to the end.
    """
    terms = ["run = (SELECT key FROM runs WHERE id = ?)", "seq BETWEEN ? AND ?"]
    kinds: list[str] = []
    for column, values in (("type", query.types), ("level", query.levels)):
        if values is not None:
            terms.append(f"{column} IN ({', '.join('?' * len(values))})")
            kinds.extend(values)
    order = "DESC" if downward else "ASC"
    where = " AND ".join(terms)
    sql = f"SELECT {columns} FROM events WHERE {where} ORDER BY seq {order} LIMIT ?"
    statement = Statement(sql, "select", "events")
    word = Word(query.q or "")
    found: list[EventRow] = []
    left, last_seq = query.scan_limit, None
    for first, last in ranges:
        # One row more than may be looked at tells whether the end was reached.
        asked = (query.run_id, first, last, *kinds, left + 1)
        with closing(connection.iterate(statement, asked)) as rows:
            for row in rows:
                if not left:
                    return found, last_seq
                event = connection.event(row)
                left, last_seq = left - 1, event.seq
                if word.within(event.payload):
                    found.append(event)
                    if len(found) == query.limit:
                        return found, None
    return found, None
