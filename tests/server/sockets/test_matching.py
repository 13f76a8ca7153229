"""A filter in memory admits exactly the rows that a store's list by the same query has."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwatch_server import workflow_lists
from runwatch_server.matching import conditions_of, matches, query_of
from runwatch_server.rows import WaitRow
from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import Limits
from runwatch_shared.states import HEALTH_FLAGS, RUN_STATUSES, WORKFLOW_STATES
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import WorkflowFilter
from tests.server.sockets.fleet import Fleet

WAIT = WaitRow(kind="approval", since_us=1, prompt="go on?", seq=1)
NAMES = ("Build ẞ", "straße", "a.b", "100%", "under_score")
NODES = (None, "n1", "n2")


@pytest.fixture(scope="module")
def fleet() -> Any:
    fleet = Fleet()
    now_us = fleet.clock.now_us()
    number = 0
    for status in RUN_STATUSES:
        for health in HEALTH_FLAGS[:3]:
            number += 1
            fields: dict[str, Any] = {
                "status": status,
                "health": health,
                "name": NAMES[number % len(NAMES)],
                "node_id": NODES[number % len(NODES)],
                "wait": WAIT if number % 4 == 0 else None,
                "node_silent": number % 5 == 0,
                "labels": {"team": "ab"[number % 2]} if number % 3 else {},
                "account_id": "claude_me" if number % 6 == 0 else None,
                "updated_us": now_us + number,
            }
            fleet.write(fleet.making(**fields))
    yield fleet
    fleet.close()


def some(values: Any) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.sampled_from(values), max_size=3, unique=True)


@given(
    state=some(WORKFLOW_STATES),
    status=some(RUN_STATUSES),
    node=some(["n1", "n2", "n3"]),
    health=some(HEALTH_FLAGS),
    labels=st.none()
    | st.dictionaries(st.sampled_from(["team", "x"]), st.sampled_from([None, "a"])),
    q=st.none()
    | st.sampled_from(["", "BUILD", "STRASSE", "%", "_", "n1", "RUN-0", "me", "\n", "a.b"]),
    waiting=st.none() | st.booleans(),
    active=st.none() | st.booleans(),
    kinds=st.sampled_from([None, ["run"], ["auth"], ["auth", "run"]]),
    since=st.none() | st.integers(0, 25),
    until=st.none() | st.integers(0, 25),
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_memory_and_store_agree(fleet: Fleet, **chosen: Any) -> None:
    now_us = fleet.clock.now_us()
    chosen["type"] = chosen.pop("kinds")
    for name in ("since", "until"):
        if chosen[name] is not None:
            chosen[name] = format_time(now_us + chosen[name])
    query = query_of(
        WorkflowFilter(**chosen), sort="name", limit=1000, limits=Limits(), now_us=now_us
    )
    tests = conditions_of(query)
    in_memory = {row.id for row in fleet.runs.values() if matches(tests, row)}
    with fleet.store.read() as tx:
        in_store = {row.id for row in workflow_lists.page(tx, query)}
        assert workflow_lists.count(tx, query, at_most=1000) == len(in_store)
    assert in_memory == in_store


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"status": ["done", "asleep"]}, "filter.status[1]"),
        ({"health": ["fine"]}, "filter.health[0]"),
        ({"since": "yesterday"}, "filter.since"),
        ({"q": "x" * 129}, "filter.q"),
        ({"ids": ["r"] * 201}, "filter.ids"),
        ({"node": ["n"] * 65}, "filter.node"),
        ({"labels": {str(n): None for n in range(17)}}, "filter.labels"),
    ],
)
def test_a_filter_beyond_the_contract_is_refused_by_name(wanted: Any, field: str) -> None:
    wish = msgspec.convert(wanted, WorkflowFilter)
    with pytest.raises(RefusedError) as refused:
        query_of(wish, sort="name", limit=10, limits=Limits(), now_us=0)
    assert refused.value.field == field
