"""Events in MongoDB: a document each, in a log of the run's own, read by position.

A log is a name that no other run has: a run of the id of a deleted one begins another. The log's
row says from which number on it is there, so that removing is writing one row; the documents go
later, when no view can need them any more (`Journal.sweep`).
"""

from collections.abc import Iterator, Sequence
from typing import Final

from runwatch_server.rows import EventRow
from runwatch_server.storage.event_text import Word
from runwatch_server.storage.mongo.context import WriteContext
from runwatch_server.storage.mongo.journal import bytes_of
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.protocols import EventQuery, EventRows
from runwatch_server.storage.sql.event_blocks import (
    BLOCK,
    bits_of_level,
    bits_of_type,
    first_seq,
    levels_of,
    types_of,
)
from runwatch_shared.errors import ConflictError

_BEYOND_ALL: Final = 2**62


class EventReader:
    """`protocols.EventReads`."""

    def __init__(self, view: View) -> None:
        self._view = view

    def page(self, query: EventQuery) -> EventRows:
        log = self._view.get("logs", query.run_id)
        if log is None:
            return EventRows(events=[], scanned_to_seq=None)
        downward = query.after_seq is None and (query.tail or query.before_seq is not None)
        low = log["floor"] if query.after_seq is None else max(log["floor"], query.after_seq + 1)
        high = _BEYOND_ALL if query.before_seq is None else query.before_seq - 1
        if query.q:
            found, scanned_to = self._containing(query, log, low, high, downward=downward)
        elif query.types is not None or query.levels is not None:
            found, scanned_to = self._filtered(query, log, low, high, downward=downward)
        else:
            scanned_to = None
            found = list(
                self._view.events(
                    log["log"], low, high, downward=downward, limit=query.limit, raw=query.raw
                )
            )
        if downward:
            found.reverse()
        return EventRows(events=found, scanned_to_seq=scanned_to)

    def between(self, run_id: str, from_seq: int, to_seq: int) -> list[EventRow]:
        log = self._view.get("logs", run_id)
        if log is None:
            return []
        return list(self._view.events(log["log"], max(from_seq, log["floor"]), to_seq))

    def after(
        self, run_id: str, seq: int, *, limit: int, max_bytes: int, raw: bool
    ) -> list[EventRow]:
        log = self._view.get("logs", run_id)
        if log is None:
            return []
        found: list[EventRow] = []
        size = 0
        first = max(seq + 1, log["floor"])
        for event in self._view.events(log["log"], first, _BEYOND_ALL, limit=limit, raw=raw):
            size += len(event.payload or b"") + len(event.raw or "")
            if found and size > max_bytes:
                break
            found.append(event)
        return found

    def _filtered(
        self, query: EventQuery, log: Fields, low: int, high: int, *, downward: bool
    ) -> tuple[list[EventRow], int | None]:
        """Block by block, as far as may be looked."""
        found: list[EventRow] = []
        looked_at = 0
        for first, last in self._ranges(query, log, low, high, downward=downward):
            if looked_at >= query.filter_scan_limit:
                return found, last + 1 if downward else first - 1
            found += self._view.events(
                log["log"],
                first,
                last,
                downward=downward,
                limit=query.limit - len(found),
                where=_kinds(query),
                raw=query.raw,
            )
            if len(found) >= query.limit:
                break
            looked_at += BLOCK
        return found, None

    def _ranges(
        self, query: EventQuery, log: Fields, low: int, high: int, *, downward: bool
    ) -> Iterator[tuple[int, int]]:
        """The stretches of numbers in which something fits, in the order of reading."""
        types, levels = types_of(query.types), levels_of(query.levels)
        within = {"$gte": low // BLOCK, "$lte": high // BLOCK}
        way = -1 if downward else 1
        rows = self._view.find(
            "blocks", {"log": log["log"], "block": within}, [("block", way), ("_id", way)]
        )
        for row in rows:
            if row["types"] & types and row["levels"] & levels:
                begin = first_seq(row["block"])
                yield max(low, begin), min(high, begin + BLOCK - 1)

    def _containing(
        self, query: EventQuery, log: Fields, low: int, high: int, *, downward: bool
    ) -> tuple[list[EventRow], int | None]:
        """Those that hold the word, and how far was looked where that was not to the end."""
        word = Word(query.q or "")
        found: list[EventRow] = []
        left, last_seq = query.scan_limit, None
        # One more than may be looked at tells whether the end was reached.
        for event in self._view.events(
            log["log"],
            low,
            high,
            downward=downward,
            limit=left + 1,
            where=_kinds(query),
            raw=query.raw,
        ):
            if not left:
                return found, last_seq
            left, last_seq = left - 1, event.seq
            if word.within(event.payload):
                found.append(event)
                if len(found) == query.limit:
                    break
        return found, None


class EventWriter(EventReader):
    """`protocols.EventWrites`."""

    def __init__(self, context: WriteContext) -> None:
        super().__init__(context.view)
        self._context = context

    def append(self, run_id: str, events: Sequence[EventRow]) -> None:
        log = self._log(run_id)
        last = log["last"]
        for event in events:
            if event.seq <= last:
                raise ConflictError("a row contradicts one that is stored")
            last = event.seq
        if events:
            size = sum(map(bytes_of, events))
            self._view.put("logs", run_id, {**log, "last": last, "bytes": log["bytes"] + size})
            self._context.add_bytes(size)
            self._mark(log["log"], events)
            self._view.append(log["log"], list(events))
        self._context.changes.appended(run_id, events)

    def remove_oldest(self, run_id: str, *, limit: int) -> tuple[int, int | None]:
        """See `protocols.EventWrites.remove_oldest`."""
        log = self._log(run_id)
        gone = self._view.sizes(log["log"], log["floor"], limit=limit)
        if not gone:
            return 0, None
        last, size = gone[-1][0], sum(each for _, each in gone)
        self._view.put("logs", run_id, {**log, "floor": last + 1, "bytes": log["bytes"] - size})
        self._context.add_bytes(-size)
        where = {"log": log["log"], "block": {"$lt": (last + 1) // BLOCK}}
        for row in self._view.find("blocks", where, [("_id", 1)]):
            self._view.remove("blocks", row["_id"])
        return len(gone), last

    def _mark(self, log: str, events: Sequence[EventRow]) -> None:
        """Note which types and levels are in the blocks of what is appended."""
        marks: dict[int, tuple[int, int]] = {}
        for event in events:
            block = event.seq // BLOCK
            types, levels = marks.get(block, (0, 0))
            marks[block] = types | bits_of_type(event.type), levels | bits_of_level(event.level)
        for block, (types, levels) in marks.items():
            key = f"{log}:{block:016x}"
            row = self._view.get("blocks", key) or {"types": 0, "levels": 0}
            fields = {"types": row["types"] | types, "levels": row["levels"] | levels}
            if fields != {"types": row["types"], "levels": row["levels"]}:
                self._view.put("blocks", key, {"log": log, "block": block, **fields})

    def _log(self, run_id: str) -> Fields:
        log = self._view.get("logs", run_id)
        if log is None:
            raise ConflictError(f"run {run_id} is gone")
        return log


def start_log(context: WriteContext, run_id: str) -> None:
    """A new run has no events."""
    fields = {"log": context.new_log(), "floor": 1, "last": 0, "bytes": 0}
    context.view.put("logs", run_id, fields)


def remove_all(context: WriteContext, run_id: str) -> None:
    """A run's events go with it."""
    log = context.view.get("logs", run_id)
    if log is None:
        return
    context.view.remove("logs", run_id)
    context.add_bytes(-log["bytes"])
    for row in context.view.find("blocks", {"log": log["log"]}, [("_id", 1)]):
        context.view.remove("blocks", row["_id"])


def _kinds(query: EventQuery) -> Fields:
    asked = {"type": query.types, "level": query.levels}
    return {name: {"$in": list(values)} for name, values in asked.items() if values is not None}
