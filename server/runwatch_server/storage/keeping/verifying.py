"""Whether what is stored agrees with itself, on one snapshot: runs dense, columns as their
documents, counters as a recount, aggregates as the events come to.
"""

from collections.abc import Generator, Iterator
from typing import Final

from runwatch_server import standing
from runwatch_server.recounting import Recount, Refold
from runwatch_server.rows import NO_FOLD, RunRow
from runwatch_server.storage.keeping.records import PAGE
from runwatch_server.storage.kinds import KINDS, any_row_of
from runwatch_server.storage.sql import counters, kept
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.storage.sql.documents import FOLD, NODE, RUN, TASK
from runwatch_server.storage.sql.run_columns import COLUMNS, values_of
from runwatch_server.storage.sql.runs import ended_values

NUMBERS: Final = 1000
"""Sequence numbers read at once, to find where the first is missing."""
_STRAYS: Final = {
    "stray_events": "events",
    "stray_steps": "steps",
    "stray_specs": "a specification",
    "stray_folds": "a fold",
    "stray_leases": "a lease",
}


class Verification:
    """Of one snapshot.

    Attributes:
        runs: How many runs were looked at.
        events: How many events these have.
        refolded: How many of the runs have all their events, so that these were folded anew.
    """

    def __init__(self, connection: Connection) -> None:
        self.runs = self.events = self.refolded = 0
        self._connection = connection
        self._sql = connection.statements("keeping")
        self._recount = Recount()
        self._revision = 0

    def wrong(self) -> Generator[str, None, None]:
        """Everything that is wrong, a sentence each, as it is found."""
        head = self._connection.one(self._sql["head"])
        assert head is not None
        _, self._revision, resumable, _ = head
        for (key,) in self._connection.iterate(self._sql["runs"]):
            yield from self._run(key)
        yield from self._strays()
        for (task_id,) in self._connection.iterate(self._sql["tasks"]):
            task = TASK.row(self._connection.value(self._sql["task"], (task_id,)))
            self._recount.task(task)
            yield from self._recount.task_wrong(task)
            yield from self._revised(f"task {task.id}", task.revision)
        for (doc,) in self._connection.iterate(self._sql["nodes"]):
            node = NODE.row(doc)
            yield from self._recount.node_wrong(node)
            yield from self._revised(f"node {node.id}", node.revision)
        yield from self._kept()
        buried = False
        for kind, name, revision, *_ in self._connection.iterate(self._sql["tombstones"]):
            buried = buried or kind == "run"
            yield from self._revised(f"the removal of {kind} {name}", revision)
        kept = {
            name: value
            for span, _, name, value in counters.all_of(self._connection)
            if span == "all"
        }
        yield from self._recount.counters_wrong(kept, whole=not buried and not resumable)

    def _run(self, key: int) -> Iterator[str]:
        found = self._connection.one(self._sql["run"], (key,))
        assert found is not None
        run_id, doc, _, spec, fold, epoch, *_ = found
        row = RUN.row(doc)
        self.runs += 1
        self._recount.run(row)
        about = f"run {run_id}: "
        if spec is None:
            yield f"{about}it has no specification"
        if epoch is not None and epoch != row.epoch:
            yield f"{about}its lease is of epoch {epoch}, it is in epoch {row.epoch}"
        yield from self._revised(f"run {run_id}", row.revision)
        for words in self._columns(key, row):
            yield about + words
        not_dense = list(self._dense(key, row))
        for words in not_dense:
            yield about + words
        if row.event_count and not row.events_removed and not not_dense:
            self.refolded += 1
            kept = NO_FOLD if fold is None else FOLD.row(fold)
            steps = self._connection.value(self._sql["step_count"], (run_id,))
            refold = self._refolded(key, row)
            for words in refold.wrong(kept, steps):
                yield about + words

    def _kept(self) -> Iterator[str]:
        for kind, *values in self._connection.iterate(self._sql["kept"]):
            about = f"{kind} {values[0]}"
            if kind not in KINDS:
                yield f"{about}: this build knows no such kind"
                continue
            row = any_row_of(kind, values[-1])
            assert row is not None
            for name, value, expected in zip(
                kept.COLUMNS, (kind, *values), kept.values_of(row), strict=True
            ):
                if name != "doc" and value not in {expected, _as_column(expected)}:
                    yield f"{about}: column {name} is not what its document says"
            yield from self._revised(about, row.revision)

    def _columns(self, key: int, row: RunRow) -> Iterator[str]:
        stored = self._connection.one(self._sql["columns"], (key,))
        assert stored is not None
        for name, value, expected in zip(COLUMNS, stored, values_of(row), strict=True):
            if value != _as_column(expected) and value != expected:
                yield f"column {name} is not what its document says"
        labels = dict(map(tuple, self._connection.all(self._sql["labels"], (row.id,))))
        if labels != {_as_column(name): _as_column(text) for name, text in row.labels.items()} and (
            labels != row.labels
        ):
            yield "its labels are found by others than it has"
        ended = self._connection.one(self._sql["ended"], (key,))
        if (None if ended is None else tuple(ended)) != ended_values(row):
            yield "retention finds it as it is not"

    def _dense(self, key: int, row: RunRow) -> Iterator[str]:
        held = self._connection.one(self._sql["held"], (key,))
        assert held is not None
        count, first, last = held
        self.events += count
        if row.seq_holes != row.last_seq - row.event_count:
            yield f"it counts {row.seq_holes} holes, its numbers give another count"
        expected = standing.kept_events(row)
        if count != expected:
            missing = self._first_missing(key, row) if count < expected else None
            at = "" if missing is None or row.seq_holes else f"; the first missing is {missing}"
            yield f"it has {count} events where {expected} are kept{at}"
            return
        if not count:
            return
        if last != row.last_seq:
            yield f"its last event is {last}, it says {row.last_seq}"
        if first < row.first_seq:
            yield f"it has event {first}, from before its first, {row.first_seq}"
        if last - first + 1 - count > row.seq_holes:
            yield f"it is not dense: {self._first_missing(key, row)} is missing"
        if not row.seq_holes and first != row.first_seq:
            yield f"its first event is {first}, it says {row.first_seq}"

    def _first_missing(self, key: int, row: RunRow) -> int:
        at = row.first_seq - 1
        while numbers := self._connection.all(self._sql["numbers"], (key, at, NUMBERS)):
            for (seq,) in numbers:
                if seq != at + 1:
                    return at + 1
                at = seq
        return at + 1

    def _refolded(self, key: int, row: RunRow) -> Refold:
        refold = Refold(row)
        at = -1
        while rows := self._connection.all(self._sql["events"], (key, at, PAGE)):
            events = [self._connection.event(each) for each in rows]
            refold.take(events)
            at = events[-1].seq
        return refold

    def _strays(self) -> Iterator[str]:
        for name, what in _STRAYS.items():
            for (of,) in self._connection.all(self._sql[name]):
                yield f"there is {what} of a run that is not there: {of}"

    def _revised(self, what: str, revision: int) -> Iterator[str]:
        if not 0 <= revision <= self._revision:
            yield f"{what} has revision {revision}, the store has come to {self._revision}"


def _as_column(value: object) -> object:
    """As PostgreSQL has it (see `postgres.connection`)."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
