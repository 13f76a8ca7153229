"""What a server does about the others on its database, in a thread of its own: look for what they
committed, hold the duty of upkeep where nobody else does, sweep the journal.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from runwatch_server.storage.mongo import holds
from runwatch_server.storage.mongo.collections import META
from runwatch_server.storage.mongo.connecting import clock_us
from runwatch_server.storage.mongo.failures import FAILURES
from runwatch_server.storage.mongo.journal import Journal, now_s
from runwatch_server.storage.mongo.matching import Fields
from runwatch_shared.errors import StoreError

logger: Final = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.1
BEAT_EVERY_S: Final = 5.0
DUTY_S: Final = 20.0
MARGIN_S: Final = 5.0
"""A duty is no longer relied on this long before another may take it."""
AGAIN_S: Final = 1.0
KEPT_S: Final = 15 * 60.0
"""How long entries of the journal are kept for the others and for reads."""
STOP_S: Final = 5.0


class Company:
    """One server among those on a database.

    Args:
        wake: See `sharing.Shared.follow`.
        seen: The number of the last entry this server knows.
        knows: Whether it still can learn what the others did; one that cannot can do no duty.
    """

    def __init__(
        self,
        database: Database[Fields],
        server: str,
        wake: Callable[[], None],
        seen: Callable[[], int],
        knows: Callable[[], bool],
    ) -> None:
        self._database = database
        self._journal = Journal(database)
        self._server = server
        self._wake = wake
        self._seen = seen
        self._knows = knows
        self._stopping = threading.Event()
        self._upkeep_until_s = float("-inf")
        self._stood: deque[tuple[float, int]] = deque()
        """When the journal was how far, oldest first."""
        self._thread = threading.Thread(target=self._run, name="store-company", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def has_upkeep(self) -> bool:
        """See `sharing.Shared.has_upkeep`; by this machine's monotonic clock."""
        return now_s() < self._upkeep_until_s and self._knows()

    def close(self) -> None:
        """End the thread; waits for it for some seconds at most."""
        self._stopping.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        said = False
        beat_at_s = float("-inf")
        while not self._stopping.is_set():
            try:
                if now_s() >= beat_at_s:
                    self._beat()
                    beat_at_s = now_s() + BEAT_EVERY_S
                if self._journal.has(self._seen() + 1):
                    self._wake()
                said = False
                if not self._sweep():
                    self._stopping.wait(LOOK_EVERY_S)
            except (*FAILURES, StoreError) as error:
                if not said:
                    said = True
                    logger.warning("Cannot hear of other servers: %s", type(error).__name__)
                self._wake()
                self._stopping.wait(AGAIN_S)
            except Exception:
                logger.exception("Could not look after the database")
                self._stopping.wait(AGAIN_S)
        self._upkeep_until_s = float("-inf")
        with suppress(*FAILURES):
            self._resign()

    def _beat(self) -> None:
        before_s = now_s()
        if not self._knows():
            self._upkeep_until_s = float("-inf")
            self._resign()
        elif self._hold():
            # Counted from before the question was sent, so it ends here before it ends there.
            self._upkeep_until_s = before_s + DUTY_S - MARGIN_S
            self._stood.append((now_s(), self._journal.applied()))
        else:
            self._upkeep_until_s = float("-inf")

    def _sweep(self) -> bool:
        """Remove a few old entries; gives whether there are more. They are old by how long this
        server knows them: no two clocks are compared.
        """
        if not self._stood or self._stood[0][0] > now_s() - KEPT_S or not self.has_upkeep():
            return False
        up_to = min(self._stood[0][1], holds.lowest(self._database, clock_us(self._database)))
        if self._journal.sweep(up_to):
            return True
        self._stood.popleft()
        return False

    def _hold(self) -> bool:
        """Take or keep the duty by the database's clock; gives whether it is this server's."""
        now_us = clock_us(self._database)
        free = {"$or": [{"holder": self._server}, {"until_us": {"$lt": now_us}}]}
        held = {"holder": self._server, "until_us": now_us + round(DUTY_S * 1_000_000)}
        try:
            self._database[META].update_one({"_id": "upkeep", **free}, {"$set": held}, upsert=True)
        except DuplicateKeyError:
            return False
        return True

    def _resign(self) -> None:
        self._database[META].update_one(
            {"_id": "upkeep", "holder": self._server}, {"$set": {"until_us": 0}}
        )
