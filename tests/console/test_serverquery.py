"""What of a filter and an order the server is asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.filters import STATES, parse_filter
from runwatch_console.fleet import Edge
from runwatch_console.held.holdings import Holdings
from runwatch_console.held.lists import workflow_page
from runwatch_console.ordering import SORTS
from runwatch_console.rows import run_row
from runwatch_console.serverquery import ORDERS, order_at_server, server_query, turned
from runwatch_shared.wire import WORKFLOW_SORTS
from tests.console.records import NOW_S, at, fleet_rows

EDGE = Edge(until_s=None)
AGENTS = ("claude-code", "openai-codex", "codex-next")


def asked(text: str, *, inverted: bool = False) -> dict[str, str]:
    query = server_query(
        parse_filter(text), "-attention", EDGE, inverted=inverted, agents=AGENTS, now_s=NOW_S
    )
    assert query.pop("sort") == "-attention"
    return query


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("s:wait", {"state": "waiting"}),
        ("s:fail", {"status": "failed,timeout"}),
        ("s:done,cancelled", {"status": "done,cancelled"}),
        ("s:active", {"active": "true"}),
        ("s:loop", {"health": "looping"}),
        ("s:active,ended", {}),
        ("s:wait,fail", {}),
        ("s:needs", {}),
        ("docs", {"q": "docs"}),
        ("!docs", {}),
        ("node:n1", {"q": "n1"}),
        ("node:n1,n2", {}),
        ("label:team=web", {"label": "team:web"}),
        ("label:team", {"label": "team"}),
        ("agent:claude-code", {"agent_type": "claude-code"}),
        ("agent:codex", {}),
        ("cost>1 age>1h", {}),
        ("ended<1h", {"since": at(3601)}),
        ("s:fail docs node:n1", {"status": "failed,timeout", "q": "docs"}),
    ],
)
def test_a_filter_becomes_what_the_server_has_names_for(text: str, wanted: dict[str, str]) -> None:
    assert asked(text) == wanted


def test_of_a_filter_that_is_turned_round_the_server_is_asked_for_all() -> None:
    assert asked("s:fail docs", inverted=True) == {}


def test_only_what_did_not_change_since_the_edge_is_asked_for() -> None:
    query = server_query(
        parse_filter(""), "name", Edge(until_s=NOW_S), inverted=False, agents=(), now_s=NOW_S
    )
    assert query == {"sort": "name", "until": at(-1)}


def test_every_order_of_the_list_has_one_of_the_server() -> None:
    assert set(ORDERS) == {sort.id for sort in SORTS}
    assert {order.sort.removeprefix("-") for order in ORDERS.values()} <= set(WORKFLOW_SORTS)
    assert order_at_server("cost", reversed_=True).sort == "cost_usd"
    assert order_at_server("node", reversed_=True).sort == "-update_time"
    assert turned(turned("-name")) == "-name"


TERMS = st.one_of(
    st.sampled_from([f"s:{name}" for name in STATES]),
    st.sampled_from(["node:n1", "node:n", "name:docs", "task:task-", "id:run-5", "ended<2m"]),
    st.sampled_from(["label:team=web", "agent:claude-code", "agent:c", "!s:done", "!node:n2"]),
)


@given(st.lists(TERMS, max_size=4), st.booleans())
def test_the_server_leaves_out_nothing_that_the_filter_lets_through(
    terms: list[str], inverted: bool
) -> None:
    rows = fleet_rows()
    chosen = parse_filter(" ".join(terms))
    held = Holdings()
    held.runs = {row.id: row for row in rows}
    agents = {row.agent_type for row in rows}
    query = server_query(chosen, "name", EDGE, inverted=inverted, agents=agents, now_s=NOW_S)
    sent = {row.id for row in workflow_page(held, query, limit=1000, cursor=None).workflows}
    wanted = {row.id for row in rows if chosen.matches(run_row(row), NOW_S) != inverted}
    if not (inverted and not terms):
        assert wanted <= sent
