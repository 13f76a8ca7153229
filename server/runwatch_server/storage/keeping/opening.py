"""Stores for commands that look at a whole one or fill one; no server's `Store`."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from runwatch_server.storage.keeping.protocols import Filling, Snapshot
from runwatch_server.storage.keeping.sql_filling import SqlFilling
from runwatch_server.storage.keeping.sql_snapshot import SqlSnapshot
from runwatch_server.storage.sqlite import schema as sqlite_schema
from runwatch_server.storage.sqlite.connection import open_reader
from runwatch_server.storage.sqlite.failures import Translated
from runwatch_server.storage.sqlite.lock import StoreLock
from runwatch_server.storage.sqlite.writer import open_writer
from runwatch_server.storage.urls import NO_DRIVER, NO_MONGO_DRIVER, parts_of
from runwatch_shared.errors import SettingsError, StoreUnavailableError

_MONGO: Final = frozenset({"mongodb", "mongodb+srv"})
_SERVERS: Final = _MONGO | {"postgresql", "postgres"}


def file_of(url: str) -> Path | None:
    """The file of a SQLite URL; None for PostgreSQL and MongoDB.

    Raises:
        SettingsError: It names none of them.
    """
    parts = parts_of(url)
    if parts.scheme in _SERVERS:
        return None
    name = unquote(parts.path).removeprefix("/")
    if parts.scheme != "sqlite" or name in {"", ":memory:"}:
        raise SettingsError(
            "database: only a SQLite file, PostgreSQL or MongoDB can be kept and moved"
        )
    return Path(name)


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """One state of everything, beside whatever server runs.

    Raises:
        SettingsError: The URL names nothing this build can open, or no file.
        StoreError: It cannot be read, or its schema is not this build's.
    """
    file = file_of(url)
    if file is not None:
        opening = sqlite_snapshot(file)
    else:
        opening = _mongo_snapshot(url) if _is_mongo(url) else _postgres_snapshot(url)
    with opening as found:
        yield found


@contextmanager
def sqlite_snapshot(file: Path) -> Iterator[Snapshot]:
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
        yield SqlSnapshot(connection)
        connection.end_snapshot()


@contextmanager
def _postgres_snapshot(url: str) -> Iterator[Snapshot]:
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
        yield SqlSnapshot(connection)
        connection.end_snapshot()


@contextmanager
def filling(url: str) -> Iterator[Filling]:
    """A store to be filled while no server runs; a SQLite file is made where there is none.

    Raises:
        SettingsError: The URL names nothing this build can open.
        StoreLockedError: A server holds the file.
        StoreError: It cannot be opened, or its schema is not this build's.
    """
    file = file_of(url)
    if file is not None:
        opening = filling_file(file)
    else:
        opening = _filling_mongo(url) if _is_mongo(url) else _filling_postgres(url)
    with opening as filled:
        yield filled


@contextmanager
def filling_file(file: Path) -> Iterator[Filling]:
    """As `filling`, of a file."""
    lock = lock_of(file)
    try:
        with Translated(), closing(open_writer(file, synchronous="full")) as connection:
            sqlite_schema.migrate(connection.raw)
            yield SqlFilling(connection)
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
def _filling_postgres(url: str) -> Iterator[Filling]:
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
        yield SqlFilling(connection)


@contextmanager
def _mongo_snapshot(url: str) -> Iterator[Snapshot]:
    _require_mongo_driver()
    from runwatch_server.storage.mongo.snapshot import open_snapshot

    with open_snapshot(url) as found:
        yield found


@contextmanager
def _filling_mongo(url: str) -> Iterator[Filling]:
    _require_mongo_driver()
    from runwatch_server.storage.mongo.filling import open_filling

    with open_filling(url) as filled:
        yield filled


def _is_mongo(url: str) -> bool:
    return parts_of(url).scheme in _MONGO


def _require_driver() -> None:
    """Only who uses PostgreSQL needs its driver, and only then is it loaded."""
    if find_spec("asyncpg") is None:
        raise SettingsError(NO_DRIVER)


def _require_mongo_driver() -> None:
    if find_spec("pymongo") is None:
        raise SettingsError(NO_MONGO_DRIVER)
