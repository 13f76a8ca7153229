"""What a long read still needs of the journal: its sweeping stops there as long as the read says
so, by the database's clock.
"""

import secrets
from contextlib import suppress
from typing import Final

from pymongo.database import Database

from runwatch_server.storage.mongo.collections import HOLDS
from runwatch_server.storage.mongo.connecting import clock_us
from runwatch_server.storage.mongo.failures import FAILURES
from runwatch_server.storage.mongo.journal import now_s
from runwatch_server.storage.mongo.matching import Fields
from runwatch_shared.errors import StoreUnavailableError

HOLD_S: Final = 10 * 60.0
RENEW_S: Final = 30.0
MARGIN_S: Final = 60.0
"""A hold is no longer relied on this long before others may pass it over."""
_NONE: Final = 2**62


class Hold:
    """Of one read; the entries behind a number stay."""

    def __init__(self, database: Database[Fields], at: int) -> None:
        self._database = database
        self._id = secrets.token_hex(8)
        self._at = at
        self._renew()

    def require(self) -> None:
        """Renew it where it is time.

        Raises:
            StoreUnavailableError: It was not renewed for so long that others passed it over.
        """
        if now_s() - self._renewed_s < RENEW_S:
            return
        late = now_s() - self._renewed_s > HOLD_S - MARGIN_S
        if late:
            raise StoreUnavailableError("a read stood still so long that what it reads may be gone")
        self._renew()

    def release(self) -> None:
        """Nobody waits for it any more; one that cannot be removed ends by itself."""
        with suppress(*FAILURES):
            self._database[HOLDS].delete_one({"_id": self._id})

    def _renew(self) -> None:
        before_s = now_s()
        until_us = clock_us(self._database) + round(HOLD_S * 1_000_000)
        self._database[HOLDS].update_one(
            {"_id": self._id}, {"$set": {"at": self._at, "until_us": until_us}}, upsert=True
        )
        self._renewed_s = before_s


def lowest(database: Database[Fields], now_us: int) -> int:
    """The number behind which every entry is still needed by somebody; those that ended go."""
    database[HOLDS].delete_many({"until_us": {"$lt": now_us}})
    return min((int(held["at"]) for held in database[HOLDS].find()), default=_NONE)
