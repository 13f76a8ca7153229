"""A store in memory whose works run one at a time, for tests of the domain over a transaction."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from runwatch_server import health, runs, tally, tasks
from runwatch_server.principals import Principal
from runwatch_server.rows import EventRow, NodeRow, RunRow
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Commit, EventQuery, ReadTx, Rules, WriteTx
from runwatch_shared.models import NodeId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.wire import RunRequest, TaskRequest
from tests.server.domain.making import NOW_US, SECOND_US

T = TypeVar("T")

ADMIN = Principal(kind="token", scope="admin", id="a", name="admin")
OPERATOR = Principal(kind="token", scope="operator", id="o", name="ops")
ANY_NODE = Principal(kind="node_token", scope="node", id="n", name="nodes")


def node(node_id: str) -> Principal:
    """A token bound to one node."""
    return Principal(kind="token", scope="node", id=node_id, name=node_id, node_id=NodeId(node_id))


class Keeper:
    """A fresh store, its clock, and the commits it made."""

    SETTINGS = ServerSettings()

    def __init__(self) -> None:
        self.settings = self.SETTINGS
        self.now_us = NOW_US
        self.commits: list[Commit] = []
        rules = Rules(
            tally=partial(tally.of_run, day_start_us=lambda moment_us: 0),
            due_us=lambda row: health.due_us(row, self.settings),
        )
        self.store = open_store("sqlite:///:memory:", rules=rules, synchronous="full")

    def write(self, work: Callable[[WriteTx], T]) -> T:
        """One work in a commit of its own; raises what it raises."""
        (outcome,), commit = self.store.write_group([work], self.now_us)
        if commit is not None:
            self.commits.append(commit)
        if outcome.error is not None:
            raise outcome.error
        return outcome.value  # type: ignore[return-value]  # the work's own value

    def read(self, work: Callable[[ReadTx], T]) -> T:
        with self.store.read() as tx:
            return work(tx)

    def wait(self, seconds: float) -> None:
        self.now_us += int(seconds * SECOND_US)

    def run(self, run_id: str) -> RunRow:
        row = self.read(lambda tx: tx.runs.get(run_id))
        assert row is not None
        return row

    def events(self, run_id: str) -> list[EventRow]:
        return self.read(
            lambda tx: tx.events.page(EventQuery(run_id=run_id, after_seq=0, limit=1000)).events
        )

    def queued_run(self, **task: Any) -> RunRow:
        """A run of a new task, waiting for the scheduler."""
        request = TaskRequest(**{"name": "fix-auth", "prompt": "do it", **task})

        def work(tx: WriteTx) -> RunRow:
            made = tasks.create_task(tx, request, by_name="ops", settings=self.settings)
            return runs.create_run(tx, made.id, RunRequest(), settings=self.settings)

        return self.write(work)

    def online_node(self, node_id: str = "n1", **changes: Any) -> NodeRow:
        row = NodeRow(
            id=NodeId(node_id),
            last_heartbeat_us=self.now_us,
            created_us=self.now_us,
            updated_us=self.now_us,
            **{"max_concurrent": 4, **changes},
        )
        return self.write(lambda tx: tx.nodes.save(row))
