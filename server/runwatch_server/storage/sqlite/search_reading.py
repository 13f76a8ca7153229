"""Asking the search index: which rows and which stretches of events may hold a word.

The index follows the database at a distance. What it does not have yet is added here, so that an
answer at a snapshot is what looking at every row of that snapshot would give, once the caller has
looked at what it was given.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isqrt
from typing import Final, TypeVar

import apsw

from runwatch_server.storage.sql.revisions import revision_of
from runwatch_server.storage.sql.searching import Found, Spans
from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.sqlite.search_file import SearchFile
from runwatch_server.storage.sqlite.search_grams import any_of, beginning, expression
from runwatch_server.storage.sqlite.search_indexing import is_damaged
from runwatch_server.storage.sqlite.search_moves import Moves
from runwatch_server.storage.sqlite.search_spans import SHIFT
from runwatch_server.storage.statements import Statement, load

logger: Final = logging.getLogger(__name__)

T = TypeVar("T")

LEAST_FEW: Final = 500
MOST_FEW: Final = 20_000
"""Bounds of what is found and sorted rather than met in the order of the list."""
TAIL_ROWS: Final = 20_000
"""Rows changed and not indexed yet that are looked at; beyond, the index is not asked."""
SPANS: Final = 640
"""Stretches of events of one page: as many events as a page may look at."""
DENSE: Final = 10
"""Rows to a match; where they are no more, looking at every row counts matches sooner."""
TERMS: Final = 64
"""Trigrams that a shorter word may begin; what begins more is soon met."""

_SQL: Final = load("sqlite", "search")


class SearchIndex:
    """What readers and the follower share of one search file."""

    def __init__(self, file: SearchFile) -> None:
        self.file = file
        self.moves = Moves()
        self.damaged = False
        """Set by who met it; the follower then makes the file anew."""
        self.lost = False
        """The same where the file is no longer in its place."""
        self.made = 0
        """How often another file took its place: who has the earlier one open lets go of it."""
        self._said = False

    @property
    def usable(self) -> bool:
        """Whether it may be asked."""
        return not (self.damaged or self.lost)

    def failed(self, error: apsw.Error) -> None:
        """Note that it could not be asked; the log has it once until it could be again."""
        if is_damaged(error):
            self.damaged = True
        elif not self.file.in_place():
            self.lost = True
        if not self._said:
            self._said = True
            logger.warning("The search index could not be asked: %s", type(error).__name__)

    def answered(self) -> None:
        """Note that it could be asked."""
        self._said = False


def _numbers(sql: str, table: str) -> tuple[Statement, Statement]:
    """The statement that gives numbers, and how many those are and the highest."""
    spread = f"SELECT count(*), max(number) FROM ({sql})"
    return Statement(sql, "select", table), Statement(spread, "select", table)


class _Words:
    """The statements of one kind of texts: ``run`` or ``task``."""

    def __init__(self, kind: str) -> None:
        self.cursor = f"{kind}s"
        grams, terms, table = f"{kind}_grams", f"{kind}_terms", f"{kind}s"
        having = f"SELECT rowid AS number FROM {grams} WHERE {grams} MATCH ? LIMIT ?"
        with_beginning = f"SELECT doc AS number FROM {terms} WHERE term >= ? AND term <= ? LIMIT ?"
        self.long = _numbers(having, grams)
        self.short = _numbers(with_beginning, terms)
        self.ids = Statement(
            f"SELECT id FROM {kind}_texts WHERE n IN (SELECT value FROM json_each(?))",
            "select",
            f"{kind}_texts",
        )
        newer = f"FROM {table} INDEXED BY {table}_by_revision WHERE revision > ?"
        self.newer = Statement(f"SELECT count(*) FROM (SELECT 1 {newer} LIMIT ?)", "select", table)
        self.newer_with = Statement(f"SELECT id {newer} AND instr(search, ?) > 0", "select", table)
        self.highest = Statement(f"SELECT max(rowid) FROM {table}", "select", table)


_WORDS: Final = {"runs": _Words("run"), "tasks": _Words("task")}


class SearchReader:
    """The index as one reader of the database has it; used by one thread at a time.

    Every answer is None where the index cannot give one: then every row is to be looked at.

    Args:
        main: The reader's own connection, its snapshot taken.
    """

    def __init__(self, main: Connection, index: SearchIndex) -> None:
        self._main = main
        self._index = index
        self._connection: Connection | None = None
        self._made = index.made

    def few(self, table: str, rows: int) -> int:
        """As many matches as are better found and sorted, than met in the order of the list.

        Of N rows in an order that knows nothing of the word, a page meets its rows among N · rows
        / matches; finding and sorting looks at the matches.
        """
        highest = self._rows_of(_WORDS[table])
        return max(LEAST_FEW, min(MOST_FEW, isqrt(highest * rows // 2)))

    def having(self, table: str, q: str, *, at_most: int, partly: bool = False) -> Found | None:
        """Rows of ``runs`` or ``tasks`` that may hold a word; None where they are more.

        Args:
            partly: To count: give some where they are more, and None where every tenth row is one:
                looking at a row costs a tenth of finding one by its id.
        """
        words = _WORDS[table]
        of = self._rows_of(words)
        answer = self._ask(lambda connection: _rows(connection, words, q, at_most, of, partly))
        if answer is None:
            return None
        cursor, of_revision, ids, complete = answer
        revision = revision_of(self._main)
        if revision < of_revision and cursor < of_revision:
            # A row may have been changed after this snapshot and not be indexed again yet.
            return None
        # Noted before the index committed, so whatever was seen there is known here.
        moved = self._index.moves.since(revision)
        if moved is None or self._main.value(words.newer, (cursor, TAIL_ROWS)) == TAIL_ROWS:
            return None
        newer = self._main.all(words.newer_with, (cursor, q.casefold()))
        moved.update(ids)
        moved.update(key for (key,) in newer)
        return Found(ids=json.dumps(list(moved)), complete=complete)

    def _rows_of(self, words: _Words) -> int:
        """About how many rows there are: the highest number of one."""
        return int(self._main.value(words.highest) or 0)

    def spans(
        self, run_id: str, q: str, *, above_seq: int, below_seq: int, downward: bool
    ) -> Spans | None:
        """Events of a run that may hold a word, between two positions, both excluded."""
        key = self._main.value(_SQL["run_key"], (run_id,))
        bounds = (above_seq, min(below_seq, 2**SHIFT))
        answer = self._ask(lambda connection: _spans(connection, run_id, q, bounds, downward))
        if answer is None:
            return None
        seen, of_key, spans = answer
        moved = self._index.moves.since(revision_of(self._main))
        if key != of_key or moved is None or run_id in moved:
            return None
        if self._main.value(_SQL["removed_since"], (run_id, seen)) is not None:
            return None
        return spans

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, question: Callable[[Connection], T | None]) -> T | None:
        """An answer out of one snapshot of the search file, which must never fail a request."""
        index = self._index
        if not index.usable:
            return None
        try:
            if self._made != index.made:
                self.close()
            if self._connection is None:
                self._made = index.made
                self._connection = index.file.reader()
            with _snapshot(self._connection):
                answer = question(self._connection)
        except apsw.Error as error:
            self.close()
            index.failed(error)
            return None
        index.answered()
        return answer


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    connection.raw.execute("BEGIN")
    try:
        yield
    finally:
        if connection.raw.in_transaction:
            connection.raw.execute("COMMIT")


def _rows(
    connection: Connection, words: _Words, q: str, at_most: int, of: int, partly: bool
) -> tuple[int, int, list[str], bool] | None:
    """The revision to which the index has everything as of another, ids, and whether they are
    all.
    """
    cursor = int(connection.value(_SQL["fact"], (words.cursor,)))
    of_revision = int(connection.value(_SQL["fact"], (f"{words.cursor}_of",)))
    match = expression(q)
    asked = beginning(q) if match is None else (match,)
    numbers, spread = words.short if match is None else words.long
    found, highest = connection.all(spread, (*asked, at_most + 1))[0]
    complete = found <= at_most
    if partly and (of if complete else highest or 0) <= DENSE * found:
        return None
    if not partly and not complete:
        return None
    rows = {number for (number,) in connection.all(numbers, (*asked, at_most + 1))}
    ids = [key for (key,) in connection.all(words.ids, (json.dumps(list(rows)),))]
    return cursor, of_revision, ids, complete


def _spans(
    connection: Connection, run_id: str, q: str, bounds: tuple[int, int], downward: bool
) -> tuple[int, int, Spans] | None:
    """The revision to which removals are known, the run's key, and its spans."""
    run = connection.one(_SQL["event_run"], (run_id,))
    if run is None:
        return None
    n, key, to_seq = run
    match = expression(q) or _any_beginning(connection, q)
    if match is None:
        return None
    seen = int(connection.value(_SQL["fact"], ("seen",)))
    base, (above, below) = n << SHIFT, bounds
    if not match or above >= to_seq or below <= 1:
        return seen, key, Spans(ranges=[], to_seq=to_seq, complete=True)
    # The span the position is in begins before it.
    first = connection.value(_SQL["span_at"], (base, base + above + 1))
    asked = (match, base if first is None else first, base + below - 1, SPANS + 1)
    rows = connection.all(_SQL["spans_downward" if downward else "spans_upward"], asked)
    ranges = [
        (max(span - base, above + 1), min(last, below - 1))
        for span, last in rows[:SPANS]
        if last > above
    ]
    return seen, key, Spans(ranges=ranges, to_seq=to_seq, complete=len(rows) <= SPANS)


def _any_beginning(connection: Connection, q: str) -> str | None:
    """What events with a word shorter than a trigram have: one of the trigrams it begins; empty
    when there is none, None when they are too many.
    """
    first, last = beginning(q)
    terms: list[str] = []
    term = connection.value(_SQL["next_term"], (first, last))
    while term is not None:
        if len(terms) == TERMS:
            return None
        terms.append(term)
        term = connection.value(_SQL["next_term_after"], (term, last))
    return any_of(terms)
