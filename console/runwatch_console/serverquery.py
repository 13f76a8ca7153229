"""What of a list's filter and order a server can be asked for (contract 6.1), so that it sends what
may belong to the list and hardly anything else; pure.

What it cannot narrow by is judged here, row by row, as it is for rows that are held: the answer may
hold more than belongs to the list. One exception is written in the documents: a bare word is looked
for by the server in id, name, task and node alone.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from runwatch_console.filters import Filter, Term, age_s, state_named
from runwatch_console.fleet import Edge
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time

LONGEST_Q: Final = 128
LEEWAY_S: Final = 1.0
"""A moment of ours has no microseconds to rely on."""


class ServerOrder(NamedTuple):
    """An order of the server. `aligned`: rows come in that of the list. `turns`: turned round it
    is the same from its other end, which it is not where rows without the value come last."""

    sort: str
    aligned: bool = True
    turns: bool = True


ORDERS: Final[Mapping[str, ServerOrder]] = {
    "attention": ServerOrder("-attention"),
    "age": ServerOrder("-update_time"),
    "updated": ServerOrder("-update_time"),
    "cost": ServerOrder("-cost_usd", turns=False),
    "tokens": ServerOrder("-total_tokens", turns=False),
    "failures": ServerOrder("-tool_failures"),
    "name": ServerOrder("name"),
    "rate": ServerOrder("-update_time", aligned=False),
    "node": ServerOrder("-update_time", aligned=False),
}
"""By the list's own orders. The server knows neither rate nor node to sort by."""


def order_at_server(sort: str, *, reversed_: bool) -> ServerOrder:
    """The server's order for one of the list's."""
    order = ORDERS[sort]
    return order._replace(sort=turned(order.sort)) if reversed_ and order.aligned else order


def turned(sort: str) -> str:
    """The same order from its other end."""
    return sort[1:] if sort.startswith("-") else f"-{sort}"


def server_query(
    chosen: Filter, sort: str, edge: Edge, *, inverted: bool, agents: Iterable[str], now_s: float
) -> dict[str, str]:
    """The parameters of the list of what is not held.

    Args:
        sort: Of the server.
        inverted: The filter is turned round: the server is asked for all.
        agents: Types of agents that are known; another name may be a part of several.
    """
    query = {"sort": sort}
    if edge.until_s is not None:
        query["until"] = _moment(edge.until_s + LEEWAY_S)
    if inverted:
        return query
    known = frozenset(agents)
    for term in chosen.terms:
        for name, value in _PARAMETERS.get(term.name, _none)(term, known, now_s).items():
            query.setdefault(name, value)
    return query


def _moment(seconds: float) -> str:
    return format_time(int(seconds * MICROSECONDS_PER_SECOND))


_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "active": ("active", "true"),
    "ended": ("active", "false"),
    "running": ("state", "running"),
    "run": ("state", "running"),
    "wait": ("state", "waiting"),
    "waiting": ("state", "waiting"),
    "pending": ("state", "pending"),
    "unknown": ("state", "unknown"),
    "queue": ("status", "queued,assigned"),
    "queued": ("status", "queued"),
    "assigned": ("status", "assigned"),
    "done": ("status", "done"),
    "fail": ("status", "failed,timeout"),
    "failed": ("status", "failed"),
    "timeout": ("status", "timeout"),
    "cancelled": ("status", "cancelled"),
    "loop": ("health", "looping"),
    "stall": ("health", "stalled"),
    "slow": ("health", "slow"),
    "stuck": ("health", "stuck_queued"),
}
"""States of the filter by a parameter and its values; the others have none that means the same."""


def _state(term: Term, _: frozenset[str], __: float) -> dict[str, str]:
    names = [state_named(word) for word in term.value.casefold().split(",")]
    pairs = [_STATES.get(name or "") for name in names]
    parameters = {pair[0] for pair in pairs if pair is not None}
    if None in pairs or len(parameters) != 1 or (parameters == {"active"} and len(pairs) > 1):
        return {}
    values = dict.fromkeys(value for pair in pairs if pair for value in pair[1].split(","))
    return {parameters.pop(): ",".join(values)}


def _part(term: Term, _: frozenset[str], __: float) -> dict[str, str]:
    """The server looks for `q` in more than this term does, and without regard to case too."""
    value = term.value
    fits = value and "," not in value and len(value) <= LONGEST_Q
    return {"q": value} if fits and (not term.name or term.operator in (":", "=")) else {}


def _label(term: Term, _: frozenset[str], __: float) -> dict[str, str]:
    key, equals, value = term.value.partition("=")
    fits = key and "," not in term.value and ":" not in key
    return {"label": f"{key}:{value}" if equals else key} if fits else {}


def _agent(term: Term, known: frozenset[str], _: float) -> dict[str, str]:
    found = [name for name in known if term.value.casefold() in name.casefold()]
    return {"agent_type": term.value} if found == [term.value] else {}


def _ended(term: Term, _: frozenset[str], now_s: float) -> dict[str, str]:
    """A run does not end after its last change."""
    bound_s = age_s(term.value)
    if bound_s is None or term.operator not in ("<", "<="):
        return {}
    return {"since": _moment(now_s - bound_s - LEEWAY_S)}


def _none(_: Term, __: frozenset[str], ___: float) -> dict[str, str]:
    return {}


_PARAMETERS: Final[Mapping[str, Callable[[Term, frozenset[str], float], dict[str, str]]]] = {
    "s": _state,
    "state": _state,
    "st": _state,
    "": _part,
    "id": _part,
    "run": _part,
    "task": _part,
    "name": _part,
    "node": _part,
    "label": _label,
    "agent": _agent,
    "ended": _ended,
}
