"""A list of runs or tasks that hold a word: whether the search index says which, or every row is
looked at.
"""

from collections.abc import Callable
from typing import Final

from runwatch_server.storage.sql.conditions import Condition, count
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.sql.run_columns import SEPARATOR
from runwatch_server.storage.sql.searching import Found, Search

SPARE: Final = 1.1
"""Of the rows the index names for a count, some do not hold the word."""


def found_for_page(search: Search | None, table: str, q: str | None, rows: int) -> Found | None:
    """The rows that are found and sorted; None where they are better met in the list's order.

    Args:
        rows: How many rows of the list are read.
    """
    if search is None or not q or SEPARATOR in q:
        return None
    return search.having(table, q, at_most=search.few(table, rows))


def count_found(
    connection: Connection,
    search: Search | None,
    table: str,
    q: str | None,
    conditions: Callable[[Found | None], list[Condition]],
    *,
    at_most: int,
) -> int:
    """How many rows match, not looking further than ``at_most``.

    Where the index names more rows than are counted, some of them are often enough.

    Args:
        conditions: Those of the list, given the rows that are looked at.
    """
    found = None
    if search is not None and q and SEPARATOR not in q:
        found = search.having(table, q, at_most=round(at_most * SPARE), partly=True)
    if found is not None:
        counted = count(connection, table, conditions(found), at_most=at_most)
        if found.complete or counted >= at_most:
            return counted
    return count(connection, table, conditions(None), at_most=at_most)
