"""Runs in MongoDB: reading them, and the compare-and-set that every change of one goes through."""

from collections.abc import Iterator
from typing import Final

import msgspec

from runwatch_server.rows import NO_FOLD, RunFold, RunRow, SpecRow, StepRow
from runwatch_server.storage.mongo import asking, counters
from runwatch_server.storage.mongo.context import WriteContext
from runwatch_server.storage.mongo.events import remove_all, start_log
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.small import insert_alert
from runwatch_server.storage.mongo.tombstones import bury
from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.protocols import Query
from runwatch_server.storage.sql.documents import FOLD, RUN, SPEC, STEP
from runwatch_server.storage.sql.run_columns import COLUMNS, search_text, values_of
from runwatch_server.storage.sql.runs import MOST_PUT_OFF, ended_values
from runwatch_server.storage.sql.totals import counters_of
from runwatch_shared.errors import ConflictError

_BEYOND_ALL: Final = 2**62
_OLDEST_FIRST: Final = [("created_us", 1), ("_id", 1)]
_NEWEST_FIRST: Final = [("created_us", -1), ("_id", -1)]
_PARTS: Final = ("specs", "folds", "leases", "dues")
"""What stands beside a run under its id."""


class RunReader:
    """`protocols.RunReads`."""

    def __init__(self, view: View) -> None:
        self._view = view

    def get(self, run_id: str) -> RunRow | None:
        row = self._view.get("runs", run_id)
        return None if row is None else RUN.row(row["doc"])

    def spec(self, run_id: str) -> SpecRow | None:
        row = self._view.get("specs", run_id)
        return None if row is None else SPEC.row(row["doc"])

    def fold(self, run_id: str) -> RunFold:
        row = self._view.get("folds", run_id)
        return NO_FOLD if row is None else FOLD.row(row["doc"])

    def of_task(
        self, task_id: str, *, limit: int, after: tuple[int, str] | None = None
    ) -> list[RunRow]:
        page = asking.Page(
            kind="runs", column="created_us", descending=True, after=after, limit=limit, offset=0
        )
        return _runs(page.read(self._view, {"task_id": task_id}))

    def retries_of(self, run_id: str, *, limit: int) -> list[str]:
        rows = self._view.find("runs", {"parent_id": run_id}, _OLDEST_FIRST, limit=limit)
        return [row["_id"] for row in rows]

    def of_session(self, agent_session_id: str, *, limit: int) -> list[RunRow]:
        where = {"agent_session_id": agent_session_id}
        return _runs(self._view.find("runs", where, _NEWEST_FIRST, limit=limit))

    def page(self, query: Query) -> list[RunRow]:
        return _runs(asking.page_of_runs(query).read(self._view, asking.of_runs(query)))

    def count(self, query: Query, *, at_most: int) -> int:
        names = counters_of(query)
        if names is not None:
            known = int(sum(counters.value(self._view, name) for name in names))
            return min(known, at_most + 1)
        return self._view.count("runs", asking.of_runs(query), at_most=at_most + 1)

    def active_on(self, node_id: str) -> list[RunRow]:
        where = {"node_id": node_id, "active": True, "status": {"$in": ["assigned", "running"]}}
        return _runs(self._view.find("runs", where, _OLDEST_FIRST))

    def steps(
        self, run_id: str, *, after_n: int | None, before_n: int | None, limit: int
    ) -> list[StepRow]:
        bounds: Fields = {"$lt": _BEYOND_ALL if before_n is None else before_n}
        if after_n is not None:
            bounds["$gt"] = after_n
        way = -1 if after_n is None else 1
        rows = self._view.find(
            "steps",
            {"run_id": run_id, "place": bounds},
            [("place", way), ("_id", way)],
            limit=limit,
        )
        if after_n is None:
            rows.reverse()
        return [STEP.row(row["doc"]) for row in rows]

    def ended(self, *, with_events: bool, limit: int | None = None) -> Iterator[RunRow]:
        """Whatever is read is read in stretches, each going on where the last one ended."""
        where: Fields = {"ended_us": {"$ne": None}}
        if with_events:
            where["kept"] = True
        after: tuple[int, str] | None = None
        left = limit
        while left is None or left > 0:
            stretch = 200 if left is None else min(200, left)
            page = asking.Page(
                kind="runs",
                column="ended_us",
                descending=False,
                after=after,
                limit=stretch,
                offset=0,
            )
            rows = page.read(self._view, where)
            for row in rows:
                yield RUN.row(row["doc"])
            if len(rows) < stretch:
                return
            after = (rows[-1]["ended_us"], rows[-1]["_id"])
            left = None if left is None else left - len(rows)

    def waiting(self) -> list[RunRow]:
        """Runs with an open wait."""
        order = [("updated_us", 1), ("_id", 1)]
        return _runs(self._view.find("runs", {"waiting": True}, order))

    def changed_since(self, revision: int, limit: int) -> list[RunRow]:
        order = [("revision", 1), ("_id", 1)]
        where = {"revision": {"$gt": revision}}
        return _runs(self._view.find("runs", where, order, limit=limit))


class RunWriter(RunReader):
    """`protocols.RunWrites`."""

    def __init__(self, context: WriteContext) -> None:
        super().__init__(context.view)
        self._context = context

    def insert(self, row: RunRow, spec: SpecRow) -> RunRow:
        if self._view.get("runs", row.id) is not None:
            raise ConflictError(f"run {row.id} is there already")
        row = msgspec.structs.replace(row, revision=self._context.revision)
        self._view.put("specs", row.id, {"doc": SPEC.text(spec)})
        start_log(self._context, row.id)
        self._put_due(row.id, self._context.rules.due_us(row))
        self._changed(None, row)
        return row

    def save(self, before: RunRow, after: RunRow, fold: RunFold | None = None) -> RunRow:
        if self.get(before.id) != before:
            raise ConflictError(f"run {before.id} is no longer what was read")
        after = msgspec.structs.replace(after, revision=self._context.revision)
        old, new = self._context.rules.due_us(before), self._context.rules.due_us(after)
        # A moment that only moves away is left as it is: every batch of events moves it, and `due`
        # puts it right when the old one comes.
        if ((old is None or new is None) and old != new) or (
            old is not None and new is not None and new < old
        ):
            self._put_due(after.id, new)
        self._changed(before, after)
        if fold is not None:
            self._view.put("folds", after.id, {"doc": FOLD.text(fold)})
        return after

    def delete(self, row: RunRow) -> None:
        context = self._context
        stored = self.get(row.id)
        if stored is None or stored.revision != row.revision:
            raise ConflictError(f"run {row.id} is no longer what was read")
        remove_all(context, row.id)
        for kind in _PARTS:
            self._view.remove(kind, row.id)
        self.remove_steps(row.id, limit=_BEYOND_ALL)
        self._view.remove("runs", row.id)
        bury(context, "run", row.id)
        context.changes.run(row, None)
        context.changes.counted(context.rules.tally(row, None, context.now_us))

    def queued(self, *, limit: int) -> list[RunRow]:
        order = [("priority", -1), ("created_us", 1), ("_id", 1)]
        return _runs(self._view.find("runs", {"status": "queued"}, order, limit=limit))

    def due(self, now_us: int, *, limit: int) -> list[RunRow]:
        """See `protocols.RunWrites.due`; puts off those whose moment has moved meanwhile, a bounded
        number, as nobody else writes as long: the others' turn is the next time.
        """
        due: list[RunRow] = []
        for _ in range(MOST_PUT_OFF):
            moved = False
            due = []
            where = {"due_us": {"$lte": now_us}}
            for found in self._view.find("dues", where, [("due_us", 1), ("_id", 1)], limit=limit):
                row = self.get(found["_id"])
                due_us = None if row is None else self._context.rules.due_us(row)
                if row is not None and due_us is not None and due_us <= now_us:
                    due.append(row)
                else:
                    self._put_due(found["_id"], due_us)
                    moved = True
            if not moved:
                break
        return due

    def put_step(self, run_id: str, step: StepRow) -> None:
        fields = {"run_id": run_id, "place": step.n, "doc": STEP.text(step)}
        self._view.put("steps", step_key(run_id, step.n), fields)

    def step(self, run_id: str, n: int) -> StepRow | None:
        row = self._view.get("steps", step_key(run_id, n))
        return None if row is None else STEP.row(row["doc"])

    def remove_steps(self, run_id: str, *, limit: int) -> int:
        most = None if limit >= _BEYOND_ALL else limit
        rows = self._view.find("steps", {"run_id": run_id}, [("place", 1), ("_id", 1)], limit=most)
        return sum(self._view.remove("steps", row["_id"]) for row in rows)

    def _put_due(self, run_id: str, due_us: int | None) -> None:
        if due_us is None:
            self._view.remove("dues", run_id)
        else:
            self._view.put("dues", run_id, {"due_us": due_us})

    def _changed(self, before: RunRow | None, after: RunRow) -> None:
        context = self._context
        self._view.put("runs", after.id, fields_of(after, RUN.text(after)))
        context.changes.run(before, after)
        if context.rules.alerts is not None:
            for alert in context.rules.alerts(before, after, context.now_us):
                insert_alert(context, alert)
                context.changes.alerted(alert)
        context.changes.counted(context.rules.tally(before, after, context.now_us))


def fields_of(row: RunRow, doc: str) -> Fields:
    """A run as it is stored."""
    fields = dict(zip(COLUMNS, values_of(row), strict=True))
    del fields["id"]
    ended = ended_values(row)
    fields["ended_us"] = None if ended is None else ended[0]
    fields["kept"] = ended is not None and bool(ended[1])
    fields["labels"] = asking.labels_of(row.labels)
    fields["search"] = asking.searched(search_text(row))
    fields["doc"] = doc
    return fields


def _runs(rows: list[Fields]) -> list[RunRow]:
    return [RUN.row(row["doc"]) for row in rows]


def step_key(run_id: str, n: int) -> str:
    """The id of a step."""
    return f"{run_id}:{n:016x}"
