"""A row of the monitor whatever its type: a run, or the action of a login; nothing is stored.

What a run shows is in `standing` and `records`, what a login shows in `accounts.rowing`. Lists of
both together are in `workflow_lists`.
"""

from collections.abc import Callable
from typing import Final, assert_never

from runwatch_server import records, standing
from runwatch_server.accounts import rowing
from runwatch_server.accounts.rows import ActionRow
from runwatch_server.rows import RunRow
from runwatch_shared.models import WorkflowState, WorkflowSummary, WorkflowType
from runwatch_shared.states import ACTIVE_STATES, STATE_OF_ACTION, attention

WorkflowRow = RunRow | ActionRow
SortValue = str | int | float | None


def type_of(row: WorkflowRow) -> WorkflowType:
    return "run" if isinstance(row, RunRow) else "auth"


def state_of(row: WorkflowRow) -> WorkflowState:
    match row:
        case RunRow():
            return standing.state_of(row)
        case ActionRow():
            return STATE_OF_ACTION[row.status]
        case _:
            assert_never(row)


def attention_of(row: WorkflowRow) -> int:
    """4 waiting … 0 ended."""
    return attention(state_of(row), row.health)


def is_active(row: WorkflowRow) -> bool:
    """Pending, running, waiting or unknown."""
    return state_of(row) in ACTIVE_STATES


def duration_ms(row: WorkflowRow) -> int | None:
    """Finished − begun, only when both exist."""
    if row.finished_us is None or row.started_us is None:
        return None
    return (row.finished_us - row.started_us) // 1000


def summary(row: WorkflowRow) -> WorkflowSummary:
    """The row as the wire shows it (contract 5.6)."""
    match row:
        case RunRow():
            return records.summary(row)
        case ActionRow():
            return rowing.summary(row)
        case _:
            assert_never(row)


def _cost_usd(row: WorkflowRow) -> float | None:
    return row.usage.cost_usd if isinstance(row, RunRow) and row.usage is not None else None


def _total_tokens(row: WorkflowRow) -> int | None:
    return row.usage.total_tokens if isinstance(row, RunRow) and row.usage is not None else None


SORT_VALUES: Final[dict[str, Callable[[WorkflowRow], SortValue]]] = {
    "update_time": lambda row: row.updated_us,
    "start_time": lambda row: row.created_us,
    "attention": attention_of,
    "name": lambda row: row.name,
    "duration_ms": duration_ms,
    "cost_usd": _cost_usd,
    "total_tokens": _total_tokens,
    "tool_failures": lambda row: row.tool_failures if isinstance(row, RunRow) else 0,
}
"""By `wire.WORKFLOW_SORTS`; None where a row has no value, and stands last."""
THEN_BY: Final[dict[str, Callable[[WorkflowRow], int]]] = {"attention": lambda row: row.updated_us}
"""By which rows of one value stand, before their ids."""


def place_of(row: WorkflowRow, sort: str) -> tuple[SortValue, ...]:
    """Where a row stands in a list of this order: (value, …, id)."""
    then = THEN_BY.get(sort)
    if then is None:
        return SORT_VALUES[sort](row), row.id
    return SORT_VALUES[sort](row), then(row), row.id
