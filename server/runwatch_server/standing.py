"""Where a run stands, derived from its row alone: state, progress, attention; nothing is stored.

Source: contract 5.6 and 6.2.
"""

from runwatch_server.rows import RunRow
from runwatch_shared.models import WorkflowState
from runwatch_shared.states import (
    ACTIVE_STATES,
    PROGRESS_OF_RUN,
    STATE_OF_RUN,
    attention,
    is_terminal,
)


def state_of(row: RunRow) -> WorkflowState:
    """The state the monitor shows; a silent node comes before an open wait (contract 6.2)."""
    if row.node_silent and row.status in {"assigned", "running"}:
        return "unknown"
    if row.status == "running" and row.wait is not None:
        return "waiting"
    return STATE_OF_RUN[row.status]


def progress_of(row: RunRow) -> int:
    """0 to 100: as reported while running, else by status."""
    if row.status == "running" and row.progress is not None:
        return row.progress
    return PROGRESS_OF_RUN[row.status]


def attention_of(row: RunRow) -> int:
    """4 waiting … 0 ended."""
    return attention(state_of(row), row.health)


def is_active(row: RunRow) -> bool:
    """Pending, running, waiting or unknown."""
    return state_of(row) in ACTIVE_STATES


def is_controllable(row: RunRow) -> bool:
    """Whether the run can be cancelled: not one begun outside (contract 5.3)."""
    return row.origin == "scheduled"


def holds_slot(row: RunRow) -> bool:
    """Whether the run counts in its node's ``allocated``."""
    return row.status in {"assigned", "running"} and row.origin == "scheduled"


def duration_ms(row: RunRow) -> int | None:
    """Finished − begun, only when both exist."""
    if row.finished_us is None or row.started_us is None:
        return None
    return (row.finished_us - row.started_us) // 1000


def queue_wait_ms(row: RunRow) -> int | None:
    """Created → claimed."""
    return None if row.claimed_us is None else (row.claimed_us - row.created_us) // 1000


def kept_events(row: RunRow) -> int:
    """How many of its events are stored: all but what retention removed."""
    return 0 if row.first_seq > row.last_seq else row.event_count - row.events_removed


def ended(row: RunRow) -> bool:
    return is_terminal(row.status)
