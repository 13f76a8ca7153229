"""Where things stand in a recording: places to begin at, lines of each run, moments of trouble.

The writer keeps it while it writes and leaves it as the last line; the reader of a recording that
was cut makes it anew.
"""

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final

from runwatch_console.recording.format import (
    CheckpointLine,
    EventsRecord,
    FrameLine,
    Header,
    IndexLine,
    Line,
    RunLine,
    RunPlacesRecord,
)
from runwatch_shared.models import WorkflowSummary
from runwatch_shared.wire import ChangeFrame, SnapshotFrame

MOST_MARKS: Final = 20_000
FAILED: Final = "failed"
WAITING: Final = "waiting"


class RunPlaces:
    """Lines of one run: four numbers each. A line without events has the last number before."""

    def __init__(self) -> None:
        self.at_s = array("d")
        self.offset = array("Q")
        self.first_seq = array("Q")
        self.last_seq = array("Q")

    def note(self, line: RunLine, offset: int) -> None:
        """One more line."""
        first = last = self.last_seq[-1] if self.last_seq else 0
        if isinstance(line.record, EventsRecord) and line.record.events:
            first, last = line.record.events[0].seq, line.record.events[-1].seq
        self.at_s.append(line.at_s)
        self.offset.append(offset)
        self.first_seq.append(first)
        self.last_seq.append(last)

    def number_after(self, seq: int) -> int:
        """Of the first line that may say something that one who knows up to `seq` does not."""
        return bisect_left(self.last_seq, seq)

    def count_until(self, at_s: float) -> int:
        """How many of the lines there were at a moment."""
        return bisect_right(self.at_s, at_s)

    def record(self) -> RunPlacesRecord:
        """As it stands in the file."""
        return RunPlacesRecord(
            at_s=_bytes(self.at_s),
            offset=_bytes(self.offset),
            first_seq=_bytes(self.first_seq),
            last_seq=_bytes(self.last_seq),
        )

    @classmethod
    def of(cls, record: RunPlacesRecord) -> "RunPlaces":
        """From the file.

        Raises:
            ValueError: It is no whole number of places.
        """
        places = cls()
        for values, text in (
            (places.at_s, record.at_s),
            (places.offset, record.offset),
            (places.first_seq, record.first_seq),
            (places.last_seq, record.last_seq),
        ):
            values.frombytes(text)
            if sys.byteorder == "big":
                values.byteswap()
        if len({len(places.at_s), len(places.offset), len(places.first_seq)}) != 1:
            raise ValueError("places of different length")
        return places


def _bytes(values: array) -> bytes:  # type: ignore[type-arg]  # of either kind of number
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


class Index:
    """See the module."""

    def __init__(self) -> None:
        self.length_s = 0.0
        self.checkpoints: list[tuple[float, int]] = []
        self.runs: dict[str, RunPlaces] = {}
        self.marks: list[tuple[float, str]] = []
        self._last_marks: dict[str, float] = {}
        self._troubled: set[tuple[str, str]] = set()
        self._begun = False

    def note(self, line: Line, offset: int) -> None:
        """A line stands at this offset."""
        if isinstance(line, Header | IndexLine):
            return
        self.length_s = max(self.length_s, line.at_s)
        match line:
            case CheckpointLine():
                self.note_checkpoint(line.at_s, offset)
                if not self._begun and line.fleet is not None:
                    self._judge(line.fleet.workflows or (), line.at_s, told=False)
                    self._begun = True
            case FrameLine(frame=SnapshotFrame() as frame):
                self._judge(frame.workflows or (), line.at_s, told=self._begun)
                self._begun = self._begun or frame.last
            case FrameLine(frame=ChangeFrame() as frame):
                rows = frame.workflows.upsert if frame.workflows is not None else ()
                self._judge(rows, line.at_s, told=True)
            case RunLine():
                self.runs.setdefault(line.run_id, RunPlaces()).note(line, offset)
            case _:
                pass

    def note_checkpoint(self, at_s: float, offset: int) -> None:
        """A reader may begin at this offset."""
        self.checkpoints.append((at_s, offset))

    def _judge(self, rows: Iterable[WorkflowSummary], at_s: float, *, told: bool) -> None:
        """Mark runs that fail or begin to wait; what was so from the beginning is no news."""
        for row in rows:
            for kind, is_so in ((FAILED, row.state == "failed"), (WAITING, row.state == "waiting")):
                key = (row.id, kind)
                if not is_so:
                    self._troubled.discard(key)
                elif key not in self._troubled:
                    self._troubled.add(key)
                    if told and row.status != "cancelled":
                        self._mark(kind, at_s)

    def _mark(self, kind: str, at_s: float) -> None:
        # One a second is all a line of a screen can show, and it bounds a day of them.
        if at_s - self._last_marks.get(kind, -1.0) >= 1.0 and len(self.marks) < MOST_MARKS:
            self._last_marks[kind] = at_s
            self.marks.append((at_s, kind))

    def line(self) -> IndexLine:
        """As it stands in the file."""
        return IndexLine(
            at_s=self.length_s,
            checkpoints=self.checkpoints,
            marks=self.marks,
            runs={run_id: places.record() for run_id, places in self.runs.items()},
        )

    @classmethod
    def of(cls, line: IndexLine) -> "Index":
        """From the file.

        Raises:
            ValueError: It contradicts itself.
        """
        index = cls()
        index.length_s = line.at_s
        index.checkpoints = line.checkpoints
        index.marks = line.marks
        index.runs = {run_id: RunPlaces.of(record) for run_id, record in line.runs.items()}
        return index
