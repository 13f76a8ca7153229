"""What the domain asks of a store for sessions known by telemetry (`otlp`); no vendor, no SQL."""

from collections.abc import Sequence
from typing import Protocol

from runwatch_server.otlp.row import TelemetryRow


class TelemetryWrites(Protocol):
    def get(self, agent_type: str, session_id: str) -> TelemetryRow | None: ...

    def put(self, row: TelemetryRow) -> TelemetryRow:
        """Insert one without a key, or replace; gives it back with its key."""
        ...

    def remember(self, row: TelemetryRow, digests: Sequence[int]) -> list[bool]:
        """Note records of a stored session; gives for each whether it was not known yet.

        Args:
            digests: Names of records, 63 bits each.
        """
        ...

    def forget(self, row: TelemetryRow, *, up_to: int) -> None:
        """Drop the oldest remembered records, those up to the ``up_to``-th."""
        ...

    def due(self, now_us: int, *, limit: int) -> list[TelemetryRow]:
        """Sessions whose ``due_us`` has come, longest first."""
        ...

    def prune(self, before_us: int, *, limit: int) -> int:
        """Remove at most ``limit`` settled sessions last heard of before; gives how many went."""
        ...
