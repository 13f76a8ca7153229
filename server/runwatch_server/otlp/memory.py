"""Which records of a session were taken already: kept with it, the newest of them."""

from typing import Final

import msgspec

from runwatch_server.otlp.row import TelemetryRow
from runwatch_server.storage.protocols import WriteTx

MOST_SEEN: Final = 10_000
"""Records of a session that are known again; a repetition comes within minutes."""
FORGET_EVERY: Final = 1_000


class Memory:
    """A stored session's, within one work.

    Args:
        row: As stored; `result` is it with what was noted here.
    """

    def __init__(self, tx: WriteTx, row: TelemetryRow) -> None:
        self._tx = tx
        self._row = row
        self._before = row.seen

    def fresh(self, digest: int) -> bool:
        """Whether this was never noted; it is now."""
        new = self._tx.telemetry.remember(self._row, [digest])[0]
        if new:
            self._row = msgspec.structs.replace(self._row, seen=self._row.seen + 1)
        return new

    def result(self) -> TelemetryRow:
        """The session with its count; what is older than it may be is forgotten."""
        seen = self._row.seen
        if seen > MOST_SEEN and seen // FORGET_EVERY != self._before // FORGET_EVERY:
            self._tx.telemetry.forget(self._row, up_to=seen - MOST_SEEN)
        return self._row
