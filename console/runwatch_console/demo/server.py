"""The made-up fleet as a server would tell it: frames, numbers and records of the moment it has
reached; who asks for them is in `feed` and `api`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from runwatch_console.demo.login import LoginLog
from runwatch_console.demo.logins import Kept
from runwatch_console.demo.machines import LOGIN_ID, login_row
from runwatch_console.demo.numbers import past_minute, world_stats
from runwatch_console.demo.simrun import SimRun
from runwatch_console.demo.wish import Wish
from runwatch_console.demo.world import World
from runwatch_console.held.holdings import Holdings
from runwatch_console.held.minutes import Minutes
from runwatch_console.ports import (
    ApiError,
    NewTask,
)
from runwatch_shared.clock import Clock, SystemClock
from runwatch_shared.models import (
    Account,
    History,
    Node,
    Scope,
    Stats,
    WorkflowSummary,
)
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time
from runwatch_shared.wire import (
    MONITOR_HEARTBEAT_S,
    PROTOCOL,
    PROTOCOL_MIN,
    AccountChanges,
    ChangeFrame,
    HelloFrame,
    NodeChanges,
    SnapshotFrame,
    SubscribeFrame,
    WorkflowChanges,
    WorkflowKey,
)

PART_ROWS: Final = 500
LIMITS: Final = {"max_rows": 5000, "max_batch_events": 1000}


class Known:
    """What a reader of the feed was told of what has no place among the changes."""

    def __init__(self, rows: Mapping[str, str], accounts: Sequence[Account]) -> None:
        self.logins = dict(rows)
        """Status and phase of each login by id."""
        self.accounts = {account.id: account for account in accounts}
        self.stats = ""


def _standing(row: WorkflowSummary) -> str:
    """What a change of makes a login worth telling again."""
    return f"{row.status} {row.metadata.get('phase')} {row.metadata.get('user_code')}"


class DemoServer:
    """One world, and the moment it has reached; all parts below look at it."""

    def __init__(self, wish: Wish, *, clock: Clock | None = None, read_only: bool = False) -> None:
        self.scope: Scope = "viewer" if read_only else "operator"
        self.clock = clock or SystemClock()
        self.wish = wish
        self.world = World(wish, self.clock.now_us())
        self.store = f"{wish.seed:016x}"
        self._minutes = Minutes()
        self._stats: tuple[int, Stats] | None = None
        self._tasks: dict[str, NewTask] = {}
        self.kept = Kept(self.world.now_us)

    def advance(self) -> World:
        """The world now."""
        self.world.advance(self.clock.now_us())
        return self.world

    @property
    def server_time(self) -> str:
        """As far as the world came."""
        return format_time(self.world.now_us)

    def stats(self) -> Stats:
        """At most a second old."""
        second = self.world.now_us // MICROSECONDS_PER_SECOND
        if self._stats is None or self._stats[0] != second:
            self._stats = (second, world_stats(self.world, revision=self.world.revision))
            self._minutes.note(self._stats[1])
        return self._stats[1]

    @property
    def _blocked(self) -> int:
        return sum(1 for run in self.world.runs.values() if run.queue_code == "login_missing")

    def login(self) -> WorkflowSummary:
        """The one login that waits all the time."""
        world = self.world
        return login_row(self.wish, world.start_us, world.now_us, self._blocked)

    def logins(self) -> list[WorkflowSummary]:
        """It, and those that somebody began here."""
        now_us, revision = self.world.now_us, self.world.revision
        begun = [login.row(now_us, revision) for login in self.kept.begun.values()]
        return [self.login(), *begun]

    def ended(self, action_id: str) -> bool:
        """Whether a login that was begun here is over."""
        row = self.kept.begun[action_id].row(self.world.now_us, self.world.revision)
        return row.end_time is not None

    def accounts(self) -> list[Account]:
        """As they are now."""
        return self.kept.accounts(self.world.now_us, self._blocked)

    def known(self) -> Known:
        """What a reader who has just had a snapshot was told."""
        return Known({row.id: _standing(row) for row in self.logins()}, self.accounts())

    def node(self, node_id: str) -> Node:
        """A node as it is now."""
        world = self.world
        return world.nodes[node_id].record(
            allocated=world.allocated(node_id), now_us=world.now_us, revision=world.nodes_revision
        )

    def holdings(self) -> Holdings:
        """All rows."""
        fleet = Holdings()
        for frame in self.snapshot(SubscribeFrame(id=1)):
            fleet.take(frame)
        return fleet

    def hello(self) -> HelloFrame:
        """The first frame of the feed."""
        return HelloFrame(
            protocol=PROTOCOL,
            protocol_min=PROTOCOL_MIN,
            revision=self.world.revision,
            store=self.store,
            server_time=self.server_time,
            heartbeat_s=MONITOR_HEARTBEAT_S,
            version="demo",
            scope=self.scope,
            limits=LIMITS,
            resumed=False,
        )

    def snapshot(self, subscription: SubscribeFrame) -> list[SnapshotFrame]:
        """All rows, those that need somebody first, in parts."""
        world = self.world
        topics = subscription.topics or ["workflows", "nodes", "stats"]
        rows = [*self.logins(), *(run.summary(world.now_us) for run in world.runs.values())]
        rows.sort(key=lambda row: (row.attention, row.update_time, row.id), reverse=True)
        total = len(rows)
        rows = rows[: subscription.limit] if "workflows" in topics else []
        parts = [rows[i : i + PART_ROWS] for i in range(0, len(rows), PART_ROWS)] or [[]]
        frames = []
        for number, part in enumerate(parts, start=1):
            last = number == len(parts)
            first = number == 1
            frames.append(
                SnapshotFrame(
                    sub=subscription.id,
                    revision=world.revision,
                    server_time=self.server_time,
                    part=number,
                    last=last,
                    workflows=part,
                    nodes=[self.node(n) for n in world.nodes]
                    if first and "nodes" in topics
                    else None,
                    accounts=self.accounts() if first and "accounts" in topics else None,
                    stats=self.stats() if first and "stats" in topics else None,
                    total=total if last else None,
                )
            )
        return frames

    def change(
        self, previous: int, subscription: SubscribeFrame, known: Known
    ) -> ChangeFrame | None:
        """What changed after a revision; None for nothing."""
        world = self.world
        topics = subscription.topics or ["workflows", "nodes", "stats"]
        rows = [run.summary(world.now_us) for run in world.changed_since(previous)]
        rows += self._login_changes(known)
        accounts = self._account_changes(known) if "accounts" in topics else None
        gone = world.removed_since(previous)
        nodes = None
        if "nodes" in topics and world.nodes_revision > previous:
            nodes = NodeChanges(upsert=[self.node(node_id) for node_id in world.nodes], remove=[])
        stats = self.stats()
        fresh = "stats" in topics and stats.server_time != known.stats
        if world.revision == previous and not (fresh or rows or accounts):
            return None
        known.stats = stats.server_time
        remove = [WorkflowKey(type="run", id=run_id) for run_id in gone]
        return ChangeFrame(
            sub=subscription.id,
            previous=previous,
            revision=world.revision,
            server_time=self.server_time,
            workflows=WorkflowChanges(upsert=rows, remove=remove)
            if "workflows" in topics and (rows or remove)
            else None,
            nodes=nodes,
            accounts=accounts,
            stats=stats if fresh else None,
            entered=0,
            left=0,
            total=len(world.runs) + 1 + len(self.kept.begun),
        )

    def _login_changes(self, known: Known) -> list[WorkflowSummary]:
        rows = [row for row in self.logins() if known.logins.get(row.id) != _standing(row)]
        known.logins |= {row.id: _standing(row) for row in rows}
        return rows

    def _account_changes(self, known: Known) -> AccountChanges | None:
        now = {account.id: account for account in self.accounts()}
        changed = [account for key, account in now.items() if known.accounts.get(key) != account]
        gone = [key for key in known.accounts if key not in now]
        known.accounts = now
        return AccountChanges(upsert=changed, remove=gone) if changed or gone else None

    def history(self, minutes: int) -> History:
        """The minutes that were lived through, and before them those of the past."""
        self.stats()
        lived = self._minutes.history(minutes, self.server_time)
        last = self.world.now_us // (60 * MICROSECONDS_PER_SECOND)
        begin = self.world.start_us // (60 * MICROSECONDS_PER_SECOND)
        for offset in range(minutes):
            minute = last - minutes + 1 + offset
            if minute < begin:
                for name, value in past_minute(self.world, minute).items():
                    lived.series[name][offset] = value
        return lived

    def run(self, run_id: str) -> SimRun:
        """
        Raises:
            ApiError: There is none.
        """
        run = self.advance().runs.get(run_id)
        if run is None:
            raise ApiError("not_found", f"no run {run_id}", status=404)
        return run

    def log(self, run_id: str) -> SimRun | LoginLog:
        """The events of a run or of the login.

        Raises:
            ApiError: There is none.
        """
        self.advance()
        if run_id == LOGIN_ID:
            return LoginLog(self.login())
        if (login := self.kept.begun.get(run_id)) is not None:
            now_us = self.world.now_us
            steps = [(phase, format_time(at_us)) for at_us, _, phase in login.steps(now_us)]
            return LoginLog(login.row(now_us, self.world.revision), steps)
        return self.run(run_id)

    def allow_write(self) -> None:
        """
        Raises:
            ApiError: It was asked for to be looked at only.
        """
        if self.scope == "viewer":
            raise ApiError("forbidden", "this fleet is read-only", status=403)

    def keep_task(self, task: NewTask) -> str:
        """A task is made; gives its id."""
        task_id = f"task-{self.world.chance.randrange(16**12):012x}"
        self._tasks[task_id] = task
        return task_id

    def task(self, task_id: str) -> NewTask:
        """
        Raises:
            ApiError: There is none.
        """
        if task_id not in self._tasks:
            raise ApiError("not_found", f"no task {task_id}", status=404)
        return self._tasks[task_id]
