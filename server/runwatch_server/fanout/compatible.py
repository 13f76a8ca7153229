"""`/ws/monitor` without parameters: whole lists, each again only if it changed, and small events
between them; the feed that sends differences is in `monitor`.

Source: contract 7.1. Used in the event loop only.
"""

import asyncio
import logging
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from runwatch_server import workflow_lists, workflows
from runwatch_server.accounts.rows import ActionRow
from runwatch_server.fanout.conversation import FrameGate
from runwatch_server.fanout.fleet_stats import StatsSource, numbers_of
from runwatch_server.fanout.frames import encode, frame_of, text_frame
from runwatch_server.fanout.observer import FeedObserver
from runwatch_server.fanout.sockets import SERVER_ERROR, Socket
from runwatch_server.fanout.wires import Wire
from runwatch_server.principals import Principal
from runwatch_server.rows import NodeRow, TaskRow
from runwatch_server.storage.protocols import Commit, Query, Reader, ReadTx
from runwatch_server.workflows import WorkflowRow
from runwatch_shared.clock import Clock
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import FleetEvent, FleetEventFrame

logger: Final = logging.getLogger(__name__)

LISTS_S: Final = 3.0
EVENTS_PER_S: Final = 50
ROWS: Final = 200

ListName = Literal["workflows", "stats"]


class _List(msgspec.Struct):
    """One list as it was last read. ``version`` rises when its content changes."""

    version: int = 0
    content: bytes = b""
    frame: bytes = b""


class CompatibleViewer(Socket):
    """One socket of this feed, and the version of each list it has."""

    __slots__ = ("owed", "seen")

    def __init__(self, wire: Wire, principal: Principal) -> None:
        super().__init__("monitor", wire, principal)
        self.seen: dict[ListName, int] = {"workflows": 0, "stats": 0}
        self.owed = False
        """A list was offered and not taken."""

    @property
    def new(self) -> bool:
        """Whether it has not got both lists yet."""
        return not all(self.seen.values())


class CompatibleMonitor:
    """Everybody gets the same frames; who is slow misses events and gets the newest lists."""

    def __init__(
        self,
        *,
        reader: Reader,
        projection: StatsSource,
        clock: Clock,
        observer: FeedObserver,
        owner: TaskOwner,
    ) -> None:
        self._reader = reader
        self._projection = projection
        self._clock = clock
        self._observer = observer
        self._owner = owner
        self._viewers: set[CompatibleViewer] = set()
        self._lists: dict[ListName, _List] = {"workflows": _List(), "stats": _List()}
        self._outdated = True
        self._reading = False
        self._ticked = False
        """What is being read is for everybody, not only for who just came."""
        self._timer: asyncio.TimerHandle | None = None
        self._gate = FrameGate(EVENTS_PER_S, float("-inf"))

    def join(self, viewer: CompatibleViewer) -> None:
        """Let a client in; it gets both lists as soon as they are read."""
        self._viewers.add(viewer)
        viewer.wire.on_ready = lambda: self._give(viewer) if viewer.owed else None
        if self._outdated:
            self._read()
        else:
            self._give(viewer)

    def leave(self, viewer: CompatibleViewer) -> None:
        """Forget a client."""
        self._viewers.discard(viewer)

    def publish(self, commit: Commit) -> None:
        """Note a commit, send its events at once and the lists with the next tick."""
        self._outdated = True
        if not self._viewers:
            return
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(LISTS_S, self._tick)
        for event in events_of(commit):
            if not self._gate.admits(loop.time()):
                break
            record = FleetEventFrame(
                data=event, timestamp=format_time(commit.at_us), revision=commit.revision
            )
            loop.call_soon(self._send_event, frame_of(record))

    def heartbeat(self) -> None:
        """Notice numbers over the last minutes and of today, which change without any commit."""
        kept = self._lists["stats"]
        if not self._viewers or self._timer is not None or not kept.version:
            return
        stats = self._projection.stats(self._clock.now_us())
        if encode(numbers_of(stats)) != kept.content:
            self._timer = asyncio.get_running_loop().call_later(LISTS_S, self._tick)

    def _send_event(self, frame: bytes) -> None:
        taken = sum(viewer.wire.offer(frame) for viewer in self._viewers if not viewer.new)
        self._observer.sent("event", taken)

    def _tick(self) -> None:
        self._timer = None
        if self._viewers:
            self._ticked = True
            self._read()

    def _read(self) -> None:
        if not self._reading:
            self._reading = True
            self._owner.spawn(self._renew(), name="monitor.lists")

    async def _renew(self) -> None:
        self._outdated = False
        everybody, self._ticked = self._ticked, False
        try:
            revision, workflows = await self._reader.read(_read_workflows)
        except Exception:
            logger.exception("Could not read the list of workflows")
            for viewer in self._viewers:
                viewer.close(SERVER_ERROR, "the store failed")
            self._outdated = True
            return
        finally:
            self._reading = False
        self._keep("workflows", workflows, workflows, revision)
        stats = self._projection.stats(self._clock.now_us())
        self._keep("stats", encode(stats), encode(numbers_of(stats)), stats.revision)
        for viewer in list(self._viewers):
            if everybody or viewer.new:
                self._give(viewer)

    def _keep(self, name: ListName, data: bytes, content: bytes, revision: int) -> None:
        kept = self._lists[name]
        if kept.version and kept.content == content:
            return
        frame = {
            "type": name,
            "data": msgspec.Raw(data),
            "timestamp": format_time(self._clock.now_us()),
            "revision": revision,
        }
        self._lists[name] = _List(kept.version + 1, content, text_frame(encode(frame)))

    def _give(self, viewer: CompatibleViewer) -> None:
        viewer.owed = False
        for name, kept in self._lists.items():
            if viewer.seen[name] == kept.version:
                continue
            if not viewer.wire.offer(kept.frame):
                viewer.owed = True
                return
            viewer.seen[name] = kept.version
            self._observer.sent(name, 1)


def _read_workflows(tx: ReadTx) -> tuple[int, bytes]:
    rows = workflow_lists.page(tx, Query(limit=ROWS))
    return tx.revision(), encode([workflows.summary(row) for row in rows])


def events_of(commit: Commit) -> list[FleetEvent]:
    """The changes of status, health, waiting and node status in a commit."""
    events = [event for run in commit.runs if (event := _of_workflow(run.before, run.after))]
    events += _of_logins(commit)
    events += [event for node in commit.nodes if (event := _of_node(node.before, node.after))]
    events += [event for task in commit.tasks if (event := _of_task(task.before, task.after))]
    return events


def _of_logins(commit: Commit) -> Iterator[FleetEvent]:
    for change in commit.kept:
        before = change.before if isinstance(change.before, ActionRow) else None
        after = change.after if isinstance(change.after, ActionRow) else None
        event = _of_workflow(before, after)
        if event is not None:
            yield event


def _of_workflow(before: WorkflowRow | None, after: WorkflowRow | None) -> FleetEvent | None:
    row = after if after is not None else before
    if row is None or (before and after and _standing(before) == _standing(after)):
        return None
    return FleetEvent(
        kind="workflow",
        id=row.id,
        workflow_type=workflows.type_of(row),
        change=_change(before, after),
        state=workflows.state_of(row),
        previous_state=None if before is None else workflows.state_of(before),
        status=row.status,
        health=row.health,
        node_id=row.node_id,
        name=row.name,
    )


def _standing(row: WorkflowRow) -> tuple[object, ...]:
    return row.status, row.health, row.wait, workflows.state_of(row)


def _of_node(before: NodeRow | None, after: NodeRow | None) -> FleetEvent | None:
    row = after if after is not None else before
    if row is None or (before and after and before.status == after.status):
        return None
    return FleetEvent(
        kind="node",
        id=row.id,
        change=_change(before, after),
        status=row.status,
        node_id=row.id,
        name=row.display_name,
    )


def _of_task(before: TaskRow | None, after: TaskRow | None) -> FleetEvent | None:
    row = after if after is not None else before
    if row is None or (before and after and before.status == after.status):
        return None
    return FleetEvent(
        kind="task",
        id=row.id,
        change=_change(before, after),
        status=row.status,
        name=row.name,
    )


def _change(before: object, after: object) -> Literal["created", "updated", "removed"]:
    if before is None:
        return "created"
    return "removed" if after is None else "updated"
