"""The thread that keeps the search index near its database, and stays out of everybody's way."""

import logging
import threading
import time
from typing import Final

import apsw

from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.sqlite.search_indexing import Indexer, is_damaged
from runwatch_server.storage.sqlite.search_reading import SearchIndex
from runwatch_shared.backoff import Backoff

logger: Final = logging.getLogger(__name__)

GATHER_S: Final = 0.5
"""From a commit to its being indexed, so that what comes together is indexed together."""
BUSY_EVENTS_PER_S: Final = 2000.0
"""Events committed a second beyond which the writer has the machine almost for itself."""
BUSY_SHARE: Final = 0.06
QUIET_SHARE: Final = 0.7
"""Of a core the thread may take, while the writer is busy and while it is not."""
LONGEST_REST_S: Final = 5.0
TIDY_EVERY_S: Final = 30.0
"""How often it is looked for what the database no longer has, while nothing is to be indexed."""
STOP_S: Final = 10.0


class SearchFollower:
    """`following.Follower`.

    Args:
        main: A connection that reads the database, for this thread alone.
        connection: The one that writes the search file; both are closed when the thread ends.
    """

    def __init__(self, index: SearchIndex, main: Connection, connection: Connection) -> None:
        self._index = index
        self._main = main
        self._connection = connection
        self._indexer = Indexer(main, index.file, connection, index.moves)
        self._waits = Backoff(longest_s=60.0)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._events = 0
        """Committed since the last look."""
        self._looked_s = time.monotonic()
        self._behind = 0
        self._thread = threading.Thread(target=self._run, name="search-index", daemon=True)

    @property
    def behind(self) -> int:
        """Revisions that were not wholly indexed after the last piece."""
        return self._behind

    def start(self) -> None:
        self._thread.start()

    def on_commit(self, commit: Commit) -> None:
        """Something may have to be indexed; called on the event loop."""
        self._events += sum(map(len, commit.events.values()))
        self._woken.set()

    def close(self, timeout_s: float = STOP_S) -> None:
        """End after the piece under way and let go of the files."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                logger.error("The search index did not stop in time")
                return
        self._connection.close()
        self._main.close()

    def _run(self) -> None:
        rest_s = 0.0
        while not self._stopping.wait(rest_s):
            try:
                rest_s = self._piece()
                self._waits.reset()
            except apsw.Error as error:
                rest_s = self._failed(error)
            except Exception:
                logger.exception("Could not index")
                rest_s = self._waits.next_s()

    def _piece(self) -> float:
        """One piece of work, or waiting for some; gives how long to rest after it."""
        begun = time.monotonic()
        if self._index.damaged:
            self._indexer.make_anew(self._indexer.revision())
            self._index.damaged = False
        if self._index.lost:
            self._take_another()
        self._woken.clear()
        more = self._indexer.step()
        self._behind = self._indexer.behind() if more else 0
        if more:
            return self._rest_s(time.monotonic() - begun)
        if self._woken.wait(TIDY_EVERY_S):
            return GATHER_S
        begun = time.monotonic()
        while not self._stopping.is_set() and not self._woken.is_set() and self._indexer.tidy():
            if self._stopping.wait(self._rest_s(time.monotonic() - begun)):
                break
            begun = time.monotonic()
        return 0.0

    def _take_another(self) -> None:
        """Go on with a new file in the place of one that is gone."""
        revision, resumable = self._indexer.standing()
        self._index.moves.forget_all(revision + 1)
        earlier = self._connection
        self._connection = self._index.file.open(revision=revision, resumable=resumable)
        earlier.close()
        self._indexer = Indexer(self._main, self._index.file, self._connection, self._index.moves)
        self._index.made += 1
        self._index.lost = False

    def _rest_s(self, took_s: float) -> float:
        now_s = time.monotonic()
        passed_s = max(now_s - self._looked_s, 0.001)
        busy = self._events / passed_s > BUSY_EVENTS_PER_S
        self._looked_s, self._events = now_s, 0
        share = BUSY_SHARE if busy else QUIET_SHARE
        return min(took_s * (1 - share) / share, LONGEST_REST_S)

    def _failed(self, error: apsw.Error) -> float:
        if is_damaged(error):
            self._index.damaged = True
        if self._waits.tries == 0:
            logger.warning("The search index failed: %s", type(error).__name__)
        for connection in (self._connection, self._main):
            if connection.raw.in_transaction:
                connection.raw.execute("ROLLBACK")
        return self._waits.next_s()
