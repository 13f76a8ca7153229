"""An account's login as a tar archive, and back, without trusting the archive; network unused."""

import io
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import Final

from runwatch_shared.errors import RunwatchError

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of a login, unpacked; what is larger is no login. The server takes 256 MiB (contract 13)."""
MOST_FILES: Final = 5000
LEFT_OUT: Final = frozenset({"projects", "sessions", "telemetry", "tmp", "log", "backups", "cache"})
"""Folders within an agent's own that are not its login."""


class ArchiveError(RunwatchError):
    """What is no archive of a login."""


def pack(place: Path, auth_dir: str) -> bytes:
    """Of an account's folder: its record and what belongs to the login in its home.

    Raises:
        ArchiveError: It is too large.
        OSError: It cannot be read.
    """
    target = io.BytesIO()
    size = 0
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for path in _files(place, auth_dir):
            size += path.stat().st_size
            if size > MOST_BYTES:
                raise ArchiveError("the login is too large to be stored")
            archive.add(path, path.relative_to(place).as_posix(), recursive=False)
    return target.getvalue()


def unpack(data: bytes, place: Path) -> None:
    """Into an account's folder, which is new; nothing stays of one that is refused.

    Raises:
        ArchiveError: It is none, too large, or holds what leads elsewhere.
        OSError: It cannot be written.
    """
    coming = place.with_name(f".{place.name}.coming")
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir(mode=0o700, parents=True)
    try:
        _unpack(data, coming)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(coming, place)
    finally:
        shutil.rmtree(coming, ignore_errors=True)


def _unpack(data: bytes, target: Path) -> None:
    size = count = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                size += member.size
                count += 1
                if name.is_absolute() or ".." in name.parts or not member.isreg():
                    raise ArchiveError(f"the archive holds {member.name!r}, which is no file of it")
                if size > MOST_BYTES or count > MOST_FILES:
                    raise ArchiveError("the archive is too large for a login")
                path = target / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                source = archive.extractfile(member)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    if source is not None:
                        shutil.copyfileobj(source, file)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(f"this is no archive of a login: {error}") from error


def _files(place: Path, auth_dir: str) -> list[Path]:
    """Regular files alone: a link could lead anywhere."""
    found = [path for path in sorted(place.iterdir()) if path.is_file() and not path.is_symlink()]
    base = place / "home" / auth_dir
    for folder, names, files in os.walk(base):
        names[:] = [name for name in names if name not in LEFT_OUT]
        paths = [Path(folder) / name for name in files]
        found += [path for path in sorted(paths) if path.is_file() and not path.is_symlink()]
    return found[:MOST_FILES]
