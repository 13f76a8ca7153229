"""The one connection that writes to a SQLite file: its transactions, its savepoints."""

from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final

import apsw

from runwatch_server.storage.observing import QueryObserver
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.sql.revisions import revision_of
from runwatch_server.storage.sqlite.connection import BOTH, STATEMENTS, Connection, prepare
from runwatch_server.storage.statements import Statement, load

_SQL: Final = load("sqlite", "meta")
_BEGIN: Final = Statement("BEGIN IMMEDIATE", "commit", "")
_COMMIT: Final = Statement("COMMIT", "commit", "")
_ROLLBACK: Final = Statement("ROLLBACK", "commit", "")
_WRITER: Final = (
    "PRAGMA journal_mode=WAL",
    # The store checkpoints by itself, never inside a commit.
    "PRAGMA wal_autocheckpoint=0",
    # After a burst the log shrinks to this when it starts again from its beginning.
    f"PRAGMA journal_size_limit={64 * 1024 * 1024}",
    "PRAGMA cache_size=-65536",
)


class WritingConnection(Connection):
    """`sql.connection.WritingConnection`; remembers the revision as long as nobody else writes."""

    def __init__(self, raw: apsw.Connection, observer: QueryObserver | None) -> None:
        super().__init__(raw, observer)
        self.broken = False
        self._data_version = -1
        self._revision = 0

    def begin(self) -> tuple[int, bool]:
        self.run(_BEGIN)
        version = self.raw.data_version()
        others_wrote = version != self._data_version
        if others_wrote:
            self._data_version = version
            self._revision = revision_of(self)
        return self._revision, others_wrote

    def commit(self, commit: Commit) -> None:
        if commit.revision != self._revision:
            self.run(_SQL["set_revision"], (commit.revision,))
        self.run(_COMMIT)
        self._revision = commit.revision
        # Own commits move it too.
        self._data_version = self.raw.data_version()

    def rollback(self) -> None:
        if self.raw.in_transaction:
            self.run(_ROLLBACK)

    def savepoint(self) -> AbstractContextManager[object]:
        return self.raw

    def total_changes(self) -> int:
        return self.raw.total_changes()

    def later(self, table: str, key: Hashable, row: Sequence[Any]) -> bool:
        """False: a statement costs no way to another process, and a narrow one the least."""
        return False

    def put_off(self, table: str, key: Hashable) -> Sequence[Any] | None:
        return None

    def settle(self) -> None:
        """Nothing is put off."""

    def contradiction(self, error: BaseException) -> bool:
        return isinstance(error, apsw.ConstraintError)

    def failed(self, error: BaseException) -> bool:
        return isinstance(error, apsw.Error)

    def probe(self) -> None:
        """Write a page that changes nothing, down to the disk; raises the driver's errors."""
        self.run(_SQL["probe"])
        self._data_version = -1


def open_writer(
    path: Path, *, synchronous: str, vfs: str | None = None, observer: QueryObserver | None = None
) -> WritingConnection:
    """The connection that writes; makes the file when it is absent, for this user alone: it holds
    prompts and environments.

    Args:
        synchronous: ``full`` or ``normal``; only ``full`` survives a power cut whole.
        vfs: A SQLite VFS registered under this name; None for the machine's own.
    """
    if vfs is None:
        with suppress(OSError):  # SQLite says better what is wrong; its other files follow this one
            path.touch(mode=0o600)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    raw = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=STATEMENTS)
    prepare(raw, (*BOTH, *_WRITER, f"PRAGMA synchronous={synchronous}"))
    return WritingConnection(raw, observer)
