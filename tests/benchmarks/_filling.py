"""The quick ways into a new store for rows that `generate` makes: no index while rows come.

Only for stores nobody else looks at: what is half made is thrown away.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

from runwatch_server.lifespan import rules_of
from runwatch_server.storage.keeping.opening import filling
from runwatch_server.storage.keeping.sql_filling import SqlFilling
from runwatch_server.storage.postgres.writer import DAY_BITS, WritingConnection
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.sqlite.store import SqliteStore
from runwatch_server.storage.statements import Statement
from runwatch_shared.settings import ServerSettings
from tests.benchmarks._stamps import TABLES

DAY_US: Final = 86_400_000_000
_INDEXES: Final = Statement(
    "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
    " WHERE indrelid::regclass::text = ANY(?::text[]) AND NOT indisunique AND NOT indisprimary",
    "select",
    "",
)


class Filling(ABC):
    """One store being filled."""

    @abstractmethod
    def key(self, number: int, created_us: int) -> int:
        """The small key of the run of a number that was made at a moment."""

    @abstractmethod
    def write(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows."""

    @abstractmethod
    def finish(self, revision: int) -> None:
        """Say how far the revisions are, and make everything durable."""


class _Sqlite(Filling):
    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
            f"AND tbl_name IN ({', '.join('?' * len(TABLES))})",
            tuple(TABLES),
        ).fetchall()
        for name, _ in self._indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")

    def key(self, number: int, created_us: int) -> int:
        return number

    def write(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table}({', '.join(columns)}) VALUES ({marks})"
        self._connection.executemany(sql, rows)

    def finish(self, revision: int) -> None:
        self._connection.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (revision,))
        self._connection.execute("COMMIT")
        for _, sql in self._indexes:
            self._connection.execute(str(sql))
        self._connection.execute("PRAGMA journal_mode=WAL").fetchall()


class _Postgres(Filling):
    """Through the connection the server itself writes with, which makes a day's partition."""

    def __init__(self, connection: WritingConnection) -> None:
        self._connection = connection
        connection.begin()
        connection.command("SET LOCAL maintenance_work_mem = '1GB'")
        self._indexes = connection.all(_INDEXES, (list(TABLES),))
        for name, _ in self._indexes:
            connection.command(f"DROP INDEX {name}")

    def key(self, number: int, created_us: int) -> int:
        return created_us // DAY_US << DAY_BITS | number

    def write(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        connection = self._connection
        if table == "events":
            for day in {row[0] >> DAY_BITS for row in rows}:
                connection._have(day)
            raw = columns.index("raw")
            rows = [
                (*row[:raw], None if row[raw] is None else row[raw].encode(), *row[raw + 1 :])
                for row in rows
            ]
            payload = columns.index("payload")
            connection._bytes += sum(
                len(row[payload] or b"") + len(row[raw] or b"") for row in rows
            )
        connection.wait(connection.raw.copy_records_to_table(table, records=rows, columns=columns))

    def finish(self, revision: int) -> None:
        connection = self._connection
        for _, sql in self._indexes:
            connection.command(sql)
        connection.commit(
            Commit(revision=revision, at_us=0, runs=[], nodes=[], tasks=[], events={}, counts=[])
        )
        # As autovacuum leaves a database that was filled in its own time.
        connection.command("VACUUM ANALYZE")


@contextmanager
def filling_sqlite(path: Path, settings: ServerSettings) -> Iterator[Filling]:
    """A new file.

    Raises:
        ValueError: It is there already.
    """
    if path.exists():
        raise ValueError(f"{path} is already there")
    SqliteStore.open(path, rules_of(settings), sole=False).close()
    connection = apsw.Connection(str(path))
    for pragma in (
        "journal_mode=OFF",
        "synchronous=OFF",
        "locking_mode=EXCLUSIVE",
        "cache_size=-2000000",
        "temp_store=MEMORY",
        "threads=2",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    try:
        yield _Sqlite(connection)
    finally:
        connection.close()


@contextmanager
def filling_postgres(url: str) -> Iterator[Filling]:
    """An empty database with the schema of this build."""
    with filling(url) as filled:
        assert isinstance(filled, SqlFilling)
        assert isinstance(filled.connection, WritingConnection)
        yield _Postgres(filled.connection)
