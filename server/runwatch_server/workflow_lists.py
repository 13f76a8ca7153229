"""Lists of workflows of both types as one: runs page by page from the store, logins, of which there
are few, put among them where they belong.

Source: contract 1.4 and 6.1.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from runwatch_server import workflows
from runwatch_server.accounts.rows import ActionRow
from runwatch_server.matching import conditions_of, matches
from runwatch_server.storage.protocols import Query, ReadTx
from runwatch_server.workflows import SortValue, WorkflowRow
from runwatch_shared.logins import ActionStatus
from runwatch_shared.states import ACTION_STATUSES, ACTIVE_STATES, STATE_OF_ACTION

MOST_LOGINS: Final = 5000
"""More than are kept (`accounts.sweeping`)."""

Place = Sequence[SortValue]


def page(tx: ReadTx, query: Query) -> list[WorkflowRow]:
    """At most ``query.limit`` rows of both types, ordered by sort, then id."""
    return _page(tx, query, _matching(tx, query))


def page_and_count(tx: ReadTx, query: Query, *, at_most: int) -> tuple[list[WorkflowRow], int]:
    """`page` and `count`, the logins looked at once."""
    logins = _matching(tx, query)
    return _page(tx, query, logins), len(logins) + _count_runs(tx, query, at_most)


def count(tx: ReadTx, query: Query, *, at_most: int) -> int:
    """How many rows of both types match, not looking further than ``at_most + 1``."""
    return len(_matching(tx, query)) + _count_runs(tx, query, at_most)


def _page(tx: ReadTx, query: Query, matching: Sequence[ActionRow]) -> list[WorkflowRow]:
    logins = [row for row in _ordered(matching, query) if _beyond(row, query)]
    if not _has_runs(query):
        return list(logins[query.offset :][: query.limit])
    if not logins:
        return list(tx.runs.page(query))
    # The first of the page has at most all logins before it, the rest are runs.
    skipped = max(0, query.offset - len(logins))
    wanted = query.offset - skipped + query.limit
    runs = tx.runs.page(msgspec.structs.replace(query, offset=skipped, limit=wanted))
    found = _merged(list(runs), logins, query)
    return found[query.offset - skipped :][: query.limit]


def _count_runs(tx: ReadTx, query: Query, at_most: int) -> int:
    return tx.runs.count(query, at_most=at_most) if _has_runs(query) else 0


def _has_runs(query: Query) -> bool:
    return query.types is None or "run" in query.types


def _matching(tx: ReadTx, query: Query) -> list[ActionRow]:
    """The logins that match."""
    if query.types is not None and "auth" not in query.types:
        return []
    if query.task is not None or query.labels:
        return []
    statuses = [status for status in ACTION_STATUSES if _may_have(query, status)]
    if not statuses:
        return []
    node_id = query.node[0] if query.node is not None and len(query.node) == 1 else None
    every = len(statuses) == len(ACTION_STATUSES)
    found = tx.kept(ActionRow).find(
        node_id=node_id, status=None if every else statuses, limit=MOST_LOGINS
    )
    tests = conditions_of(query)
    return [row for row in found if matches(tests, row)]


def _may_have(query: Query, status: ActionStatus) -> bool:
    state = STATE_OF_ACTION[status]
    if query.status is not None and status not in query.status:
        return False
    if query.state is not None and state not in query.state:
        return False
    if query.active is not None and query.active != (state in ACTIVE_STATES):
        return False
    return query.waiting is None or query.waiting == (status == "waiting")


def _ordered(rows: Sequence[ActionRow], query: Query) -> list[ActionRow]:
    def rank(row: ActionRow) -> Place:
        place = workflows.place_of(row, query.sort)
        return place if place[0] is not None else place[-1:]

    valued = [row for row in rows if workflows.SORT_VALUES[query.sort](row) is not None]
    without = [row for row in rows if workflows.SORT_VALUES[query.sort](row) is None]
    for stretch in (valued, without):
        stretch.sort(key=rank, reverse=query.descending)  # type: ignore[arg-type]  # comparable
    return [*valued, *without]


def _beyond(row: ActionRow, query: Query) -> bool:
    """Whether a row stands after the last of the page before."""
    if query.after is None:
        return True
    return _follows(workflows.place_of(row, query.sort), query.after, query)


def _follows(place: Place, other: Place, query: Query) -> bool:
    """Whether one place is after another; rows without a value come last, whatever the way."""
    if (place[0] is None) != (other[0] is None):
        return place[0] is None
    first, second = (place, other) if place[0] is not None else (place[-1:], other[-1:])
    try:
        return tuple(first) < tuple(second) if query.descending else tuple(first) > tuple(second)
    except TypeError:
        return False  # a cursor that somebody made up


def _merged(
    runs: list[WorkflowRow], logins: Sequence[ActionRow], query: Query
) -> list[WorkflowRow]:
    """Both in one order; runs stay as the store ordered them."""
    merged: list[WorkflowRow] = []
    left = list(logins)
    for run in runs:
        place = workflows.place_of(run, query.sort)
        while left and not _follows(workflows.place_of(left[0], query.sort), place, query):
            merged.append(left.pop(0))
        merged.append(run)
    return [*merged, *left]
