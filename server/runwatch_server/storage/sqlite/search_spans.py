"""Events of runs as spans among the trigrams: indexing them and removing them again, within a
piece of work; when is in `search_indexing`.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Final

from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.sqlite.search_grams import event_text, indexed
from runwatch_server.storage.sqlite.search_texts import Changed
from runwatch_server.storage.statements import load

EVENTS: Final = 1024
CHARS: Final = 1024 * 1024
"""Events of a piece, and their text: some 50 ms of a core."""
SPAN_EVENTS: Final = 32
SPAN_CHARS: Final = 64 * 1024
"""Events that stand under one number in the index."""
SHIFT: Final = 32
"""A span's id is its run's number and its first seq, which is below 2**32."""

REMOVED: Final = 1000
"""Spans removed, or runs looked at for some to remove, in one piece."""

_SQL: Final = load("sqlite", "search")


class Budget:
    """What is left of a piece for events."""

    def __init__(self) -> None:
        self.events = EVENTS
        self.chars = CHARS

    def is_spent(self) -> bool:
        return self.events <= 0 or self.chars <= 0


class SpanWriter:
    """Used within a transaction of the search file and a snapshot of the database.

    Args:
        main: A connection that reads the database.
        connection: The one that writes the search file.
    """

    def __init__(self, main: Connection, connection: Connection) -> None:
        self._main = main
        self._connection = connection
        self._swept_to = 0

    def index(self, rows: Sequence[Changed], moved: set[str]) -> int | None:
        """Take in the events of runs that changed, in this order, as many as a piece may have.

        Args:
            moved: Gets the ids of runs of which an older snapshot may have other events.

        Returns:
            The revision up to which all are in, where it ended before the last; else None.
        """
        budget = Budget()
        spans: list[tuple[int, int, str]] = []
        to = None
        for row in rows:
            if row.last_seq and not self._collect(row, budget, spans, moved):
                to = row.revision - 1
                break
        # In the order of their numbers SQLite writes them as one piece.
        for span, last_seq, text in sorted(spans):
            self._connection.run(_SQL["put_span"], (span, last_seq))
            self._connection.run(_SQL["put_span_text"], (span, indexed(text)))
        return to

    def forget_run(self, run_id: str) -> None:
        """Its spans are out of reach from here on and go when there is time."""
        n = self._connection.value(_SQL["forget_event_run"], (run_id,))
        if n is not None:
            self._connection.run(_SQL["put_gone"], (n,))

    def remove_gone(self) -> bool:
        """Remove a piece of the spans of runs that are gone; gives whether there were any."""
        gone = self._connection.value(_SQL["gone"])
        if gone is None:
            return False
        if not self._remove(gone, 2**SHIFT):
            self._connection.run(_SQL["end_gone"], (gone,))
        return True

    def remove_expired(self) -> str | None:
        """Go on through the runs, to the first of which retention took events that are indexed:
        those are removed. Gives its id; None when there was none among the next `REMOVED`.
        """
        runs = self._connection.all(_SQL["event_runs_after"], (self._swept_to, REMOVED))
        if not runs:
            self._swept_to = 0
        for n, run_id, key in runs:
            first = self._main.value(_SQL["first_seq"], (key,))
            if self._remove(n, 2**SHIFT if first is None else first):
                return str(run_id)
            self._swept_to = n
        return None

    def start_over(self) -> None:
        """The file is empty."""
        self._swept_to = 0

    def _collect(
        self, row: Changed, budget: Budget, spans: list[tuple[int, int, str]], moved: set[str]
    ) -> bool:
        """Take a run's events as spans; gives whether all were taken."""
        n, to_seq = self._run_number(row, moved)
        if to_seq >= row.last_seq:
            return True
        if budget.is_spent():
            return False
        # An older snapshot may have events that went before they were indexed.
        moved.add(row.id)
        texts: list[str] = []
        first_seq, chars = 0, 0
        complete = True
        with closing(self._main.iterate(_SQL["events"], (row.key, to_seq))) as events:
            for seq, payload in events:
                if budget.is_spent():
                    complete = False
                    break
                first_seq = first_seq or seq
                text = "" if payload is None else event_text(payload)
                texts.append(text)
                to_seq = seq
                chars += len(text)
                budget.events -= 1
                budget.chars -= len(text)
                if len(texts) == SPAN_EVENTS or chars >= SPAN_CHARS:
                    spans.append((n << SHIFT | first_seq, to_seq, "\n".join(texts)))
                    texts, first_seq, chars = [], 0, 0
        if texts:
            spans.append((n << SHIFT | first_seq, to_seq, "\n".join(texts)))
        self._connection.run(_SQL["set_to_seq"], (to_seq, n))
        return complete

    def _run_number(self, row: Changed, moved: set[str]) -> tuple[int, int]:
        """A run's number among the spans, and the seq up to which it has them."""
        found = self._connection.one(_SQL["event_run"], (row.id,))
        if found is not None:
            n, key, to_seq = found
            if key == row.key:
                return n, to_seq
            moved.add(row.id)
            self.forget_run(row.id)
        return self._connection.value(_SQL["new_event_run"], (row.id, row.key)), 0

    def _remove(self, n: int, below_seq: int) -> bool:
        """Remove a piece of a run's spans that end below a seq; gives whether there were any."""
        bounds = (n << SHIFT, n << SHIFT | min(below_seq, 2**SHIFT) - 1, below_seq, REMOVED)
        spans = self._connection.all(_SQL["spans_below"], bounds)
        for span in spans:
            self._connection.run(_SQL["delete_span"], span)
            self._connection.run(_SQL["delete_span_text"], span)
        return bool(spans)
