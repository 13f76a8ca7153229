"""The file a store is exported to: a stream of records in checksummed frames; what a record means
is `records` and `loading`.

Layout, version 1: `MAGIC`; frames, each a kind (``H`` header, ``R`` records, ``E`` end), the length
and the CRC-32 of its body (big-endian, 4 bytes each) and the body, which is MessagePack compressed
by zlib; behind the end frame the SHA-256 of everything before it. Records are arrays that begin
with their kind. The end frame has the number of records of each kind.
"""

import hashlib
import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from runwatch_shared.errors import StoreError

MAGIC: Final = b"runwatch-export\r\n\x1a\n"
FORMAT: Final = 1
FRAME_BYTES: Final = 512 * 1024
"""Of records gathered into one frame, about; one record may be longer."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of a frame, as it lies there and unpacked."""
DIGEST_BYTES: Final = 32

Record = tuple[Any, ...]
"""(kind, values…): text, bytes, numbers and None."""

_HEAD: Final = struct.Struct(">cII")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive is of."""

    format: int = FORMAT
    made_us: int
    build: str
    store_id: str
    """Of the store it was made from."""
    revision: int
    resumable: int
    thresholds: str | None
    access: bool
    """Whether users, sessions, tokens and answers to repeated requests are in it."""


def is_archive(path: Path) -> bool:
    """Whether a file begins as one.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def write(path: Path, header: Header, records: Iterable[Record]) -> dict[str, int]:
    """Write an archive for this user alone; it is there whole or not at all.

    Returns:
        How many records of each kind it has.

    Raises:
        StoreError: There is such a file already, it cannot be written, or one record is beyond all
            bounds. What ``records`` raises, as it is.
    """
    if path.exists():
        raise StoreError(f"{path} is there already")
    part = path.with_name(f"{path.name}.part")
    try:
        with _named(path):
            part.unlink(missing_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb", buffering=0) as file:
            counts = _Writing(path, file).write(header, records)
            with _named(path):
                os.fsync(file.fileno())
                part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(path)
    return counts


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What fails within is the file's fault, not that of the store that is being read."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path} cannot be written or read: {error.strerror}") from error


def sync_folder(path: Path) -> None:
    """Make the name of a file durable, where folders can be synced."""
    with suppress(OSError):
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Writing:
    def __init__(self, path: Path, file: RawIOBase) -> None:
        self._path = path
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, header: Header, records: Iterable[Record]) -> dict[str, int]:
        self._put(MAGIC)
        self._frame(b"H", header)
        counts: Counter[str] = Counter()
        gathered: list[bytes] = []
        size = 0
        encoder = msgspec.msgpack.Encoder()
        for record in records:
            counts[record[0]] += 1
            gathered.append(encoder.encode(record))
            size += len(gathered[-1])
            if size >= FRAME_BYTES:
                self._records(gathered)
                gathered, size = [], 0
        if gathered:
            self._records(gathered)
        self._frame(b"E", counts)
        self._put(self._digest.digest())
        return dict(counts)

    def _records(self, gathered: list[bytes]) -> None:
        self._frame(b"R", [msgspec.Raw(record) for record in gathered])

    def _frame(self, kind: bytes, content: Any) -> None:
        plain = msgspec.msgpack.encode(content)
        if len(plain) > MOST_BYTES:
            raise StoreError("a record is longer than an archive can hold")
        body = zlib.compress(plain, 1)
        self._put(_HEAD.pack(kind, len(body), zlib.crc32(body)))
        self._put(body)

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        left = memoryview(data)
        with _named(self._path):
            while left:
                left = left[self._file.write(left) or 0 :]


class Archive:
    """An archive being read, front to back, once.

    Everything raises `StoreError` where the file is torn, changed or of another format.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._digest = hashlib.sha256()
        if self._take(len(MAGIC)) != MAGIC:
            raise StoreError(f"{path} is no export of Runwatch")
        kind, plain = self._frame()
        version = _decode(path, plain, dict[str, Any]).get("format") if kind == b"H" else None
        if version != FORMAT:
            raise StoreError(f"{path} has format {version}, this build knows {FORMAT}")
        self.header: Header = _decode(path, plain, Header)

    def records(self) -> Iterator[Record]:
        """Every record; the last one is given only when the whole file has been found true."""
        counts: Counter[str] = Counter()
        held: list[Record] = []
        while True:
            kind, plain = self._frame()
            if kind == b"E":
                break
            if kind != b"R":
                raise self._damaged()
            yield from held
            held = _decode(self._path, plain, list[tuple[Any, ...]])
            for record in held:
                if not record or not isinstance(record[0], str):
                    raise self._damaged()
                counts[record[0]] += 1
        digest = self._digest.digest()
        if self._file.read(DIGEST_BYTES) != digest or self._file.read(1):
            raise self._damaged()
        if _decode(self._path, plain, dict[str, int]) != counts:
            raise self._damaged()
        yield from held

    def _frame(self) -> tuple[bytes, bytes]:
        kind, length, checksum = _HEAD.unpack(self._take(_HEAD.size))
        if length > MOST_BYTES:
            raise self._damaged()
        body = self._take(length)
        if zlib.crc32(body) != checksum:
            raise self._damaged()
        unpacking = zlib.decompressobj()
        try:
            plain = unpacking.decompress(body, MOST_BYTES + 1)
        except zlib.error as error:
            raise self._damaged() from error
        if not unpacking.eof or unpacking.unused_data or len(plain) > MOST_BYTES:
            raise self._damaged()
        return kind, plain

    def _take(self, length: int) -> bytes:
        with _named(self._path):
            data = self._file.read(length)
        if len(data) != length:
            raise self._damaged()
        self._digest.update(data)
        return data

    def _damaged(self) -> StoreError:
        return damaged(self._path)


def check(path: Path) -> Header:
    """Read an archive to its end, whether it is whole and unchanged.

    Raises:
        StoreError: It is not.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        archive = Archive(path, file)
        for _ in archive.records():
            pass
        return archive.header


def damaged(path: Path) -> StoreError:
    return StoreError(f"{path} is torn or was changed; nothing was taken from it")


def _decode(path: Path, plain: bytes, kind: Any) -> Any:
    try:
        return msgspec.msgpack.decode(plain, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise damaged(path) from error
