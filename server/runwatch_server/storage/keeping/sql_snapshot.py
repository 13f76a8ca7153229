"""One state of everything in a store on SQL, see `protocols.Snapshot`."""

from collections.abc import Iterator
from typing import Any, Final

from runwatch_server.rows import EventRow, RunRow
from runwatch_server.storage.keeping.fitting import as_column
from runwatch_server.storage.keeping.protocols import PAGE, Head, StoredKept, StoredRun, Values
from runwatch_server.storage.sql import kept
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.sql.run_columns import COLUMNS, values_of
from runwatch_server.storage.sql.runs import ended_values

STEPS: Final = 500
_SMALL: Final = {
    "tombstone": ("keeping", "tombstones"),
    "counter": ("keeping", "counters"),
    "prune": ("keeping", "prunes"),
    "alert": ("alerts", "pending"),
    "user": ("access", "users"),
    "token": ("access", "tokens"),
    "session": ("keeping", "sessions"),
    "replay": ("keeping", "replays"),
}
"""Topic and name of the statement that reads a kind."""
_STRAYS: Final = {
    "stray_events": "events",
    "stray_steps": "steps",
    "stray_specs": "a specification",
    "stray_folds": "a fold",
    "stray_leases": "a lease",
}


class SqlSnapshot:
    """Within the transaction its connection has begun."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = connection.statements("keeping")

    def head(self) -> Head:
        found = self._connection.one(self._sql["head"])
        assert found is not None
        store_id, revision, resumable, thresholds = found
        return Head(
            store_id=store_id, revision=revision, resumable=resumable, thresholds=thresholds
        )

    def nodes(self) -> Iterator[str]:
        for (doc,) in self._connection.iterate(self._sql["nodes"]):
            yield doc

    def tasks(self) -> Iterator[str]:
        for (task_id,) in self._connection.iterate(self._sql["tasks"]):
            yield self._connection.value(self._sql["task"], (task_id,))

    def runs(self) -> Iterator[StoredRun]:
        for (key,) in self._connection.iterate(self._sql["runs"]):
            found = self._connection.one(self._sql["run"], (key,))
            assert found is not None
            run_id, doc, due_us, spec, fold, epoch, node_id, expires_us = found
            lease = None if epoch is None else (epoch, node_id, expires_us)
            yield StoredRun(
                key=key, id=run_id, doc=doc, due_us=due_us, spec=spec, fold=fold, lease=lease
            )

    def steps(self, run: StoredRun) -> Iterator[Values]:
        at = -1
        while rows := self._connection.all(self._sql["steps"], (run.id, at, STEPS)):
            yield from rows
            at = rows[-1][0]
            if len(rows) < STEPS:
                break

    def blocks(self, run: StoredRun) -> Iterator[Values]:
        yield from self._connection.all(self._sql["blocks"], (run.key,))

    def events(self, run: StoredRun) -> Iterator[list[EventRow]]:
        at = -1
        while rows := self._connection.all(self._sql["events"], (run.key, at, PAGE)):
            yield [self._connection.event(row) for row in rows]
            at = rows[-1][0]
            if len(rows) < PAGE:
                break

    def kept(self) -> Iterator[StoredKept]:
        for row in self._connection.iterate(self._sql["kept"]):
            columns = dict(zip(kept.COLUMNS, row, strict=True))
            yield StoredKept(
                kind=columns["kind"], id=columns["id"], doc=columns.pop("doc"), columns=columns
            )

    def small(self, kind: str) -> Iterator[Values]:
        topic, name = _SMALL[kind]
        yield from self._connection.iterate(self._connection.statements(topic)[name])

    def telemetry(self) -> Iterator[tuple[Any, Values]]:
        for key, *row in self._connection.iterate(self._sql["telemetry"]):
            yield key, row

    def seen(self, key: Any) -> Iterator[Values]:
        yield from self._connection.iterate(self._sql["seen"], (key,))

    def step_count(self, run: StoredRun) -> int:
        return int(self._connection.value(self._sql["step_count"], (run.id,)))

    def held(self, run: StoredRun) -> tuple[int, int | None, int | None]:
        found = self._connection.one(self._sql["held"], (run.key,))
        assert found is not None
        count, first, last = found
        return count, first, last

    def numbers(self, run: StoredRun, after: int, limit: int) -> list[int]:
        rows = self._connection.all(self._sql["numbers"], (run.key, after, limit))
        return [seq for (seq,) in rows]

    def misfiled(self, run: StoredRun, row: RunRow) -> Iterator[str]:
        stored = self._connection.one(self._sql["columns"], (run.key,))
        assert stored is not None
        for name, value, expected in zip(COLUMNS, stored, values_of(row), strict=True):
            if value != as_column(expected) and value != expected:
                yield f"column {name} is not what its document says"
        labels = dict(map(tuple, self._connection.all(self._sql["labels"], (row.id,))))
        if labels != {as_column(name): as_column(text) for name, text in row.labels.items()} and (
            labels != row.labels
        ):
            yield "its labels are found by others than it has"
        ended = self._connection.one(self._sql["ended"], (run.key,))
        if (None if ended is None else tuple(ended)) != ended_values(row):
            yield "retention finds it as it is not"

    def strays(self) -> Iterator[tuple[str, object]]:
        for name, what in _STRAYS.items():
            for (of,) in self._connection.all(self._sql[name]):
                yield what, of

    def astray(self) -> Iterator[str]:
        """Nothing: all else follows from the tables."""
        yield from ()
