"""What the aggregates of one write transaction share: the moment, the changes so far, the rows the
writer remembers.
"""

from typing import Final

from runwatch_server.rows import LeaseRow, NodeRow, RunFold, RunRow, TaskRow
from runwatch_server.storage.changes import Changes
from runwatch_server.storage.protocols import Rules
from runwatch_server.storage.sql.documents import Recent
from runwatch_server.storage.sql.event_blocks import Marks

RECENT_ROWS: Final = 4096
"""Rows of each kind the writer remembers; about 4 KB each."""


class WriteContext:
    """Lives as long as the writer's connection; `begin` starts a work."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.now_us = 0
        self.revision = 0
        """What everything saved in this transaction gets."""
        self.changes = Changes()
        self.runs: Recent[RunRow] = Recent(RECENT_ROWS)
        self.keys: Recent[int] = Recent(RECENT_ROWS)
        """Of runs, in the table of events."""
        self.marks: Recent[Marks] = Recent(RECENT_ROWS)
        """What was last written of the blocks of a run's events."""
        self.folds: Recent[RunFold] = Recent(RECENT_ROWS)
        self.leases: Recent[LeaseRow] = Recent(RECENT_ROWS)
        self.tasks: Recent[TaskRow] = Recent(RECENT_ROWS)
        self.nodes: Recent[NodeRow] = Recent(RECENT_ROWS)

    def begin(self, now_us: int) -> Changes:
        """Start a work; what it changes is collected in what is given back."""
        self.now_us = now_us
        self.changes = Changes()
        return self.changes

    def forget(self, undone: Changes) -> None:
        """Drop what a work that failed left in memory."""
        for run_id in (*undone.runs, *undone.events):
            self.forget_run(run_id)
        # A lease is renewed without a change of its run.
        self.leases.clear()
        for task_id in undone.tasks:
            self.tasks.forget(task_id)
        for node_id in undone.nodes:
            self.nodes.forget(node_id)

    def forget_run(self, run_id: str) -> None:
        for rows in (self.runs, self.keys, self.marks, self.folds, self.leases):
            rows.forget(run_id)

    def forget_all(self) -> None:
        of_runs = (self.runs, self.keys, self.marks, self.folds, self.leases)
        for rows in (*of_runs, self.tasks, self.nodes):
            rows.clear()
