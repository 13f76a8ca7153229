"""An account's login as a tar archive, and back, without trusting the archive; network unused."""

import contextlib
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from runwatch_nodemanager.logins.home_files import opened_file, opened_folder
from runwatch_shared.errors import RunwatchError

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of a login, unpacked; what is larger is no login. The server takes 256 MiB (contract 13)."""
MOST_FILES: Final = 5000
MOST_TAR_BYTES: Final = MOST_BYTES + MOST_FILES * 4 * tarfile.BLOCKSIZE
GZIP: Final = b"\x1f\x8b"
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
        for name, file in _files(place, auth_dir):
            member = tarfile.TarInfo(name)
            member.mode = 0o600
            member.size = os.fstat(file.fileno()).st_size
            size += member.size
            if size > MOST_BYTES:
                raise ArchiveError("the login is too large to be stored")
            archive.addfile(member, file)
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
        with tarfile.open(fileobj=io.BytesIO(_unpressed(data)), mode="r:") as archive:
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
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise ArchiveError(f"this is no archive of a login: {error}") from error


def _files(place: Path, auth_dir: str) -> Iterator[tuple[str, BinaryIO]]:
    """Regular files alone, each with its name in the archive: a link could lead anywhere."""
    count = 0
    for top, folder in ((place, ""), (place / "home", auth_dir)):
        inside = top == place
        with contextlib.ExitStack() as stack:
            try:
                descriptor = stack.enter_context(opened_folder(top, folder))
            except OSError:
                if inside:
                    raise
                continue
            for path, names, files, here in os.fwalk(".", dir_fd=descriptor):
                names[:] = [] if inside else sorted(n for n in names if n not in LEFT_OUT)
                for name in sorted(files):
                    try:
                        file = os.fdopen(opened_file(name, here), "rb")
                    except OSError:
                        continue
                    count += 1
                    if count > MOST_FILES:
                        file.close()
                        return
                    with file:
                        base = PurePosixPath("" if inside else "home", folder, path)
                        yield str(base / name), file


def _unpressed(data: bytes) -> bytes:
    """A tar file as it is. What a few bytes of gzip stand for may be more than there is memory."""
    if not data.startswith(GZIP):
        return data[: MOST_TAR_BYTES + 1]
    opened = zlib.decompressobj(wbits=31)
    plain = opened.decompress(data, MOST_TAR_BYTES + 1)
    if len(plain) > MOST_TAR_BYTES:
        raise ArchiveError("the archive is too large for a login")
    if not opened.eof:
        raise ArchiveError("the archive is not whole")
    return plain
