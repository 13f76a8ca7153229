"""Filling an empty store in MongoDB, see `keeping.protocols.Filling`: without transactions of the
server, and yet all or nothing.

An entry of the journal that says so takes the next number before anything is written, so that no
server can commit or start meanwhile; every row carries this number. The commit is one write that
turns it into an entry like any other. What was not finished is removed by who fills it the next
time.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Final

import msgspec
from bson import Binary
from bson.errors import InvalidDocument
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from runwatch_server.storage.keeping.archive import Header
from runwatch_server.storage.keeping.fitting import not_empty
from runwatch_server.storage.mongo import collections, heading
from runwatch_server.storage.mongo.collections import EVENTS, JOURNAL, META, ROWS
from runwatch_server.storage.mongo.connecting import clock_us, connect, require_durable
from runwatch_server.storage.mongo.failures import (
    FAILURES,
    Opening,
    Translated,
    is_only_duplicates,
)
from runwatch_server.storage.mongo.filled_rows import FilledRows
from runwatch_server.storage.mongo.journal import Entry, Journal, Numbered, Op, key_of, now_s
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.told import encode
from runwatch_shared.errors import StoreError, StoreUnavailableError

ACCESS: Final = ("users", "sessions", "tokens", "replays")
DUTY_S: Final = 120.0
"""How long the store is this command's after it last said so."""
RENEW_S: Final = 10.0


@contextmanager
def open_filling(url: str) -> Iterator["MongoFilling"]:
    """A store to be filled, made where the database has none.

    Raises:
        SettingsError: The URL cannot be used.
        StoreError: It cannot be reached, or does not do what this store needs.
    """
    with Opening():
        client, database = connect(url)
        with closing(client):
            require_durable(database)
            heading.prepared(database)
            collections.ensure(database)
            with Translated():
                yield MongoFilling(database)


class MongoFilling:
    """Records are taken in the order `keeping.records` gives them."""

    def __init__(self, database: Database[Fields]) -> None:
        self._database = database
        self._journal = Journal(database)
        self._token = secrets.token_hex(12)
        self._number = 0
        """Of the entry; 0 before it is there."""
        self._renewed_s = float("-inf")
        self._rows = FilledRows(self._write)
        self.takes = self._rows.takes

    def begin(self, *, access: bool) -> None:
        """See `keeping.protocols.Filling.begin`."""
        self._take_duty()
        unfinished = self._journal.filling()
        if unfinished is not None:
            self._remove(unfinished)
        at = self._journal.applied()
        for numbered in self._journal.after(at):
            self._journal.apply(numbered, now_s())
            at = numbered.number
        others = [kind for kind in ROWS if kind not in {*ACCESS, "state"}]
        for kind in (*others, *(ACCESS if access else ())):
            if self._database[kind].find_one({"gone": None}) is not None:
                raise not_empty(kind, access=kind in ACCESS)
            # Marks of removed rows, which nobody is late for while nobody is at work.
            self._database[kind].delete_many({"gone": True})
        entry: Fields = {"_id": key_of(at + 1), "token": self._token, "parts": 0, "filled": False}
        entry["after"] = self._journal.token_of(at) or ""
        try:
            self._database[JOURNAL].insert_one({**entry, "body": Binary(b"")})
        except DuplicateKeyError:
            raise _busy() from None
        self._number = self._rows.number = at + 1

    def settle(self) -> None:
        self._rows.settle()

    def finish(self, header: Header, now_us: int) -> None:
        """See `keeping.protocols.Filling.finish`."""
        self._renew(at_once=True)
        values: dict[str, int | str | None] = {
            "revision": header.revision,
            "resumable": header.resumable,
            "thresholds": header.thresholds,
            "event_bytes": self._rows.event_bytes,
            **self._rows.counts,
        }
        ops = [self._state(name, value) for name, value in values.items() if value is not None]
        commit = Commit(
            revision=header.revision, at_us=now_us, runs=[], nodes=[], tasks=[], events={},
            counts=[],
        )  # fmt: skip
        entry = Entry(ops, [], encode(commit))
        self._database[META].update_one(
            {"_id": "store"}, {"$set": {"store_id": secrets.token_hex(8)}}
        )
        done = self._database[JOURNAL].update_one(
            {"_id": key_of(self._number), "token": self._token, "filled": False},
            {"$set": {"filled": True, "body": Binary(msgspec.msgpack.encode(entry))}},
        )
        if not done.matched_count:
            raise _busy()
        number, self._number = self._number, 0
        self._journal.apply(Numbered(number, self._token, entry, filled=True), now_s())
        self._resign()

    def undo(self) -> None:
        """What cannot be removed now is removed by who fills the store the next time; when that
        was already, nothing is this command's any more.
        """
        with suppress(*FAILURES, StoreError):
            if self._number:
                self._renew(at_once=True)
                self._remove(self._number)
            self._resign()

    def _state(self, name: str, value: int | str) -> Op:
        found = self._database["state"].find_one({"_id": name, "gone": None}, {"n": 0})
        return Op("state", name, found, {"_id": name, "value": value})

    def _write(self, kind: str, rows: Sequence[Fields]) -> None:
        """
        Raises:
            ValueError: A row cannot be stored, or is there already.
        """
        self._renew()
        try:
            self._database[kind].insert_many(rows, ordered=False)
        except BulkWriteError as error:
            if is_only_duplicates(error):
                raise ValueError("a row is there twice") from error
            raise
        except (InvalidDocument, OverflowError) as error:
            raise ValueError("a value cannot be stored") from error

    def _remove(self, number: int) -> None:
        """Everything that was written under a number, and last its entry."""
        for kind in ROWS:
            self._database[kind].delete_many({"n": number})
        self._database[EVENTS].delete_many({"since": number})
        self._database[JOURNAL].delete_one({"_id": key_of(number), "filled": False})

    def _take_duty(self) -> None:
        """Hold what a server at work holds, so that neither one nor another such command can."""
        now_us = clock_us(self._database)
        try:
            self._database[META].update_one(
                {"_id": "upkeep", "until_us": {"$lt": now_us}}, {"$set": self._held(now_us)},
                upsert=True,
            )  # fmt: skip
        except DuplicateKeyError:
            raise _busy() from None
        self._renewed_s = now_s()

    def _renew(self, *, at_once: bool = False) -> None:
        if now_s() - self._renewed_s < RENEW_S and not at_once:
            return
        now_us = clock_us(self._database)
        done = self._database[META].update_one(
            {"_id": "upkeep", "holder": self._token, "until_us": {"$gte": now_us}},
            {"$set": self._held(now_us)},
        )
        if not done.matched_count:
            raise StoreUnavailableError("filling the store stood still for too long")
        self._renewed_s = now_s()

    def _held(self, now_us: int) -> Fields:
        return {"holder": self._token, "until_us": now_us + round(DUTY_S * 1_000_000)}

    def _resign(self) -> None:
        self._database[META].update_one(
            {"_id": "upkeep", "holder": self._token}, {"$set": {"until_us": 0}}
        )


def _busy() -> StoreError:
    return StoreError(
        "a server or another command is at work on this database, or was until less than 2 "
        "minutes ago"
    )
