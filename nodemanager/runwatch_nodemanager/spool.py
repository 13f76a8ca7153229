"""A run's log on disk: checksummed records in segments, one writer and one reader in two processes.

The writer is the run's supervisor while it lives, else the node manager; the reader is the node
manager. What a record means is not known here. Standard library only, as the supervisor imports it.
"""

import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAGIC: Final = 0x015752F1
"""Its first byte on disk is not UTF-8, so that text rarely looks like the start of a record."""
HEADER: Final = struct.Struct("<IIIBxxxQQ")
"""Magic, CRC-32 of all that follows, payload length, kind, index, moment in microseconds."""
MAGIC_BYTES: Final = MAGIC.to_bytes(4, "little")
CHECKED_FROM: Final = 8
MAX_PAYLOAD_BYTES: Final = 1024 * 1024
SEGMENT_BYTES: Final = 4 * 1024 * 1024
READ_BYTES: Final = 256 * 1024
MAX_CANDIDATES: Final = 4096
"""Places looked at for the next record after damage; a hostile output cannot make this endless."""
SUFFIX: Final = ".seg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record; ``index`` counts a run's records from 1, ``moment_us`` is wall-clock time."""

    kind: int
    index: int
    moment_us: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Bytes that are no valid record. ``records`` is ``None`` where the count cannot be known."""

    lost_bytes: int
    records: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where to read on: the segment's first index, an offset in it, the next record's index."""

    segment: int
    offset: int
    index: int


def pack_record(kind: int, index: int, moment_us: int, payload: bytes) -> bytes:
    """A record as it stands on disk."""
    tail = HEADER.pack(MAGIC, 0, len(payload), kind, index, moment_us)[CHECKED_FROM:]
    crc = zlib.crc32(payload, zlib.crc32(tail))
    return MAGIC_BYTES + crc.to_bytes(4, "little") + tail + payload


def unpack_record(buffer: bytes, offset: int) -> Record | int | None:
    """The record at ``offset``.

    Returns:
        The record; the number of bytes it would need if the buffer ends before it does; ``None`` if
        there is no valid record here.
    """
    if len(buffer) - offset < HEADER.size:
        return HEADER.size
    magic, crc, length, kind, index, moment_us = HEADER.unpack_from(buffer, offset)
    if magic != MAGIC or length > MAX_PAYLOAD_BYTES:
        return None
    end = offset + HEADER.size + length
    if end > len(buffer):
        return HEADER.size + int(length)
    if zlib.crc32(memoryview(buffer)[offset + CHECKED_FROM : end]) != crc:
        return None
    payload = bytes(buffer[offset + HEADER.size : end])
    return Record(kind=kind, index=index, moment_us=moment_us, payload=payload)


def list_segments(folder: Path) -> list[int]:
    """First indices of the segments in ``folder``, rising; files of other names are not ours."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def segment_path(folder: Path, first_index: int) -> Path:
    return folder / f"{first_index:020d}{SUFFIX}"


def used_bytes(folder: Path) -> int:
    """Bytes of all segments; one that vanishes meanwhile counts as nothing."""
    total = 0
    for first in list_segments(folder):
        try:
            total += segment_path(folder, first).stat().st_size
        except FileNotFoundError:
            continue
    return total


def remove_before(folder: Path, position: Position) -> None:
    """Delete the segments that lie wholly before ``position``; that one itself stays."""
    for first in list_segments(folder):
        if first < position.segment:
            segment_path(folder, first).unlink(missing_ok=True)


class SpoolWriter:
    """Appends records; a new writer never appends to an old segment, which may end torn.

    ``append`` returns when the records are with the kernel: they outlive this process, and
    after ``sync`` a power cut too.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._next_index = next_index(folder)
        while _holds_bytes(segment_path(folder, self._next_index)):
            # Torn before its first record; a reader may already stand behind those bytes.
            self._next_index += 1
        self._file = -1
        self._size = 0
        self._full = False
        self._dirty = False

    @property
    def dirty(self) -> bool:
        """Whether something is not yet safe against a power cut."""
        return self._dirty

    def append(self, records: Iterable[tuple[int, int, bytes]]) -> None:
        """Write ``(kind, moment_us, payload)`` records, each at most ``MAX_PAYLOAD_BYTES``.

        Raises:
            OSError: Nothing of this call is in the log (disk full and the like); try again later.
        """
        index = self._next_index
        parts = []
        for kind, moment_us, payload in records:
            parts.append(pack_record(kind, index, moment_us, payload))
            index += 1
        if self._file < 0 or self._full or self._size >= self._segment_bytes:
            self._open_segment()
        data = memoryview(b"".join(parts))
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            # It may be this file that can grow no more; the next try makes another.
            self._full = self._size > 0
            raise
        self._size += len(data)
        self._next_index = index
        self._dirty = True

    def roll(self) -> None:
        """Begin another segment, so that all in this one can be removed once it was read.

        Raises:
            OSError: The disk does not take it.
        """
        if self._file >= 0 and self._size > 0:
            self._open_segment()

    def sync(self) -> None:
        """Force what was appended to the disk."""
        if self._dirty:
            os.fdatasync(self._file)
            self._dirty = False

    def close(self) -> None:
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1

    def _open_segment(self) -> None:
        self.close()
        path = segment_path(self._folder, self._next_index)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = 0
        self._full = False
        sync_folder(self._folder)


def _holds_bytes(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def next_index(folder: Path) -> int:
    """The index after the last valid record in ``folder``, 1 where there is none."""
    segments = list_segments(folder)
    if not segments:
        return 1
    reader = SpoolReader(folder, Position(segment=segments[-1], offset=0, index=segments[-1]))
    try:
        while reader.read(writer_gone=True) is not None:
            pass
        return reader.position.index
    finally:
        reader.close()


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` safe against a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SpoolReader:
    """Reads a log from a position, holes included, while it may still be written."""

    def __init__(self, folder: Path, position: Position | None = None) -> None:
        segments = list_segments(folder)
        first = segments[0] if segments else 1
        self._folder = folder
        self._position = position or Position(segment=first, offset=0, index=first)
        self._file = -1
        self._buffer = b""
        self._start = 0
        """Offset in the segment of the buffer's first byte."""
        self._unsynced = False

    @property
    def position(self) -> Position:
        """After the record or hole that ``read`` returned last."""
        return self._position

    def read(self, *, writer_gone: bool, give_up: bool = False) -> Record | Hole | None:
        """The next record, or a hole in its place; ``None`` at the end of what is there.

        Args:
            writer_gone: Nobody will complete a torn tail any more: it is a hole.
            give_up: A complete but invalid tail is a hole although the writer lives. Without it
                such a tail is waited for: its bytes may be on their way.
        """
        newer: int | None = None
        while True:
            if self._file < 0 and not self._open():
                return None
            found = self._peek()
            if not self._expected(found):
                # The writer may have gone on between the two looks; the second one is judged.
                newer = self._newer_segment()
                self._buffer, self._start = b"", self._position.offset
                found = self._peek()
            if isinstance(found, Record) and self._expected(found):
                return self._take(found)
            if self._remaining() == 0:
                if newer is None:
                    return None
                self._enter(newer)
                continue
            if newer is None and not writer_gone and not (give_up and found is None):
                return None
            return self._resynchronise()

    def sync(self) -> None:
        """Make what was read safe against a power cut, whoever wrote it."""
        if self._unsynced and self._file >= 0:
            os.fdatasync(self._file)
        self._unsynced = False

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._buffer = b""

    def _open(self) -> bool:
        path = segment_path(self._folder, self._position.segment)
        try:
            self._file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            newer = self._newer_segment()
            if newer is None:
                return False
            self._enter(newer)
            return self._open()
        self._buffer, self._start = b"", self._position.offset
        return True

    def _peek(self) -> Record | int | None:
        """What is at the position, with as much of the file read as that needs."""
        found = unpack_record(self._buffer, self._position.offset - self._start)
        if isinstance(found, int):
            wanted = max(found, READ_BYTES)
            self._start = self._position.offset
            self._buffer = os.pread(self._file, wanted, self._start)
            found = unpack_record(self._buffer, 0)
        return found

    def _expected(self, found: Record | int | None) -> bool:
        return isinstance(found, Record) and found.index >= self._position.index

    def _take(self, record: Record) -> Record | Hole:
        missing = record.index - self._position.index
        if missing > 0:
            self._position = Position(
                segment=self._position.segment, offset=self._position.offset, index=record.index
            )
            return Hole(lost_bytes=0, records=missing)
        size = HEADER.size + len(record.payload)
        self._position = Position(
            segment=self._position.segment,
            offset=self._position.offset + size,
            index=record.index + 1,
        )
        self._unsynced = True
        return record

    def _remaining(self) -> int:
        return max(0, os.fstat(self._file).st_size - self._position.offset)

    def _newer_segment(self) -> int | None:
        later = [first for first in list_segments(self._folder) if first > self._position.segment]
        return later[0] if later else None

    def _enter(self, segment: int) -> None:
        """Go to the start of a later segment; its first record tells whether some are missing."""
        self.sync()
        self.close()
        self._position = Position(segment=segment, offset=0, index=self._position.index)

    def _resynchronise(self) -> Hole:
        """Step over what is no valid record, to the next that is one or to the segment's end."""
        start = self._position.offset
        rest = os.pread(self._file, self._remaining(), start)
        found: Record | int | None = None
        at = 0
        for _ in range(MAX_CANDIDATES):
            at = rest.find(MAGIC_BYTES, at + 1)
            found = unpack_record(rest, at) if at >= 0 else None
            if at < 0 or (isinstance(found, Record) and found.index >= self._position.index):
                break
        before = self._position.index
        resumed = found.index if isinstance(found, Record) and found.index >= before else None
        lost = at if resumed is not None else len(rest)
        self._position = Position(
            segment=self._position.segment,
            offset=start + lost,
            index=before if resumed is None else resumed,
        )
        self._buffer, self._start = b"", self._position.offset
        return Hole(lost_bytes=lost, records=None if resumed is None else resumed - before)
