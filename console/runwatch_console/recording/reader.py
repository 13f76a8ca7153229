"""Reading a recording: its header and index, lines from a place on, the fleet at a moment, and the
events of a run; playing it in time is in `replay`.
"""

import os
import tempfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from runwatch_console.formats import moment_s
from runwatch_console.held.holdings import Holdings
from runwatch_console.recording.format import (
    CHECKPOINT_HEAD,
    FORMAT,
    GZIP_MAGIC,
    INDEX_HEAD,
    CheckpointLine,
    ConnectedLine,
    EventsRecord,
    FrameLine,
    Header,
    IndexLine,
    Line,
    LostLine,
    RecordingError,
    RunLine,
    decode_line,
)
from runwatch_console.recording.index import Index
from runwatch_shared.models import Event
from runwatch_shared.wire import HelloFrame

PIECE_BYTES: Final = 256 * 1024
LINE_BYTES: Final = 16 * 1024
INDEX_BYTES: Final = 64 * 1024 * 1024
"""So far from the end the index is looked for."""


@dataclass(slots=True)
class Moment:
    """What is true at a moment of a recording, and where its next line stands."""

    offset: int
    at_s: float = 0.0
    hello: HelloFrame | None = None
    loss: LostLine | None = None
    fleet: Holdings = field(default_factory=Holdings)

    def take(self, line: Line) -> None:
        """Go on by one line."""
        match line:
            case ConnectedLine():
                self.hello, self.loss = line.hello, None
            case LostLine():
                self.loss = line
            case FrameLine():
                self.fleet.take(line.frame)
            case _:
                pass


class Recording:
    """An open recording. It may be read by several threads at once.

    A compressed one is laid out in a temporary file without a name first: places in it can be
    gone to.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            RecordingError: It cannot be read, or is no recording.
        """
        try:
            self._file = _opened(path)
        except OSError as error:
            raise RecordingError("replay.unreadable", file=path, error=error.strerror) from error
        try:
            self.header, self._begin = self._read_header(path)
            self.index = self._read_index() or self._made_index()
        except OSError as error:
            self._file.close()
            raise RecordingError("replay.unreadable", file=path, error=error.strerror) from error
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    @property
    def began_s(self) -> float:
        """The server's clock at its begin, seconds since the epoch."""
        return moment_s(self.header.started_at) or 0.0

    @property
    def length_s(self) -> float:
        """Seconds from its first line to its last."""
        return self.index.length_s

    def moment(self, at_s: float) -> Moment:
        """What was true at a moment: all lines with `at_s` up to it are in it."""
        place = bisect_right(self.index.checkpoints, at_s, key=lambda checkpoint: checkpoint[0])
        if place:
            found = self._from_checkpoint(self.index.checkpoints[place - 1][1])
        else:
            found = Moment(offset=self._begin)
        for offset, line in self.lines(found.offset):
            if isinstance(line, Header | IndexLine):
                continue
            if line.at_s > at_s:
                break
            found.take(line)
            found.at_s = line.at_s
            found.offset = offset
        found.at_s = max(found.at_s, min(at_s, self.length_s))
        return found

    def _from_checkpoint(self, offset: int) -> Moment:
        text = self._text_at(offset)
        moment = Moment(offset=offset + len(text))
        line = decode_line(text)
        if isinstance(line, CheckpointLine):
            moment.at_s, moment.hello = line.at_s, line.hello
            if line.loss is not None:
                moment.loss = LostLine(at_s=line.at_s, loss=line.loss)
            if line.fleet is not None:
                moment.fleet.take(line.fleet)
        return moment

    def lines(self, offset: int) -> Iterator[tuple[int, Line]]:
        """Lines from a place on, each with the place after it; checkpoints and index are passed by.

        A last line that was cut, and what is none of ours, ends it.
        """
        rest = b""
        while piece := self._read(offset + len(rest), PIECE_BYTES):
            *whole, rest = (rest + piece).split(b"\n")
            for text in whole:
                offset += len(text) + 1
                if text.startswith((CHECKPOINT_HEAD, INDEX_HEAD)):
                    continue
                try:
                    line = decode_line(text)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    return
                yield offset, line
            # Both are as long as fleet and recording are, and nothing is played of them.
            if rest.startswith(INDEX_HEAD):
                return
            if rest.startswith(CHECKPOINT_HEAD):
                offset, rest = self._after_line(offset + len(rest)), b""

    def _after_line(self, offset: int) -> int:
        """Where the next line begins; the end of the file if there is none."""
        while piece := self._read(offset, PIECE_BYTES):
            if (end := piece.find(b"\n")) >= 0:
                return offset + end + 1
            offset += len(piece)
        return offset

    def events(self, run_id: str, until_s: float) -> "RunEventsAt":
        """The events of a run that were known at a moment."""
        return RunEventsAt(self, run_id, until_s)

    def run_lines(self, run_id: str, from_seq: int | None, at_s: float) -> Iterator[RunLine]:
        """Lines of one run that may be news to one who knows it up to `from_seq`; None: those after
        a moment.
        """
        places = self.index.runs.get(run_id)
        if places is None:
            return
        first = places.count_until(at_s) if from_seq is None else places.number_after(from_seq)
        for number in range(first, len(places.offset)):
            line = self.line_at(places.offset[number])
            if isinstance(line, RunLine):
                yield line

    def line_at(self, offset: int) -> Line | None:
        """The line that begins there."""
        try:
            return decode_line(self._text_at(offset))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _read(self, offset: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, offset)

    def _text_at(self, offset: int) -> bytes:
        """A line with its end; what there is of it, if it was cut."""
        text = bytearray()
        while piece := self._read(offset + len(text), LINE_BYTES):
            text += piece
            if (end := text.find(b"\n", len(text) - len(piece))) >= 0:
                return bytes(text[: end + 1])
        return bytes(text)

    def _read_header(self, path: Path) -> tuple[Header, int]:
        text = self._text_at(0) if self._read(0, 1) == b"{" else b""
        try:
            line = decode_line(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RecordingError("replay.no_recording", file=path) from error
        if not isinstance(line, Header):
            raise RecordingError("replay.no_recording", file=path)
        if line.format > FORMAT:
            raise RecordingError("replay.newer", file=path, format=line.format, own=FORMAT)
        return line, len(text)

    def _read_index(self) -> Index | None:
        """The index of the last line; None for a recording that did not end well."""
        size = os.fstat(self._file.fileno()).st_size
        last = self._last_line(size)
        if not last.startswith(INDEX_HEAD):
            return None
        try:
            line = decode_line(last)
            return Index.of(line) if isinstance(line, IndexLine) else None
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return None

    def _last_line(self, size: int) -> bytes:
        """The last whole line of the file; nothing if it was cut."""
        last = b""
        while size > len(last) and len(last) < INDEX_BYTES:
            begin = max(0, size - len(last) - PIECE_BYTES)
            last = self._read(begin, size - len(last) - begin) + last
            if not last.endswith(b"\n"):
                return b""
            if (end := last.rfind(b"\n", 0, -1)) >= 0:
                return last[end + 1 :]
        return b""

    def _made_index(self) -> Index:
        index = Index()
        offset = self._begin
        self._file.seek(offset)
        for text in self._file:
            if not text.endswith(b"\n"):
                break
            if text.startswith(CHECKPOINT_HEAD):
                index.note_checkpoint(index.length_s, offset)
            else:
                try:
                    index.note(decode_line(text), offset)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    break
            offset += len(text)
        return index


class RunEventsAt:
    """The events of one run known at a moment, read line by line from either end."""

    def __init__(self, recording: Recording, run_id: str, until_s: float) -> None:
        self._recording = recording
        self._places = recording.index.runs.get(run_id)
        self.count = self._places.count_until(until_s) if self._places is not None else 0

    @property
    def first_seq(self) -> int:
        """Of the first event; 0 for none."""
        numbers = self._places.first_seq[: self.count] if self._places is not None else ()
        return next((seq for seq in numbers if seq), 0)

    @property
    def last_seq(self) -> int:
        """Of the last event; 0 for none."""
        places = self._places
        return places.last_seq[self.count - 1] if places is not None and self.count else 0

    def rising(self, after_seq: int) -> Iterator[Event]:
        """Events after a number, the earliest first."""
        for number in range(self.count):
            assert self._places is not None
            if self._places.last_seq[number] > after_seq:
                yield from (event for event in self._line(number) if event.seq > after_seq)

    def falling(self, before_seq: int | None) -> Iterator[Event]:
        """Events before a number, or all, the latest first."""
        for number in reversed(range(self.count)):
            assert self._places is not None
            if before_seq is None or self._places.first_seq[number] < before_seq:
                for event in reversed(self._line(number)):
                    if before_seq is None or event.seq < before_seq:
                        yield event

    def _line(self, number: int) -> list[Event]:
        assert self._places is not None
        line = self._recording.line_at(self._places.offset[number])
        if isinstance(line, RunLine) and isinstance(line.record, EventsRecord):
            return line.record.events
        return []


def _opened(path: Path) -> BinaryIO:
    file = path.open("rb")
    try:
        compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        if not compressed:
            return file
        laid_out = tempfile.TemporaryFile(prefix="monitor-tui-")  # noqa: SIM115 - kept open
        unpacker = zlib.decompressobj(wbits=31)
        try:
            while piece := file.read(PIECE_BYTES):
                while piece:
                    laid_out.write(unpacker.decompress(piece, PIECE_BYTES))
                    piece = unpacker.unconsumed_tail
        except zlib.error:
            pass  # cut, or spoiled from here on: what came before is read
        laid_out.flush()
    except BaseException:
        file.close()
        raise
    file.close()
    return laid_out
