"""The alerts that wait to be delivered: in order for each run, bounded; pure, nothing is sent."""

import dataclasses

from runwatch_server.alerts.row import AlertRow


@dataclasses.dataclass(slots=True)
class Waiting:
    """An alert and when it may be tried."""

    alert: AlertRow
    attempts: int
    not_before_s: float = 0.0
    """By the monotonic clock."""


class AlertQueue:
    """Oldest first. An alert whose run has an older one waits behind it; others pass by.

    Args:
        limit: Most alerts; beyond it the oldest are given up, except one that is being sent.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[str, Waiting] = {}
        self._sending: str | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, alert: AlertRow) -> None:
        """One more."""
        self._waiting[alert.id] = Waiting(alert, alert.attempts)

    def surplus(self) -> list[AlertRow]:
        """Take out what is too much, oldest first."""
        over = len(self._waiting) - self._limit
        if over <= 0:
            return []
        gone = [key for key in self._waiting if key != self._sending][:over]
        return [self._waiting.pop(key).alert for key in gone]

    def take(self, now_s: float) -> Waiting | None:
        """The first that may be tried now; it stays in the queue until `done`."""
        found = next((each for each in self._heads() if each.not_before_s <= now_s), None)
        self._sending = None if found is None else found.alert.id
        return found

    def next_s(self) -> float | None:
        """When the first may be tried, by the monotonic clock; None while there is none."""
        return min((each.not_before_s for each in self._heads()), default=None)

    def back(self, waiting: Waiting, not_before_s: float) -> None:
        """A try failed: it is tried again, not before then."""
        waiting.attempts += 1
        waiting.not_before_s = not_before_s
        self._sending = None

    def done(self, waiting: Waiting) -> None:
        """It was delivered or given up."""
        self._waiting.pop(waiting.alert.id, None)
        self._sending = None

    def clear(self) -> list[AlertRow]:
        """Take out all."""
        gone = [each.alert for each in self._waiting.values()]
        self._waiting.clear()
        self._sending = None
        return gone

    def _heads(self) -> list[Waiting]:
        """The oldest of each run."""
        heads: dict[str, Waiting] = {}
        for each in self._waiting.values():
            heads.setdefault(each.alert.run_id, each)
        return list(heads.values())
