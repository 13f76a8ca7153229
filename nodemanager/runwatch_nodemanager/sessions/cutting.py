"""Reads whole lines of a file that somebody else appends to, from an offset on; writes nothing.

What a reader knows of the file is a `Mark`: offset, the file's identity and the last bytes before
the offset, so that a file that was cut or written anew is noticed.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

CHUNK_BYTES: Final = 256 * 1024
MOST_LINE_BYTES: Final = 32 * 1024 * 1024
"""A longer line is stepped over and said to be lost (`agent-formats`, trap 11)."""
MOST_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
ANCHOR_BYTES: Final = 256


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file was read."""

    offset: int = 0
    anchor: str = ""
    """Digest of the last bytes before ``offset``; of all where the file is one document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line without its end."""

    content: bytes | None
    """``None``: it was too long to be kept."""
    end: int
    """The offset behind it."""


State = Literal["same", "rewritten", "gone"]


def open_file(path: Path, *, root: Path | None = None) -> int:
    """A descriptor to read a regular file from.

    Args:
        root: Below what the file must really lie, as links may have come in the place of what was
            looked at before; ``None`` where nothing of it is shown.

    Raises:
        OSError: There is none that may be read; a pipe or device counts as none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        opened = os.fstat(descriptor)
        if not stat.S_ISREG(opened.st_mode):
            raise FileNotFoundError(path)
        if root is not None and not _lies_below(opened, path, root):
            raise PermissionError(path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_below(root: Path, real: str) -> bool:
    """Whether a path that has no link in it lies below a root, which may be one."""
    real_root = os.path.realpath(root)
    return os.path.commonpath([real, real_root]) == real_root


def _lies_below(opened: os.stat_result, path: Path, root: Path) -> bool:
    real = os.path.realpath(path)
    there = os.lstat(real)
    same = (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)
    return same and is_below(root, real)


def state_of(descriptor: int, mark: Mark) -> State:
    """Whether what was read is still what stands before the mark."""
    if mark.offset == 0:
        return "same"
    if os.fstat(descriptor).st_size < mark.offset:
        return "rewritten"
    return "same" if mark_at(descriptor, mark.offset) == mark else "rewritten"


def mark_at(descriptor: int, offset: int) -> Mark:
    first = max(0, offset - ANCHOR_BYTES)
    return Mark(offset=offset, anchor=digest_of(os.pread(descriptor, offset - first, first)))


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def first_offset(descriptor: int, most_bytes: int) -> int:
    """Where reading begins in a file seen for the first time: at a line's start, near its end.

    Args:
        most_bytes: 0 for all of it.
    """
    size = os.fstat(descriptor).st_size
    if most_bytes == 0 or size <= most_bytes:
        return 0
    wanted = size - most_bytes
    first = next_line(descriptor, wanted)
    # Where one line is longer than that: better too much than nothing.
    return first if 0 < first < size else _line_around(descriptor, wanted)


def next_line(descriptor: int, at: int) -> int:
    """Where the first line begins whose beginning is behind ``at``; 0 if no line end follows."""
    while chunk := os.pread(descriptor, CHUNK_BYTES, at):
        end = chunk.find(b"\n")
        if end >= 0:
            return at + end + 1
        at += len(chunk)
    return 0


def _line_around(descriptor: int, at: int) -> int:
    """Where the line begins that ``at`` is in."""
    while at > 0:
        first = max(0, at - CHUNK_BYTES)
        end = os.pread(descriptor, at - first, first).rfind(b"\n")
        if end >= 0:
            return first + end + 1
        at = first
    return 0


def lines_from(descriptor: int, offset: int) -> Iterator[Line]:
    """The lines that begin at ``offset`` and later, to the last whose end is written."""
    parts: list[bytes] = []
    size, begin, at = 0, offset, offset
    while chunk := os.pread(descriptor, CHUNK_BYTES, at):
        at += len(chunk)
        pieces = chunk.split(b"\n")
        for piece in pieces[:-1]:
            size += len(piece)
            begin += size + 1
            fits = size <= MOST_LINE_BYTES
            yield Line(content=b"".join((*parts, piece)) if fits else None, end=begin)
            parts, size = [], 0
        size += len(pieces[-1])
        if size <= MOST_LINE_BYTES:
            parts.append(pieces[-1])
        else:
            parts = []


def unended_line(descriptor: int, offset: int) -> bytes:
    """What stands behind the last line end, if it is short enough to be looked at."""
    size = os.fstat(descriptor).st_size - offset
    return os.pread(descriptor, size, offset) if 0 < size <= CHUNK_BYTES else b""


def whole_file(descriptor: int) -> bytes | None:
    """Everything in the file; ``None`` where it is larger than a document may be."""
    size = os.fstat(descriptor).st_size
    if size > MOST_DOCUMENT_BYTES:
        return None
    parts: list[bytes] = []
    at = 0
    while at <= MOST_DOCUMENT_BYTES and (chunk := os.pread(descriptor, CHUNK_BYTES, at)):
        parts.append(chunk)
        at += len(chunk)
    return b"".join(parts)
