"""Being one of several servers on one database: heard of, told of commits, holding a duty.

A thread with a connection of its own listens, beats and renews. A notification says only that there
is more; what there is, the connection that writes reads in the order of the commits. So a lost
notification costs no more than the next look around.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.postgres.failures import FAILURES
from runwatch_server.storage.postgres.writer import CHANNEL
from runwatch_server.storage.statements import load

logger: Final = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
BEAT_EVERY_S: Final = 5.0
DUTY_S: Final = 20.0
MARGIN_S: Final = 5.0
"""A duty is no longer relied on this long before the database would give it to another."""
AGAIN_S: Final = 1.0
KEPT_US: Final = 15 * 60 * 1_000_000
"""How long commits are kept for the others."""
STOP_S: Final = 5.0
UPKEEP: Final = "upkeep"
_SQL: Final = load("postgres", "commits")


class Company:
    """One server among those on a database.

    Args:
        wake: See `sharing.Shared.follow`.
        knows: Whether this server knows what the others did; one that does not can do no duty.
    """

    def __init__(
        self, url: str, server: str, wake: Callable[[], None], knows: Callable[[], bool]
    ) -> None:
        self._url = url
        self._server = server
        self._wake = wake
        self._knows = knows
        self._stopping = threading.Event()
        self._upkeep_until_s = float("-inf")
        self._thread = threading.Thread(target=self._run, name="store-company", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def has_upkeep(self) -> bool:
        """See `sharing.Shared.has_upkeep`; by this machine's monotonic clock."""
        return _now_s() < self._upkeep_until_s and self._knows()

    def close(self) -> None:
        """End the thread; waits for it for some seconds at most."""
        self._stopping.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        said = False
        while not self._stopping.is_set():
            try:
                self._attend()
                said = False
            except FAILURES as error:
                if not said:
                    said = True
                    logger.warning("Cannot hear of other servers: %s", type(error).__name__)
                self._wake()
                self._stopping.wait(AGAIN_S)
            except Exception:
                logger.exception("Could not listen to the database")
                self._stopping.wait(AGAIN_S)

    def _attend(self) -> None:
        connection = Connection.open(self._url, idle_in_transaction_session_timeout="10s")
        try:
            heard = connection.listen(CHANNEL)
            beat_at_s = float("-inf")
            while not self._stopping.is_set():
                now_s = _now_s()
                if now_s >= beat_at_s:
                    self._beat(connection, now_s)
                    beat_at_s = now_s + BEAT_EVERY_S
                connection.hear(heard, LOOK_EVERY_S)
                self._wake()
            with suppress(*FAILURES):
                self._upkeep_until_s = float("-inf")
                connection.run(_SQL["resign"], (self._server,))
                connection.run(_SQL["leave"], (self._server,))
        finally:
            connection.close()

    def _beat(self, connection: Connection, now_s: float) -> None:
        if not self._knows():
            self._upkeep_until_s = float("-inf")
            connection.run(_SQL["resign"], (self._server,))
            return
        connection.run(_SQL["join"], (self._server,))
        terms = (UPKEEP, self._server, timedelta(seconds=DUTY_S))
        if connection.value(_SQL["hold"], terms) is not None:
            # Counted from before the question was sent, so it ends here before it ends there.
            self._upkeep_until_s = now_s + DUTY_S - MARGIN_S
            connection.run(_SQL["prune"], (KEPT_US,))
        else:
            self._upkeep_until_s = float("-inf")


def _now_s() -> float:
    """The machine's uptime, its sleep included where that can be told: the database's clock does
    not stop with it.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
