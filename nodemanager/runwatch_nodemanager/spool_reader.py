"""Reads a run's log, damage included, while it is still written; writes nothing."""

import os
from pathlib import Path
from typing import Final

from runwatch_nodemanager.spool import (
    HEADER,
    MAGIC_BYTES,
    Hole,
    Position,
    Record,
    list_segments,
    segment_path,
    unpack_record,
)

READ_BYTES: Final = 256 * 1024
MAX_CANDIDATES: Final = 4096
"""Places looked at for the next record after damage; a hostile output cannot make this endless."""


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
