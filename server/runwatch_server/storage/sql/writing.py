"""One group of works as one transaction, each work in a savepoint of its own."""

from collections.abc import Callable, Sequence
from typing import Final

from runwatch_server.rows import Size
from runwatch_server.storage.changes import Changes
from runwatch_server.storage.kept import K
from runwatch_server.storage.protocols import Commit, Outcome, Rules, Span, WriteTx
from runwatch_server.storage.sql import counters
from runwatch_server.storage.sql.access import AccessWriter
from runwatch_server.storage.sql.alerts import AlertWriter
from runwatch_server.storage.sql.connection import WritingConnection
from runwatch_server.storage.sql.context import WriteContext
from runwatch_server.storage.sql.events import EventWriter
from runwatch_server.storage.sql.housekeeping import Housekeeper
from runwatch_server.storage.sql.kept import KeptWriter
from runwatch_server.storage.sql.leases import LeaseWriter
from runwatch_server.storage.sql.nodes import NodeWriter
from runwatch_server.storage.sql.prunes import PruneWriter
from runwatch_server.storage.sql.replays import ReplayWriter
from runwatch_server.storage.sql.runs import RunWriter
from runwatch_server.storage.sql.tasks import TaskWriter
from runwatch_server.storage.sql.telemetry import TelemetryWriter
from runwatch_shared.errors import ConflictError

Work = Callable[[WriteTx], object]

_ALL: Final[tuple[tuple[Span, int], ...]] = (("all", 0),)


class WriteTransaction:
    """`protocols.WriteTx`; made once and used for one group after another."""

    def __init__(self, connection: WritingConnection, rules: Rules) -> None:
        self._connection = connection
        self._context = context = WriteContext(rules)
        self.runs = RunWriter(connection, context)
        self.events = EventWriter(connection, context)
        self.tasks = TaskWriter(connection, context)
        self.nodes = NodeWriter(connection, context)
        self.leases = LeaseWriter(connection, context)
        self.access = AccessWriter(connection)
        self.replays = ReplayWriter(connection)
        self.alerts = AlertWriter(connection)
        self.housekeeping = Housekeeper(connection)
        self.prunes = PruneWriter(connection)
        self.telemetry = TelemetryWriter(connection)

    @property
    def now_us(self) -> int:
        return self._context.now_us

    def kept(self, row: type[K]) -> KeptWriter[K]:
        return KeptWriter(self._connection, self._context, row)

    def size(self) -> Size:
        return self._connection.size()

    def count(self, name: str, by: float, *, spans: Sequence[tuple[Span, int]] = _ALL) -> None:
        self._context.changes.counted((span, start_us, name, by) for span, start_us in spans)

    def run(self, works: Sequence[Work], now_us: int) -> tuple[list[Outcome], Commit | None]:
        """See `protocols.Store.write_group`; raises the driver's errors.

        A savepoint copies every page that is touched within it, and works hardly ever fail half
        done: they refuse before they write. So the group runs without any, and only when one fails
        half done does it run again with one for each (a work may run again, see `protocols`).
        """
        try:
            return self._attempt(works, now_us, self._plainly, self._settle_plainly)
        except _HalfDoneError:
            return self._attempt(works, now_us, self._in_savepoint, self._connection.settle)

    def _attempt(
        self,
        works: Sequence[Work],
        now_us: int,
        run: Callable[[Work], Outcome],
        settle: Callable[[], None],
    ) -> tuple[list[Outcome], Commit | None]:
        connection, context = self._connection, self._context
        try:
            stands_at, others_wrote = connection.begin()
            if others_wrote:
                context.forget_all()
            context.revision = stands_at + 1
            group = Changes()
            outcomes: list[Outcome] = []
            written = 0
            for work in works:
                before = connection.total_changes()
                changes = context.begin(now_us)
                outcome = run(work)
                outcomes.append(outcome)
                if outcome.error is None:
                    written += connection.total_changes() - before
                    group.absorb(changes)
            increments = group.increments()
            if not written and not increments:
                connection.rollback()
                return outcomes, None
            counters.add(connection, increments)
            settle()
            revision = context.revision if group.revised else stands_at
            commit = group.commit(revision, now_us)
            connection.commit(commit)
        except BaseException:
            context.forget_all()
            connection.rollback()
            raise
        return outcomes, commit

    def _whole(self, work: Work) -> object:
        """A work with everything it put written."""
        value = work(self)
        self.runs.settle()
        return value

    def _plainly(self, work: Work) -> Outcome:
        """Run a work that must not fail half done.

        Raises:
            _HalfDoneError: It did.
            Exception: The driver's: the database failed, and with it the whole group.
        """
        before = self._connection.total_changes()
        try:
            return Outcome(value=self._whole(work))
        except Exception as error:
            self.runs.abandon()
            outcome = self._refusal(error)
            if self._connection.total_changes() != before or self._connection.broken:
                raise _HalfDoneError from error
            return outcome

    def _settle_plainly(self) -> None:
        """Write what the works put off, all together.

        Raises:
            _HalfDoneError: It is the fault of one of them, and cannot be told of which.
            Exception: The driver's: the database failed, and with it the whole group.
        """
        try:
            self._connection.settle()
        except Exception as error:
            if self._connection.failed(error) and not self._connection.contradiction(error):
                raise
            raise _HalfDoneError from error

    def _in_savepoint(self, work: Work) -> Outcome:
        """Run a work so that it undoes itself when it fails.

        Raises:
            Exception: The driver's: the database failed, and with it the whole group.
        """
        changes = self._context.changes
        try:
            with self._connection.savepoint():
                value = self._whole(work)
        except Exception as error:  # noqa: BLE001 - what a work raises is its caller's answer
            self.runs.abandon()
            self._context.forget(changes)
            return self._refusal(error)
        return Outcome(value=value)

    def _refusal(self, error: Exception) -> Outcome:
        """A work's error as the answer to its caller, unless the database itself failed.

        A contradiction the database finds is a conflict of that work alone.
        """
        if not self._connection.failed(error):
            return Outcome(error=error)
        if not self._connection.contradiction(error):
            raise error
        conflict = ConflictError("a row contradicts one that is stored")
        conflict.__cause__ = error
        return Outcome(error=conflict)


class _HalfDoneError(Exception):
    """A work failed after it had written something, or left the transaction unusable."""
