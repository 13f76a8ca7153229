"""Runs in SQL: reading them, and the compare-and-set that every change of one goes through."""

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import msgspec

from runwatch_server import standing
from runwatch_server.rows import NO_FOLD, RunFold, RunRow, SpecRow, StepRow
from runwatch_server.storage.protocols import Query
from runwatch_server.storage.sql import alerts, conditions
from runwatch_server.storage.sql.bulk import BulkInsert
from runwatch_server.storage.sql.connection import Connection, WritingConnection
from runwatch_server.storage.sql.context import WriteContext
from runwatch_server.storage.sql.documents import FOLD, RUN, SPEC, STEP
from runwatch_server.storage.sql.pages import SORT_COLUMNS, Page
from runwatch_server.storage.sql.run_columns import INSERT, Update, gathered, values_of
from runwatch_server.storage.sql.search_lists import count_found, found_for_page
from runwatch_server.storage.sql.searching import Search
from runwatch_server.storage.sql.tombstones import bury
from runwatch_server.storage.sql.totals import known_total
from runwatch_shared.errors import ConflictError

_PUT_STEPS: Final = BulkInsert(
    "INSERT INTO steps(run_id, n, doc)",
    table="steps",
    columns=3,
    tail="ON CONFLICT(run_id, n) DO UPDATE SET doc = excluded.doc",
)
MOST_PUT_OFF: Final = 10
"""Times as many as are asked for."""
_BEYOND_ALL: Final = 2**62
_PARTS: Final = ("spec", "fold", "labels", "steps", "blocks", "ended", "lease")
"""What stands beside a run in tables of its own; its events apart, which go first."""


class RunReader:
    """`protocols.RunReads`."""

    def __init__(self, connection: Connection, search: Search | None = None) -> None:
        self._connection = connection
        self._sql = connection.statements("runs")
        self._search = search

    def get(self, run_id: str) -> RunRow | None:
        text = self._connection.value(self._sql["get"], (run_id,))
        return None if text is None else RUN.row(text)

    def spec(self, run_id: str) -> SpecRow | None:
        text = self._connection.value(self._sql["spec"], (run_id,))
        return None if text is None else SPEC.row(text)

    def fold(self, run_id: str) -> RunFold:
        text = self._connection.value(self._sql["fold"], (run_id,))
        return NO_FOLD if text is None else FOLD.row(text)

    def of_task(
        self, task_id: str, *, limit: int, after: tuple[int, str] | None = None
    ) -> list[RunRow]:
        page = Page(
            table="runs", column="created_us", descending=True, after=after, limit=limit, offset=0
        )
        return [
            RUN.row(text) for (text,) in page.read(self._connection, conditions.of_runs_of(task_id))
        ]

    def retries_of(self, run_id: str, *, limit: int) -> list[str]:
        return [key for (key,) in self._connection.all(self._sql["retries_of"], (run_id, limit))]

    def of_session(self, agent_session_id: str, *, limit: int) -> list[RunRow]:
        rows = self._connection.all(self._sql["of_session"], (agent_session_id, limit))
        return [RUN.row(text) for (text,) in rows]

    def page(self, query: Query) -> list[RunRow]:
        page = Page(
            table="runs",
            column=SORT_COLUMNS[query.sort],
            descending=query.descending,
            after=query.after,
            limit=query.limit,
            offset=query.offset,
        )
        sought = found_for_page(self._search, "runs", query.q, query.limit + query.offset)
        rows = page.read(self._connection, conditions.of_runs(self._connection, query, sought))
        return [RUN.row(text) for (text,) in rows]

    def count(self, query: Query, *, at_most: int) -> int:
        known = known_total(self._connection, query)
        if known is not None:
            return min(known, at_most + 1)
        return count_found(
            self._connection,
            self._search,
            "runs",
            query.q,
            lambda sought: conditions.of_runs(self._connection, query, sought),
            at_most=at_most + 1,
        )

    def active_on(self, node_id: str) -> list[RunRow]:
        return [
            RUN.row(text) for (text,) in self._connection.all(self._sql["active_on"], (node_id,))
        ]

    def steps(
        self, run_id: str, *, after_n: int | None, before_n: int | None, limit: int
    ) -> list[StepRow]:
        before = _BEYOND_ALL if before_n is None else before_n
        if after_n is not None:
            rows = self._connection.all(
                self._sql["steps_between"], (run_id, after_n, before, limit)
            )
        else:
            rows = self._connection.all(self._sql["steps_before"], (run_id, before, limit))
            rows.reverse()
        return [STEP.row(text) for (text,) in rows]

    def ended(self, *, with_events: bool, limit: int | None = None) -> Iterator[RunRow]:
        statement = self._sql["ended_with_events" if with_events else "ended"]
        most = -1 if limit is None else limit
        with closing(self._connection.iterate(statement, (most,))) as rows:
            for (text,) in rows:
                yield RUN.row(text)

    def waiting(self) -> list[RunRow]:
        """Runs with an open wait."""
        return [RUN.row(text) for (text,) in self._connection.all(self._sql["waiting"])]

    def changed_since(self, revision: int, limit: int) -> list[RunRow]:
        rows = self._connection.all(self._sql["changed"], (revision, limit))
        return [RUN.row(text) for (text,) in rows]


class RunWriter(RunReader):
    """`protocols.RunWrites`; remembers what it last saw, as nobody else writes."""

    _connection: WritingConnection

    def __init__(self, connection: WritingConnection, context: WriteContext) -> None:
        super().__init__(connection)
        self._context = context
        self._update = Update()
        self._steps: dict[tuple[str, int], StepRow] = {}
        """Put by this work and not yet written: a batch moves many, one statement takes them."""

    def get(self, run_id: str) -> RunRow | None:
        row = self._context.runs.get(run_id)
        if row is None:
            row = super().get(run_id)
            if row is not None:
                self._context.runs.put(run_id, row)
        return row

    def fold(self, run_id: str) -> RunFold:
        fold = self._context.folds.get(run_id)
        if fold is None:
            fold = super().fold(run_id)
            self._context.folds.put(run_id, fold)
        return fold

    def insert(self, row: RunRow, spec: SpecRow) -> RunRow:
        context = self._context
        row = msgspec.structs.replace(row, revision=context.revision)
        due_us = context.rules.due_us(row)
        self._connection.run(INSERT, (*values_of(row), due_us, RUN.text(row)))
        self._connection.run(self._sql["put_spec"], (row.id, SPEC.text(spec)))
        for name, value in row.labels.items():
            self._connection.run(self._sql["put_label"], (row.id, name, value))
        self._follow_end(None, row)
        self._changed(None, row)
        return row

    def save(self, before: RunRow, after: RunRow, fold: RunFold | None = None) -> RunRow:
        context = self._context
        known = context.runs.get(before.id)
        if known is not None and known is not before and known != before:
            raise ConflictError(f"run {before.id} is no longer what was read")
        after = msgspec.structs.replace(after, revision=context.revision)
        # What is remembered is what is stored, so it need not be seen at once that it was.
        if known is None or not self._save_later(before, after):
            self._save_now(before, after)
        self._follow_end(before, after)
        self._changed(before, after)
        # Plain messages leave the fold as it is; the same object is what is stored.
        if fold is not None and fold is not context.folds.get(after.id):
            values = (after.id, FOLD.text(fold))
            if not self._connection.later("run_folds", after.id, values):
                self._connection.run(self._sql["put_fold"], values)
            context.folds.put(after.id, fold)
        if after.labels != before.labels:
            self._connection.run(self._sql["delete_labels"], (after.id,))
            for name, value in after.labels.items():
                self._connection.run(self._sql["put_label"], (after.id, name, value))
        return after

    def delete(self, row: RunRow) -> None:
        context = self._context
        self.settle()
        key = self._connection.value(self._sql["key"], (row.id,))
        if key is not None:
            self._connection.remove_events(key, up_to=_BEYOND_ALL)
        for part in _PARTS:
            self._connection.run(self._sql[f"delete_{part}"], (row.id,))
        self._connection.run(self._sql["delete"], (row.id, row.revision))
        gone = self._connection.changes()
        context.forget_run(row.id)
        if not gone:
            raise ConflictError(f"run {row.id} is no longer what was read")
        bury(self._connection, "run", row.id, context.revision, context.now_us)
        context.changes.run(row, None)
        context.changes.counted(context.rules.tally(row, None, context.now_us))

    def queued(self, *, limit: int) -> list[RunRow]:
        return [RUN.row(text) for (text,) in self._connection.all(self._sql["queued"], (limit,))]

    def due(self, now_us: int, *, limit: int) -> list[RunRow]:
        """See `protocols.RunWrites.due`; puts off those whose moment has moved meanwhile, a bounded
        number, as nobody else writes as long: the others' turn is the next time.
        """
        due: list[RunRow] = []
        for _ in range(MOST_PUT_OFF):
            moved = False
            due = []
            for key, text in self._connection.all(self._sql["due"], (now_us, limit)):
                row = RUN.row(text)
                due_us = self._context.rules.due_us(row)
                if due_us is not None and due_us <= now_us:
                    due.append(row)
                else:
                    self._connection.run(self._sql["set_due"], (due_us, key))
                    moved = True
            if not moved:
                break
        return due

    def put_step(self, run_id: str, step: StepRow) -> None:
        self._steps[run_id, step.n] = step

    def step(self, run_id: str, n: int) -> StepRow | None:
        self.settle()
        text = self._connection.value(self._sql["step"], (run_id, n))
        return None if text is None else STEP.row(text)

    def steps(
        self, run_id: str, *, after_n: int | None, before_n: int | None, limit: int
    ) -> list[StepRow]:
        self.settle()
        return super().steps(run_id, after_n=after_n, before_n=before_n, limit=limit)

    def remove_steps(self, run_id: str, *, limit: int) -> int:
        self.settle()
        self._connection.run(self._sql["remove_steps"], (run_id, limit))
        return self._connection.changes()

    def settle(self) -> None:
        """Write what is not yet written; called when a work ends."""
        if self._steps:
            rows = [(run_id, n, STEP.text(step)) for (run_id, n), step in self._steps.items()]
            self._steps.clear()
            if not all(self._connection.later("steps", row[:2], row) for row in rows):
                _PUT_STEPS.run(self._connection, rows)

    def abandon(self) -> None:
        """Drop what is not yet written: the work failed."""
        self._steps.clear()

    def _save_later(self, before: RunRow, after: RunRow) -> bool:
        connection, due = self._connection, self._due(before, after)
        earlier = connection.put_off("runs", after.id)
        row = gathered(before, after, due=due, instead_of=earlier)
        return connection.later("runs", after.id, row)

    def _save_now(self, before: RunRow, after: RunRow) -> None:
        statement, values = self._update.of(before, after, due=self._due(before, after))
        self._connection.run(statement, values)
        if not self._connection.changes():
            self._context.forget_run(before.id)
            raise ConflictError(f"run {before.id} is no longer what was read")

    def _due(self, before: RunRow, after: RunRow) -> tuple[bool, int | None]:
        """Whether the stored moment must be written, and what.

        A moment that only moves away is left as it is: every batch of events moves it, and `due`
        puts it right when the old one comes.
        """
        old, new = self._context.rules.due_us(before), self._context.rules.due_us(after)
        if old is None or new is None:
            return old != new, new
        return new < old, new

    def _follow_end(self, before: RunRow | None, after: RunRow) -> None:
        ended = ended_values(after)
        if ended is not None and (before is None or ended_values(before) != ended):
            self._connection.run(self._sql["put_ended"], (after.id, *ended))

    def _changed(self, before: RunRow | None, after: RunRow) -> None:
        context = self._context
        context.runs.put(after.id, after)
        context.changes.run(before, after)
        if context.rules.alerts is not None:
            for alert in context.rules.alerts(before, after, context.now_us):
                alerts.insert(self._connection, alert)
                context.changes.alerted(alert)
        context.changes.counted(context.rules.tally(before, after, context.now_us))


def ended_values(row: RunRow) -> tuple[int, int] | None:
    """(when, whether events are kept) of a run that ended, as in ``ended_runs``."""
    if not standing.ended(row):
        return None
    ended_us = row.updated_us if row.finished_us is None else row.finished_us
    return ended_us, int(standing.kept_events(row) > 0)
