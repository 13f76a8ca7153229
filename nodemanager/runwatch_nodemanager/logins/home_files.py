"""Small files in an account's home, which belongs to what runs there: no link in it is followed.

An agent in a container may put anything into its home, while this program sees the whole machine: a
link would have it read, store at the server or overwrite what is no business of the account.
"""

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one file; what is larger is nobody's login."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK a pipe that nobody writes to would be waited for.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def opened_folder(home: Path, name: str, *, make: bool = False) -> Iterator[int]:
    """A descriptor of a folder within a home; ``""`` is the home.

    Raises:
        OSError: It is not there, or a part of the way to it is a link.
    """
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in PurePosixPath(name).parts:
            if part == ".." or part.startswith("/"):
                raise FileNotFoundError(f"{name} is not in the home")
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=descriptor)
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def opened_file(name: str, folder: int) -> int:
    """A descriptor to read a regular file with.

    Raises:
        OSError: It is not there, or is something else.
    """
    descriptor = os.open(name, _READ, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(f"{name} is no file")
    return descriptor


def read_file(home: Path, name: str) -> bytes | None:
    """What is in a file, at most `MOST_BYTES`; ``None`` where there is none to be read."""
    path = PurePosixPath(name)
    try:
        with (
            opened_folder(home, str(path.parent)) as folder,
            os.fdopen(opened_file(path.name, folder), "rb") as file,
        ):
            return file.read(MOST_BYTES)
    except OSError:
        return None


def read_json_file(home: Path, name: str) -> Any:
    """The same as JSON."""
    data = read_file(home, name)
    try:
        return None if data is None else json.loads(data)
    except (ValueError, RecursionError):
        return None


def write_file(home: Path, name: str, content: bytes) -> None:
    """Replace a file, mode 0600, as `run_folder.write_atomically` does; makes its folders.

    Raises:
        OSError: It is the old one.
    """
    path = PurePosixPath(name)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opened_folder(home, str(path.parent), make=True) as folder:
        temporary = f"{path.name}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        with os.fdopen(os.open(temporary, _WRITE, 0o600, dir_fd=folder), "wb") as file:
            file.write(content)
            file.flush()
            os.fdatasync(file.fileno())
        os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def remove_file(home: Path, name: str) -> None:
    """Remove a file, if it is there."""
    path = PurePosixPath(name)
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        opened_folder(home, str(path.parent)) as folder,
    ):
        os.unlink(path.name, dir_fd=folder)
