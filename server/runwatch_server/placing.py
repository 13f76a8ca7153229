"""Which queued run goes to which node next: the waiting line, the fleet, and a plan from both.

Pure: nothing here reads or writes a store. A plan is a proposal; `scheduler` checks every move of
it in the transaction that makes it. What is kept by need makes the cost follow what changed, not
how long the line is. Source: contract 12.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

import msgspec

from runwatch_server.fitting import (
    NO_SEATS,
    Need,
    Reason,
    Seat,
    Seats,
    Survey,
    explain,
    need_of,
    survey,
)
from runwatch_server.rows import NodeRow, RunRow

LAPSED_LAST_US: Final = 60_000_000
"""How long a node that let a claim lapse is tried last."""

Order = tuple[int, int, str]
"""(-priority, created_us, id): the smaller is served first."""


class Plan(NamedTuple):
    """What to do next, in order."""

    assignments: list[tuple[str, str]]
    """(run id, node id)"""
    reasons: list[tuple[str, Reason]]
    """(run id, why it waits), only where that is news."""
    more: bool
    """Whether there is more to do once this is done."""


class Line:
    """The queued runs in the order they are served, grouped by need."""

    def __init__(self) -> None:
        self._groups: dict[Need, _Group] = {}
        self._places: dict[str, tuple[Need, Order, Reason]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def put(self, row: RunRow) -> bool:
        """Take in a queued run or its newest row; whether its place is new."""
        need = need_of(row)
        order = (-row.priority, row.created_us, row.id)
        reason = Reason(row.queue_reason_code or "placing", row.queue_reason or "")
        known = self._places.get(row.id)
        if known == (need, order, reason):
            return False
        self.drop(row.id)
        self._places[row.id] = (need, order, reason)
        self._groups.setdefault(need, _Group()).add(order, reason)
        return known is None or known[:2] != (need, order)

    def drop(self, run_id: str) -> None:
        """Forget a run that is not queued any more; unknown ones are no matter."""
        known = self._places.pop(run_id, None)
        if known is None:
            return
        need, order, reason = known
        group = self._groups[need]
        group.remove(order, reason)
        if not group.order:
            del self._groups[need]

    def groups(self) -> "Iterator[tuple[Need, _Group]]":
        """Needs with the runs that have them."""
        yield from self._groups.items()


class _Group:
    """Runs of one need: in order, and by the reason their rows show."""

    def __init__(self) -> None:
        self.order: list[Order] = []
        self._shown: dict[Reason, dict[str, None]] = {}

    def add(self, order: Order, reason: Reason) -> None:
        insort(self.order, order)
        self._shown.setdefault(reason, {})[order[2]] = None

    def remove(self, order: Order, reason: Reason) -> None:
        del self.order[bisect_left(self.order, order)]
        shown = self._shown[reason]
        del shown[order[2]]
        if not shown:
            del self._shown[reason]

    def showing_other(self, reason: Reason) -> Iterator[str]:
        """Runs whose row shows another reason."""
        for shown, run_ids in self._shown.items():
            if shown != reason:
                yield from run_ids


class Fleet:
    """The nodes with their instances, and what is known of how they stand to each need."""

    def __init__(self, nodes: Iterable[NodeRow] = (), seats: Seats = NO_SEATS) -> None:
        self.nodes: dict[str, NodeRow] = {node.id: node for node in nodes}
        self.seats: dict[str, Seat] = dict(seats)
        self._surveys: dict[Need, Survey] = {}

    def put(self, node: NodeRow) -> bool:
        """Take in a node; whether runs may be placeable, or wait for another reason, since."""
        before = self.nodes.get(node.id)
        self.nodes[node.id] = node
        if before is None or _suiting(before) != _suiting(node):
            self._surveys.clear()
            return True
        free, free_before = node.capacity - node.allocated, before.capacity - before.allocated
        return free > free_before or node.capacity != before.capacity

    def drop(self, node_id: str) -> bool:
        """Forget a node; whether it was known."""
        self._surveys.clear()
        return self.nodes.pop(node_id, None) is not None

    def seat(self, instance_id: str, seat: Seat | None) -> bool:
        """Take in an instance, or forget it; whether anything is different since."""
        if self.seats.get(instance_id) == seat:
            return False
        if seat is None:
            del self.seats[instance_id]
        else:
            self.seats[instance_id] = seat
        for need in [need for need in self._surveys if need.instance_id == instance_id]:
            del self._surveys[need]
        return True

    def survey(self, need: Need) -> Survey:
        """How the nodes stand to a need; kept until a node changes in what it can do."""
        found = self._surveys.get(need)
        if found is None:
            in_order = [self.nodes[node_id] for node_id in sorted(self.nodes)]
            found = self._surveys[need] = survey(need, in_order, self.seats)
        return found

    def keep(self, needs: Iterable[Need]) -> None:
        """Forget surveys of needs that no run has any more."""
        wanted = set(needs)
        for need in [need for need in self._surveys if need not in wanted]:
            del self._surveys[need]


def plan(line: Line, fleet: Fleet, now_us: int, *, limit: int) -> Plan:
    """The next assignments and reasons, at most ``limit`` of them.

    Runs are served by priority, then created, then id; one that fits nowhere holds up nobody. Of
    the nodes that suit, the one with most free slots is taken, then the least recently given, then
    by id; a node that let a claim lapse comes last for a minute (contract 12).
    """
    slots = _Slots(fleet, now_us)
    heads: list[tuple[Order, Need, int]] = []
    groups = dict(line.groups())
    for need, group in groups.items():
        if slots.any_free and slots.open(need):
            heads.append((group.order[0], need, 0))
    heapify(heads)
    assignments: list[tuple[str, str]] = []
    while heads and len(assignments) < limit:
        order, need, position = heappop(heads)
        node_id = slots.take(need)
        if node_id is None:
            continue
        assignments.append((order[2], node_id))
        following = position + 1
        if following < len(groups[need].order):
            heappush(heads, (groups[need].order[following], need, following))
    if heads:
        return Plan(assignments, [], more=True)
    reasons, more = _news(groups, fleet, slots, assignments, limit - len(assignments))
    fleet.keep(groups)
    return Plan(assignments, reasons, more)


def _news(
    groups: "dict[Need, _Group]",
    fleet: Fleet,
    slots: "_Slots",
    assignments: list[tuple[str, str]],
    limit: int,
) -> tuple[list[tuple[str, Reason]], bool]:
    """Reasons that rows do not show yet, at most ``limit``, and whether there are more."""
    placed = {run_id for run_id, _ in assignments}
    reasons: list[tuple[str, Reason]] = []
    for need, group in groups.items():
        reason = explain(need, fleet.survey(need), slots.nodes, fleet.seats)
        for run_id in group.showing_other(reason):
            if run_id in placed:
                continue
            if len(reasons) >= limit:
                return reasons, True
            reasons.append((run_id, reason))
    return reasons, False


Rank = tuple[bool, int, int, str]
"""(let a claim lapse, -free slots, last given, id): the smaller is taken first."""


class _Slots:
    """Free slots while a plan is made. A node's rank only gets worse, so each need may keep a heap
    of ranks that is put right when its best one is looked at.
    """

    def __init__(self, fleet: Fleet, now_us: int) -> None:
        self.nodes = dict(fleet.nodes)
        """As they will be after the plan."""
        self._fleet = fleet
        self._now_us = now_us
        self._heaps: dict[Need, list[Rank]] = {}
        self._given = 0
        self.any_free = any(node.allocated < node.capacity for node in self.nodes.values())

    def open(self, need: Need) -> bool:
        """Look for nodes for a need; whether there is one."""
        suited = (self.nodes[node_id] for node_id in self._fleet.survey(need).suited)
        heap = [self._rank(node) for node in suited if node.allocated < node.capacity]
        heapify(heap)
        self._heaps[need] = heap
        return bool(heap)

    def take(self, need: Need) -> str | None:
        """The best node for a need, one slot of it taken; None when no slot is left."""
        heap = self._heaps[need]
        while heap:
            best = heap[0]
            node = self.nodes[best[3]]
            if node.allocated >= node.capacity:
                heappop(heap)
                continue
            rank = self._rank(node)
            if rank != best:
                heappop(heap)
                heappush(heap, rank)
                continue
            self._given += 1
            self.nodes[node.id] = msgspec.structs.replace(
                node, allocated=node.allocated + 1, last_given_us=self._now_us + self._given
            )
            return node.id
        return None

    def _rank(self, node: NodeRow) -> Rank:
        lapsed = node.lapsed_us > 0 and self._now_us < node.lapsed_us + LAPSED_LAST_US
        return (lapsed, node.allocated - node.capacity, node.last_given_us, node.id)


def _suiting(node: NodeRow) -> tuple[object, ...]:
    """What decides which needs a node suits."""
    return (
        node.status,
        node.admin_status,
        node.agents,
        node.logins,
        node.accounts,
        node.refused,
        node.reported_labels,
        node.set_labels,
    )
