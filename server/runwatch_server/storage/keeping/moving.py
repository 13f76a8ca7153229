"""Backing up, restoring, exporting, importing and verifying a store: what the commands do, without
their words.
"""

from contextlib import AbstractContextManager, closing
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from runwatch_server.storage.keeping import archive, loading, sqlite_copy
from runwatch_server.storage.keeping.opening import (
    file_of,
    filling,
    filling_file,
    lock_of,
    snapshot,
    sqlite_snapshot,
)
from runwatch_server.storage.keeping.protocols import Filling, Snapshot
from runwatch_server.storage.keeping.records import header_of, records
from runwatch_server.storage.keeping.verifying import Verification
from runwatch_shared.errors import StoreError

MOST_WRONG: Final = 500
"""Sentences about what is wrong; a store with more is looked at no further."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what does not agree in it."""

    runs: int
    events: int
    refolded: int
    """Runs with all their events, of which these were folded anew."""
    wrong: list[str]
    """At most `MOST_WRONG`."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a restore."""

    verified: Verified
    """What is wrong in it was so in the backup."""
    checked: bool
    """Whether there was a checksum to compare the backup with."""
    former: Path | None = None
    """Where the database that was there before is now."""


def export(url: str, path: Path, *, made_us: int, access: bool) -> dict[str, int]:
    """Write a store's state at one moment to an archive; gives how many records of each kind.

    Raises:
        SettingsError: The URL names nothing this build can open.
        StoreError: It cannot be read, or the file is there already or cannot be written.
    """
    with snapshot(url) as found:
        header = header_of(found, made_us=made_us, access=access)
        return archive.write(path, header, records(found, access=access))


def take_in(path: Path, url: str, *, now_us: int, access: bool = True) -> dict[str, int]:
    """Fill an empty store from an archive; gives how many records of each kind.

    The whole file is read twice: nothing is begun with one that is torn or was changed.

    Raises:
        SettingsError: The URL names nothing this build can open.
        StoreError: The file is damaged, the store is not empty, or a server runs on it.
        OSError: The file cannot be read.
    """
    archive.check(path)
    return _fill(filling(url), path, now_us, access=access)


def back_up(url: str, path: Path, *, made_us: int) -> Verified:
    """Write everything a store has at one moment to a file, beside a running server, and verify it.

    A SQLite database becomes a SQLite file, one of PostgreSQL or MongoDB an archive.

    Raises:
        SettingsError: The URL names nothing this build can open.
        StoreError: It cannot be read, or the file is there already.
        OSError: The file cannot be written.
    """
    source = file_of(url)
    if source is None:
        with snapshot(url) as found:
            header = header_of(found, made_us=made_us, access=True)
            archive.write(path, header, records(found, access=True))
            archive.check(path)
            return _verified(found)
    with sqlite_snapshot(source):
        pass  # it is there, and of this build's schema
    sqlite_copy.copy(source, path)
    with sqlite_snapshot(path) as found:
        return _verified(found)


def restore(path: Path, url: str, *, now_us: int, replace: bool) -> Restored:
    """Bring a store to what a backup has, and verify it.

    Args:
        path: Made by `back_up`, or an archive; any goes into any store.
        replace: Whether a SQLite database that is there is put aside.

    Raises:
        SettingsError: The URL names nothing this build can open.
        StoreError: The backup is damaged, or there is a database already, or a server runs on it.
        OSError: A file cannot be read or written.
    """
    target = file_of(url)
    if archive.is_archive(path):
        archive.check(path)
        checked = True
    elif sqlite_copy.is_database(path):
        checked = sqlite_copy.require_unchanged(path)
    else:
        raise StoreError(f"{path} is no backup of Runwatch")
    if target is not None:
        return _restore_file(path, target, now_us=now_us, replace=replace, checked=checked)
    if archive.is_archive(path):
        _fill(filling(url), path, now_us)
    else:
        with sqlite_snapshot(path) as found, filling(url) as filled:
            header = header_of(found, made_us=now_us, access=True)
            loading.load(filled, header, records(found, access=True), now_us=now_us)
    return Restored(verified=verify(url), checked=checked)


def verify(url: str) -> Verified:
    """Whether what a store has at one moment agrees with itself, see `verifying`.

    Raises:
        SettingsError: The URL names nothing this build can open.
        StoreError: It cannot be read.
    """
    with snapshot(url) as found:
        return _verified(found)


def _restore_file(
    path: Path, target: Path, *, now_us: int, replace: bool, checked: bool
) -> Restored:
    """Make a database beside the place of the one to be, verify it, and give it the name."""
    lock = lock_of(target)
    part = target.with_name(f"{target.name}.restoring")
    try:
        if target.exists() and not replace:
            raise StoreError(f"{target} is there already; --replace puts it aside")
        if archive.is_archive(path):
            sqlite_copy.remove(part)
            _fill(filling_file(part), path, now_us)
        else:
            sqlite_copy.prepare(path, part)
        with sqlite_snapshot(part) as found:
            verified = _verified(found)
        former = sqlite_copy.put_in_place(part, target)
    finally:
        sqlite_copy.remove(part)
        part.with_name(f"{part.name}.lock").unlink(missing_ok=True)
        lock.release()
    return Restored(verified=verified, checked=checked, former=former)


def _fill(
    opening: AbstractContextManager[Filling],
    path: Path,
    now_us: int,
    *,
    access: bool = True,
) -> dict[str, int]:
    with path.open("rb") as file, opening as filled:
        found = archive.Archive(path, file)
        return loading.load(filled, found.header, found.records(), now_us=now_us, access=access)


def _verified(found: Snapshot) -> Verified:
    verification = Verification(found)
    with closing(verification.wrong()) as sentences:
        wrong = list(islice(sentences, MOST_WRONG))
    return Verified(
        runs=verification.runs,
        events=verification.events,
        refolded=verification.refolded,
        wrong=wrong,
    )
