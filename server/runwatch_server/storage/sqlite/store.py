"""The store on one SQLite file: one connection that writes and checkpoints, some that read."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import apsw

from runwatch_server.storage.observing import QueryObserver
from runwatch_server.storage.protocols import Commit, Outcome, ReadTx, Rules, WriteTx
from runwatch_server.storage.sql.reading import ReadTransaction
from runwatch_server.storage.sql.revisions import revision_of
from runwatch_server.storage.sql.tombstones import oldest_resumable
from runwatch_server.storage.sql.writing import WriteTransaction
from runwatch_server.storage.sqlite.connection import open_reader
from runwatch_server.storage.sqlite.failures import Translated
from runwatch_server.storage.sqlite.lock import StoreLock
from runwatch_server.storage.sqlite.schema import migrate
from runwatch_server.storage.sqlite.search_file import SearchFile, beside
from runwatch_server.storage.sqlite.search_follower import SearchFollower
from runwatch_server.storage.sqlite.search_reading import SearchIndex, SearchReader
from runwatch_server.storage.sqlite.writer import WritingConnection, open_writer
from runwatch_shared.errors import StoreError, StoreUnavailableError

logger: Final = logging.getLogger(__name__)

IDLE_WAL_PAGES: Final = 1000
"""Pages in the log worth a checkpoint while nothing waits (4 MiB, SQLite's own measure)."""
BUSY_WAL_PAGES: Final = 2000
"""Pages in the log that are checkpointed even while works wait: the log must not grow for ever."""
IDLE_READERS: Final = 8
"""Connections kept for the next read."""


class SqliteStore:
    """`protocols.Store`.

    The one writing connection is the only one that checkpoints. It does so between groups (`tidy`)
    and never by truncating: a log that is written over commits twice as fast as one that grows.
    """

    def __init__(
        self,
        path: Path,
        writer: WritingConnection,
        rules: Rules,
        *,
        store_id: str,
        lock: StoreLock | None,
        vfs: str | None,
        observer: QueryObserver | None,
        index: SearchIndex | None = None,
        follower: SearchFollower | None = None,
    ) -> None:
        self.store_id = store_id
        self.follower = follower
        """What fills the search index; whoever serves starts it and tells it of commits."""
        self._index = index
        self._path = path
        self._writer = writer
        self._transaction = WriteTransaction(writer, rules)
        self._lock = lock
        self._vfs = vfs
        self._observer = observer
        self._guard = threading.Lock()
        self._wal_pages = 0
        self._tried_pages = 0
        """How long the log was at the last checkpoint; 0 when it began anew since."""
        self._readers_guard = threading.Lock()
        self._readers: list[ReadTransaction] = []
        self._closed = False
        writer.raw.set_wal_hook(self._on_wal)

    @classmethod
    def open(
        cls,
        path: Path,
        rules: Rules,
        *,
        synchronous: str = "full",
        sole: bool = True,
        search: bool = False,
        vfs: str | None = None,
        observer: QueryObserver | None = None,
    ) -> Self:
        """Open a database file, made or migrated where needed.

        Args:
            sole: Whether this is the server; False for a command beside a running one.
            search: Whether ``q`` is answered with an index in a file of its own, or by looking at
                every row. Only the server may have one.

        Raises:
            StoreLockedError: ``sole``, and another server holds the database.
            StoreUnavailableError: The file cannot be opened or is no database of this build.
            StorageFullError: There is no room to make it.
        """
        assert sole or not search
        lock = StoreLock.take(path.with_name(path.name + ".lock")) if sole else None
        writer: WritingConnection | None = None
        try:
            with Translated():
                writer = open_writer(path, synchronous=synchronous, vfs=vfs, observer=observer)
                store_id = migrate(writer.raw)
            index, follower = _open_search(path, writer, store_id) if search else (None, None)
        except BaseException:
            if writer is not None:
                writer.close()
            if lock is not None:
                lock.release()
            raise
        return cls(
            path,
            writer,
            rules,
            store_id=store_id,
            lock=lock,
            vfs=vfs,
            observer=observer,
            index=index,
            follower=follower,
        )

    def write_group(
        self, works: Sequence[Callable[[WriteTx], object]], now_us: int
    ) -> tuple[list[Outcome], Commit | None]:
        """See `protocols.Store.write_group`."""
        with self._guard, Translated(self._writer.raw):
            return self._transaction.run(works, now_us)

    @contextmanager
    def read(self) -> Iterator[ReadTx]:
        """A snapshot of its own, from any thread; keep it short, it holds the log back."""
        with Translated():
            reader = self._take_reader()
            healthy = True
            try:
                reader.begin()
                yield reader
            except apsw.Error:
                healthy = False
                raise
            finally:
                self._give_back(reader, healthy)

    def probe(self) -> None:
        """See `protocols.Store.probe`; waits for a group under way."""
        with self._guard, Translated(self._writer.raw):
            self._writer.probe()

    def tidy(self, *, idle: bool) -> None:
        """Checkpoint where it is due; called between groups, so that no request waits for it.

        Args:
            idle: Whether no work is waiting.
        """
        grown = self._wal_pages - self._tried_pages
        if grown < (IDLE_WAL_PAGES if idle else BUSY_WAL_PAGES):
            return
        # What a long read holds back is tried again only when as much has been written once more.
        self._tried_pages = self._wal_pages
        with self._guard:
            try:
                self._writer.raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.Error:
                logger.exception("Could not checkpoint the database")

    def compact(self) -> None:
        """Give free pages back to the disk; takes as long as writing all anew, and as much room."""
        with self._guard, Translated(self._writer.raw):
            self._writer.raw.execute("VACUUM")
            self._writer.raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def wal_bytes(self) -> int:
        try:
            return self._path.with_name(self._path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Let go of the file; a read still under way keeps its connection until it ends."""
        if self.follower is not None:
            self.follower.close()
        with self._guard, self._readers_guard:
            if self._closed:
                return
            self._closed = True
            for reader in self._readers:
                reader.close()
            self._readers.clear()
            try:
                with Translated(self._writer.raw):
                    self._writer.close()
            except StoreError:
                logger.exception("Could not close the database")
            if self._lock is not None:
                self._lock.release()

    def _on_wal(self, connection: apsw.Connection, database: str, pages: int) -> int:
        self._wal_pages = pages
        if pages < self._tried_pages:
            self._tried_pages = 0
        return apsw.SQLITE_OK

    def _take_reader(self) -> ReadTransaction:
        with self._readers_guard:
            if self._closed:
                raise StoreUnavailableError("the database is closed")
            if self._readers:
                return self._readers.pop()
        connection = open_reader(self._path, vfs=self._vfs, observer=self._observer)
        search = None if self._index is None else SearchReader(connection, self._index)
        return ReadTransaction(connection, search)

    def _give_back(self, reader: ReadTransaction, healthy: bool) -> None:
        """Keep a connection for the next read; one that failed is not trusted again."""
        if healthy:
            reader.end()
        with self._readers_guard:
            if healthy and not self._closed and len(self._readers) < IDLE_READERS:
                self._readers.append(reader)
                return
        reader.close()


def _open_search(
    path: Path, writer: WritingConnection, store_id: str
) -> tuple[SearchIndex | None, SearchFollower | None]:
    """The search file of a database; without one every row is looked at, so it stops nobody."""
    file = SearchFile(beside(path), store_id)
    try:
        connection = file.open(revision=revision_of(writer), resumable=oldest_resumable(writer))
    except (apsw.Error, OSError) as error:
        logger.warning("The search index cannot be used: %s", error)
        return None, None
    index = SearchIndex(file)
    return index, SearchFollower(index, open_reader(path), connection)
