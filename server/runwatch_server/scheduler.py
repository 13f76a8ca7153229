"""Giving queued runs to nodes: a plan from what commits told, checked and made in a transaction.

What fits and why not is in `fitting`, the choice in `placing`. Source: contract 12.
"""

import asyncio
import logging
import time
from collections import Counter
from typing import Final, Protocol

import msgspec

from runwatch_server import transitions
from runwatch_server.fitting import lasting_misfit, need_of, queue_detail
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.instances.seats import seat_of, seats_of
from runwatch_server.placing import Fleet, Line, Plan, plan
from runwatch_server.rows import SourceRow
from runwatch_server.steady import keep_going
from runwatch_server.storage.protocols import Commit, Query, Reader, ReadTx, Writer, WriteTx
from runwatch_shared.clock import Clock
from runwatch_shared.logs import log
from runwatch_shared.models import NodeId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.tasks import TaskOwner

logger: Final = logging.getLogger(__name__)

__all__ = ["Scheduler", "SchedulerObserver", "carry_out", "place", "queue_detail"]

MOST_MOVES: Final = 200
"""Assignments and reasons written in one transaction; more follow in the next."""
LINE_PAGE: Final = 1000
EVERY_S: Final = 15.0
REST_SHARE: Final = 2.0
LONGEST_REST_S: Final = 0.5
"""After a cycle the scheduler rests as long as twice the cycle took, at most this: planning for a
huge fleet leaves the event loop to others."""


class SchedulerObserver(Protocol):
    """What the scheduler's metrics want to know."""

    def cycle(self, seconds: float, assigned: int) -> None: ...


def place(tx: WriteTx, settings: ServerSettings, *, limit: int = MOST_MOVES) -> int:
    """Assign what fits and say of the rest why it waits, at most ``limit`` moves.

    Looks at the first thousand queued runs; `Scheduler` knows the whole line.

    Returns:
        How many runs were assigned.
    """
    line, fleet = Line(), Fleet(tx.nodes.all(), seats_of(tx.kept(InstanceRow)))
    for row in tx.runs.queued(limit=LINE_PAGE):
        line.put(row)
    return carry_out(tx, plan(line, fleet, tx.now_us, limit=limit), settings=settings)


def carry_out(tx: WriteTx, moves: Plan, *, settings: ServerSettings) -> int:
    """Make the moves of a plan that still hold; a run cancelled or a node filled meanwhile wins.

    Returns:
        How many runs were assigned.
    """
    assigned = 0
    for run_id, node_id in moves.assignments:
        assigned += _assign(tx, run_id, node_id, assigned, settings)
    for run_id, reason in moves.reasons:
        row = tx.runs.get(run_id)
        if row is None or row.status != "queued":
            continue
        if (row.queue_reason_code, row.queue_reason) != (reason.code, reason.text):
            told = msgspec.structs.replace(
                row, queue_reason=reason.text, queue_reason_code=reason.code
            )
            transitions.change_run(tx, row, told, settings=settings)
    return assigned


def _assign(tx: WriteTx, run_id: str, node_id: str, index: int, settings: ServerSettings) -> bool:
    """Give a run to a node if it is still queued and the node still suits and has a free slot."""
    row, node = tx.runs.get(run_id), tx.nodes.get(node_id)
    if row is None or node is None or row.status != "queued":
        return False
    seats = seat_of(tx.kept(InstanceRow), row.agent_instance_id)
    if node.allocated >= node.capacity or lasting_misfit(need_of(row), node, seats) is not None:
        return False
    # The index keeps the order of one transaction: all of it happens at one moment.
    tx.nodes.save(msgspec.structs.replace(node, last_given_us=tx.now_us + index))
    assigned = msgspec.structs.replace(
        row,
        status="assigned",
        node_id=NodeId(node_id),
        assigned_us=tx.now_us,
        queue_reason=None,
        queue_reason_code=None,
        source=SourceRow(kind="scheduler", at_us=tx.now_us),
    )
    transitions.change_run(tx, row, assigned, settings=settings)
    return True


class Scheduler:
    """The task that places runs: at once when something changed that may help, and every 15 s.

    It follows commits (`on_commit`) and never reads the queue again, so a cycle costs what changed.
    Used in the event loop only.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        reader: Reader,
        clock: Clock,
        settings: ServerSettings,
        observer: SchedulerObserver | None = None,
        every_s: float = EVERY_S,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._settings = settings
        self._observer = observer
        self._every_s = every_s
        self._line = Line()
        self._fleet = Fleet()
        self._missed: list[Commit] | None = None
        """Commits that come while everything is read anew."""
        self._woken = asyncio.Event()

    def load(self, tx: ReadTx) -> None:
        """Take the line and the fleet from the store; before the first commit."""
        self._line, self._fleet = _known(tx)
        self.wake()

    def on_commit(self, commit: Commit) -> None:
        """Follow a commit, and wake when a run may have become placeable."""
        if self._missed is not None:
            self._missed.append(commit)
            return
        if self._follow(commit):
            self.wake()

    def instances(self) -> Counter[str]:
        """How many instances there are in each status."""
        return Counter(seat.status for seat in self._fleet.seats.values())

    def wake(self) -> None:
        """Run a cycle as soon as possible."""
        self._woken.set()

    def follow(self, settings: ServerSettings) -> None:
        """Go by other settings from the next step on."""
        self._settings = settings

    def start(self, owner: TaskOwner) -> None:
        """Start the task; its owner ends it."""
        owner.spawn(keep_going(self._step, name="scheduler"), name="scheduler")

    async def cycle(self) -> int:
        """Plan and carry out until nothing is left to do; gives how many runs were assigned."""
        total = 0
        failed: list[tuple[str, str]] = []
        while True:
            begun = time.perf_counter()
            moves = plan(self._line, self._fleet, self._clock.now_us(), limit=MOST_MOVES)
            planned_s = time.perf_counter() - begun
            assigned = 0
            if moves.assignments or moves.reasons:
                assigned = await self._carry_out(moves)
            total += assigned
            if self._observer is not None:
                self._observer.cycle(time.perf_counter() - begun, assigned)
            log(
                logger,
                logging.DEBUG,
                "scheduler",
                "A round is done",
                assigned=assigned,
                duration_ms=(time.perf_counter() - begun) * 1000,
            )
            await asyncio.sleep(min(planned_s * REST_SHARE, LONGEST_REST_S))
            if moves.assignments and not assigned and moves.assignments == failed:
                # What commits told and what is stored differ: a defect, but no reason to spin.
                await self._reload()
                return total
            failed = moves.assignments
            if not moves.more and assigned == len(moves.assignments):
                return total

    async def _step(self) -> None:
        try:
            async with asyncio.timeout(self._every_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
        try:
            await self.cycle()
        except Exception:
            self.wake()
            raise

    async def _carry_out(self, moves: Plan) -> int:
        return await self._writer.write(lambda tx: carry_out(tx, moves, settings=self._settings))

    async def _reload(self) -> None:
        """Read everything anew; commits that come meanwhile are followed afterwards."""
        missed = self._missed = []
        revision = -1
        try:
            (line, fleet), revision = await self._reader.read(_known_at)
            self._line, self._fleet = line, fleet
        finally:
            self._missed = None
            for commit in missed:
                if commit.revision > revision:
                    self._follow(commit)

    def _follow(self, commit: Commit) -> bool:
        """Keep line and fleet current; whether a run may be placeable now that was not before."""
        helps = False
        for run in commit.runs:
            before, after = run.before, run.after
            if after is not None and after.status == "queued":
                helps |= self._line.put(after)
            elif before is not None:
                self._line.drop(before.id)
            # A run queued and given away, or ended, in one commit was never in the line.
        for change in commit.nodes:
            if change.after is not None:
                helps |= self._fleet.put(change.after)
            elif change.before is not None:
                helps |= self._fleet.drop(change.before.id)
        for kept in commit.kept:
            if isinstance(kept.after, InstanceRow):
                helps |= self._fleet.seat(kept.after.id, kept.after.seat)
            elif isinstance(kept.before, InstanceRow):
                helps |= self._fleet.seat(kept.before.id, None)
        return helps


def _known_at(tx: ReadTx) -> tuple[tuple[Line, Fleet], int]:
    return _known(tx), tx.revision()


def _known(tx: ReadTx) -> tuple[Line, Fleet]:
    """The whole line and fleet as stored."""
    line = Line()
    query = Query(status=("queued",), sort="start_time", descending=False, limit=LINE_PAGE)
    while True:
        rows = tx.runs.page(query)
        for row in rows:
            line.put(row)
        if len(rows) < LINE_PAGE:
            return line, Fleet(tx.nodes.all(), seats_of(tx.kept(InstanceRow)))
        last = rows[-1]
        query = msgspec.structs.replace(query, after=(last.created_us, last.id))
