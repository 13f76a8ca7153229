"""The one place where a database's URL chooses the store."""

from pathlib import Path
from urllib.parse import unquote

from runwatch_server.storage.memory import MemoryStore
from runwatch_server.storage.observing import QueryObserver
from runwatch_server.storage.protocols import Rules, Store
from runwatch_server.storage.sqlite.store import SqliteStore
from runwatch_server.storage.urls import NO_DRIVER, NO_MONGO_DRIVER, parts_of
from runwatch_shared.errors import SettingsError


def open_store(
    url: str,
    *,
    rules: Rules,
    synchronous: str,
    sole: bool = True,
    search: bool = False,
    observer: QueryObserver | None = None,
) -> Store:
    """Open the database a URL names, made or migrated where needed.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite:///:memory:``,
            ``postgresql://user:password@host:port/database`` or
            ``mongodb://user:password@host:port/database``.
        synchronous: ``full`` or ``normal``; PostgreSQL has its own setting, and of MongoDB all
            is waited for.
        sole: Whether this is the server, which nobody else may write beside; False for a command
            that changes access while a server may be running.
        search: Whether an index for ``q`` is kept; its `follower` is the caller's to start.

    Raises:
        SettingsError: The URL names nothing this build can open.
        StoreLockedError: Another server holds the database.
        StoreError: It cannot be opened.
    """
    parts = parts_of(url)
    match parts.scheme:
        case "sqlite":
            return _open_sqlite(unquote(parts.path), rules, synchronous, sole, search, observer)
        case "postgresql" | "postgres":
            return _open_postgres(url, rules, observer)
        case "mongodb" | "mongodb+srv":
            return _open_mongo(url, rules)
        case _:
            raise SettingsError(
                "database: expected a URL like sqlite:////path/to/runwatch.db, "
                f"not one of scheme {parts.scheme!r}"
            )


def _open_sqlite(
    url_path: str,
    rules: Rules,
    synchronous: str,
    sole: bool,
    search: bool,
    observer: QueryObserver | None,
) -> Store:
    name = url_path.removeprefix("/")
    if name == ":memory:":
        return MemoryStore.make(rules, observer, search=search)
    if not name:
        raise SettingsError("database: sqlite:/// needs a file, as sqlite:////path/to/runwatch.db")
    if synchronous not in {"full", "normal"}:
        raise SettingsError(f"synchronous: expected full or normal, not {synchronous!r}")
    return SqliteStore.open(
        Path(name), rules, synchronous=synchronous, sole=sole, search=search, observer=observer
    )


def _open_postgres(url: str, rules: Rules, observer: QueryObserver | None) -> Store:
    try:
        # Only who uses it needs its driver, and only then is it loaded.
        from runwatch_server.storage.postgres.store import PostgresStore
    except ImportError as error:
        raise SettingsError(NO_DRIVER) from error
    return PostgresStore.open(url, rules, observer=observer)


def _open_mongo(url: str, rules: Rules) -> Store:
    try:
        from runwatch_server.storage.mongo.store import MongoStore
    except ImportError as error:
        raise SettingsError(NO_MONGO_DRIVER) from error
    return MongoStore.open(url, rules)
