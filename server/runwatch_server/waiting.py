"""Which workflows wait for a person, and since when the longest does; no rows."""

from heapq import heapify, heappop, heappush
from typing import Final

from runwatch_server import workflows
from runwatch_server.workflows import WorkflowRow

_SPARE: Final = 64
"""Entries that are over and may stay in the heap."""


class OpenWaits:
    """Kept along the changes of workflows; the oldest costs the logarithm of what waits."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._since)

    def follow(self, before: WorkflowRow | None, after: WorkflowRow | None) -> None:
        """Take note of a change of a workflow."""
        if after is not None and after.wait and workflows.state_of(after) == "waiting":
            since_us = after.wait.since_us
            if self._since.get(after.id) != since_us:
                self._since[after.id] = since_us
                heappush(self._heap, (since_us, after.id))
        elif (row := after or before) is not None:
            self._since.pop(row.id, None)
        if len(self._heap) > 2 * len(self._since) + _SPARE:
            self._heap = [(since_us, run_id) for run_id, since_us in self._since.items()]
            heapify(self._heap)

    def oldest_us(self) -> int | None:
        """Since when the longest open wait is open; None without any."""
        while self._heap and self._since.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None
