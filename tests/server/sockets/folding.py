"""What a client of the delta feed makes of its frames, checking every rule a frame must keep."""

from collections.abc import Callable
from typing import Any

import msgspec

from runwatch_server.fanout.subscriptions import Subscription
from runwatch_shared.models import Node, Task, WorkflowSummary
from runwatch_shared.wire import (
    ChangeFrame,
    HeartbeatFrame,
    HelloFrame,
    MonitorFrame,
    ResyncFrame,
    SnapshotFrame,
)
from tests.server.sockets.peers import FakeWire

FRAMES: msgspec.json.Decoder[Any] = msgspec.json.Decoder(MonitorFrame)


class Truth(msgspec.Struct, frozen=True):
    """What the HTTP lists answered at a revision."""

    workflows: dict[str, WorkflowSummary]
    total: int
    nodes: dict[str, Node]
    tasks: dict[str, Task]


class Client:
    """A fold. ``strict`` also compares it with the truth at the revision of every frame.

    Args:
        truth: What the lists with the filter of the subscription answered at a revision.
        order: Their ids now, in the order of the subscription; None if now is another revision.
    """

    def __init__(
        self,
        subscription: Subscription,
        truth: Callable[[int], Truth],
        order: Callable[[int], list[str] | None],
        *,
        strict: bool,
    ) -> None:
        self.subscription = subscription
        self.truth = truth
        self.order = order
        self.strict = strict
        self.rows: dict[str, WorkflowSummary] = {}
        self.nodes: dict[str, Node] = {}
        self.tasks: dict[str, Task] = {}
        self.matching = 0
        self.revision: int | None = None
        """Of the last snapshot, change or heartbeat."""
        self.resumable: int | None = None
        self.complete = False
        self.cut = self.tasks_cut = False
        """Whether the snapshot had only as many rows as its limit: the others come when they
        change, so until the next snapshot some may be missing, however few there are by then."""
        self.expecting_part = 0
        self.stats = 0
        self.resyncs: list[str] = []

    def connected(self) -> None:
        """A new socket; what is known stays until `hello` says otherwise."""
        self.expecting_part = 0
        self.greeted = False
        self.complete = False

    def read(self, wire: FakeWire) -> None:
        while wire.payloads:
            self.take(FRAMES.decode(wire.payloads.popleft()))

    def take(self, frame: Any) -> None:
        match frame:
            case HelloFrame():
                assert not self.greeted
                self.greeted = True
                if not frame.resumed:
                    self._forget()
                else:
                    self.revision = self.resumable
            case ResyncFrame():
                self.resyncs.append(frame.reason)
                self._forget()
            case SnapshotFrame():
                self._snapshot(frame)
            case ChangeFrame():
                self._change(frame)
            case HeartbeatFrame():
                self._heartbeat(frame)
            case _:
                pass

    def _forget(self) -> None:
        self.rows.clear()
        self.nodes.clear()
        self.tasks.clear()
        self.revision = self.resumable = None
        self.complete = False

    def _snapshot(self, frame: SnapshotFrame) -> None:
        if frame.sub != self.subscription.sub:
            return
        assert self.greeted
        if frame.part == 1:
            self._forget()
        assert frame.part == (1 if frame.part == 1 else self.expecting_part)
        assert self.revision in {None, frame.revision}
        self.expecting_part = frame.part + 1
        self.revision = frame.revision
        self.rows.update({row.id: row for row in frame.workflows or ()})
        self.nodes.update({node.id: node for node in frame.nodes or ()})
        self.tasks.update({task.id: task for task in frame.tasks or ()})
        if frame.last:
            order = self.order(frame.revision)
            if order is not None:
                assert list(self.rows) == order[: self.subscription.query.limit]
            assert frame.total is not None
            self.matching = frame.total
            limit = self.subscription.query.limit
            self.cut = frame.total > limit
            self.tasks_cut = len(self.truth(frame.revision).tasks) > limit
            self._whole(frame.revision)
        self.stats += frame.stats is not None

    def _change(self, frame: ChangeFrame) -> None:
        if frame.sub != self.subscription.sub:
            return
        assert frame.previous == self.revision, "a change does not follow the frame before"
        assert frame.revision >= frame.previous
        changed = frame.workflows
        if changed is not None:
            upserted = {row.id for row in changed.upsert}
            removed = {key.id for key in changed.remove}
            assert not upserted & removed
            for row in changed.upsert:
                assert row.revision > frame.previous, "a row that was sent already"
                self.rows[row.id] = row
            for row_id in removed:
                self.rows.pop(row_id, None)
        if frame.nodes is not None:
            self.nodes.update({node.id: node for node in frame.nodes.upsert})
            for node_id in frame.nodes.remove:
                self.nodes.pop(node_id, None)
        if frame.tasks is not None:
            self.tasks.update({task.id: task for task in frame.tasks.upsert})
            for task_id in frame.tasks.remove:
                self.tasks.pop(task_id, None)
        self.matching += frame.entered - frame.left
        if frame.total is not None:
            self.matching = frame.total
        self.stats += frame.stats is not None
        self._whole(frame.revision)

    def _heartbeat(self, frame: HeartbeatFrame) -> None:
        assert self.greeted
        if self.revision is None or not self.complete:
            return
        assert frame.revision >= self.revision, "a heartbeat behind the last frame"
        self._whole(frame.revision)

    def _whole(self, revision: int) -> None:
        self.revision = self.resumable = revision
        self.complete = True
        if self.strict:
            self.compare(revision)

    def compare(self, revision: int) -> None:
        """The fold is what the lists answered at a revision."""
        truth = self.truth(revision)
        if self.cut:
            assert self.rows.items() <= truth.workflows.items()
        else:
            assert self.rows == truth.workflows
        assert self.matching == truth.total
        if "nodes" in self.subscription.topics:
            assert self.nodes == truth.nodes
        if "tasks" in self.subscription.topics:
            some = {task_id: truth.tasks.get(task_id) for task_id in self.tasks}
            assert self.tasks == some
            if not self.tasks_cut:
                assert len(some) == len(truth.tasks)
