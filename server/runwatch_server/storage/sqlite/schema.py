"""Bringing a database file to the schema this build writes: one step a version, each in one
transaction; forward only.

A step is ``queries/sqlite/schema/NNNN_words.sql``, numbered from 1 without a gap: its number is the
``user_version`` it leads to. A file that came out is never edited again.
"""

import logging
import secrets
import time
from importlib import resources
from pathlib import Path
from typing import Final

import apsw

from runwatch_shared.errors import StoreUnavailableError
from runwatch_shared.logs import log

logger: Final = logging.getLogger(__name__)

BUSY_MS: Final = 5000
_META: Final = "INSERT INTO meta(name, value) VALUES (?, ?)"


def migrate(connection: apsw.Connection) -> str:
    """Apply what is missing and give the store's id (16 hex digits), made with the first step.

    Raises:
        StoreUnavailableError: The file was written by a newer build.
    """
    steps, began_s = _steps(), time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    try:
        version: int = connection.pragma("user_version")
        if version > len(steps):
            raise StoreUnavailableError(
                f"the database has schema {version}, this build knows up to {len(steps)}"
            )
        for number, sql in enumerate(steps[version:], start=version + 1):
            connection.execute(sql).fetchall()
            connection.execute(f"PRAGMA user_version={number}")
            if number == 1:
                _first_facts(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if version < len(steps):
        log(
            logger,
            logging.INFO,
            "store",
            "The schema was brought up to date",
            event="migrated",
            migration=len(steps),
            count=len(steps) - version,
            duration_ms=(time.perf_counter() - began_s) * 1000,
        )
    found = connection.execute("SELECT value FROM meta WHERE name = 'store_id'").fetchone()
    if found is None:
        raise StoreUnavailableError("the database has no store id; it is no Runwatch database")
    return str(found[0])


def _first_facts(connection: apsw.Connection) -> None:
    facts = (
        ("store_id", secrets.token_hex(8)),
        ("revision", 0),
        # The smallest revision a feed may resume from; rises as tombstones are removed.
        ("resumable", 0),
        # Written by the probe of the disk, which changes nothing else.
        ("probe", 0),
    )
    connection.executemany(_META, facts)


def names() -> list[str]:
    """The steps of this build, in order."""
    return [name for name, _ in _files()]


def version_of(path: Path) -> int:
    """How many steps a file has; 0 where there is none.

    Raises:
        StoreUnavailableError: It cannot be read, or was written by a newer build.
    """
    if not path.exists():
        return 0
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        version: int = connection.pragma("user_version")
        connection.close()
    except apsw.Error as error:
        raise StoreUnavailableError(f"{path} is no database that can be read") from error
    if version > len(names()):
        raise StoreUnavailableError(
            f"the database has schema {version}, this build knows up to {len(names())}"
        )
    return version


def bring(path: Path) -> None:
    """Make a file or apply what it misses, beside whatever server runs.

    Raises:
        StoreUnavailableError: It cannot be written, or was written by a newer build.
    """
    try:
        path.touch(mode=0o600)
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("journal_mode", "wal")
        migrate(connection)
        connection.close()
    except (apsw.Error, OSError) as error:
        raise StoreUnavailableError(f"{path} cannot be migrated: {error}") from error


def _steps() -> list[str]:
    return [sql for _, sql in _files()]


def _files() -> list[tuple[str, str]]:
    folder = resources.files("runwatch_server.storage") / "queries" / "sqlite" / "schema"
    files = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    for number, entry in enumerate(files, start=1):
        # A gap filled later would give the steps after it another number in databases that exist.
        assert entry.name.startswith(f"{number:04}_"), f"{entry.name} is step {number}"
    return [(entry.name.removesuffix(".sql"), entry.read_text("utf-8")) for entry in files]
