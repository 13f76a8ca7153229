"""What stands over a store in MongoDB: whose it is, of which format, how far its journal is."""

import secrets
from typing import Final

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from runwatch_server.storage.mongo.collections import META
from runwatch_server.storage.mongo.matching import Fields
from runwatch_shared.errors import StoreUnavailableError

FORMAT: Final = 1
"""Of what is stored; a build reads only its own."""


def prepared(database: Database[Fields]) -> str:
    """The store's id; a new database gets one.

    Raises:
        StoreUnavailableError: Another build's.
    """
    made: Fields
    for made in (
        {"_id": "head", "applied": 0},
        {"_id": "store", "store_id": secrets.token_hex(8), "format": FORMAT},
    ):
        try:
            database[META].insert_one(made)
        except DuplicateKeyError:
            continue
    return store_id_of(database)


def store_id_of(database: Database[Fields]) -> str:
    """The id of the store a database has.

    Raises:
        StoreUnavailableError: It has none, or another build's.
    """
    found = database[META].find_one({"_id": "store"})
    if found is None:
        raise StoreUnavailableError("there is nothing of Runwatch in this database")
    if found["format"] != FORMAT:
        raise StoreUnavailableError(
            "the database cannot be used: what it holds was written by another version of Runwatch"
        )
    return str(found["store_id"])
