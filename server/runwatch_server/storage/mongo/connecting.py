"""Reaching a MongoDB server: its client, what is asked of it for every write, what it is refused
for.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.database import Database
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri

from runwatch_server.storage.mongo.collections import META
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.urls import UNREADABLE_MONGO
from runwatch_shared.errors import SettingsError, StoreUnavailableError

DATABASE: Final = "runwatch"
"""Where the URL names none."""
WAIT_MS: Final = 10_000
_NOT_ALLOWED: Final = frozenset({13, 18})
"""Unauthorized and AuthenticationFailed (MongoDB, error codes)."""
_CONCERN_MS: Final = 20_000
"""How long a write may take to reach the majority."""


def connect(url: str) -> tuple[MongoClient[Fields], Database[Fields]]:
    """A client and the database a URL names; nothing is asked of the server yet but its kind.

    Every write is acknowledged by the majority with its journal on disk, whatever the URL says, and
    every read is of what the majority has.

    Raises:
        SettingsError: The URL asks for less than this store needs.
        PyMongoError: It cannot be read, or its server not be reached.
    """
    try:
        asked = parse_uri(url, validate=True)
    except ValueError:
        # What the driver says may have a part of the password in it.
        raise SettingsError(UNREADABLE_MONGO) from None
    _require_strict(asked["options"])
    client: MongoClient[Fields] = MongoClient(
        url,
        serverSelectionTimeoutMS=WAIT_MS,
        connectTimeoutMS=WAIT_MS,
        socketTimeoutMS=2 * _CONCERN_MS,
        appname="runwatch",
        tz_aware=True,
    )
    database = client.get_database(
        asked["database"] or DATABASE,
        read_preference=ReadPreference.PRIMARY,
        write_concern=WriteConcern(w="majority", j=True, wtimeout=_CONCERN_MS),
        read_concern=ReadConcern("majority"),
    )
    return client, database


def require_durable(database: Database[Fields]) -> None:
    """Write something the way everything is written.

    Raises:
        StoreUnavailableError: The server cannot do that, and why.
        PyMongoError: It cannot be reached.
    """
    try:
        probe(database)
    except OperationFailure as error:
        if error.code in _NOT_ALLOWED:
            raise StoreUnavailableError(
                "the database cannot be used: its server does not let this user in, or not write"
            ) from error
        raise StoreUnavailableError(
            "the database cannot be used: events are acknowledged only when the majority has them "
            f"on disk, and its server does not promise that (error {error.code}); its journal must "
            "be on and most of its members must be there"
        ) from error


def probe(database: Database[Fields]) -> None:
    """A write that changes nothing anyone reads; the same value again would not be written."""
    database[META].update_one({"_id": "probe"}, {"$inc": {"value": 1}}, upsert=True)


def clock_us(database: Database[Fields]) -> int:
    """The server's own clock."""
    told: datetime = database.client.admin.command("hello")["localTime"]
    return int(told.timestamp() * 1_000_000)


def _require_strict(options: Mapping[str, Any]) -> None:
    """Refuse a URL that says in so many words that less is to be waited for."""
    if options.get("w") in {0, 1} or options.get("journal") is False:
        raise SettingsError(
            "database: the URL asks for w=0, w=1 or journal=false; events are acknowledged only "
            "when the majority has them on disk, so leave that out"
        )
