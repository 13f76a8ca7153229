"""Which workflows a monitor's filter admits: the query a store reads by, and the test in memory.

Source: contract 6.1 (names and meaning) and 7.2 (subscriptions). What a store does with a query is
in `storage`; both must agree, which `tests/server/sockets` holds.
"""

from collections.abc import Callable, Sequence
from typing import Final

from runwatch_server import workflows
from runwatch_server.storage.protocols import Query
from runwatch_server.workflows import WorkflowRow
from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import Limits
from runwatch_shared.states import HEALTH_FLAGS, RUN_STATUSES
from runwatch_shared.timestamps import parse_time_or_age
from runwatch_shared.wire import WORKFLOW_SORTS, WorkflowFilter

Test = Callable[[WorkflowRow], bool]

DEFAULT_SORT: Final = "-attention"
STATUSES: Final = (*RUN_STATUSES, "waiting", "success")
"""Raw statuses of runs and of actions (contract 5.6)."""
FILTER_LABELS: Final = 16
"""Contract 1.3."""


def query_of(
    wanted: WorkflowFilter, *, sort: str, limit: int, limits: Limits, now_us: int
) -> Query:
    """The query of a filter as it came, its values checked against contract 1.3.

    Raises:
        RefusedError: ``invalid_value`` or ``invalid_parameter``, naming the field.
    """
    _check_counts(wanted, limits)
    _check_known(wanted.status, STATUSES, "filter.status")
    _check_known(wanted.health, HEALTH_FLAGS, "filter.health")
    column = sort.removeprefix("-")
    if column not in WORKFLOW_SORTS:
        raise RefusedError(
            "invalid_value",
            "sort has an unknown value",
            field="sort",
            details={"allowed": [*WORKFLOW_SORTS, *(f"-{name}" for name in WORKFLOW_SORTS)]},
        )
    return Query(
        types=_tuple(wanted.type),
        ids=_tuple(wanted.ids),
        state=_tuple(wanted.state),
        status=_tuple(wanted.status),
        node=_tuple(wanted.node),
        agent_type=_tuple(wanted.agent_type),
        health=_tuple(wanted.health),
        task=wanted.task,
        labels=wanted.labels or None,
        q=wanted.q or None,
        waiting=wanted.waiting,
        active=wanted.active,
        since_us=_moment(wanted.since, now_us, "filter.since"),
        until_us=_moment(wanted.until, now_us, "filter.until"),
        sort=column,
        descending=sort.startswith("-"),
        limit=max(1, min(limit, limits.snapshot_rows)),
    )


def conditions_of(query: Query) -> tuple[Test, ...]:
    """The conditions of a query as tests of a row; a row matches when all hold."""
    made: list[Test] = []
    for values, get in (
        (query.types, workflows.type_of),
        (query.ids, lambda row: row.id),
        (query.state, workflows.state_of),
        (query.status, lambda row: row.status),
        (query.node, lambda row: row.node_id),
        (query.agent_type, lambda row: row.agent_type),
        (query.health, lambda row: row.health),
    ):
        if values is not None:
            made.append(_among(frozenset(values), get))
    if query.task is not None:
        made.append(_equal(query.task, lambda row: row.task_id))
    if query.waiting is not None:
        made.append(_equal(query.waiting, lambda row: row.wait is not None))
    if query.active is not None:
        made.append(_equal(query.active, workflows.is_active))
    made.extend(_labelled(name, value) for name, value in (query.labels or {}).items())
    if query.q:
        made.append(_containing(query.q))
    if (since := query.since_us) is not None:
        made.append(lambda row: row.updated_us >= since)
    if (until := query.until_us) is not None:
        made.append(lambda row: row.updated_us <= until)
    return tuple(made)


def matches(tests: Sequence[Test], row: WorkflowRow | None) -> bool:
    """Whether there is a row and it passes every test."""
    if row is None:
        return False
    return all(test(row) for test in tests)


def _among(values: frozenset[str], get: Callable[[WorkflowRow], str | None]) -> Test:
    return lambda row: get(row) in values


def _equal(value: object, get: Callable[[WorkflowRow], object]) -> Test:
    return lambda row: get(row) == value


def _labelled(name: str, value: str | None) -> Test:
    if value is None:
        return lambda row: name in row.labels
    return lambda row: row.labels.get(name) == value


def _containing(q: str) -> Test:
    sought = q.casefold()

    def test(row: WorkflowRow) -> bool:
        parts = (row.id, row.name, row.task_id, row.node_id, row.account_id)
        return any(sought in part.casefold() for part in parts if part)

    return test


def _tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    """The same for the same values in whatever order they were named."""
    return None if values is None else tuple(sorted(set(values)))


def _moment(text: str | None, now_us: int, field: str) -> int | None:
    if text is None:
        return None
    try:
        return parse_time_or_age(text, now_us)
    except ValueError as error:
        message = f"{field} must be a time or an age like 15m"
        raise RefusedError("invalid_parameter", message, field=field) from error


def _check_known(values: Sequence[str] | None, known: Sequence[str], field: str) -> None:
    for index, value in enumerate(values or ()):
        if value not in known:
            place = f"{field}[{index}]"
            raise RefusedError(
                "invalid_value",
                f"{place} has an unknown value",
                field=place,
                details={"allowed": list(known)},
            )


def _check_counts(wanted: WorkflowFilter, limits: Limits) -> None:
    for name in ("type", "state", "status", "node", "agent_type", "health"):
        _check_length(getattr(wanted, name), limits.filter_values, f"filter.{name}")
    _check_length(wanted.ids, limits.filter_ids, "filter.ids")
    _check_length(wanted.q, limits.query_chars, "filter.q")
    labels = None if wanted.labels is None else tuple(wanted.labels)
    _check_length(labels, FILTER_LABELS, "filter.labels")


def _check_length(values: Sequence[str] | None, most: int, field: str) -> None:
    if values is not None and len(values) > most:
        raise RefusedError(
            "invalid_parameter", f"{field} is too long", field=field, details={"max": most}
        )
