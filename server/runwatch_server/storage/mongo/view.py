"""One state of everything, as of an entry of the journal, whatever is written meanwhile.

The collections hold the newest rows. What a query reads there is put back to the state of this view
by the journal: the rows that later entries changed are taken from what they were before. A query
first reads its collection and then the journal, so no effect is seen of an entry that is not. A row
the query cannot have found where it stood, as it has moved, is added the same way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from bson import Int64
from pymongo.database import Database

from runwatch_server.rows import EventRow
from runwatch_server.storage.mongo.collections import EVENTS
from runwatch_server.storage.mongo.journal import Appended, Entry, Journal, Op, bytes_of, now_s
from runwatch_server.storage.mongo.matching import Fields, Order, Where, in_order, matches
from runwatch_shared.errors import StoreUnavailableError

SPARE: Final = 50
"""Rows read beyond those asked for, so that a few changed meanwhile cost no second query."""
HELD_S: Final = 300.0
"""A view may be this old. What it needs is kept longer (see `store`)."""
_LARGEST: Final = 2**63 - 1
REMEMBERED: Final = 8192

Rows = dict[str, dict[str, Fields | None]]
"""By kind and key; None: not there."""


class Remembered:
    """Rows as of the last entry that the writer knows, so that it need not read them again."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Fields | None] = {}

    def has(self, kind: str, key: str) -> bool:
        return (kind, key) in self._rows

    def get(self, kind: str, key: str) -> Fields | None:
        return self._rows[kind, key]

    def put(self, kind: str, key: str, row: Fields | None) -> None:
        rows = self._rows
        rows.pop((kind, key), None)
        rows[kind, key] = row
        if len(rows) > REMEMBERED:
            del rows[next(iter(rows))]

    def take(self, entry: Entry) -> None:
        for op in entry.ops:
            self.put(op.kind, op.key, op.after)

    def clear(self) -> None:
        self._rows.clear()


class Staged:
    """Rows and events a work or a group has written and not committed."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.events: dict[str, list[EventRow]] = {}

    def absorb(self, later: "Staged") -> None:
        for kind, rows in later.rows.items():
            self.rows.setdefault(kind, {}).update(rows)
        for log, events in later.events.items():
            self.events.setdefault(log, []).extend(events)


class View:
    """Used by one thread at a time.

    Args:
        at: The number of the entry it is as of; every earlier one is applied.
        remembered: Rows known to be as of it; for the writer.
        lasting: Sees to it that the journal is kept from it on, and raises where it was not; for a
            view that may be older than `HELD_S`.
    """

    def __init__(
        self,
        database: Database[Fields],
        journal: Journal,
        at: int,
        remembered: Remembered | None = None,
        *,
        lasting: Callable[[], None] | None = None,
    ) -> None:
        self.at = at
        self._database = database
        self._journal = journal
        self._remembered = remembered
        self._lasting = lasting
        self._looked_to = at
        self._undone: Rows = {}
        self._began_s = now_s()
        self._group = Staged()
        self._work = Staged()

    def get(self, kind: str, key: str) -> Fields | None:
        for staged in (self._work, self._group):
            rows = staged.rows.get(kind)
            if rows is not None and key in rows:
                return rows[key]
        return self._stored(kind, key)

    def find(
        self,
        kind: str,
        where: Where,
        order: Order,
        *,
        limit: int | None = None,
        skip: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Fields]:
        """Rows that meet a filter, in order.

        Args:
            order: Ends in ``_id``, so that it is whole; no field of it is missing in what is found.
            fields: Those that are needed, of the order too; all where it is not said.
        """
        wanted = None if limit is None else limit + skip
        if wanted == 0:
            return []
        asked_for = {**where, "gone": None}
        while True:
            cursor = self._database[kind].find(asked_for, fields).sort(list(order))
            asked = 0
            if wanted is not None:
                asked = wanted + SPARE + len(self._others(kind))
                cursor = cursor.limit(asked)
            rows = [plain(row) for row in cursor]
            self._look()
            others = self._others(kind)
            kept = [row for row in rows if row["_id"] not in others]
            # Otherwise so much was changed meanwhile that some may lie beyond what was read.
            if wanted is None or len(rows) < asked or len(kept) >= wanted:
                break
        more = [row for row in others.values() if row is not None and matches(row, where)]
        found = in_order([*kept, *more], order) if more else kept
        return found[skip:wanted]

    def count(self, kind: str, where: Where, *, at_most: int) -> int:
        """How many rows meet a filter, not looking further than so many."""
        while True:
            asked = at_most + len(self._others(kind)) + SPARE
            ids = self._database[kind].find({**where, "gone": None}, {"_id": 1}).limit(asked)
            read = {row["_id"] for row in ids}
            self._look()
            others = self._others(kind)
            found = read - others.keys()
            if len(read) < asked or len(found) >= at_most:
                break
        more = sum(row is not None and matches(row, where) for row in others.values())
        return min(at_most, len(found) + more)

    def put(self, kind: str, key: str, row: Fields) -> None:
        """Insert or replace a row.

        Raises:
            OverflowError: A number is larger than the database has room for.
        """
        for value in row.values():
            if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
                raise OverflowError("a number is too large to be stored")
        self._work.rows.setdefault(kind, {})[key] = {**row, "_id": key}

    def remove(self, kind: str, key: str) -> bool:
        """Remove a row; gives whether it was there."""
        there = self.get(kind, key) is not None
        if there:
            self._work.rows.setdefault(kind, {})[key] = None
        return there

    def append(self, log: str, events: list[EventRow]) -> None:
        self._work.events.setdefault(log, []).extend(events)

    def events(
        self,
        log: str,
        first: int,
        last: int,
        *,
        downward: bool = False,
        limit: int | None = None,
        where: Mapping[str, Any] | None = None,
        raw: bool = True,
    ) -> Iterator[EventRow]:
        """Events of a log between two numbers, both included.

        Those a view may see stay until no such view is left, so they are read as they come.
        """
        self._require_young()
        within = {"log": log, "seq": {"$gte": first, "$lte": last}, "since": {"$lte": self.at}}
        given = 0
        staged = self._staged_events(log, first, last, where)
        if downward:
            for event in reversed(staged):
                if given == limit:
                    return
                given += 1
                yield event if raw else event._replace(raw=None)
        left = 0 if limit is None else limit - given
        if limit is None or left:
            fields = None if raw else {"raw": 0}
            cursor = self._database[EVENTS].find({**within, **(where or {})}, fields)
            for found in cursor.sort("seq", -1 if downward else 1).limit(left):
                given += 1
                yield event_of(found)
        if not downward:
            for event in staged:
                if given == limit:
                    return
                given += 1
                yield event if raw else event._replace(raw=None)

    def sizes(self, log: str, first: int, *, limit: int) -> list[tuple[int, int]]:
        """Numbers of the first events of a log, with the bytes of payload and raw line."""
        within = {"log": log, "seq": {"$gte": first}, "since": {"$lte": self.at}}
        stored = self._database[EVENTS].find(within, {"seq": 1, "bytes": 1})
        found = [(int(row["seq"]), int(row["bytes"])) for row in stored.sort("seq", 1).limit(limit)]
        staged = self._staged_events(log, first, _LARGEST, None)[: limit - len(found)]
        return found + [(event.seq, bytes_of(event)) for event in staged]

    @property
    def wrote(self) -> bool:
        """Whether the work has written anything."""
        return bool(self._work.rows or self._work.events)

    def keep(self) -> None:
        """The work is done: what it wrote belongs to the group."""
        self._group.absorb(self._work)
        self._work = Staged()

    def drop(self) -> None:
        """The work failed: nothing of it happened."""
        self._work = Staged()

    def entry(self) -> Entry:
        """What the group changed."""
        ops = []
        for kind, rows in self._group.rows.items():
            for key, after in rows.items():
                before = self._stored(kind, key)
                if before != after:
                    ops.append(Op(kind, key, before, after))
        logs = {
            row["log"]: row["floor"] for row in self._group.rows.get("logs", {}).values() if row
        }
        appended = []
        for log, events in self._group.events.items():
            # What was appended and removed in the same group, or with its run, is not stored.
            kept = [event for event in events if log in logs and event.seq >= logs[log]]
            if kept:
                appended.append(Appended(log, kept))
        return Entry(ops, appended)

    def _stored(self, kind: str, key: str) -> Fields | None:
        """A row as of this view, without what is staged."""
        if self._remembered is not None and self._remembered.has(kind, key):
            return self._remembered.get(kind, key)
        # Asked for by nothing but its id: some servers look through a collection for anything more.
        found = self._database[kind].find_one({"_id": key})
        self._look()
        undone = self._undone.get(kind, {})
        if key in undone:
            row = undone[key]
        else:
            row = None if found is None or "gone" in found else plain(found)
        if self._remembered is not None:
            self._remembered.put(kind, key, row)
        return row

    def _others(self, kind: str) -> dict[str, Fields | None]:
        """Rows that are not in their collection as this view has them."""
        return {
            **self._undone.get(kind, {}),
            **self._group.rows.get(kind, {}),
            **self._work.rows.get(kind, {}),
        }

    def _look(self) -> None:
        """Learn of the entries written since."""
        for numbered in self._journal.after(self._looked_to):
            for op in numbered.entry.ops:
                self._undone.setdefault(op.kind, {}).setdefault(op.key, op.before)
            self._looked_to = numbered.number
        self._require_young()

    def _require_young(self) -> None:
        if self._lasting is not None:
            self._lasting()
        elif now_s() - self._began_s > HELD_S:
            raise StoreUnavailableError("a read took so long that what it reads may be gone")

    def _staged_events(
        self, log: str, first: int, last: int, where: Mapping[str, Any] | None
    ) -> list[EventRow]:
        found = [*self._group.events.get(log, ()), *self._work.events.get(log, ())]
        return [
            event
            for event in found
            if first <= event.seq <= last
            and (where is None or matches({"type": event.type, "level": event.level}, where))
        ]


def event_of(found: Fields) -> EventRow:
    row = plain(found)
    return EventRow(
        seq=row["seq"],
        epoch=row["epoch"],
        type=row["type"],
        at_us=row["at_us"],
        received_us=row["received_us"],
        level=row["level"],
        payload=row["payload"],
        raw=row.get("raw"),
    )


def plain(found: Fields) -> Fields:
    """A row without the number of the entry that wrote it, and with Python's own numbers."""
    return {
        name: int(value) if type(value) is Int64 else value
        for name, value in found.items()
        if name != "n"
    }
