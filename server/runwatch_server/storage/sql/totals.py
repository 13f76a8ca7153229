"""How many runs match, from counters that are kept anyway: for lists that nothing or one thing
narrows. The others are counted (`conditions`).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from runwatch_server.storage.protocols import Query
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.statements import Statement
from runwatch_shared.states import ACTIVE_STATES, RUN_STATUSES, WORKFLOW_STATES

_EVERYTHING: Final = Query()


def known_total(connection: Connection, query: Query) -> int | None:
    """The number of runs that match, whatever there are; None where no counters tell it.

    The counters are those of `tally`, moved in the commit that changes a run.
    """
    names = counters_of(query)
    if names is None:
        return None
    sql = (
        "SELECT coalesce(sum(value), 0) FROM counters "
        f"WHERE span = 'all' AND start_us = 0 AND name IN ({', '.join('?' * len(names))})"
    )
    return int(connection.value(Statement(sql, "select", "counters"), names))


def counters_of(query: Query) -> list[str] | None:
    """The counters of all time whose sum is the number of runs that match; None where there are
    none.
    """
    narrowed = _narrowed(query)
    if not narrowed:
        return [f"run:status:{status}" for status in RUN_STATUSES]
    if narrowed == {"state"}:
        return [f"run:state:{state}" for state in set(query.state or ())]
    if narrowed == {"active"}:
        states = [state for state in WORKFLOW_STATES if (state in ACTIVE_STATES) == query.active]
        return [f"run:state:{state}" for state in states]
    if narrowed == {"health"} and "ok" not in (query.health or ()):
        return [f"run:health:{flag}" for flag in set(query.health or ())]
    if narrowed <= {"status", "agent_type"}:
        statuses: Sequence[str] = query.status if query.status is not None else RUN_STATUSES
        if query.agent_type is None:
            return [f"run:status:{status}" for status in set(statuses)]
        agents = set(query.agent_type)
        return [f"run:agent:{status}:{agent}" for status in set(statuses) for agent in agents]
    return None


def _narrowed(query: Query) -> set[str]:
    """The conditions that are set."""
    order = {"sort", "descending", "after", "limit", "offset"}
    return {
        name
        for name in msgspec.structs.asdict(query)
        if name not in order and getattr(query, name) != getattr(_EVERYTHING, name)
    }
