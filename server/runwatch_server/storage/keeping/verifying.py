"""Whether what is stored agrees with itself, on one snapshot: runs dense, columns as their
documents, counters as a recount, aggregates as the events come to.
"""

from collections.abc import Generator, Iterator
from typing import Final

from runwatch_server import standing
from runwatch_server.recounting import Recount, Refold
from runwatch_server.rows import NO_FOLD, RunRow
from runwatch_server.storage.keeping.fitting import as_column
from runwatch_server.storage.keeping.protocols import Snapshot, StoredRun
from runwatch_server.storage.kinds import any_row_of, columns_of
from runwatch_server.storage.sql.documents import FOLD, NODE, RUN, TASK

NUMBERS: Final = 1000
"""Sequence numbers read at once, to find where the first is missing."""


class Verification:
    """Of one snapshot.

    Attributes:
        runs: How many runs were looked at.
        events: How many events these have.
        refolded: How many of the runs have all their events, so that these were folded anew.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.runs = self.events = self.refolded = 0
        self._snapshot = snapshot
        self._recount = Recount()
        self._revision = 0

    def wrong(self) -> Generator[str, None, None]:
        """Everything that is wrong, a sentence each, as it is found."""
        snapshot = self._snapshot
        head = snapshot.head()
        self._revision = head.revision
        for run in snapshot.runs():
            yield from self._run(run)
        for what, of in snapshot.strays():
            yield f"there is {what} of a run that is not there: {of}"
        for doc in snapshot.tasks():
            task = TASK.row(doc)
            self._recount.task(task)
            yield from self._recount.task_wrong(task)
            yield from self._revised(f"task {task.id}", task.revision)
        for doc in snapshot.nodes():
            node = NODE.row(doc)
            yield from self._recount.node_wrong(node)
            yield from self._revised(f"node {node.id}", node.revision)
        yield from self._kept()
        buried = False
        for kind, name, revision, *_ in snapshot.small("tombstone"):
            buried = buried or kind == "run"
            yield from self._revised(f"the removal of {kind} {name}", revision)
        kept = {name: value for span, _, name, value in snapshot.small("counter") if span == "all"}
        yield from self._recount.counters_wrong(kept, whole=not buried and not head.resumable)
        yield from snapshot.astray()

    def _run(self, run: StoredRun) -> Iterator[str]:
        row = RUN.row(run.doc)
        self.runs += 1
        self._recount.run(row)
        about = f"run {run.id}: "
        if run.spec is None:
            yield f"{about}it has no specification"
        if run.lease is not None and run.lease[0] != row.epoch:
            yield f"{about}its lease is of epoch {run.lease[0]}, it is in epoch {row.epoch}"
        yield from self._revised(f"run {run.id}", row.revision)
        for words in self._snapshot.misfiled(run, row):
            yield about + words
        not_dense = list(self._dense(run, row))
        for words in not_dense:
            yield about + words
        if row.event_count and not row.events_removed and not not_dense:
            self.refolded += 1
            kept = NO_FOLD if run.fold is None else FOLD.row(run.fold)
            steps = self._snapshot.step_count(run)
            refold = self._refolded(run, row)
            for words in refold.wrong(kept, steps):
                yield about + words

    def _kept(self) -> Iterator[str]:
        for stored in self._snapshot.kept():
            about = f"{stored.kind} {stored.id}"
            row = any_row_of(stored.kind, stored.doc)
            if row is None:
                yield f"{about}: this build knows no such kind"
                continue
            for name, expected in columns_of(row).items():
                if stored.columns[name] not in {expected, as_column(expected)}:
                    yield f"{about}: column {name} is not what its document says"
            yield from self._revised(about, row.revision)

    def _dense(self, run: StoredRun, row: RunRow) -> Iterator[str]:
        count, first, last = self._snapshot.held(run)
        self.events += count
        if row.seq_holes != row.last_seq - row.event_count:
            yield f"it counts {row.seq_holes} holes, its numbers give another count"
        expected = standing.kept_events(row)
        if count != expected:
            missing = self._first_missing(run, row) if count < expected else None
            at = "" if missing is None or row.seq_holes else f"; the first missing is {missing}"
            yield f"it has {count} events where {expected} are kept{at}"
            return
        if first is None or last is None:
            return
        if last != row.last_seq:
            yield f"its last event is {last}, it says {row.last_seq}"
        if first < row.first_seq:
            yield f"it has event {first}, from before its first, {row.first_seq}"
        if last - first + 1 - count > row.seq_holes:
            yield f"it is not dense: {self._first_missing(run, row)} is missing"
        if not row.seq_holes and first != row.first_seq:
            yield f"its first event is {first}, it says {row.first_seq}"

    def _first_missing(self, run: StoredRun, row: RunRow) -> int:
        at = row.first_seq - 1
        while numbers := self._snapshot.numbers(run, at, NUMBERS):
            for seq in numbers:
                if seq != at + 1:
                    return at + 1
                at = seq
        return at + 1

    def _refolded(self, run: StoredRun, row: RunRow) -> Refold:
        refold = Refold(row)
        for events in self._snapshot.events(run):
            refold.take(events)
        return refold

    def _revised(self, what: str, revision: int) -> Iterator[str]:
        if not 0 <= revision <= self._revision:
            yield f"{what} has revision {revision}, the store has come to {self._revision}"
