"""The store on PostgreSQL: one connection that writes, some that read, one that listens."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final, Self

from runwatch_server.storage.observing import QueryObserver
from runwatch_server.storage.postgres import schema
from runwatch_server.storage.postgres.company import Company
from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.postgres.failures import FAILURES, Opening, Translated
from runwatch_server.storage.postgres.position import Position
from runwatch_server.storage.postgres.writer import WritingConnection
from runwatch_server.storage.protocols import Commit, Outcome, ReadTx, Rules, WriteTx
from runwatch_server.storage.sql.reading import ReadTransaction
from runwatch_server.storage.sql.writing import WriteTransaction
from runwatch_server.storage.statements import Statement, load
from runwatch_shared.errors import StoreUnavailableError

logger: Final = logging.getLogger(__name__)

TIDY_EVERY_S: Final = 600.0
IDLE_READERS: Final = 8
"""Connections kept for the next read."""
_COMMITS: Final = load("postgres", "commits")
_META: Final = load("postgres", "meta")
_STORE_ID: Final = Statement("SELECT store_id FROM head", "select", "head")


class PostgresStore:
    """`protocols.Store`. Connections that fail are given up and made anew when next needed."""

    def __init__(
        self, url: str, rules: Rules, *, store_id: str, observer: QueryObserver | None
    ) -> None:
        self.store_id = store_id
        self._url = url
        self._rules = rules
        self._observer = observer
        self._server = secrets.token_hex(8)
        self._guard = threading.Lock()
        self._position = Position()
        self._company: Company | None = None
        self._writer: WritingConnection | None = None
        self._transaction: WriteTransaction | None = None
        self._readers_guard = threading.Lock()
        self._readers: list[ReadTransaction] = []
        self._closed = False
        self._tidy_at_s = 0.0

    @classmethod
    def open(
        cls,
        url: str,
        rules: Rules,
        *,
        migrate: bool = False,
        observer: QueryObserver | None = None,
    ) -> Self:
        """Connect to a database whose schema is this build's.

        Args:
            migrate: Whether to bring it there first.

        Raises:
            StoreUnavailableError: It cannot be reached, or its schema is another.
        """
        with Opening(url):
            connection = Connection.open(url, observer)
            try:
                if migrate:
                    schema.migrate(connection)
                schema.require_current(connection)
                store_id = str(connection.value(_STORE_ID))
            finally:
                connection.close()
        return cls(url, rules, store_id=store_id, observer=observer)

    def write_group(
        self, works: Sequence[Callable[[WriteTx], object]], now_us: int
    ) -> tuple[list[Outcome], Commit | None]:
        """See `protocols.Store.write_group`."""
        with self._guard, Translated():
            try:
                return self._writing().run(works, now_us)
            except FAILURES:
                begun = self._writer is not None and self._writer.begun
                self._hang_up()
                if begun:
                    raise
            # The connection was lost while nothing was asked of it.
            try:
                return self._writing().run(works, now_us)
            except FAILURES:
                self._hang_up()
                raise

    @contextmanager
    def read(self) -> Iterator[ReadTx]:
        """A snapshot of its own, from any thread; keep it short, it holds vacuuming back."""
        with Translated():
            reader = self._begun_reader()
            healthy = False
            try:
                try:
                    yield reader
                except FAILURES:
                    raise
                except BaseException:
                    reader.end()
                    healthy = True
                    raise
                reader.end()
                healthy = True
            finally:
                self._give_back(reader, healthy)

    def probe(self) -> None:
        """See `protocols.Store.probe`; waits for a group under way."""
        with self._guard, Translated():
            try:
                self._writing()
                assert self._writer is not None
                self._writer.probe()
            except FAILURES:
                self._hang_up()
                raise

    def join(self) -> None:
        """See `sharing.Shared.join`; under the lock that every commit takes, so that none made
        later goes untold.
        """
        with Translated(), closing(Connection.open(self._url, self._observer)) as connection:
            connection.command("BEGIN")
            connection.all(_META["lock"])
            connection.run(_COMMITS["join"], (self._server,))
            connection.command("COMMIT")

    def follow(self, tx: ReadTx, wake: Callable[[], None]) -> None:
        """See `sharing.Shared.follow`."""
        assert isinstance(tx, ReadTransaction)
        self._position.seen = int(tx.ask(_COMMITS["last"]))
        self._position.following = True
        self._company = Company(self._url, self._server, wake, lambda: self._position.is_known)
        self._company.start()

    def told(self) -> list[Commit]:
        """See `sharing.Shared.told`."""
        with self._guard, Translated():
            try:
                self._writing()
                assert self._writer is not None
                self._position.collect(self._writer)
            except FAILURES:
                self._hang_up()
                raise
            return self._position.take()

    def told_before(self) -> list[Commit]:
        """See `sharing.Shared.told_before`."""
        return self._position.take()

    def clock_us(self) -> int:
        """See `sharing.Shared.clock_us`."""
        with self.read() as tx:
            assert isinstance(tx, ReadTransaction)
            return int(tx.ask(_META["clock"]))

    def has_upkeep(self) -> bool:
        """See `sharing.Shared.has_upkeep`."""
        return self._company is not None and self._company.has_upkeep()

    def tidy(self, *, idle: bool) -> None:
        """Drop what retention has emptied, now and then; called between groups."""
        now_s = time.monotonic()
        if not idle or now_s < self._tidy_at_s or not self.has_upkeep():
            return
        self._tidy_at_s = now_s + TIDY_EVERY_S
        with self._guard:
            try:
                if self._writer is not None:
                    for name in self._writer.drop_empty():
                        logger.info("A day without events is dropped: %s", name)
            except FAILURES as error:
                logger.warning("Days without events stay for now: %s", type(error).__name__)
                self._hang_up()

    def wal_bytes(self) -> int:
        """0: the log is PostgreSQL's own affair."""
        return 0

    def close(self) -> None:
        if self._company is not None:
            self._company.close()
        with self._guard, self._readers_guard:
            self._closed = True
            readers, self._readers = self._readers, []
            for reader in readers:
                reader.close()
            self._hang_up()

    def _writing(self) -> WriteTransaction:
        if self._closed:
            raise StoreUnavailableError("the database is closed")
        if self._writer is not None and not self._writer.is_usable:
            self._hang_up()
        if self._transaction is None:
            self._writer = WritingConnection.open(self._url, self._observer)
            self._writer.server = self._server
            self._writer.position = self._position
            self._transaction = WriteTransaction(self._writer, self._rules)
        return self._transaction

    def _hang_up(self) -> None:
        writer, self._writer, self._transaction = self._writer, None, None
        if writer is not None:
            writer.close()

    def _begun_reader(self) -> ReadTransaction:
        """A snapshot; connections that were lost while nobody read are let go of."""
        while (kept := self._kept_reader()) is not None:
            try:
                kept.begin()
            except FAILURES:
                kept.close()
            else:
                return kept
        reader = ReadTransaction(Connection.open(self._url, self._observer))
        try:
            reader.begin()
        except BaseException:
            reader.close()
            raise
        return reader

    def _kept_reader(self) -> ReadTransaction | None:
        with self._readers_guard:
            if self._closed:
                raise StoreUnavailableError("the database is closed")
            return self._readers.pop() if self._readers else None

    def _give_back(self, reader: ReadTransaction, healthy: bool) -> None:
        with self._readers_guard:
            if healthy and not self._closed and len(self._readers) < IDLE_READERS:
                self._readers.append(reader)
                return
        reader.close()
