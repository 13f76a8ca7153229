"""The audit log's files: appended to under a lock, turned over when they are large; synchronous.

``audit.log`` is written; ``audit-<number of its first record>.log`` are older ones. A server and
the commands beside it append to the same file, so each takes the lock and reads where the chain
stands.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from runwatch_server.audit.entries import ChainError, Entry, Head, follow, last_of, link

NAME: Final = "audit.log"
OLDER: Final = re.compile(r"audit-([0-9]{12})\.log")
FILE_BYTES: Final = 64 << 20
"""About 200,000 records."""
FILES: Final = 32
"""Older ones beyond this are removed, the oldest first: 2 GiB in all."""
TAIL_BYTES: Final = 64 << 10


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What looking through a log came to.

    Attributes:
        records: How many there are.
        head: Number and digest of the last, to keep elsewhere.
        problem: File, line and what is wrong with it; None where all is whole.
        first: Number of the oldest that is left.
    """

    records: int
    head: Head
    first: int
    problem: str | None = None


def append(
    folder: Path, entries: Sequence[Entry], *, file_bytes: int = FILE_BYTES, files: int = FILES
) -> Head:
    """Write entries and see them onto the disk; gives where the chain stands.

    A line a crash left half written is cut off first: nobody was told that it had been written.

    Raises:
        OSError: It cannot be written, or its end is no record (``ChainError`` as its cause).
    """
    path = folder / NAME
    descriptor = _locked(path)
    try:
        size = os.fstat(descriptor).st_size
        head, whole = _standing(descriptor, size)
        if whole < size:
            os.ftruncate(descriptor, whole)
        if whole == 0 and (older := _older(folder)):
            head = _end_of(older[-1])
        lines = []
        for entry in entries:
            head, line = link(head, entry)
            lines.append(line)
        try:
            _write(descriptor, b"".join(lines))
            os.fsync(descriptor)
        except OSError:
            # All or none: whoever tries again writes all.
            with suppress(OSError):
                os.ftruncate(descriptor, whole)
            raise
        if whole + sum(map(len, lines)) >= file_bytes:
            # What was written is written: whoever tried again would write it twice.
            with suppress(OSError, ChainError):
                _turn_over(folder, path, files)
    finally:
        os.close(descriptor)
    return head


def lines_of(folder: Path) -> Iterator[tuple[Path, int, bytes]]:
    """Every line with its file and number, the oldest first.

    What stands after the last line end of the newest file is being written, or was when a crash
    came: no record yet.
    """
    for path in (*_older(folder), folder / NAME):
        with suppress(FileNotFoundError), path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if path.name == NAME and not line.endswith(b"\n"):
                    return
                yield path, number, line


def verify(folder: Path) -> Verdict:
    """Whether each record follows the one before it and says what it said.

    Raises:
        OSError: A file cannot be read.
    """
    head: Head | None = None
    first, records = 0, 0
    for path, number, line in lines_of(folder):
        try:
            head, _ = follow(head, line)
        except ChainError as error:
            return Verdict(
                records=records,
                head=head or Head(),
                first=first,
                problem=f"{path.name}:{number}: {error}",
            )
        first = first or head.n
        records += 1
    return Verdict(records=records, head=head or Head(), first=first)


def _locked(path: Path) -> int:
    """The file that is written, once nobody else writes it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Who held the lock may have turned it over: then it is an older one by now.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _older(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("audit-*.log") if OLDER.fullmatch(path.name))


def _standing(descriptor: int, size: int) -> tuple[Head, int]:
    """Where the chain stands, and the bytes of whole lines."""
    start = max(0, size - TAIL_BYTES)
    tail = os.pread(descriptor, size - start, start)
    end = tail.rfind(b"\n") + 1
    if not end:
        if start:
            raise OSError(f"{NAME}: the end of the file is no record")
        return Head(), 0
    begin = tail.rfind(b"\n", 0, end - 1) + 1
    try:
        return last_of(tail[begin:end]), start + end
    except ChainError as error:
        raise OSError(f"{NAME}: {error}") from error


def _end_of(path: Path) -> Head:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _standing(descriptor, os.fstat(descriptor).st_size)[0]
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _turn_over(folder: Path, path: Path, files: int) -> None:
    with path.open("rb") as file:
        first, _ = follow(None, file.readline())
    path.rename(folder / f"audit-{first.n:012d}.log")
    for old in _older(folder)[:-files]:
        old.unlink()
