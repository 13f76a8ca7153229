"""A recording being written: header, lines, checkpoints, rotation and end; what to record is
`recorder`'s.
"""

import os
import zlib
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from runwatch_console.held.holdings import Holdings
from runwatch_console.recording.format import (
    FORMAT,
    CheckpointLine,
    ConnectedLine,
    FeedLine,
    FrameLine,
    Header,
    Line,
    Lost,
    LostLine,
    RunLine,
    encode_line,
    plain_events,
)
from runwatch_console.recording.index import Index
from runwatch_console.recording.masking import masked_bytes, masked_frame
from runwatch_shared.wire import ChangeFrame, HelloFrame, SnapshotFrame

PRIVATE: Final = 0o600
CHECKPOINT_SHARE: Final = 4
"""A checkpoint is written when so many times its bytes of changes came since the last: it costs a
fourth, and a reader has never more than that to read over."""
CHECKPOINT_LEAST_BYTES: Final = 256 * 1024
WRITE_BYTES: Final = 64 * 1024


class Output:
    """A file of lines, compressed if its name ends in `.gz`; nobody else may read it."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            FileExistsError: There is one of this name: a recording is never written over.
            OSError: It cannot be made.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        self._file: BinaryIO = os.fdopen(descriptor, "wb", buffering=WRITE_BYTES)
        self._packer = zlib.compressobj(6, wbits=31) if path.suffix == ".gz" else None
        self.text_bytes = 0
        """Written so far, before compression: where the next line begins."""

    def write(self, text: bytes) -> int:
        """Append a line; gives where it begins."""
        at = self.text_bytes
        self.text_bytes += len(text) + 1
        self._put(text + b"\n")
        return at

    def _put(self, text: bytes) -> None:
        self._file.write(text if self._packer is None else self._packer.compress(text))

    def flush(self) -> None:
        """Nothing is kept back in this process."""
        if self._packer is not None:
            self._file.write(self._packer.flush(zlib.Z_SYNC_FLUSH))
        self._file.flush()

    def size_bytes(self) -> int:
        """The file's size, as far as it was written."""
        return self._file.tell()

    def close(self) -> None:
        """End the file."""
        if self._packer is not None:
            self._file.write(self._packer.flush())
        self._file.close()


class RecordingWriter:
    """Writes the lines of one recording, in one file after the other.

    Args:
        max_bytes: A file that is longer is put aside as `FILE.1`, the one before as `FILE.2`, …
        keep: So many are put aside; older ones are removed.
    """

    def __init__(
        self,
        path: Path,
        *,
        console: str,
        context: str,
        max_bytes: int | None = None,
        keep: int = 4,
    ) -> None:
        self._path = path
        self._console = console
        self._context = context
        self._max_bytes = max_bytes
        self._keep = keep
        self._output = Output(path)
        self._index = Index()
        self.holdings = Holdings()
        """The fleet as it was recorded so far."""
        self._hello: HelloFrame | None = None
        self._loss: Lost | None = None
        self._began_s = 0.0
        self._last_s = 0.0
        self._since_checkpoint = 0
        self._checkpoint_bytes = CHECKPOINT_LEAST_BYTES // 8
        self._least_bytes = CHECKPOINT_LEAST_BYTES
        self.lines = 0

    @property
    def store(self) -> str:
        """The history that is recorded; empty before the server said hello."""
        return self._hello.store if self._hello is not None else ""

    def feed(self, line: FeedLine) -> None:
        """What the feed brought. Lines before the first hello belong to no recording."""
        match line:
            case ConnectedLine():
                self._connected(line)
            case LostLine():
                self._loss = line.loss
            case FrameLine(frame=SnapshotFrame() | ChangeFrame() as frame):
                line = FrameLine(at_s=line.at_s, frame=masked_frame(frame))
                self.holdings.take(line.frame)
            case FrameLine():
                self.holdings.take(line.frame)
            case _:
                pass
        if self._hello is not None:
            self._write(line)
            self._checkpoint_if_due()
            self._rotate_if_due()

    def run(self, line: RunLine) -> None:
        """What a followed run brought."""
        if self._hello is not None:
            self._write(plain_events(line))
            self._rotate_if_due()

    def flush(self) -> None:
        """Nothing is kept back in this process."""
        self._output.flush()

    def close(self) -> None:
        """Write the index and end the file."""
        if self._hello is not None:
            self._output.write(masked_bytes(encode_line(self._index.line())))
        self._output.close()

    def _connected(self, line: ConnectedLine) -> None:
        first = self._hello is None
        self._hello, self._loss = line.hello, None
        if first:
            self._began_s = line.at_s
            self._head(line.hello.server_time)

    def _head(self, started_at: str) -> None:
        assert self._hello is not None
        header = Header(
            format=FORMAT,
            console=self._console,
            server_version=self._hello.version,
            store=self._hello.store,
            context=self._context,
            started_at=started_at,
        )
        self._output.write(encode_line(header))

    def _write(self, line: Line) -> int:
        assert not isinstance(line, Header)
        self._last_s = line.at_s
        placed = msgspec.structs.replace(line, at_s=round(line.at_s - self._began_s, 4))
        text = masked_bytes(encode_line(placed))
        self._index.note(placed, self._output.write(text))
        self._since_checkpoint += len(text)
        self.lines += 1
        return len(text)

    def _checkpoint_if_due(self) -> None:
        if self._since_checkpoint >= self._least_bytes and self.holdings.settled:
            self._checkpoint(self._last_s)

    def _checkpoint(self, at_s: float) -> None:
        snapshots = self.holdings.snapshots()
        written = self._write(
            CheckpointLine(
                at_s=at_s,
                hello=self._hello,
                loss=self._loss,
                fleet=snapshots[0] if snapshots else None,
            )
        )
        self.lines -= 1
        self._since_checkpoint = 0
        self._checkpoint_bytes = written
        self._least_bytes = max(CHECKPOINT_LEAST_BYTES, written * CHECKPOINT_SHARE)

    def _rotate_if_due(self) -> None:
        if self._max_bytes is None or not self.holdings.settled:
            return
        if self._output.size_bytes() < max(self._max_bytes, self._checkpoint_bytes * 2):
            return
        self.close()
        for number in range(self._keep, 0, -1):
            older = self._path if number == 1 else aside(self._path, number - 1)
            if older.exists():
                older.replace(aside(self._path, number))
        if self._keep == 0:
            self._path.unlink()
        assert self._hello is not None
        self._output, self._index = Output(self._path), Index()
        self._began_s = self._last_s
        self._head(self.holdings.server_time or self._hello.server_time)
        self._checkpoint(self._last_s)


def aside(path: Path, number: int) -> Path:
    """Where the number-th file before the present one is kept."""
    return path.with_name(f"{path.name}.{number}")
