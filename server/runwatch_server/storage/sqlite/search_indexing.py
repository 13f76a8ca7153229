"""Filling the search index from the database, a bounded piece at once; pace is the follower's.

A piece is read in one snapshot of the database and written in one transaction of the search file,
cursors included, so a process that is killed goes on where the last piece ended.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final, NamedTuple

import apsw

from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.sqlite.revisions import revision_of
from runwatch_server.storage.sqlite.search_file import SearchFile
from runwatch_server.storage.sqlite.search_grams import event_text, indexed
from runwatch_server.storage.sqlite.search_moves import Moves
from runwatch_server.storage.sqlite.tombstones import oldest_resumable
from runwatch_server.storage.statements import Statement, load

ROWS: Final = 1000
"""Changed rows, and removed ones, of a piece."""
EVENTS: Final = 1024
CHARS: Final = 1024 * 1024
"""Events of a piece, and their text: some 50 ms of a core."""
SPAN_EVENTS: Final = 32
SPAN_CHARS: Final = 64 * 1024
"""Events that stand under one number in the index."""
SHIFT: Final = 32
"""A span's id is its run's number and its first seq, which is below 2**32."""

_SQL: Final = load("sqlite", "search")


class Changed(NamedTuple):
    """A run or task that changed; ``last_seq`` is 0 for a task."""

    key: int
    id: str
    revision: int
    last_seq: int
    search: str


class Texts:
    """The statements of one kind of texts: ``run`` or ``task``."""

    def __init__(self, kind: str) -> None:
        table, grams = f"{kind}_texts", f"{kind}_grams"
        self.cursor = f"{kind}s"
        self.changed = _SQL[f"changed_{kind}s"]
        self.of_revision = _SQL[f"{kind}s_of_revision"]
        self.known = Statement(
            f"SELECT id, n, digest FROM {table} WHERE id IN (SELECT value FROM json_each(?))",
            "select",
            table,
        )
        self.drop = Statement(f"DELETE FROM {table} WHERE n = ?", "delete", table)
        self.drop_text = Statement(f"DELETE FROM {grams} WHERE rowid = ?", "delete", grams)
        self.put = Statement(
            f"INSERT INTO {table}(id, digest) VALUES (?, ?) RETURNING n", "insert", table
        )
        self.put_text = Statement(
            f"INSERT INTO {grams}(rowid, text) VALUES (?, ?)", "insert", grams
        )


TEXTS: Final = {kind: Texts(kind) for kind in ("run", "task")}


class _Budget:
    """What is left of a piece for events."""

    def __init__(self) -> None:
        self.events = EVENTS
        self.chars = CHARS

    def is_spent(self) -> bool:
        return self.events <= 0 or self.chars <= 0


class Indexer:
    """Brings a search file nearer to its database.

    Args:
        main: A connection that reads the database.
        connection: The one that writes the search file.
    """

    def __init__(
        self, main: Connection, file: SearchFile, connection: Connection, moves: Moves
    ) -> None:
        self._main = main
        self._file = file
        self._connection = connection
        self._moves = moves
        self._swept_to = 0

    def step(self) -> bool:
        """Index the next piece of what changed; gives whether there is more.

        Raises:
            apsw.Error: One of the files failed; the piece is undone.
        """
        with self._snapshot() as revision:
            if self._lost_sight():
                self.make_anew(revision)
            with self._transaction():
                moved: set[str] = set()
                more = self._forget_removed(revision, moved)
                # Removals first: what a snapshot still has of a row that came and went unindexed is
                # known by its removal alone, and a run's must be known before events of one with
                # its name are taken.
                if not more:
                    for kind in TEXTS.values():
                        more |= self._index_texts(kind, revision, moved)
                    more |= self._index_events(revision, moved)
                self._moves.note(revision, moved)
        return more

    def tidy(self) -> bool:
        """Remove a piece of what the database no longer has; gives whether there is more.

        Raises:
            apsw.Error: One of the files failed; the piece is undone.
        """
        with self._snapshot() as revision, self._transaction():
            gone = self._connection.value(_SQL["gone"])
            if gone is not None:
                if not self._remove_spans(gone, 2**SHIFT):
                    self._connection.run(_SQL["end_gone"], (gone,))
                return True
            return self._remove_expired(revision)

    def make_anew(self, revision: int) -> None:
        """Throw away all that is indexed."""
        self._moves.forget_all(revision + 1)
        self._file.reset(self._connection)
        self._swept_to = 0

    def revision(self) -> int:
        """Of the last commit of the database."""
        with self._snapshot() as revision:
            return revision

    def standing(self) -> tuple[int, int]:
        """The database's revision, and up to which one removals are no longer known."""
        with self._snapshot() as revision:
            return revision, oldest_resumable(self._main)

    def behind(self) -> int:
        """Revisions that are committed and not wholly indexed."""
        with self._snapshot() as revision:
            return max(
                0, revision - min(self._cursor(name) for name in ("runs", "tasks", "events"))
            )

    @contextmanager
    def _snapshot(self) -> Iterator[int]:
        self._main.raw.execute("BEGIN")
        try:
            yield revision_of(self._main)
        finally:
            if self._main.raw.in_transaction:
                self._main.raw.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        raw = self._connection.raw
        raw.execute("BEGIN IMMEDIATE")
        try:
            yield
            raw.execute("COMMIT")
        except BaseException:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raise

    def _lost_sight(self) -> bool:
        """Whether rows may have been removed that nothing tells of any more."""
        return oldest_resumable(self._main) > self._cursor("seen")

    def _cursor(self, name: str) -> int:
        return int(self._connection.value(_SQL["fact"], (name,)))

    def _move(self, name: str, to: int) -> None:
        if to != self._cursor(name):
            self._connection.run(_SQL["set_fact"], (name, to))

    def _forget_removed(self, revision: int, moved: set[str]) -> bool:
        seen = self._cursor("seen")
        rows = self._main.all(_SQL["removed"], (seen, revision, ROWS))
        full = len(rows) == ROWS
        to = revision
        if full:
            # A revision is taken whole, so that the cursor can stand behind it.
            to = rows[-1][2]
            rows = [row for row in rows if row[2] < to]
            rows += self._main.all(_SQL["removed_with"], (to,))
        ids: dict[str, list[str]] = {"run": [], "task": []}
        for kind, key, _ in rows:
            if kind in ids:
                ids[kind].append(key)
        for kind, gone in ids.items():
            if gone:
                self._drop_texts(TEXTS[kind], gone)
                moved.update(gone)
        for run_id in ids["run"]:
            self._forget_run(run_id)
        self._move("seen", to)
        return full

    def _drop_texts(self, kind: Texts, ids: list[str]) -> None:
        for _, n, _ in self._connection.all(kind.known, (json.dumps(ids),)):
            self._connection.run(kind.drop, (n,))
            self._connection.run(kind.drop_text, (n,))

    def _forget_run(self, run_id: str) -> None:
        """Its spans are out of reach from here on and go when there is time."""
        n = self._connection.value(_SQL["forget_event_run"], (run_id,))
        if n is not None:
            self._connection.run(_SQL["put_gone"], (n,))

    def _changed(self, kind: Texts, cursor: int, revision: int) -> tuple[list[Changed], int, bool]:
        """Rows that changed after a revision, up to which one they are all, and whether the number
        of rows ended it.
        """
        rows = [Changed(*row) for row in self._main.all(kind.changed, (cursor, ROWS))]
        if len(rows) < ROWS:
            return rows, revision, False
        last = rows[-1].revision
        rows = [row for row in rows if row.revision < last]
        rows += [Changed(*row) for row in self._main.all(kind.of_revision, (last,))]
        return rows, last, True

    def _index_texts(self, kind: Texts, revision: int, moved: set[str]) -> bool:
        rows, to, more = self._changed(kind, self._cursor(kind.cursor), revision)
        digests = {row.id: _digest(row.search) for row in rows}
        known = {
            key: (n, digest)
            for key, n, digest in self._connection.all(kind.known, (json.dumps(list(digests)),))
        }
        # An older snapshot may have another text of any of them, that was indexed or came and went
        # unindexed, also where the present one is the one that is known.
        moved.update(digests)
        fresh: list[Changed] = []
        for row in rows:
            n, digest = known.get(row.id, (None, None))
            if digest == digests[row.id]:
                continue
            fresh.append(row)
            if n is not None:
                self._connection.run(kind.drop, (n,))
                self._connection.run(kind.drop_text, (n,))
        for row in fresh:
            n = self._connection.value(kind.put, (row.id, digests[row.id]))
            self._connection.run(kind.put_text, (n, indexed(row.search)))
        self._move(kind.cursor, to)
        self._move(f"{kind.cursor}_of", revision)
        return more

    def _index_events(self, revision: int, moved: set[str]) -> bool:
        rows, to, more = self._changed(TEXTS["run"], self._cursor("events"), revision)
        budget = _Budget()
        spans: list[tuple[int, int, str]] = []
        for row in rows:
            if row.last_seq and not self._collect(row, budget, spans, moved):
                to, more = row.revision - 1, True
                break
        # In the order of their numbers SQLite writes them as one piece.
        for span, last_seq, text in sorted(spans):
            self._connection.run(_SQL["put_span"], (span, last_seq))
            self._connection.run(_SQL["put_span_text"], (span, indexed(text)))
        self._move("events", max(to, self._cursor("events")))
        return more

    def _collect(
        self, row: Changed, budget: _Budget, spans: list[tuple[int, int, str]], moved: set[str]
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
            self._forget_run(row.id)
        return self._connection.value(_SQL["new_event_run"], (row.id, row.key)), 0

    def _remove_spans(self, n: int, below_seq: int) -> bool:
        """Remove a piece of a run's spans that end below a seq; gives whether there were any."""
        bounds = (n << SHIFT, n << SHIFT | min(below_seq, 2**SHIFT) - 1, below_seq, ROWS)
        spans = self._connection.all(_SQL["spans_below"], bounds)
        for span in spans:
            self._connection.run(_SQL["delete_span"], span)
            self._connection.run(_SQL["delete_span_text"], span)
        return bool(spans)

    def _remove_expired(self, revision: int) -> bool:
        """Go on through the runs, to the first of which retention took events that are indexed."""
        runs = self._connection.all(_SQL["event_runs_after"], (self._swept_to, ROWS))
        if not runs:
            self._swept_to = 0
            return False
        for n, run_id, key in runs:
            first = self._main.value(_SQL["first_seq"], (key,))
            if self._remove_spans(n, 2**SHIFT if first is None else first):
                self._moves.note(revision, (run_id,))
                return True
            self._swept_to = n
        return False


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def is_damaged(error: apsw.Error) -> bool:
    """Whether a file must be made anew, rather than asked again later."""
    return isinstance(error, apsw.CorruptError | apsw.NotADBError)
