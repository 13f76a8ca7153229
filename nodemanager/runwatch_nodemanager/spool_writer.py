"""Appends to a run's log; standard library only, as the supervisor imports it."""

import os
from collections.abc import Iterable
from pathlib import Path

from runwatch_nodemanager.spool import (
    SEGMENT_BYTES,
    pack_record,
    segment_path,
    sync_folder,
)
from runwatch_nodemanager.spool_reader import next_index


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
