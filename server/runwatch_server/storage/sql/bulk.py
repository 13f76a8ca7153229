"""Multi-row ``INSERT … VALUES``: many rows in few statements, each prepared once.

Sizes are powers of two, so any number of rows takes at most one statement a bit. Measured against
``executemany`` of the same rows: 1.10 to 1.14 times as fast (performance.md 3).
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.statements import Statement

LARGEST: Final = 128


class BulkInsert:
    """Inserts rows that share a first value (``shared``) or share nothing.

    Args:
        head: ``INSERT INTO t(a, b, …)``.
        columns: How many values a row brings; without the shared one.
        shared: Whether the first column has the same value in every row; it is bound once.
        tail: What follows the rows, as ``ON CONFLICT …``.
    """

    def __init__(
        self, head: str, *, table: str, columns: int, shared: bool = False, tail: str = ""
    ) -> None:
        self._shared = shared
        marks = ", ".join("?" * columns)
        row = f"(?1, {marks})" if shared else f"({marks})"
        self._statements: list[tuple[int, Statement]] = []
        size = LARGEST
        while size:
            # The shared value has the number 1; the next plain mark counts on from the highest.
            sql = f"{head} VALUES {', '.join([row] * size)} {tail}".rstrip()
            self._statements.append((size, Statement(sql, "insert", table)))
            size //= 2

    def run(
        self, connection: Connection, rows: Sequence[Iterable[Any]], shared: object = None
    ) -> None:
        first: tuple[object, ...] = (shared,) if self._shared else ()
        at, left = 0, len(rows)
        for size, statement in self._statements:
            while left >= size:
                part = rows if size == len(rows) else rows[at : at + size]
                connection.run(statement, tuple(chain(first, chain.from_iterable(part))))
                at += size
                left -= size
