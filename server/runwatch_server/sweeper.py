"""What happens because time passed: lapsed claims, ended leases, deadlines, silent nodes; runs with
too many events. What is removed when it is old is in `retention`.

Everything is found by an index or in the fleet's nodes, so a sweep costs what is due. The rules
themselves are in `leases`, `nodes` and `health`; this is when they apply.
Source: contract 6.3, 8.2, 8.3 and 11.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

import msgspec

from runwatch_server import health, leases, ledger, nodes, retention, runs, transitions
from runwatch_server.accounts import sweeping
from runwatch_server.node_reports import is_silent
from runwatch_server.otlp import ending
from runwatch_server.rows import NodeRow, RunRow
from runwatch_server.steady import keep_going
from runwatch_server.storage.protocols import Query, Writer, WriteTx
from runwatch_shared.clock import Clock
from runwatch_shared.logs import log
from runwatch_shared.settings import Retention, ServerSettings
from runwatch_shared.states import HEALTH_FLAGS, is_terminal
from runwatch_shared.tasks import TaskOwner

logger: Final = logging.getLogger(__name__)

SECOND_US: Final = 1_000_000
MOST_DUE: Final = 200
"""Leases, and runs, looked at in one transaction; more follow in the next."""
_FLAGS: Final = tuple(flag for flag in HEALTH_FLAGS if flag != "ok")
MOST_REMOVED: Final = retention.PIECE_ROWS
"""Events removed in one transaction, so that nobody waits long for it."""
PRUNE_EVERY_S: Final = 60.0
MOST_PRUNED: Final = 1000
KEPT_DAYS_S: Final = 8 * 86400
KEPT_SESSIONS_S: Final = 86400
KEPT_TELEMETRY_S: Final = 7 * 86400
"""Of sessions known by telemetry, after the last record: what was taken is known so long."""
JUMP_S: Final = 5.0
"""How far the wall clock may stray from the monotonic one between sweeps before it counts as set,
or the machine as suspended: then nobody could renew anything."""


class Swept(NamedTuple):
    """What one sweep found."""

    leases: int
    runs: int
    nodes: int
    removed: int
    """Events beyond what one run may keep."""
    more: bool
    """Whether it stopped at its limit."""


def sweep(
    tx: WriteTx,
    *,
    settings: ServerSettings,
    amnesty: bool = False,
    node_ids: Iterable[str] = (),
    limit: int = MOST_DUE,
) -> Swept:
    """Do what is due now.

    Args:
        amnesty: Nobody is held to account for silence: the server has just started (contract 8.3).
        node_ids: Nodes that may be silent or have a drain that is over; see `candidates`.
    """
    expired = [] if amnesty else tx.leases.expired(tx.now_us, limit=limit)
    for lease in expired:
        leases.expire(tx, lease, settings=settings)
    changed = removed = 0
    due = tx.runs.due(tx.now_us, limit=limit)
    for row in due:
        gone = 0
        if removed < MOST_REMOVED:
            most = MOST_REMOVED - removed
            gone = retention.trim(tx, row, settings.retention, limit=most)
            removed += gone
        if not gone and not is_terminal(row.status):
            changed += apply_due(tx, row, settings=settings, amnesty=amnesty)
    if not amnesty:
        ending.sweep(tx, settings=settings)
    more_logins = sweeping.sweep(tx)
    touched = sum(
        _sweep_node(tx, node_id, settings=settings, amnesty=amnesty) for node_id in node_ids
    )
    more = len(expired) >= limit or removed >= MOST_REMOVED or (len(due) >= limit and changed > 0)
    more = more or more_logins
    return Swept(len(expired), changed, touched, removed, more)


def apply_due(tx: WriteTx, row: RunRow, *, settings: ServerSettings, amnesty: bool) -> bool:
    """Do what is due for one run; whether anything changed.

    Args:
        row: As stored now.
        amnesty: Only the deadline and health are judged.
    """
    after = row
    if not amnesty:
        after = _end_patience(tx, row, settings)
    if after is row and row.cancel is None and _over(row.deadline_us, tx.now_us):
        after = runs.cancel_run(
            tx, row.id, reason="timeout", by_name="server", note=None, settings=settings
        )
    if after is row:
        judged = health.judge(row, tx.now_us, settings.health)
        if judged is not row:
            after = transitions.change_run(tx, row, judged, settings=settings)
    return after is not row


def candidates(
    fleet: Collection[NodeRow], now_us: int, settings: ServerSettings, *, amnesty: bool
) -> list[str]:
    """Nodes a sweep must look at: newly silent, with a drain whose time is over, or with a slot
    whose run was due to be reported.
    """
    return [
        node.id
        for node in fleet
        if _over(node.stop_after_us, now_us)
        or (
            not amnesty
            and node.status != "offline"
            and (_over(node.ledger_due_us, now_us) or is_silent(node, now_us, settings))
        )
    ]


def prune(tx: WriteTx, kept: Retention, *, limit: int = MOST_PRUNED) -> int:
    """Remove what is kept for a time only (contract 1.3); gives how many rows went."""

    def before(seconds: int) -> int:
        return tx.now_us - seconds * SECOND_US

    gone = tx.telemetry.prune(before(KEPT_TELEMETRY_S), limit=limit)
    return gone + tx.housekeeping.prune(
        minutes_before_us=before(kept.minute_buckets_s),
        days_before_us=before(KEPT_DAYS_S),
        tombstones_before_us=before(kept.tombstones_s),
        replays_before_us=before(kept.idempotency_s),
        sessions_before_us=before(KEPT_SESSIONS_S),
        limit=limit,
    )


def look_again(tx: WriteTx, settings: ServerSettings) -> bool:
    """Judge anew what was judged under other thresholds, if they are not those of the last time.

    Flags that came too early go at once. Every active run is made due, so that the sweep sets what
    should be there sooner. Gives whether the thresholds were other ones.
    """
    if not tx.housekeeping.look_again(msgspec.json.encode(settings.health).decode()):
        return False
    query = Query(health=_FLAGS, sort="start_time", descending=False, limit=MOST_DUE)
    while rows := tx.runs.page(query):
        for row in rows:
            judged = health.judge(row, tx.now_us, settings.health)
            if judged is not row:
                transitions.change_run(tx, row, judged, settings=settings)
        query = msgspec.structs.replace(query, after=(rows[-1].created_us, rows[-1].id))
    return True


def _end_patience(tx: WriteTx, row: RunRow, settings: ServerSettings) -> RunRow:
    """The run after its holder did not do in time what it had to; the same where it still may."""
    now_us, times = tx.now_us, settings.lease
    if row.lease_kind is None:
        lapsed = row.status == "assigned" and _after(row.assigned_us, times.claim_s, now_us)
        return leases.lapse(tx, row, settings=settings) if lapsed else row
    if row.cancel is not None and now_us >= health.cancel_ends_us(row.cancel, settings):
        return leases.end_cancelled(tx, row, settings=settings)
    kept_s = times.requeue_after_s if row.retry_on_lost else times.lost_after_s
    if _after(row.lease_ended_us, kept_s, now_us):
        return leases.lose(tx, row, settings=settings)
    return row


def _after(since_us: int | None, seconds: int, now_us: int) -> bool:
    return since_us is not None and now_us >= since_us + seconds * SECOND_US


def _sweep_node(tx: WriteTx, node_id: str, *, settings: ServerSettings, amnesty: bool) -> bool:
    node = tx.nodes.get(node_id)
    if node is None:
        return False
    touched = False
    if not amnesty and node.status != "offline" and is_silent(node, tx.now_us, settings):
        node = nodes.go_offline(tx, node, settings=settings)
        touched = True
    if not amnesty and node.status != "offline" and _over(node.ledger_due_us, tx.now_us):
        node = tx.nodes.save(ledger.judged(node, tx.now_us))
        touched = True
    if _over(node.stop_after_us, tx.now_us):
        nodes.stop_runs(tx, node, by_name="server", settings=settings)
        touched = True
    return touched


def _over(moment_us: int | None, now_us: int) -> bool:
    return moment_us is not None and now_us >= moment_us


class Sweeper:
    """The task that sweeps every second and prunes every minute.

    For one TTL after the server starts, and after its clock was set or the machine slept, nobody is
    held to account for silence: the nodes could not reach the server.

    Args:
        fleet: The nodes as last committed (`Projection.nodes`).
        on_removed: Told how many events went, each time some did.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        clock: Clock,
        settings: ServerSettings,
        fleet: Callable[[], Collection[NodeRow]],
        on_removed: Callable[[int], None] = lambda events: None,
        every_s: float = 1.0,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._settings = settings
        self._fleet = fleet
        self._on_removed = on_removed
        self._every_s = every_s
        self._seen = (clock.now_us(), clock.monotonic())
        self._amnesty_until_s = clock.monotonic() + settings.lease.ttl_s
        self._prune_at_s = clock.monotonic()
        self._looked_again = False

    def follow(self, settings: ServerSettings) -> None:
        """Go by other settings from the next step on."""
        self._settings = settings

    def start(self, owner: TaskOwner) -> None:
        """Start the task; its owner ends it."""
        owner.spawn(keep_going(self._step, name="sweeper"), name="sweeper")

    @property
    def amnesty(self) -> bool:
        """Whether nobody is held to account for silence now."""
        return self._clock.monotonic() < self._amnesty_until_s

    async def sweep(self) -> Swept:
        """Do everything that is due now."""
        self._watch_clock()
        if not self._looked_again:
            await self._writer.write(lambda tx: look_again(tx, self._settings))
            self._looked_again = True
        total = Swept(0, 0, 0, 0, more=True)
        while total.more:
            amnesty = self.amnesty
            node_ids = candidates(
                self._fleet(), self._clock.now_us(), self._settings, amnesty=amnesty
            )
            swept = await self._writer.write(_sweeping(self._settings, amnesty, node_ids))
            total = Swept(
                total.leases + swept.leases,
                total.runs + swept.runs,
                total.nodes + swept.nodes,
                total.removed + swept.removed,
                swept.more,
            )
            if swept.removed:
                self._on_removed(swept.removed)
        if total.removed:
            log(
                logger,
                logging.INFO,
                "retention",
                "Events beyond what a run may keep are removed",
                event="trimmed",
                rows=total.removed,
            )
        if self._clock.monotonic() >= self._prune_at_s:
            await self._prune()
        return total

    async def _step(self) -> None:
        await asyncio.sleep(self._every_s)
        await self.sweep()

    async def _prune(self) -> None:
        gone = await self._writer.write(lambda tx: prune(tx, self._settings.retention))
        await self._writer.write(lambda tx: sweeping.prune(tx, self._settings, limit=MOST_PRUNED))
        if gone < MOST_PRUNED:
            self._prune_at_s = self._clock.monotonic() + PRUNE_EVERY_S

    def _watch_clock(self) -> None:
        wall_us, monotonic_s = self._clock.now_us(), self._clock.monotonic()
        passed_s = (wall_us - self._seen[0]) / SECOND_US
        if abs(passed_s - (monotonic_s - self._seen[1])) > JUMP_S:
            self._amnesty_until_s = monotonic_s + self._settings.lease.ttl_s
        self._seen = (wall_us, monotonic_s)


def _sweeping(
    settings: ServerSettings, amnesty: bool, node_ids: list[str]
) -> Callable[[WriteTx], Swept]:
    return lambda tx: sweep(tx, settings=settings, amnesty=amnesty, node_ids=node_ids)
