"""The journal: a group of works is one entry, and inserting its document is the commit.

Entries are numbered without a hole. Two servers that write upon the same state insert the same
number, and MongoDB gives it to one of them; the other's works run again. What an entry says is then
done to the collections, as often as anybody likes: each row has the number of the entry that wrote
it last, and is only written by a later one.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from bson import Binary
from pymongo import UpdateOne, WriteConcern
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from runwatch_server.rows import EventRow
from runwatch_server.storage.mongo.collections import EVENTS, JOURNAL, META, PARTS
from runwatch_server.storage.mongo.failures import is_only_duplicates
from runwatch_server.storage.mongo.matching import Fields
from runwatch_shared.errors import StoreUnavailableError

PART_BYTES: Final = 8 * 1024 * 1024
"""A document may have 16 MiB (MongoDB, limits)."""
WRITTEN_AT_ONCE: Final = 1000
UNREADABLE: Final = "the database has an entry that another version of Runwatch wrote"
FILLING: Final = (
    "the database is being filled, or that was not finished: run monitor-server import or restore "
    "again"
)
SEEN_WITHIN_S: Final = 20.0
SEEN_EVERY_S: Final = 0.02
SWEPT_AT_ONCE: Final = 20
APPLY_WITHIN_S: Final = 60.0
"""An entry is not applied by who read it longer ago: what it removed may be swept by then."""


class Op(msgspec.Struct, frozen=True, array_like=True):
    """A row before and after; None: not there."""

    kind: str
    key: str
    before: Fields | None
    after: Fields | None


class Appended(msgspec.Struct, frozen=True, array_like=True):
    """Events of one log, rising."""

    log: str
    events: list[EventRow]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What one group changed."""

    ops: list[Op]
    appended: list[Appended]
    told: bytes = b""
    """The commit as `told` has it."""


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Entry)


class Numbered(msgspec.Struct, frozen=True):
    number: int
    token: str
    """Of the group that wrote it."""
    entry: Entry
    after: str = ""
    """The token of the entry before, where that was known: servers whose pasts differ part ways."""
    filled: bool = False
    """Whether it is a store that was filled (see `filling`), which nobody could be told of."""


class Journal:
    """Used by several threads; keeps nothing."""

    def __init__(self, database: Database[Fields]) -> None:
        self._database = database
        self._entries = database[JOURNAL]

    def applied(self) -> int:
        """The number of the last entry that is done to every collection."""
        head = self._database[META].find_one({"_id": "head"})
        if head is None:
            raise StoreUnavailableError("the database has lost its head")
        return int(head["applied"])

    def after(self, number: int) -> Iterator[Numbered]:
        """Entries later than a number, rising, as far as there is one after the other.

        Each is looked up by its id: some servers look through a collection for anything else.
        """
        while (found := self._entries.find_one({"_id": key_of(number + 1)})) is not None:
            number += 1
            try:
                entry = _DECODER.decode(self._body(found))
            except msgspec.DecodeError as error:
                raise StoreUnavailableError(UNREADABLE) from error
            yield Numbered(number, found["token"], entry, found["after"], "filled" in found)

    def has(self, number: int) -> bool:
        """Whether there is an entry of this number."""
        return self._entries.find_one({"_id": key_of(number)}, {"_id": 1}) is not None

    def filling(self) -> int | None:
        """The number of the entry that says that somebody fills the store, or did not finish it
        (see `filling`); None where there is none. It stands behind all that is applied.
        """
        number = self.applied() + 1
        found = self._entries.find_one({"_id": key_of(number)}, {"filled": 1})
        return number if found is not None and found.get("filled") is False else None

    def token_of(self, number: int) -> str | None:
        """Of an entry; None where it is not there."""
        found = self._entries.find_one({"_id": key_of(number)}, {"token": 1})
        return None if found is None else str(found["token"])

    def insert(self, numbered: Numbered) -> bool:
        """Commit a group; False where another has this number.

        Sent again with the same token where the answer was lost, it gives the same answer.
        """
        number, token = numbered.number, numbered.token
        body = _ENCODER.encode(numbered.entry)
        pieces = [body[at : at + PART_BYTES] for at in range(0, len(body), PART_BYTES)]
        document: Fields = {"_id": key_of(number), "token": token, "after": numbered.after}
        document["parts"] = 0
        if len(pieces) == 1:
            document["body"] = Binary(body)
        else:
            document["parts"] = len(pieces)
            # Nobody looks at them before the entry is there.
            for part, piece in enumerate(pieces):
                self._database[PARTS].replace_one(
                    {"_id": f"{token}:{part}"}, {"body": Binary(piece)}, upsert=True
                )
        try:
            self._entries.insert_one(document)
        except DuplicateKeyError:
            if self._winner(number) == token:
                return True
            self._remove_parts(document)
            return False
        return True

    def _winner(self, number: int) -> str:
        """The token of an entry that is there; it can be seen once the majority has it.

        Raises:
            StoreUnavailableError: It does not get that far; whose it is cannot be known.
        """
        until_s = now_s() + SEEN_WITHIN_S
        while (token := self.token_of(number)) is None:
            if now_s() > until_s:
                raise StoreUnavailableError("the majority of the database's servers is away")
            time.sleep(SEEN_EVERY_S)
        return token

    def apply(self, numbered: Numbered, read_at_s: float) -> None:
        """Do what an entry says, whoever else does as well, and note it.

        Args:
            read_at_s: When it was read or made, by `now_s`.
        """
        number, entry = numbered.number, numbered.entry
        for each in entry.appended:
            rows = [document_of(each.log, event, number) for event in each.events]
            for some in _pieces(rows):
                self._insert(EVENTS, some, read_at_s)
        by_kind: dict[str, list[Op]] = {}
        for op in entry.ops:
            by_kind.setdefault(op.kind, []).append(op)
        for kind, ops in by_kind.items():
            for few in _pieces(ops):
                self._write(kind, few, number, read_at_s)
        self._database[META].update_one(
            {"_id": "head", "applied": {"$lt": number}}, {"$set": {"applied": number}}
        )

    def sweep(self, up_to: int) -> bool:
        """Remove what nobody can need any more of the entries up to a number: them, the marks of
        rows they removed, and the events they let go of. By one server at a time.

        Returns:
            Whether there are more of them.
        """
        # What is not removed after all is removed the next time; nobody waits for it.
        database = self._database.with_options(write_concern=WriteConcern(w=1))
        head = database[META].find_one({"_id": "swept"})
        swept = 0 if head is None else int(head["number"])
        last = min(up_to, swept + SWEPT_AT_ONCE)
        if last <= swept:
            return False
        for number in range(swept + 1, last + 1):
            found = self._entries.find_one({"_id": key_of(number)})
            if found is not None:
                for op in _DECODER.decode(self._body(found)).ops:
                    _forget(database, op, number)
                database[JOURNAL].delete_one({"_id": key_of(number)})
                self._remove_parts(found)
        database[META].update_one({"_id": "swept"}, {"$set": {"number": last}}, upsert=True)
        return last < up_to

    def _body(self, found: Fields) -> bytes:
        if found.get("filled") is False:
            raise StoreUnavailableError(FILLING)
        if not found["parts"]:
            return bytes(found["body"])
        pieces = (self._database[PARTS].find_one({"_id": each}) for each in _ids_of_parts(found))
        return b"".join(bytes(piece["body"]) for piece in pieces if piece is not None)

    def _remove_parts(self, document: Fields) -> None:
        for each in _ids_of_parts(document):
            self._database[PARTS].delete_one({"_id": each})

    def _write(self, kind: str, ops: Sequence[Op], number: int, read_at_s: float) -> None:
        """Rows that were not there are inserted. Where that finds a mark, or what a later entry
        wrote, they are rows like the others, which are changed where an earlier entry wrote them.
        """
        new = [op for op in ops if op.before is None and op.after is not None]
        refused = self._insert(kind, [{**(op.after or {}), "n": number} for op in new], read_at_s)
        changed = [op for op in ops if op.before is not None or op.key in refused]
        if changed:
            _require_recent(read_at_s)
            updates = [_update(op, number) for op in changed]
            self._database[kind].bulk_write(updates, ordered=False)

    def _insert(self, kind: str, rows: Sequence[Fields], read_at_s: float) -> set[str]:
        """Insert what is not there; gives the ids of what is."""
        if not rows:
            return set()
        _require_recent(read_at_s)
        try:
            self._database[kind].insert_many(rows, ordered=False)
        except BulkWriteError as error:
            if not is_only_duplicates(error):
                raise
            return {rows[each["index"]]["_id"] for each in error.details["writeErrors"]}
        return set()


def document_of(log: str, event: EventRow, number: int) -> Fields:
    """An event as it is stored."""
    return {
        "_id": f"{log}:{event.seq:016x}",
        "log": log,
        "seq": event.seq,
        "since": number,
        "bytes": bytes_of(event),
        "epoch": event.epoch,
        "type": event.type,
        "at_us": event.at_us,
        "received_us": event.received_us,
        "level": event.level,
        "payload": None if event.payload is None else Binary(event.payload),
        "raw": event.raw,
    }


def bytes_of(event: EventRow) -> int:
    return len(event.payload or b"") + len((event.raw or "").encode())


def _update(op: Op, number: int) -> UpdateOne:
    """Whatever an older entry left is replaced; a removed row leaves a mark for who comes late."""
    after: Fields = {"gone": True} if op.after is None else op.after
    fields = {name: value for name, value in after.items() if name != "_id"}
    update: Fields = {"$set": {**fields, "n": number}}
    stale = set(op.before or ()) - fields.keys() - {"_id"}
    if op.after is not None:
        stale.add("gone")
    if stale:
        update["$unset"] = dict.fromkeys(sorted(stale), "")
    return UpdateOne({"_id": op.key, "n": {"$lt": number}}, update)


def _forget(database: Database[Fields], op: Op, number: int) -> None:
    """Remove the mark of a removed row, and the events a log let go of."""
    if op.after is None:
        database[op.kind].delete_one({"_id": op.key, "n": number, "gone": True})
    if op.kind != "logs" or op.before is None:
        return
    log = op.before["log"]
    if op.after is None or op.after["log"] != log:
        database[EVENTS].delete_many({"log": log})
    elif op.after["floor"] > op.before["floor"]:
        database[EVENTS].delete_many({"log": log, "seq": {"$lt": op.after["floor"]}})


def _require_recent(read_at_s: float) -> None:
    if now_s() - read_at_s > APPLY_WITHIN_S:
        raise StoreUnavailableError("the database is too slow to be written to")


def key_of(number: int) -> str:
    return f"{number:016x}"


def _ids_of_parts(document: Fields) -> list[str]:
    return [f"{document['token']}:{part}" for part in range(document["parts"])]


def _pieces(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for at in range(0, len(rows), WRITTEN_AT_ONCE):
        yield rows[at : at + WRITTEN_AT_ONCE]


def now_s() -> float:
    """The machine's uptime, its sleep included where that can be told."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
