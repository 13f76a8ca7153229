"""One group of works as one transaction, each work in a savepoint of its own."""

from collections.abc import Callable, Sequence
from typing import Final

import apsw

from runwatch_server.rows import Size
from runwatch_server.storage.changes import Changes
from runwatch_server.storage.protocols import Commit, Outcome, Rules, Span, WriteTx
from runwatch_server.storage.sqlite import counters, sizes
from runwatch_server.storage.sqlite.access import AccessWriter
from runwatch_server.storage.sqlite.alerts import AlertWriter
from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.sqlite.context import WriteContext
from runwatch_server.storage.sqlite.events import EventWriter
from runwatch_server.storage.sqlite.failures import translate
from runwatch_server.storage.sqlite.housekeeping import Housekeeper
from runwatch_server.storage.sqlite.leases import LeaseWriter
from runwatch_server.storage.sqlite.nodes import NodeWriter
from runwatch_server.storage.sqlite.prunes import PruneWriter
from runwatch_server.storage.sqlite.replays import ReplayWriter
from runwatch_server.storage.sqlite.revisions import revision_of
from runwatch_server.storage.sqlite.runs import RunWriter
from runwatch_server.storage.sqlite.tasks import TaskWriter
from runwatch_server.storage.sqlite.telemetry import TelemetryWriter
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
        self.alerts = AlertWriter(connection)
        self.housekeeping = Housekeeper(connection)
        self.prunes = PruneWriter(connection)
        self.telemetry = TelemetryWriter(connection)

    @property
    def now_us(self) -> int:
        return self._context.now_us

    def size(self) -> Size:
        return sizes.of(self._connection)

    def count(self, name: str, by: float, *, spans: Sequence[tuple[Span, int]] = _ALL) -> None:
        self._context.changes.counted((span, start_us, name, by) for span, start_us in spans)

    def run(self, works: Sequence[Work], now_us: int) -> tuple[list[Outcome], Commit | None]:
        """See `protocols.Store.write_group`; raises the driver's errors.

        A savepoint copies every page that is touched within it, and works hardly ever fail half
        done: they refuse before they write. So the group runs without any, and only when one fails
        half done does it run again with one for each (a work may run again, see `protocols`).
        """
        try:
            return self._attempt(works, now_us, self._plainly)
        except _HalfDoneError:
            return self._attempt(works, now_us, self._in_savepoint)

    def probe(self) -> None:
        """Write a page that changes nothing, down to the disk; raises the driver's errors."""
        self._connection.run(_SQL["probe"])
        self._data_version = -1

    def _look_up(self) -> None:
        """Forget what is remembered when another process wrote: a command beside the server."""
        version = self._connection.raw.data_version()
        if version != self._data_version:
            self._data_version = version
            self._revision = revision_of(self._connection)
            self._context.forget_all()
        self._context.revision = self._revision + 1

    def _attempt(
        self, works: Sequence[Work], now_us: int, run: Callable[[Work], Outcome]
    ) -> tuple[list[Outcome], Commit | None]:
        connection, context = self._connection, self._context
        connection.run(_BEGIN)
        try:
            self._look_up()
            group = Changes()
            outcomes: list[Outcome] = []
            written = 0
            for work in works:
                before = connection.raw.total_changes()
                changes = context.begin(now_us)
                outcome = run(work)
                outcomes.append(outcome)
                if outcome.error is None:
                    written += connection.raw.total_changes() - before
                    group.absorb(changes)
            increments = group.increments()
            if not written and not increments:
                connection.run(_ROLLBACK)
                return outcomes, None
            counters.add(connection, increments)
            revision = context.revision if group.revised else self._revision
            if group.revised:
                connection.run(_SQL["set_revision"], (revision,))
            connection.run(_COMMIT)
        except BaseException:
            context.forget_all()
            if connection.raw.in_transaction:
                connection.run(_ROLLBACK)
            raise
        self._revision = revision
        # Own commits move it too.
        self._data_version = connection.raw.data_version()
        return outcomes, group.commit(revision, now_us)

    def _whole(self, work: Work) -> object:
        """A work with everything it put written."""
        value = work(self)
        self.runs.settle()
        return value

    def _plainly(self, work: Work) -> Outcome:
        """Run a work that must not fail half done.

        Raises:
            _HalfDoneError: It did.
            apsw.Error: The database failed, and with it the whole group.
        """
        before = self._connection.raw.total_changes()
        try:
            return Outcome(value=self._whole(work))
        except Exception as error:
            self.runs.abandon()
            outcome = _refusal(error)
            if self._connection.raw.total_changes() != before:
                raise _HalfDoneError from error
            return outcome

    def _in_savepoint(self, work: Work) -> Outcome:
        """Run a work so that it undoes itself when it fails.

        Raises:
            apsw.Error: The database failed, and with it the whole group.
        """
        changes = self._context.changes
        try:
            with self._connection.raw:  # a savepoint, inside a transaction
                value = self._whole(work)
        except Exception as error:  # noqa: BLE001 - what a work raises is its caller's answer
            self.runs.abandon()
            self._context.forget(changes)
            return _refusal(error)
        return Outcome(value=value)


class _HalfDoneError(Exception):
    """A work failed after it had written something."""


def _refusal(error: Exception) -> Outcome:
    """A work's error as the answer to its caller, unless the database itself failed.

    A contradiction the database finds is a conflict of that work alone.
    """
    if not isinstance(error, apsw.Error):
        return Outcome(error=error)
    if not isinstance(error, apsw.ConstraintError):
        raise error
    conflict = translate(error, None)
    conflict.__cause__ = error
    return Outcome(error=conflict)
