"""A SQLite database as a file of its own: copied page by page beside a running server, and put
back; what its rows say is not looked at here.

A backup has its SHA-256 in a file beside it, as ``sha256sum`` writes it: SQLite's own check finds
a torn structure, not a changed text.
"""

import hashlib
import os
import secrets
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import apsw

from runwatch_server.storage.keeping.archive import damaged, sync_folder
from runwatch_server.storage.sqlite import schema
from runwatch_server.storage.sqlite.connection import open_reader
from runwatch_server.storage.sqlite.failures import Translated
from runwatch_server.storage.sqlite.search_file import beside
from runwatch_shared.errors import StoreError

PAGES: Final = 2048
"""Copied in one step, between which Ctrl-C is heard."""
READ_BYTES: Final = 1024 * 1024
_MAGIC: Final = b"SQLite format 3\0"
_COMPANIONS: Final = ("-wal", "-shm", "-journal")


def is_database(path: Path) -> bool:
    """Whether a file begins as one.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def checksum_file(path: Path) -> Path:
    """Where the checksum of a backup is."""
    return path.with_name(f"{path.name}.sha256")


def copy(source: Path, path: Path) -> None:
    """Copy a database as it is at one moment, for this user alone; whole or not at all.

    The source is read in one transaction: what is committed meanwhile neither waits nor gets in,
    and the copy never begins anew.

    Raises:
        StoreError: There is such a file already, or the source cannot be read or is damaged.
        OSError: It cannot be written.
    """
    if path.exists() or checksum_file(path).exists():
        raise StoreError(f"{path} is there already")
    part = path.with_name(f"{path.name}.part")
    _fresh(part)
    try:
        with Translated(), closing(open_reader(source)) as reader:
            reader.begin_snapshot()
            reader.raw.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            _copy_pages(reader.raw, part)
            reader.end_snapshot()
        _require_sound(part, source)
        digest = _synced(part)
        part.replace(path)
    except BaseException:
        remove(part)
        raise
    with checksum_file(path).open("x", encoding="utf-8") as file:
        file.write(f"{digest}  {path.name}\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path)


def require_unchanged(path: Path) -> bool:
    """Compare a backup with its checksum; gives whether there was one to compare with.

    Raises:
        StoreError: It is torn or was changed.
        OSError: It cannot be read.
    """
    try:
        expected = checksum_file(path).read_text(encoding="utf-8").split()[:1]
    except FileNotFoundError:
        return False
    except UnicodeDecodeError as error:
        raise damaged(path) from error
    if expected != [_digest(path)]:
        raise damaged(path)
    return True


def prepare(backup: Path, part: Path) -> None:
    """Copy a backup, sound, brought to this build's schema and with an id of its own: its history
    forks here, and consoles shall take it in anew.

    Raises:
        StoreError: The backup is damaged, of a newer build, or no database of Runwatch.
        OSError: It cannot be read, or the copy not be written.
    """
    _fresh(part)
    _copy_file(backup, part)
    with Translated():
        _require_sound(part, backup)
        with closing(apsw.Connection(str(part))) as connection:
            schema.migrate(connection)
            connection.execute(
                "UPDATE meta SET value = ? WHERE name = 'store_id'", (secrets.token_hex(8),)
            )
    _synced(part)


def put_in_place(part: Path, database: Path) -> Path | None:
    """Give a prepared copy the database's name; the database that was there is kept beside it, as
    it is, damaged or not. The caller holds its lock, so that no server runs.

    Returns:
        Where the former database is now; None where there was none.

    Raises:
        StoreError: There is a former one already that was put aside, or the copy is not whole.
        OSError: A file cannot be renamed.
    """
    if _has_log(part):
        raise StoreError(f"{part} could not be completed")
    former = None
    if database.exists():
        former = database.with_name(f"{database.name}.before-restore")
        if former.exists():
            raise StoreError(f"{former} is there already; move it away first")
        _put_aside(database, former)
    # Made anew from the database by the next start.
    remove(beside(database))
    part.replace(database)
    sync_folder(database)
    return former


def _put_aside(database: Path, former: Path) -> None:
    """Give a database a second name, so that at no moment there is none under its own; a log that
    cannot be brought into it goes along, as it must never meet another file.
    """
    with suppress(apsw.Error), closing(apsw.Connection(str(database))) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    for suffix in _COMPANIONS:
        file = database.with_name(f"{database.name}{suffix}")
        if file.exists():
            file.rename(former.with_name(f"{former.name}{suffix}"))
    try:
        os.link(database, former)
    except OSError:  # no second names on this file system
        database.rename(former)


def _has_log(database: Path) -> bool:
    log = database.with_name(f"{database.name}-wal")
    return log.exists() and log.stat().st_size > 0


def remove(path: Path) -> None:
    """A database's file and those beside it."""
    for suffix in ("", *_COMPANIONS):
        with suppress(FileNotFoundError):
            path.with_name(f"{path.name}{suffix}").unlink()


def _fresh(path: Path) -> None:
    remove(path)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _copy_pages(source: apsw.Connection, path: Path) -> None:
    with closing(apsw.Connection(str(path))) as target:
        with target.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(PAGES)
        # One file, that can be read from a medium nobody can write to.
        target.pragma("journal_mode", "delete")


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reading, target.open("r+b") as writing:
        while piece := reading.read(READ_BYTES):
            writing.write(piece)


def _require_sound(part: Path, named: Path) -> None:
    try:
        with closing(apsw.Connection(str(part))) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except apsw.Error as error:
        raise damaged(named) from error
    if found != [("ok",)]:
        raise damaged(named)


def _synced(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
