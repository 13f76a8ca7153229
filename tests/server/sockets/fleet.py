"""A store a test changes, its commits in order, and what was true at each revision."""

from collections import deque
from functools import partial

import msgspec

from runwatch_server import runs, tally, tasks
from runwatch_server.projection import Projection
from runwatch_server.rows import EventRow, NodeRow, RunRow, SourceRow, SpecRow
from runwatch_server.storage.memory import MemoryStore
from runwatch_server.storage.protocols import Commit, Rules, TaskQuery, WriteTx
from runwatch_shared.models import Agent, NodeId, RunId, RunStatus, TaskId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.wire import RunRequest, TaskPatch, TaskRequest
from tests.clock import ManualClock

SETTINGS = ServerSettings()
RULES = Rules(
    tally=partial(tally.of_run, day_start_us=lambda moment_us: 0), due_us=lambda row: None
)


class Fleet:
    """Changes go through `write`; listeners get them when `publish` says so."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore.make(RULES)
        self.projection = Projection(day_start_us=lambda _: 0, started_us=self.clock.now_us())
        self.unpublished: deque[Commit] = deque()
        self.runs: dict[str, RunRow] = {}
        self.nodes: dict[str, NodeRow] = {}
        self.revision = 0
        self.truth: dict[int, dict[str, RunRow]] = {0: {}}
        """Every run there was, by revision."""
        self.made = 0

    def close(self) -> None:
        self.store.close()

    def write(self, *works: object) -> Commit | None:
        """Some works in one commit."""
        outcomes, commit = self.store.write_group(works, self.clock.now_us())  # type: ignore[arg-type]
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
        if commit is not None:
            for change in commit.runs:
                if change.after is None:
                    assert change.before is not None
                    self.runs.pop(change.before.id, None)
                else:
                    self.runs[change.after.id] = change.after
            self.revision = commit.revision
            self.truth[commit.revision] = dict(self.runs)
            self.unpublished.append(commit)
        return commit

    def next_published(self) -> Commit | None:
        """The oldest commit nobody was told of, applied to the projection."""
        if not self.unpublished:
            return None
        commit = self.unpublished.popleft()
        self.projection.apply(commit)
        return commit

    # Works

    def making(self, status: RunStatus = "queued", **fields: object) -> object:
        """A new run."""
        self.made += 1
        number = self.made
        now_us = self.clock.now_us()
        row = RunRow(
            id=RunId(f"run-{number:012x}"),
            task_id=TaskId(f"task-{number:012x}"),
            name=f"job {number}",
            status=status,
            agent_type="claude-code",
            created_us=now_us,
            updated_us=now_us,
            source=SourceRow(kind="user", at_us=now_us),
        )
        row = msgspec.structs.replace(row, **fields)
        spec = SpecRow(task_id=row.task_id, name=row.name, agent=Agent(type="claude"), prompt="do")
        return lambda tx: tx.runs.insert(row, spec)

    def changing(self, run_id: str, **fields: object) -> object:
        """Another state of a run that is there."""
        now_us = self.clock.now_us()

        def work(tx: WriteTx) -> None:
            before = tx.runs.get(run_id)
            if before is not None:
                after = msgspec.structs.replace(before, updated_us=now_us, **fields)
                tx.runs.save(before, after)

        return work

    def deleting(self, run_id: str) -> object:
        """A run and its events go."""

        def work(tx: WriteTx) -> None:
            row = tx.runs.get(run_id)
            if row is not None:
                tx.runs.delete(row)

        return work

    def appending(
        self,
        run_id: str,
        count: int,
        *,
        status: RunStatus | None = None,
        hole: int = 0,
        size: int = 8,
    ) -> object:
        """More events of a run, after a hole in its numbers; ``status`` may end it."""
        now_us = self.clock.now_us()

        def work(tx: WriteTx) -> None:
            before = tx.runs.get(run_id)
            if before is None:
                return
            first = before.last_seq + 1 + hole
            events = [
                EventRow(
                    seq=seq,
                    epoch=1,
                    type="message",
                    at_us=now_us,
                    received_us=now_us,
                    level="info",
                    payload=b'{"content":"' + b"x" * size + b'"}',
                    raw=f"line {seq}",
                )
                for seq in range(first, first + count)
            ]
            after = msgspec.structs.replace(
                before,
                last_seq=events[-1].seq,
                event_count=before.event_count + count,
                status=status or before.status,
                finished_us=now_us if status else None,
            )
            tx.runs.save(before, after)
            tx.events.append(run_id, events)

        return work

    def tasking(self, number: int) -> object:
        """A task with a run, or another name for one that is there."""

        def work(tx: WriteTx) -> None:
            found = tx.tasks.page(TaskQuery(limit=100))
            if number % 2 and found:
                patch = TaskPatch(name=f"renamed at {self.clock.now_us()} {number}")
                tasks.patch_task(tx, found[number % len(found)].id, patch, settings=SETTINGS)
                return
            request = TaskRequest(name=f"job {number}", type="general", prompt="do")
            made = tasks.create_task(tx, request, by_name="tests", settings=SETTINGS)
            runs.create_run(tx, made.id, RunRequest(), settings=SETTINGS)

        return work

    def untasking(self, number: int) -> object:
        """A task goes with its runs, whatever they do."""

        def work(tx: WriteTx) -> None:
            found = tx.tasks.page(TaskQuery(limit=100))
            if found:
                task_id = found[number % len(found)].id
                tasks.delete_task(tx, task_id, force=True, settings=SETTINGS)

        return work

    def leaving(self, node_id: str) -> object:
        """A node is deleted."""

        def work(tx: WriteTx) -> None:
            row = tx.nodes.get(node_id)
            if row is not None:
                tx.nodes.delete(row)

        return work

    def forgetting(self) -> object:
        """Every tombstone is pruned."""
        now_us = self.clock.now_us() + 1

        def work(tx: WriteTx) -> None:
            tx.housekeeping.prune(
                minutes_before_us=0,
                days_before_us=0,
                tombstones_before_us=now_us,
                replays_before_us=0,
                sessions_before_us=0,
                limit=1000,
            )

        return work

    def restart(self) -> None:
        """The server ends before it told of its last commits, and another begins."""
        self.unpublished.clear()
        now_us = self.clock.now_us()
        self.projection = Projection(day_start_us=lambda _: 0, started_us=now_us)
        with self.store.read() as tx:
            self.projection.load(tx)

    def beating(self, node_id: str) -> object:
        """A node says it is there."""
        now_us = self.clock.now_us()
        row = NodeRow(
            id=NodeId(node_id), last_heartbeat_us=now_us, created_us=now_us, updated_us=now_us
        )
        return lambda tx: tx.nodes.save(row)
