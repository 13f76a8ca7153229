"""The files below a folder, looked at without following anything that leads out of it."""

import os
import stat
import time
from pathlib import Path
from typing import Final

import msgspec

MAX_FILES: Final = 20_000
MAX_S: Final = 5.0
"""A tree with more, or that takes longer, is not known."""
SKIPPED: Final = frozenset(
    {
        *(".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", ".tox", ".cache"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"),
    }
)
"""Folders of tools, whose files nobody wrote."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What tells one state of a file from another without its content."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """Regular files and symbolic links by path below the folder; ``complete``: all of them."""

    files: dict[str, Seen]
    complete: bool


def look(root: Path) -> Tree:
    """Walk the folder; one that is none, or became a symbolic link, has no files. Blocks."""
    files: dict[str, Seen] = {}
    until = time.monotonic() + MAX_S
    for folder, folders, names, descriptor in os.fwalk(root, follow_symlinks=False):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        below = os.path.relpath(folder, root)
        for name in sorted(names):
            if len(files) >= MAX_FILES or time.monotonic() > until:
                return Tree(files=files, complete=False)
            try:
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
                path = name if below == "." else os.path.join(below, name)
                files[shown(path)] = Seen(
                    found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
                )
    return Tree(files=files, complete=True)


def shown(path: str) -> str:
    """The path as text; bytes that are no UTF-8 as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def read_inside(root: Path, path: str, limit: int) -> bytes | None:
    """The content of a regular file below ``root``; ``None`` if it is none, larger or not readable.

    No symbolic link on the way is followed, and no device or pipe is opened for reading.
    """
    *folders, name = path.split("/")
    try:
        at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
        with os.fdopen(file, "rb") as source:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return None
            data = source.read(limit + 1)
            return data if len(data) <= limit else None
    except OSError:
        return None
    finally:
        os.close(at)
