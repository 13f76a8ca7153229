"""A bounded window onto a run's events: the tail first, earlier and later pages on demand; pure.

The window holds events in order and knows what it does not hold: `has_before`, `has_after`.
Whatever is added at one end
may push events out at the other, never those the view stands on.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from runwatch_console.eventlines import EventLine

MAX_EVENTS: Final = 5_000
MAX_BYTES: Final = 32 * 1024 * 1024


class GapLine(msgspec.Struct, frozen=True, kw_only=True):
    """Events that are gone, both ends included; stands where they would."""

    from_seq: int
    to_seq: int
    reason: str

    @property
    def seq(self) -> int:
        """Its place in the order."""
        return self.to_seq


class NoticeLine(msgspec.Struct, frozen=True, kw_only=True):
    """Something the console has to say at a place in the log. `word` is an id of the locale."""

    seq: int
    word: str
    count: int = 0


Line = EventLine | GapLine | NoticeLine


class EventWindow:
    """See the module. Indices into `lines` change with every call that adds."""

    def __init__(self, *, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self.lines: list[Line] = []
        self.has_before = False
        self.has_after = False
        self.newest_seq = 0
        """The highest seq known to exist, held here or not."""
        self._bytes = 0

    @property
    def first_seq(self) -> int:
        """Seq of the first line held; 0 without any."""
        return self.lines[0].seq if self.lines else 0

    @property
    def last_seq(self) -> int:
        """Seq of the last line held; 0 without any."""
        return self.lines[-1].seq if self.lines else 0

    def replace(self, lines: Iterable[Line], *, has_before: bool, has_after: bool) -> None:
        """Hold exactly these lines, in rising order."""
        self.lines = list(lines)
        self._bytes = sum(map(_size, self.lines))
        self.has_before = has_before
        self.newest_seq = max(self.newest_seq, self.last_seq)
        self.has_after = has_after or self.newest_seq > self.last_seq

    def append(self, lines: Sequence[Line], *, keep_from: int | None = None) -> tuple[int, int]:
        """Add lines after the last one; returns (added, dropped at the beginning).

        Lines already held are left out. `keep_from`: index of the first line the view needs; where
        room can only be
        made by dropping that, nothing is added and `has_after` says so.
        """
        fresh = [line for line in lines if line.seq > self.last_seq or isinstance(line, NoticeLine)]
        if fresh:
            self.newest_seq = max(self.newest_seq, fresh[-1].seq)
        if not fresh or self.has_after:
            return 0, 0
        size = sum(map(_size, fresh))
        dropped = self._surplus(len(fresh), size)
        if keep_from is not None and dropped > keep_from:
            self.has_after = True
            return 0, 0
        self._drop_first(dropped)
        self.lines.extend(fresh)
        self._bytes += size
        # A batch larger than the whole window leaves its own tail.
        surplus = self._surplus(0, 0)
        self._drop_first(surplus)
        return len(fresh) - surplus, dropped

    def extend(self, lines: Sequence[Line], *, has_after: bool) -> int:
        """Add a later page; returns how many lines were dropped at the beginning."""
        self.has_after = False
        _, dropped = self.append(lines)
        # Live events that came while the page was on its way stand after it and were not held.
        self.has_after = has_after or self.newest_seq > self.last_seq
        return dropped

    def prepend(self, lines: Sequence[Line], *, has_before: bool) -> int:
        """Add an earlier page; returns how many lines were added. Drops lines at the end if need
        be.
        """
        first = self.lines[0] if self.lines else None
        first_seq = (first.from_seq if isinstance(first, GapLine) else first.seq) if first else None
        fresh = [line for line in lines if first_seq is None or line.seq < first_seq]
        self.lines[:0] = fresh
        self._bytes += sum(map(_size, fresh))
        self.has_before = has_before
        while len(self.lines) > len(fresh) and self._surplus(0, 0):
            self._bytes -= _size(self.lines.pop())
            self.has_after = True
        return len(fresh)

    def index_at(self, seq: int) -> int:
        """Index of the first line with this seq or a later one; may be the length."""
        return bisect_left(self.lines, seq, key=lambda line: line.seq)

    def holds(self, seq: int) -> bool:
        """Whether the event itself is here."""
        index = self.index_at(seq)
        return any(
            isinstance(line, EventLine) and line.seq == seq
            for line in self.lines[index : index + 2]
        )

    def _surplus(self, more_events: int, more_bytes: int) -> int:
        """How many of the first lines must go to make room."""
        surplus = min(len(self.lines), max(0, len(self.lines) + more_events - self.max_events))
        held = self._bytes - sum(map(_size, self.lines[:surplus])) + more_bytes
        while held > self.max_bytes and surplus < len(self.lines) - (0 if more_events else 1):
            held -= _size(self.lines[surplus])
            surplus += 1
        return surplus

    def _drop_first(self, count: int) -> None:
        if count:
            self._bytes -= sum(map(_size, self.lines[:count]))
            del self.lines[:count]
            self.has_before = True


def _size(line: Line) -> int:
    return line.size if isinstance(line, EventLine) else 100
