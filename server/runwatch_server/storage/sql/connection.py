"""What the aggregates ask of a connection, whatever the database; no driver is named here."""

from collections.abc import Generator, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from runwatch_server.rows import EventRow, Size
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.statements import Statement

SqlRow = Sequence[Any]


class Connection(Protocol):
    """Used by one thread at a time. Marks in SQL are ``?`` and ``?N``.

    Every method reads its whole result at once, `iterate` apart.
    """

    judges: bool
    """Whether the database is told which conditions an index serves well; else it knows itself."""

    def statements(self, topic: str) -> Mapping[str, Statement]:
        """The named statements of a topic in this database's words."""
        ...

    def run(self, statement: Statement, parameters: Sequence[Any] = ()) -> None:
        """Run a statement for its effect."""
        ...

    def all(self, statement: Statement, parameters: Sequence[Any] = ()) -> list[Any]: ...

    def one(self, statement: Statement, parameters: Sequence[Any] = ()) -> SqlRow | None:
        """The first row, if any."""
        ...

    def value(self, statement: Statement, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row; None without a row."""
        ...

    def iterate(
        self, statement: Statement, parameters: Sequence[Any] = ()
    ) -> Generator[Any, None, None]:
        """Row by row, for who may stop early; close what is given back when stopping."""
        ...

    def changes(self) -> int:
        """Rows the last `run` inserted, changed or removed."""
        ...

    def containing(self, column: str, word: str) -> tuple[str, str]:
        """A term that is true where a column has a word somewhere, with one mark, and what is bound
        to it.
        """
        ...

    def unserved(self, term: str) -> str:
        """A term or column so that no index serves it, where the database `judges`."""
        ...

    def event(self, row: SqlRow) -> EventRow:
        """An event as it was read."""
        ...

    def append_events(self, run: int, events: Sequence[EventRow]) -> None:
        """Insert events of a run, given by its small key."""
        ...

    def remove_events(self, run: int, *, up_to: int) -> int:
        """Remove a run's events to a number; gives how many went."""
        ...

    def size(self) -> Size:
        """As this connection's transaction sees it."""
        ...


class SnapshotConnection(Connection, Protocol):
    """A connection that reads."""

    def begin_snapshot(self) -> None:
        """Begin a transaction that sees one state of everything, as of its first read."""
        ...

    def end_snapshot(self) -> None:
        """Nothing where none was begun."""
        ...

    def close(self) -> None: ...


class WritingConnection(Connection, Protocol):
    """The connection that writes."""

    def begin(self) -> tuple[int, bool]:
        """Begin a transaction nobody else can write beside.

        Returns:
            The revision of the last commit, and whether somebody else may have written since this
            connection's own.
        """
        ...

    def commit(self, commit: Commit) -> None:
        """Make everything durable; ``commit`` says what changed and the revision it leads to."""
        ...

    def rollback(self) -> None:
        """End the transaction without a trace; nothing where none is open."""
        ...

    def later(self, table: str, key: Hashable, row: Sequence[Any]) -> bool:
        """Put off a row so that one statement writes many: by the end of the transaction, and
        before anything else is asked of its table. In the place of one of this key that is put off.

        Args:
            row: Every column; of ``runs`` as `run_columns.gathered` gives it.

        Returns:
            False where this database is better given each row at once; then nothing was done.
        """
        ...

    def put_off(self, table: str, key: Hashable) -> Sequence[Any] | None:
        """The row of this key that is put off, if any."""
        ...

    def settle(self) -> None:
        """Write what was put off; raises what writing it at once would have, of any of it.

        Raises:
            ConflictError: A row is no longer what was read.
        """
        ...

    @property
    def broken(self) -> bool:
        """Whether the transaction can only be undone, whole or to a savepoint."""
        ...

    def savepoint(self) -> AbstractContextManager[object]:
        """What happens within is undone when it raises."""
        ...

    def total_changes(self) -> int:
        """Rows inserted, changed or removed since the connection was made, undone ones too."""
        ...

    def contradiction(self, error: BaseException) -> bool:
        """Whether an error says that a row contradicts one that is stored."""
        ...

    def failed(self, error: BaseException) -> bool:
        """Whether an error is the database's, and not of what was asked."""
        ...
