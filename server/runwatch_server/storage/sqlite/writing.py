"""One group of works as one transaction, each work in a savepoint of its own."""

from collections.abc import Callable, Sequence
from typing import Final

import apsw

from runwatch_server.storage.changes import Changes
from runwatch_server.storage.protocols import Commit, Outcome, Rules, Span, WriteTx
from runwatch_server.storage.sqlite import counters
from runwatch_server.storage.sqlite.access import AccessWriter
from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.sqlite.context import WriteContext
from runwatch_server.storage.sqlite.events import EventWriter
from runwatch_server.storage.sqlite.failures import translate
from runwatch_server.storage.sqlite.housekeeping import Housekeeper
from runwatch_server.storage.sqlite.leases import LeaseWriter
from runwatch_server.storage.sqlite.nodes import NodeWriter
from runwatch_server.storage.sqlite.reading import revision_of
from runwatch_server.storage.sqlite.replays import ReplayWriter
from runwatch_server.storage.sqlite.runs import RunWriter
from runwatch_server.storage.sqlite.tasks import TaskWriter
from runwatch_server.storage.statements import Statement, load

Work = Callable[[WriteTx], object]

_SQL: Final = load("sqlite", "meta")
_BEGIN: Final = Statement("BEGIN IMMEDIATE", "commit", "")
_COMMIT: Final = Statement("COMMIT", "commit", "")
_ROLLBACK: Final = Statement("ROLLBACK", "commit", "")
_ALL: Final[tuple[tuple[Span, int], ...]] = (("all", 0),)


class WriteTransaction:
    """`protocols.WriteTx`; made once and used for one group after another."""

    def __init__(self, connection: Connection, rules: Rules) -> None:
        self._connection = connection
        self._context = context = WriteContext(rules)
        self._data_version = -1
        self._revision = 0
        self.runs = RunWriter(connection, context)
        self.events = EventWriter(connection, context)
        self.tasks = TaskWriter(connection, context)
        self.nodes = NodeWriter(connection, context)
        self.leases = LeaseWriter(connection)
        self.access = AccessWriter(connection)
        self.replays = ReplayWriter(connection)
        self.housekeeping = Housekeeper(connection)

    @property
    def now_us(self) -> int:
        return self._context.now_us

    def count(self, name: str, by: float, *, spans: Sequence[tuple[Span, int]] = _ALL) -> None:
        self._context.changes.counted((span, start_us, name, by) for span, start_us in spans)

    def run(self, works: Sequence[Work], now_us: int) -> tuple[list[Outcome], Commit | None]:
        """See `protocols.Store.write_group`; raises the driver's errors."""
        self._connection.run(_BEGIN)
        try:
            self._look_up()
            group = Changes()
            written = 0
            outcomes: list[Outcome] = []
            for work in works:
                before = self._connection.raw.total_changes()
                outcome, changes = self._in_savepoint(work, now_us)
                outcomes.append(outcome)
                if changes is not None:
                    written += self._connection.raw.total_changes() - before
                    group.absorb(changes)
            increments = group.increments()
            if not written and not increments:
                self._connection.run(_ROLLBACK)
                return outcomes, None
            counters.add(self._connection, increments)
            revision = self._revision
            if group.revised:
                revision = self._context.revision
                self._connection.run(_SQL["set_revision"], (revision,))
            self._connection.run(_COMMIT)
        except BaseException:
            self._context.forget_all()
            if self._connection.raw.in_transaction:
                self._connection.run(_ROLLBACK)
            raise
        self._revision = revision
        return outcomes, group.commit(revision, now_us)

    def probe(self) -> None:
        """Write a page that changes nothing, down to the disk; raises the driver's errors."""
        self._connection.run(_SQL["probe"])

    def _look_up(self) -> None:
        """Forget what is remembered when another process wrote: a command beside the server."""
        version = self._connection.raw.data_version()
        if version != self._data_version:
            self._data_version = version
            self._revision = revision_of(self._connection)
            self._context.forget_all()
        self._context.revision = self._revision + 1

    def _in_savepoint(self, work: Work, now_us: int) -> tuple[Outcome, Changes | None]:
        """The outcome, and what changed unless the work failed.

        Raises:
            apsw.Error: The database failed, and with it the whole group.
        """
        changes = self._context.begin(now_us)
        execute = self._connection.raw.execute
        execute("SAVEPOINT work")
        try:
            value = work(self)
        except Exception as error:
            if isinstance(error, apsw.Error) and not isinstance(error, apsw.ConstraintError):
                raise
            execute("ROLLBACK TO work")
            execute("RELEASE work")
            self._context.forget(changes)
            return Outcome(error=self._of_caller(error)), None
        execute("RELEASE work")
        return Outcome(value=value), changes

    def _of_caller(self, error: Exception) -> Exception:
        """A contradiction found by the database is a conflict of that work alone."""
        if not isinstance(error, apsw.Error):
            return error
        conflict = translate(error, None)
        conflict.__cause__ = error
        return conflict
