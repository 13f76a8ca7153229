"""Waking nodes that wait for work: a bell a node, rung by the commits that concern it.

What a node is told is read by `polls`; here is only that there is something, and the runs it lost
(the one directive no row of the store can tell once the run is elsewhere).
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from runwatch_server.instances.rows import InstanceRow
from runwatch_server.rows import NodeRow, RunRow
from runwatch_server.storage.protocols import Commit, NodeChange, RunChange
from runwatch_shared.models import RunId

MOST_LOST: Final = 1000
"""Lost runs kept for a node that does not ask; its heartbeats tell it about the others."""


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Directives that no wait was ended by yet."""

    cancelled: bool = False
    drain: bool = False
    tests: bool = False
    """Proxies are to be tested."""
    lost_runs: tuple[RunId, ...] = ()
    first: bool = False
    """No wait of this node came before, so whatever it is told has ended none."""

    @property
    def any(self) -> bool:
        """Whether there is a directive at all."""
        return self.cancelled or self.drain or self.tests or bool(self.lost_runs)


class Bell:
    """One wait of one node, from before it looks until it is answered."""

    def __init__(self, bells: "Doorbells", node_id: str) -> None:
        self._bells = bells
        self._node_id = node_id
        self.rung = asyncio.Event()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for something to happen; False when nothing did in time.

        What happened since the bell was hung up, or since the last `wait`, counts.
        """
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self.rung.wait()
        except TimeoutError:
            return False
        self.rung.clear()
        return True

    def take(self) -> News:
        """The directives nobody was told yet; each ends one wait only."""
        return self._bells.take(self._node_id)


class Doorbells:
    """The bells of all nodes. Used in the event loop only.

    Directives are kept for nodes that have waited before; a node that is deleted or offline is
    forgotten, since its next heartbeat tells it everything.
    """

    def __init__(self) -> None:
        self._bells: dict[str, set[Bell]] = {}
        self._of_instances: dict[str, set[Bell]] = {}
        self._lost: dict[str, dict[RunId, None]] = {}
        self._cancelled: set[str] = set()
        self._draining: set[str] = set()
        self._testing: set[str] = set()
        self._first: set[str] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the server is stopping: no wait lasts any longer."""
        return self._closed

    @contextmanager
    def listen(self, node_id: str) -> Iterator[Bell]:
        """A bell for one wait. Hang it up before looking, so that nothing is missed between."""
        bell = Bell(self, node_id)
        self._bells.setdefault(node_id, set()).add(bell)
        if node_id not in self._lost:
            self._lost[node_id] = {}
            self._first.add(node_id)
        if self._closed:
            bell.rung.set()
        try:
            yield bell
        finally:
            bells = self._bells.get(node_id, set())
            bells.discard(bell)
            if not bells:
                self._bells.pop(node_id, None)

    @contextmanager
    def listen_for_instances(self, node_id: str) -> Iterator[Bell]:
        """A bell for one wait for instances, which have no directives: nothing is to be taken."""
        bell = Bell(self, node_id)
        bells = self._of_instances.setdefault(node_id, set())
        bells.add(bell)
        if self._closed:
            bell.rung.set()
        try:
            yield bell
        finally:
            bells.discard(bell)
            if not bells and self._of_instances.get(node_id) is bells:
                del self._of_instances[node_id]

    def take(self, node_id: str) -> News:
        """See `Bell.take`."""
        lost = self._lost.get(node_id, {})
        news = News(
            cancelled=node_id in self._cancelled,
            drain=node_id in self._draining,
            tests=node_id in self._testing,
            lost_runs=tuple(lost),
            first=node_id in self._first,
        )
        lost.clear()
        self._cancelled.discard(node_id)
        self._draining.discard(node_id)
        self._testing.discard(node_id)
        self._first.discard(node_id)
        return news

    def on_commit(self, commit: Commit) -> None:
        """Ring whoever a commit concerns."""
        for run in commit.runs:
            self._of_run(run)
        for node in commit.nodes:
            self._of_node(node)
        for kept in commit.kept:
            row = kept.after or kept.before
            if isinstance(row, InstanceRow):
                self._ring_for_instances(row.node_id)

    def ring_all(self) -> None:
        """End every wait, now and from now on: the server stops."""
        self._closed = True
        for node_id in list(self._bells):
            self._ring(node_id)
        for node_id in list(self._of_instances):
            self._ring_for_instances(node_id)

    def _of_run(self, change: RunChange) -> None:
        before, after = change.before, change.after
        if after is not None and after.node_id is not None:
            if _unclaimed(after) and (before is None or not _same_place(before, after)):
                self._ring(after.node_id)
            asked = after.cancel is not None and (before is None or before.cancel is None)
            if asked and after.lease_kind is not None and after.node_id in self._lost:
                self._cancelled.add(after.node_id)
                self._ring(after.node_id)
        if before is None or before.node_id is None or before.lease_kind is None:
            return
        if after is None or _taken(before, after):
            self._lose(before.node_id, before.id)

    def _lose(self, node_id: str, run_id: RunId) -> None:
        lost = self._lost.get(node_id)
        if lost is None:
            return
        lost[run_id] = None
        if len(lost) > MOST_LOST:
            del lost[next(iter(lost))]
        self._ring(node_id)

    def _of_node(self, change: NodeChange) -> None:
        before, after = change.before, change.after
        node: NodeRow | None = before if after is None else after
        if node is None or node.id not in self._lost:
            return
        if after is None or after.status == "offline":
            if node.id not in self._bells:
                self._forget(node.id)
            if after is None:
                self._ring(node.id)
        elif after.admin_status != "active" and (
            before is None or before.admin_status != after.admin_status
        ):
            self._draining.add(node.id)
            self._ring(node.id)
        elif set(after.proxy_tests) - set(() if before is None else before.proxy_tests):
            self._testing.add(node.id)
            self._ring(node.id)

    def _forget(self, node_id: str) -> None:
        self._lost.pop(node_id, None)
        self._first.discard(node_id)
        self._cancelled.discard(node_id)
        self._draining.discard(node_id)
        self._testing.discard(node_id)

    def _ring_for_instances(self, node_id: str) -> None:
        for bell in self._of_instances.get(node_id, ()):
            bell.rung.set()

    def _ring(self, node_id: str) -> None:
        for bell in self._bells.get(node_id, ()):
            bell.rung.set()


def _unclaimed(row: RunRow) -> bool:
    return row.status == "assigned" and row.lease_kind is None


def _same_place(before: RunRow, after: RunRow) -> bool:
    return before.status == after.status and before.node_id == after.node_id


def _taken(before: RunRow, after: RunRow) -> bool:
    """Whether the server took the run from the node that held it."""
    if before.epoch == after.epoch:
        return False
    return after.lease_kind is None or after.node_id != before.node_id
