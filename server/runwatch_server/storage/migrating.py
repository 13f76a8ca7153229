"""The schema of the database a URL names: how it stands to this build, and bringing it there."""

from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import msgspec

from runwatch_server.storage.sqlite import schema as sqlite_schema
from runwatch_server.storage.urls import NO_DRIVER, parts_of
from runwatch_shared.errors import SettingsError


class SchemaStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Names of steps, in order."""

    applied: list[str]
    missing: list[str]


def standing_of(url: str) -> SchemaStanding:
    """What is applied and what is missing; changes nothing.

    Raises:
        SettingsError: The URL names nothing this build can open.
        StoreError: It cannot be reached, or was written by a newer or another build.
    """
    if parts_of(url).scheme == "sqlite":
        return SchemaStanding(**_of_file(url))
    if is_without_schema(url):
        return SchemaStanding(applied=[], missing=[])
    _require_postgres(url)
    from runwatch_server.storage.postgres import schema
    from runwatch_server.storage.postgres.connection import Connection
    from runwatch_server.storage.postgres.failures import Opening

    with Opening(url), closing(Connection.open(url)) as connection:
        found = schema.standing(connection)
    return SchemaStanding(applied=found.applied, missing=[step.name for step in found.missing])


def migrate(url: str) -> list[str]:
    """Apply what is missing; gives the names of the steps that were. A database of SQLite is made
    where it is not there yet, one of PostgreSQL must be there and may be empty.

    Raises:
        SettingsError: The URL names nothing this build can open.
        StoreError: It cannot be reached, or was written by a newer or another build.
    """
    if parts_of(url).scheme == "sqlite":
        missing = _of_file(url)["missing"]
        sqlite_schema.bring(_file(url))
        return missing
    if is_without_schema(url):
        return []
    _require_postgres(url)
    from runwatch_server.storage.postgres import schema
    from runwatch_server.storage.postgres.connection import Connection
    from runwatch_server.storage.postgres.failures import Opening

    with (
        Opening(url),
        # Whoever comes second waits for the first, and a step over many rows takes its time.
        closing(
            Connection.open(url, limit_s=None, lock_timeout="0", statement_timeout="0")
        ) as connection,
    ):
        return schema.migrate(connection)


def is_without_schema(url: str) -> bool:
    """Whether each start makes what the database needs: MongoDB has indexes, and no schema."""
    return parts_of(url).scheme in {"mongodb", "mongodb+srv"}


def _require_postgres(url: str) -> None:
    if parts_of(url).scheme not in {"postgresql", "postgres"}:
        raise SettingsError("database: only SQLite and PostgreSQL have a schema to migrate")
    if find_spec("asyncpg") is None:
        raise SettingsError(NO_DRIVER)


def _file(url: str) -> Path:
    return Path(unquote(parts_of(url).path).removeprefix("/"))


def _of_file(url: str) -> dict[str, list[str]]:
    names = sqlite_schema.names()
    version = sqlite_schema.version_of(_file(url))
    return {"applied": names[:version], "missing": names[version:]}
