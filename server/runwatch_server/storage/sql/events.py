"""Events in SQL: one row each, appended many at once and read by position."""

from collections.abc import Sequence
from contextlib import closing
from typing import Final

from runwatch_server.rows import EventRow
from runwatch_server.storage.protocols import EventQuery, EventRows
from runwatch_server.storage.sql import event_blocks, filtered_events, searched_events
from runwatch_server.storage.sql.connection import Connection, WritingConnection
from runwatch_server.storage.sql.context import WriteContext
from runwatch_server.storage.sql.searching import Search
from runwatch_server.storage.statements import Statement
from runwatch_shared.errors import ConflictError

_COLUMNS: Final = "seq, epoch, type, at_us, received_us, level, payload"


class EventReader:
    """`protocols.EventReads`."""

    def __init__(self, connection: Connection, search: Search | None = None) -> None:
        self._connection = connection
        self._sql = connection.statements("events")
        self._search = search

    def page(self, query: EventQuery) -> EventRows:
        downward = query.after_seq is None and (query.tail or query.before_seq is not None)
        raw = "raw" if query.raw else "NULL"
        if not query.q and (query.types is not None or query.levels is not None):
            run = self._connection.value(self._sql["run"], (query.run_id,))
            if run is None:
                return EventRows(events=[], scanned_to_seq=None)
            columns = f"{_COLUMNS}, {raw}"
            return filtered_events.page(self._connection, query, run, columns, downward=downward)
        if query.q:
            columns = f"{_COLUMNS}, {raw}"
            return searched_events.page(
                self._connection, query, columns, self._search, downward=downward
            )
        clause, given = _conditions(query)
        order = "DESC" if downward else "ASC"
        sql = f"SELECT {_COLUMNS}, {raw} FROM events WHERE {clause} ORDER BY seq {order} LIMIT ?"
        statement = Statement(sql, "select", "events")
        rows = self._connection.all(statement, (*given, query.limit))
        found = [self._connection.event(row) for row in rows]
        if downward:
            found.reverse()
        return EventRows(events=found, scanned_to_seq=None)

    def between(self, run_id: str, from_seq: int, to_seq: int) -> list[EventRow]:
        rows = self._connection.all(self._sql["between"], (run_id, from_seq, to_seq))
        return [self._connection.event(row) for row in rows]

    def after(
        self, run_id: str, seq: int, *, limit: int, max_bytes: int, raw: bool
    ) -> list[EventRow]:
        statement = self._sql["after" if raw else "after_without_raw"]
        found: list[EventRow] = []
        size = 0
        with closing(self._connection.iterate(statement, (run_id, seq, limit))) as rows:
            for row in rows:
                event = self._connection.event(row)
                size += len(event.payload or b"") + len(event.raw or "")
                if found and size > max_bytes:
                    break
                found.append(event)
        return found


class EventWriter(EventReader):
    """`protocols.EventWrites`."""

    _connection: WritingConnection

    def __init__(self, connection: WritingConnection, context: WriteContext) -> None:
        super().__init__(connection)
        self._context = context

    def append(self, run_id: str, events: Sequence[EventRow]) -> None:
        key = self._key(run_id)
        event_blocks.mark(self._connection, self._context.marks, run_id, key, events)
        self._connection.append_events(key, events)
        self._context.changes.appended(run_id, events)

    def remove_oldest(self, run_id: str, *, limit: int) -> tuple[int, int | None]:
        """See `protocols.EventWrites.remove_oldest`."""
        key = self._key(run_id)
        last = self._connection.value(self._sql["last_of_first"], (key, limit))
        if last is None:
            return 0, None
        gone = self._connection.remove_events(key, up_to=last)
        event_blocks.remove_before(self._connection, key, last + 1)
        return gone, last

    def _key(self, run_id: str) -> int:
        """The small number that stands for a run in the table of events."""
        key = self._context.keys.get(run_id)
        if key is None:
            key = self._connection.value(self._sql["run"], (run_id,))
            if key is None:
                raise ConflictError(f"run {run_id} is gone")
            self._context.keys.put(run_id, key)
        return key


def _conditions(query: EventQuery) -> tuple[str, list[object]]:
    terms = ["run = (SELECT key FROM runs WHERE id = ?)"]
    given: list[object] = [query.run_id]
    for sign, seq in ((">", query.after_seq), ("<", query.before_seq)):
        if seq is not None:
            terms.append(f"seq {sign} ?")
            given.append(seq)
    for column, values in (("type", query.types), ("level", query.levels)):
        if values is not None:
            terms.append(f"{column} IN ({', '.join('?' * len(values))})")
            given.extend(values)
    return " AND ".join(terms), given
