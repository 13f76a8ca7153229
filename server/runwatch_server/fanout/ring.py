"""The newest events of one run as JSON, kept while somebody may need them, bounded."""

from collections import deque
from itertools import islice
from typing import Final

from runwatch_server.fanout.frames import PART_BYTES, PART_ROWS
from runwatch_server.fanout.pages import Encoded

UNKNOWN: Final = -1
RUN_BYTES: Final = 4 * 1024 * 1024
TOTAL_BYTES: Final = 64 * 1024 * 1024


class Ring:
    """Every event of the run in (``floor``, ``head``] is here; both `UNKNOWN` until the first."""

    def __init__(self, limit_bytes: int = RUN_BYTES) -> None:
        self.floor = UNKNOWN
        self.head = UNKNOWN
        self.bytes = 0
        self._limit_bytes = limit_bytes
        self._events: deque[Encoded] = deque()

    def __len__(self) -> int:
        return len(self._events)

    def extend(self, events: list[Encoded]) -> None:
        """Add what was committed next."""
        if self.head == UNKNOWN:
            self.floor = events[0].seq - 1
        self._events.extend(events)
        self.bytes += sum(len(event.json) for event in events)
        self.head = events[-1].seq
        while self.bytes > self._limit_bytes:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Forget one event; who needs it reads the store."""
        oldest = self._events.popleft()
        self.bytes -= len(oldest.json)
        self.floor = oldest.seq

    def clear(self) -> None:
        """Forget all, because everybody has it."""
        self._events.clear()
        self.bytes = 0
        self.floor = self.head

    def after(self, seq: int) -> list[Encoded]:
        """What follows a number not below ``floor``, as much as fits a burst."""
        found: list[Encoded] = []
        size = 0
        for event in islice(self._events, self._index(seq), None):
            size += len(event.json)
            if found and (len(found) >= PART_ROWS or size > PART_BYTES):
                break
            found.append(event)
        return found

    def count_after(self, seq: int) -> int:
        """How many follow a number."""
        return len(self._events) - self._index(seq)

    def _index(self, seq: int) -> int:
        low, high = 0, len(self._events)
        while low < high:
            middle = (low + high) // 2
            if self._events[middle].seq <= seq:
                low = middle + 1
            else:
                high = middle
        return low
