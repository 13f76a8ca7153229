"""Whether a document meets a filter, and in which order documents stand: MongoDB's rules for the
few operators this store uses, for rows that are not in their collection as they are to be seen.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Any, Final

Fields = dict[str, Any]
Where = Mapping[str, Any]
Order = Sequence[tuple[str, int]]
"""Fields and directions, 1 rising and -1 falling."""

_COMPARED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "$gt": gt,
    "$gte": ge,
    "$lt": lt,
    "$lte": le,
}


def matches(row: Fields, where: Where) -> bool:
    """Whether a row meets every condition."""
    return all(_meets(row, name, asked) for name, asked in where.items())


def in_order(rows: Iterable[Fields], order: Order) -> list[Fields]:
    """Rows sorted; every field of the order has a value in each."""
    found = list(rows)
    for name, way in reversed(order):
        found.sort(key=lambda row, name=name: row[name], reverse=way < 0)  # type: ignore[misc]
    return found


def _meets(row: Fields, name: str, asked: Any) -> bool:
    if name == "$or":
        return any(matches(row, each) for each in asked)
    if name == "$and":
        return all(matches(row, each) for each in asked)
    value = row.get(name)
    if not isinstance(asked, Mapping):
        return _is(value, asked)
    return all(_holds(value, operator, bound) for operator, bound in asked.items())


def _holds(value: Any, operator: str, bound: Any) -> bool:
    match operator:
        case "$in":
            return any(_is(value, each) for each in bound)
        case "$ne":
            return not _is(value, bound)
        case "$regex":
            return isinstance(value, str) and re.search(bound, value) is not None
        case _:
            return value is not None and _COMPARED[operator](value, bound)


def _is(value: Any, asked: Any) -> bool:
    return asked in value if isinstance(value, list) else value == asked
