"""The log of the made-up login: its phases as events, as a server tells them (contract 10); its row
is made in `machines`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from runwatch_shared.models import Event, RunId, WorkflowSummary

PHASES: Final = ("initializing", "requesting_device_code", "waiting_device_code")
"""Those it went through until it waits (contract 12); the code itself stands in the row alone,
where recordings mask it.
"""


class LoginLog:
    """See `held.pages.EventLog`."""

    def __init__(self, row: WorkflowSummary, steps: Sequence[tuple[str, str]] = ()) -> None:
        """`steps`: phases and when each began; without any those of the login that waits."""
        self.node = row.node_id or ""
        self.status = row.status
        told = steps or [(phase, row.start_time) for phase in PHASES]
        self._events = tuple(
            Event(
                id=seq,
                run_id=RunId(row.id),
                seq=seq,
                epoch=1,
                type=phase,
                timestamp=at,
                received_at=at,
                level="info",
                payload=msgspec.Raw(msgspec.json.encode({"progress": min(100, 25 * seq)})),
            )
            for seq, (phase, at) in enumerate(told, start=1)
        )

    @property
    def ended(self) -> bool:
        """Whether there will be no more of it."""
        return self.status in ("success", "failed", "timeout", "cancelled")

    @property
    def first_seq(self) -> int:
        """See `held.pages.EventLog`."""
        return 1

    @property
    def last_seq(self) -> int:
        """See `held.pages.EventLog`."""
        return len(self._events)

    def rising(self, after_seq: int) -> Iterator[Event]:
        """See `held.pages.EventLog`."""
        return iter([event for event in self._events if event.seq > after_seq])

    def falling(self, before_seq: int | None) -> Iterator[Event]:
        """See `held.pages.EventLog`."""
        known = [e for e in self._events if before_seq is None or e.seq < before_seq]
        return reversed(known)
