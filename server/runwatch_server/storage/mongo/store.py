"""The store on MongoDB: one thread that writes, any that read, all by one client."""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Self

import msgspec
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from runwatch_server.rows import EventRow
from runwatch_server.storage.mongo import collections
from runwatch_server.storage.mongo.company import Company
from runwatch_server.storage.mongo.connecting import clock_us, connect, probe, require_durable
from runwatch_server.storage.mongo.failures import Opening, Translated
from runwatch_server.storage.mongo.heading import prepared
from runwatch_server.storage.mongo.journal import UNREADABLE, Entry, Journal, Numbered, now_s
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.reading import ReadTransaction
from runwatch_server.storage.mongo.view import Remembered, View
from runwatch_server.storage.mongo.writing import WriteTransaction
from runwatch_server.storage.protocols import Commit, Outcome, ReadTx, Rules, WriteTx
from runwatch_server.storage.told import decode, encode
from runwatch_shared.errors import StoreUnavailableError

logger: Final = logging.getLogger(__name__)

TRIES: Final = 50
"""How often a group may lose its race against other servers."""
SENT_AGAIN: Final = 3
COMMIT_WITHIN_S: Final = 60.0
"""A group that took longer is not committed: it may stand on entries that are swept."""
LEFT_AFTER_S: Final = 1.0
SIZE_EVERY_S: Final = 10.0


class MongoStore:
    """`protocols.Store` and `sharing.Shared`."""

    def __init__(
        self, client: MongoClient[Fields], database: Database[Fields], rules: Rules, store_id: str
    ) -> None:
        self.store_id = store_id
        self._client = client
        self._database = database
        self._rules = rules
        self._journal = Journal(database)
        self._server = secrets.token_hex(8)
        self._guard = threading.Lock()
        self._at = self._journal.applied()
        self._remembered = Remembered()
        self._following = False
        self._token = self._journal.token_of(self._at)
        """Of the last entry known."""
        self._in_doubt = ""
        """The token of the group that was committed last or was about to be."""
        self._waited_for = (0, 0.0)
        self._behind = False
        self._lost = False
        self._collected: list[Commit] = []
        self._company: Company | None = None
        self._closed = False
        self._file_bytes = 0
        self._sized_at_s = float("-inf")

    @classmethod
    def open(cls, url: str, rules: Rules) -> Self:
        """Connect to a database, made ready where it is new; what a server that was killed has
        committed and not finished is finished.

        Raises:
            SettingsError: The URL cannot be used.
            StoreUnavailableError: It cannot be reached, or does not do what this store needs.
        """
        with Opening():
            client, database = connect(url)
            try:
                require_durable(database)
                store_id = prepared(database)
                collections.ensure(database)
                store = cls(client, database, rules, store_id)
                store._reach()
            except BaseException:
                client.close()
                raise
        return store

    def write_group(
        self, works: Sequence[Callable[[WriteTx], object]], now_us: int
    ) -> tuple[list[Outcome], Commit | None]:
        """See `protocols.Store.write_group`."""
        with self._guard, Translated():
            for _ in range(TRIES):
                began_s = now_s()
                self._reach()
                view = View(self._database, self._journal, self._at, self._remembered)
                transaction = WriteTransaction(view, self._rules, self._file_size)
                outcomes, made = transaction.run(works, now_us)
                if made is None:
                    return outcomes, None
                commit, entry = made
                if self._commit(msgspec.structs.replace(entry, told=encode(commit)), began_s):
                    return outcomes, commit
            raise StoreUnavailableError("other servers write so much that this one has no turn")

    @contextmanager
    def read(self) -> Iterator[ReadTx]:
        """A snapshot of its own, from any thread; it lasts some minutes at most."""
        if self._closed:
            raise StoreUnavailableError("the database is closed")
        with Translated():
            view = View(self._database, self._journal, self._journal.applied())
            yield ReadTransaction(view, self._file_size)

    def probe(self) -> None:
        """See `protocols.Store.probe`; waits for a group under way."""
        with self._guard, Translated():
            self._require_known()
            probe(self._database)

    def join(self) -> None:
        """See `sharing.Shared.join`: the journal has every commit anyway."""

    def follow(self, tx: ReadTx, wake: Callable[[], None]) -> None:
        """See `sharing.Shared.follow`."""
        assert isinstance(tx, ReadTransaction)
        with self._guard:
            # What came in between is told, and not only known.
            if tx.at < self._at:
                self._at = tx.at
                self._token = self._journal.token_of(tx.at)
                self._remembered.clear()
            self._following = True
        self._company = Company(
            self._database, self._server, wake, lambda: self._at, lambda: not self._lost
        )
        self._company.start()

    def told(self) -> list[Commit]:
        """See `sharing.Shared.told`."""
        with self._guard, Translated():
            self._reach(patient=True)
            return self.told_before()

    def told_before(self) -> list[Commit]:
        """See `sharing.Shared.told_before`."""
        collected, self._collected = self._collected, []
        return collected

    def clock_us(self) -> int:
        """See `sharing.Shared.clock_us`."""
        with Translated():
            return clock_us(self._database)

    def has_upkeep(self) -> bool:
        """See `sharing.Shared.has_upkeep`."""
        return self._company is not None and self._company.has_upkeep()

    def tidy(self, *, idle: bool) -> None:
        """Nothing: the journal is swept beside the writer (`company`)."""

    def wal_bytes(self) -> int:
        """0: the log is MongoDB's own affair."""
        return 0

    def close(self) -> None:
        if self._company is not None:
            self._company.close()
        with self._guard:
            self._closed = True
            self._client.close()

    def _reach(self, *, patient: bool = False) -> None:
        """Know, and have done to the collections, every entry there is: other servers', and one of
        this server's whose answer was lost.

        Args:
            patient: Whether what another server is just doing is left to it for a while.
        """
        if self._closed:
            raise StoreUnavailableError("the database is closed")
        self._require_known()
        applied = self._journal.applied()
        if applied < self._at:
            self._behind = True
            raise StoreUnavailableError(
                "the database is behind what this server has seen of it; if it was put back to an "
                "earlier state, start the server again"
            )
        if self._behind:
            self._require_same_past()
        for numbered in self._journal.after(self._at):
            if self._is_foreign(numbered):
                self._part()
            if numbered.number > applied:
                if patient and not self._is_left(numbered):
                    return
                self._journal.apply(numbered, now_s())
            if self._following:
                self._collected.append(_commit_of(numbered.entry))
            self._know(numbered)
        if applied > self._at:
            self._lose(applied)
            self._reach()

    def _is_foreign(self, numbered: Numbered) -> bool:
        """Whether an entry follows upon another past, or upon a store that was filled under this
        server.
        """
        if numbered.filled and self._following:
            return True
        return self._token is not None and numbered.after not in {"", self._token}

    def _is_left(self, numbered: Numbered) -> bool:
        """Whether nobody will do what an entry says: it is this server's own, or there for long."""
        if numbered.token == self._in_doubt:
            return True
        number, since_s = self._waited_for
        if number != numbered.number:
            self._waited_for = (numbered.number, now_s())
            return False
        return now_s() - since_s > LEFT_AFTER_S

    def _require_same_past(self) -> None:
        """A database that was behind may be another's by now, or was only late after a failover."""
        if self._token is None or self._journal.token_of(self._at) != self._token:
            self._part()
        self._behind = False

    def _part(self) -> None:
        """What this server knows is not what the database was before."""
        self._remembered.clear()
        self._lost = True
        self._require_known()

    def _know(self, numbered: Numbered) -> None:
        """An entry is applied and known."""
        self._remembered.take(numbered.entry)
        self._token = numbered.token
        self._at = numbered.number

    def _commit(self, entry: Entry, began_s: float) -> bool:
        """Make a group durable and seen; False where another server was faster.

        Where the database fails half way it is not known here whether the group is committed;
        `_reach` finds it if it is.
        """
        numbered = Numbered(self._at + 1, secrets.token_hex(12), entry, self._token or "")
        self._in_doubt = numbered.token
        for left in reversed(range(SENT_AGAIN)):
            if now_s() - began_s > COMMIT_WITHIN_S:
                raise StoreUnavailableError("a group took too long to be committed safely")
            try:
                if not self._journal.insert(numbered):
                    return False
                break
            except AutoReconnect:
                if not left:
                    raise
        self._journal.apply(numbered, now_s())
        self._know(numbered)
        return True

    def _lose(self, applied: int) -> None:
        """So much was missed that the journal no longer has it all."""
        self._remembered.clear()
        if self._following:
            self._lost = True
            self._require_known()
        self._token = None
        self._at = applied

    def _require_known(self) -> None:
        if self._lost:
            raise StoreUnavailableError(
                "this server was cut off for too long to know what the others did, or the database "
                "was put back to an earlier state; it must be started again"
            )

    def _file_size(self) -> int:
        """Of data and indexes on disk; asked for now and then."""
        if now_s() - self._sized_at_s > SIZE_EVERY_S:
            told = self._database.command("dbStats")
            self._file_bytes = int(told.get("storageSize", 0)) + int(told.get("indexSize", 0))
            self._sized_at_s = now_s()
        return self._file_bytes


def _commit_of(entry: Entry) -> Commit:
    """What an entry changed, as whoever wrote it told its own server."""
    try:
        told = decode(entry.told)
    except msgspec.DecodeError as error:
        raise StoreUnavailableError(UNREADABLE) from error
    runs = {op.after["log"]: op.key for op in entry.ops if op.kind == "logs" and op.after}
    events: dict[str, list[EventRow]] = {}
    for each in entry.appended:
        run_id = runs[each.log]
        if run_id in told.events:
            first, last = told.events[run_id]
            events[run_id] = [event for event in each.events if first <= event.seq <= last]
    return Commit(
        revision=told.revision,
        at_us=told.at_us,
        runs=told.runs,
        nodes=told.nodes,
        tasks=told.tasks,
        events=events,
        counts=told.counts,
        alerts=told.alerts,
        kept=told.kept_changes(),
    )
