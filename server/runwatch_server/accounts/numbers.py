"""How many logins are in which state, and how many ended since a moment; kept from commits."""

from collections import Counter
from typing import Final

from runwatch_server.accounts.rows import ActionRow
from runwatch_shared.logins import ActionStatus
from runwatch_shared.models import WorkflowState
from runwatch_shared.states import STATE_OF_ACTION, WORKFLOW_STATES

_ENDS: Final[dict[ActionStatus, str]] = {
    "success": "completed",
    "failed": "failed",
    "timeout": "failed",
    "cancelled": "cancelled",
}


class LoginNumbers:
    """Over all logins that are kept, which are few (`sweeping`)."""

    def __init__(self) -> None:
        self._states: Counter[WorkflowState] = Counter()
        self._ended: dict[str, tuple[int, str]] = {}
        """By id: when, and how."""

    def follow(self, before: ActionRow | None, after: ActionRow | None) -> None:
        """Take note of a change of a login."""
        if before is not None:
            self._states[STATE_OF_ACTION[before.status]] -= 1
            self._ended.pop(before.id, None)
        if after is not None:
            self._states[STATE_OF_ACTION[after.status]] += 1
            if after.finished_us is not None:
                self._ended[after.id] = (after.finished_us, _ENDS[after.status])

    def by_state(self) -> dict[WorkflowState, int]:
        """Every state, 0 included."""
        return {state: self._states[state] for state in WORKFLOW_STATES}

    def ended_since(self, since_us: int) -> Counter[str]:
        """``completed``, ``failed`` and ``cancelled`` since a moment."""
        return Counter(how for at_us, how in self._ended.values() if at_us >= since_us)
