"""A run's log on disk: checksummed records in segments, one writer and one reader in two processes.

The writer is the run's supervisor while it lives, else the node manager; the reader is the node
manager (`spool_writer`, `spool_reader`); here is what both agree on. What a record means is not
known. Standard library only, as the supervisor imports it.
"""

import os
import struct
import zlib
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


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` safe against a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
