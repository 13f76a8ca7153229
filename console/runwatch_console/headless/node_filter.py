"""The few terms that make sense for nodes: `s:offline agent:claude label:gpu=yes !edge`; pure."""

from collections.abc import Callable
from typing import Final

from runwatch_console.filters import FilterError
from runwatch_console.rows import NodeRow

NodeTest = Callable[[NodeRow], bool]


def parse_node_filter(text: str) -> NodeTest:
    """A predicate from what the user typed; every term must hold.

    Raises:
        FilterError: A term has a field that nodes do not have.
    """
    tests = [_test(term) for term in text.split()]
    return lambda node: all(test(node) for test in tests)


def _test(term: str) -> NodeTest:
    if term.startswith("!") and len(term) > 1:
        inner = _test(term[1:])
        return lambda node: not inner(node)
    name, colon, value = term.partition(":")
    if not colon:
        return _word(term)
    make = _FIELDS.get(name)
    if make is None or not value:
        raise FilterError(term, "headless.node_filter")
    return make(value)


def _word(word: str) -> NodeTest:
    needle = word.casefold()
    return lambda node: needle in f"{node.id} {node.name} {node.hostname}".casefold()


def _status(value: str) -> NodeTest:
    wanted = tuple(value.casefold().split(","))
    return lambda node: node.status in wanted


def _agent(value: str) -> NodeTest:
    needle = value.casefold()
    return lambda node: any(needle in agent for agent in node.agents)


def _label(value: str) -> NodeTest:
    key, equals, wanted = value.partition("=")
    if not equals:
        return lambda node: key in node.labels
    return lambda node: node.labels.get(key) == wanted


_FIELDS: Final[dict[str, Callable[[str], NodeTest]]] = {
    "s": _status,
    "status": _status,
    "node": _word,
    "agent": _agent,
    "label": _label,
}
