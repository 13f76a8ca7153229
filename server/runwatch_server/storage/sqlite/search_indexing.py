"""Filling the search index from the database, a bounded piece at once; pace is the follower's.

A piece is read in one snapshot of the database and written in one transaction of the search file,
cursors included, so a process that is killed goes on where the last piece ended.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import apsw

from runwatch_server.storage.sql.revisions import revision_of
from runwatch_server.storage.sql.tombstones import oldest_resumable
from runwatch_server.storage.sqlite.connection import Connection
from runwatch_server.storage.sqlite.search_file import SearchFile
from runwatch_server.storage.sqlite.search_grams import indexed
from runwatch_server.storage.sqlite.search_moves import Moves
from runwatch_server.storage.sqlite.search_spans import SpanWriter
from runwatch_server.storage.sqlite.search_texts import TEXTS, Changed, Texts
from runwatch_server.storage.statements import load

ROWS: Final = 1000
"""Changed rows, and removed ones, of a piece."""

_SQL: Final = load("sqlite", "search")


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
        self._spans = SpanWriter(main, connection)

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
            if self._spans.remove_gone():
                return True
            run_id = self._spans.remove_expired()
            if run_id is not None:
                self._moves.note(revision, (run_id,))
            return run_id is not None

    def make_anew(self, revision: int) -> None:
        """Throw away all that is indexed."""
        self._moves.forget_all(revision + 1)
        self._file.reset(self._connection)
        self._spans.start_over()

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
            self._spans.forget_run(run_id)
        self._move("seen", to)
        return full

    def _drop_texts(self, kind: Texts, ids: list[str]) -> None:
        for _, n, _ in self._connection.all(kind.known, (json.dumps(ids),)):
            self._connection.run(kind.drop, (n,))
            self._connection.run(kind.drop_text, (n,))

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
        short_of = self._spans.index(rows, moved)
        if short_of is not None:
            to, more = short_of, True
        self._move("events", max(to, self._cursor("events")))
        return more


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def is_damaged(error: apsw.Error) -> bool:
    """Whether a file must be made anew, rather than asked again later."""
    return isinstance(error, apsw.CorruptError | apsw.NotADBError)
