"""Connections for commands that look at a whole store or fill one; no server's `Store`."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

from runwatch_server.storage.sql.connection import SnapshotConnection, WritingConnection
from runwatch_server.storage.sqlite import schema as sqlite_schema
from runwatch_server.storage.sqlite.connection import open_reader
from runwatch_server.storage.sqlite.failures import Translated
from runwatch_server.storage.sqlite.lock import StoreLock
from runwatch_server.storage.sqlite.writer import open_writer
from runwatch_server.storage.urls import NO_DRIVER, parts_of
from runwatch_shared.errors import SettingsError, StoreUnavailableError


def file_of(url: str) -> Path | None:
    """The file of a SQLite URL; None for PostgreSQL.

    Raises:
        SettingsError: It names neither.
    """
    parts = parts_of(url)
    if parts.scheme in {"postgresql", "postgres"}:
        return None
    name = unquote(parts.path).removeprefix("/")
    if parts.scheme != "sqlite" or name in {"", ":memory:"}:
        raise SettingsError("database: only a SQLite file or PostgreSQL can be kept and moved")
    return Path(name)


@contextmanager
def snapshot(url: str) -> Iterator[SnapshotConnection]:
    """One state of everything, beside whatever server runs.

    Raises:
        SettingsError: The URL names nothing this build can open, or no file.
        StoreError: It cannot be read, or its schema is not this build's.
    """
    file = file_of(url)
    with _postgres_snapshot(url) if file is None else sqlite_snapshot(file) as connection:
        yield connection


@contextmanager
def sqlite_snapshot(file: Path) -> Iterator[SnapshotConnection]:
    """As `snapshot`, of a file."""
    if not file.is_file():
        raise SettingsError(f"there is no database {file}")
    if sqlite_schema.version_of(file) != len(sqlite_schema.names()):
        raise StoreUnavailableError(
            f"{file} lacks steps of its schema; run: "
            f"monitor-server migrate --database sqlite:///{file}"
        )
    with Translated(), closing(open_reader(file)) as connection:
        connection.begin_snapshot()
        yield connection
        connection.end_snapshot()


@contextmanager
def _postgres_snapshot(url: str) -> Iterator[SnapshotConnection]:
    _require_driver()
    from runwatch_server.storage.postgres import schema
    from runwatch_server.storage.postgres.connection import Connection
    from runwatch_server.storage.postgres.failures import Opening
    from runwatch_server.storage.postgres.failures import Translated as TranslatedPostgres

    with Opening(url):
        connection = Connection.open(
            url, limit_s=None, statement_timeout="0", idle_in_transaction_session_timeout="0"
        )
    with TranslatedPostgres(), closing(connection):
        schema.require_current(connection)
        connection.begin_snapshot()
        yield connection
        connection.end_snapshot()


@contextmanager
def filling(url: str) -> Iterator[WritingConnection]:
    """A connection that fills a store while no server runs; a SQLite file is made where there is
    none.

    Raises:
        SettingsError: The URL names nothing this build can open.
        StoreLockedError: A server holds the file.
        StoreError: It cannot be opened, or its schema is not this build's.
    """
    file = file_of(url)
    with _filling_postgres(url) if file is None else filling_file(file) as connection:
        yield connection


@contextmanager
def filling_file(file: Path) -> Iterator[WritingConnection]:
    """As `filling`, of a file."""
    lock = lock_of(file)
    try:
        with Translated(), closing(open_writer(file, synchronous="full")) as connection:
            sqlite_schema.migrate(connection.raw)
            yield connection
    finally:
        lock.release()


def lock_of(file: Path) -> StoreLock:
    """The lock a server of a SQLite file holds; its folder is made, for this user alone.

    Raises:
        StoreLockedError: A server holds it.
        StoreUnavailableError: It cannot be opened.
    """
    with suppress(OSError):  # the lock says better what is wrong
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return StoreLock.take(file.with_name(f"{file.name}.lock"))


@contextmanager
def _filling_postgres(url: str) -> Iterator[WritingConnection]:
    _require_driver()
    from runwatch_server.storage.postgres import schema
    from runwatch_server.storage.postgres.connection import Connection
    from runwatch_server.storage.postgres.failures import Opening
    from runwatch_server.storage.postgres.failures import Translated as TranslatedPostgres
    from runwatch_server.storage.postgres.position import Position
    from runwatch_server.storage.postgres.writer import WritingConnection as Writing

    with Opening(url), closing(Connection.open(url)) as looking:
        schema.require_current(looking)
    with Opening(url):
        connection = Writing.open(
            url, limit_s=None, statement_timeout="0", idle_in_transaction_session_timeout="0"
        )
    with TranslatedPostgres(), closing(connection):
        connection.server = secrets.token_hex(8)
        connection.position = Position()
        yield connection


def _require_driver() -> None:
    """Only who uses PostgreSQL needs its driver, and only then is it loaded."""
    if find_spec("asyncpg") is None:
        raise SettingsError(NO_DRIVER)
