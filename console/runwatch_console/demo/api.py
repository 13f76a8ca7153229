"""The made-up fleet's answers to requests; what is written acts on it."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar, cast

import msgspec

from runwatch_console.demo import names
from runwatch_console.demo.asking import DemoAsking
from runwatch_console.demo.login import LoginLog
from runwatch_console.demo.server import LIMITS, DemoServer
from runwatch_console.demo.simrun import SimRun
from runwatch_console.demo.world import World
from runwatch_console.held.details import step_page, workflow_detail
from runwatch_console.held.lists import node_list, workflow_page
from runwatch_console.held.pages import event_page
from runwatch_console.ports import (
    ApiError,
    EventQuery,
    Method,
    NewTask,
    Query,
)
from runwatch_shared.ledger import LedgerAnswer
from runwatch_shared.models import (
    Agent,
    History,
    Prompt,
    QueueDetail,
    Run,
    RunId,
    Snapshot,
    Stats,
    Task,
    TaskRuns,
    WorkflowDetail,
    WorkflowSummary,
)
from runwatch_shared.timestamps import format_optional_time, format_time
from runwatch_shared.wire import (
    PROTOCOL,
    PROTOCOL_MIN,
    CancelAnswer,
    EventViewPage,
    LeaseSettings,
    NodeList,
    RunList,
    ServerAuth,
    ServerInfo,
    StepPage,
    TaskList,
    WorkflowList,
)

T = TypeVar("T")


class DemoApi:
    """See `ports.Api`."""

    def __init__(self, server: DemoServer) -> None:
        self._server = server
        self._asking = DemoAsking(server)

    async def aclose(self) -> None:
        """Nothing is open."""

    async def server_info(self) -> ServerInfo:
        """What a server says of itself."""
        server = self._server
        world = server.advance()
        return ServerInfo(
            version="demo",
            protocol=PROTOCOL,
            protocol_min=PROTOCOL_MIN,
            store=server.store,
            revision=world.revision,
            server_time=server.server_time,
            started_at=format_time(world.start_us),
            auth=ServerAuth(mode="local", scope=server.scope),
            limits=LIMITS,
            health_thresholds={
                "stalled_s": 300,
                "slow_s": 2700,
                "looping_calls": 4,
                "looping_window": 12,
                "stuck_queued_s": 600,
                "waiting_long_s": 3600,
            },
            lease=LeaseSettings(ttl_s=45, claim_s=30, lost_after_s=86400, cancel_grace_s=60),
            retention={},
            time_zone="UTC",
            features=["operations", "instances", "proxies"],
        )

    async def workflow(self, run_id: str) -> WorkflowDetail:
        """The row, and what its events tell."""
        log = self._server.log(run_id)
        if isinstance(log, LoginLog):
            return workflow_detail(self._login(run_id), log.rising(0))
        run = self._server.run(run_id)
        detail = None
        if run.queue_reason:
            detail = [
                QueueDetail(node_id=name, code=run.queue_code, text=run.queue_reason)  # type: ignore[arg-type]  # names
                for name in self._server.world.nodes
            ]
        row = run.summary(self._server.world.now_us)
        return workflow_detail(row, run.events, prompt=run.prompt, queue_detail=detail or ())

    async def workflows(
        self, query: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> WorkflowList:
        """One page."""
        self._server.advance()
        return workflow_page(self._server.holdings(), query, limit=limit, cursor=cursor)

    async def events(self, run_id: str, query: EventQuery) -> EventViewPage:
        """One page."""
        log = self._server.log(run_id)
        return event_page(
            log,
            query,
            total=log.last_seq,
            producer=log.node,
            server_time=self._server.server_time,
        )

    async def steps(self, run_id: str, *, after_seq: int, limit: int) -> StepPage:
        """One page."""
        if isinstance(self._server.log(run_id), LoginLog):
            return step_page(self._login(run_id), (), after_seq=after_seq, limit=limit)
        run = self._server.run(run_id)
        row = run.summary(self._server.world.now_us)
        return step_page(row, run.events, after_seq=after_seq, limit=limit)

    def _login(self, run_id: str) -> WorkflowSummary:
        return next(row for row in self._server.logins() if row.id == run_id)

    async def ask(
        self,
        method: Method,
        path: str,
        answer: type[T],
        *,
        query: Query | None = None,
        body: msgspec.Struct | None = None,
        keyed: bool = False,
        once: bool = False,
    ) -> T:
        """See `ports.Asking`."""
        found = self._asking.answer(method, path, query, body)
        return cast(T, found)

    async def stats(self) -> Stats:
        """The numbers."""
        self._server.advance()
        return self._server.stats()

    async def history(self, minutes: int) -> History:
        """The minutes."""
        self._server.advance()
        return self._server.history(minutes)

    async def nodes(self) -> NodeList:
        """All nodes."""
        self._server.advance()
        return node_list(self._server.holdings())

    async def ledger(self, node_id: str) -> LedgerAnswer:
        """What a node was given and runs."""
        world = self._server.advance()
        if node_id not in world.nodes:
            raise ApiError("not_found", "no such node", status=404)
        here = [run.id for run in world.active.values() if run.node == node_id]
        return world.nodes[node_id].ledger(here)

    async def tasks(
        self, query: Mapping[str, Sequence[str]], *, limit: int, cursor: str | None = None
    ) -> TaskList:
        """One page; each run has a task, and the cursor is the number of tasks before it."""
        world = self._server.advance()
        found: dict[str, Task] = {}
        for run in sorted(world.runs.values(), key=lambda run: -run.created_us):
            found.setdefault(run.task_id, _task(run, world))
        tasks = [task for task in found.values() if _wanted(task, query)]
        offset = int(cursor) if cursor is not None and cursor.isdecimal() else 0
        page = tasks[offset : offset + limit]
        more = offset + limit < len(tasks)
        return TaskList(
            tasks=page,
            count=len(page),
            total=len(tasks),
            total_exact=True,
            has_more=more,
            next_cursor=str(offset + limit) if more else None,
            revision=world.revision,
            server_time=self._server.server_time,
        )

    async def task_runs(self, task_id: str, *, limit: int, cursor: str | None = None) -> RunList:
        """The runs of a task, newest first."""
        world = self._server.advance()
        runs = [run for run in world.runs.values() if run.task_id == task_id]
        runs.sort(key=lambda run: -run.created_us)
        records = [_record(run) for run in runs[:limit]]
        return RunList(runs=records, count=len(records), next_cursor=None)

    # What is written acts on the made-up fleet.

    async def create_task(self, task: NewTask) -> Task:
        """A task that the next call may run."""
        self._server.allow_write()
        task_id = self._server.keep_task(task)
        now = self._server.server_time
        return Task(
            id=task_id,  # type: ignore[arg-type]  # a name
            name=task.name,
            status="pending",
            type=task.agent_type,
            agent=Agent(type=task.agent_type),
            prompt=Prompt(content=task.prompt),
            labels=dict(task.labels),
            priority=task.priority,
            retry_on_lost=False,
            runs=TaskRuns(total=0, active=0),
            created_at=now,
            updated_at=now,
            revision=self._server.world.revision,
        )

    async def create_run(self, task_id: str) -> Run:
        """It is queued and begins as soon as there is room."""
        self._server.allow_write()
        task = self._server.task(task_id)
        world = self._server.advance()
        run = world.new_run(_agent(task.agent_type), world.now_us, task.name)
        run.task_id, run.argv, run.prompt = task_id, task.argv, task.prompt
        run.labels |= dict(task.labels)
        return _record(run)

    async def cancel_run(self, run_id: str, note: str = "") -> CancelAnswer:
        """It ends a moment later."""
        self._server.allow_write()
        run = self._server.run(run_id)
        if run.ended and run.status != "cancelled":
            raise ApiError("run_finished", f"{run_id} has ended ({run.status})", status=409)
        if not run.ended:
            self._server.world.cancel(run)
        return CancelAnswer(
            status=run.status,  # type: ignore[arg-type]  # one of the seven
            cancelling=run.cancelling,
            run=_record(run),
        )

    async def retry_run(self, run_id: str) -> Run:
        """Another run of the same."""
        self._server.allow_write()
        old = self._server.run(run_id)
        if not old.ended:
            raise ApiError("run_active", f"{run_id} has not ended", status=409)
        world = self._server.world
        run = world.new_run(old.agent, world.now_us, old.name)
        run.task_id, run.argv, run.prompt, run.parent_id = old.task_id, old.argv, old.prompt, old.id
        return _record(run)


_TASK_STATUS: Final = {"done": "completed", "failed": "failed", "cancelled": "cancelled"}


def _task(run: SimRun, world: World) -> Task:
    runs = [each for each in world.runs.values() if each.task_id == run.task_id]
    return Task(
        id=run.task_id,  # type: ignore[arg-type]  # a name
        name=run.name,
        status=_TASK_STATUS.get(run.status, "in_progress"),  # type: ignore[arg-type]  # of five
        type=run.agent.type,
        agent=Agent(type=run.agent.type, model=run.agent.model or None),
        prompt=Prompt(content=run.prompt),
        labels=run.labels,
        priority=0,
        retry_on_lost=False,
        runs=TaskRuns(
            total=len(runs),
            active=sum(1 for each in runs if not each.ended),
            last_run_id=RunId(run.id),
            last_status=run.status,  # type: ignore[arg-type]  # one of the seven
        ),
        created_at=format_time(min(each.created_us for each in runs)),
        updated_at=format_time(run.updated_us),
        revision=run.revision,
    )


def _wanted(task: Task, query: Mapping[str, Sequence[str]]) -> bool:
    if (statuses := query.get("status")) and task.status not in statuses:
        return False
    words = [word.casefold() for word in query.get("q", ())]
    return all(word in f"{task.id} {task.name}".casefold() for word in words)


def _agent(agent_type: str) -> names.AgentKind:
    return next((kind for kind in names.AGENTS if kind.type == agent_type), names.CLAUDE)


def _record(run: SimRun) -> Run:
    return Run(
        id=run.id,  # type: ignore[arg-type]  # a name
        task_id=run.task_id,  # type: ignore[arg-type]  # a name
        attempt=1,
        status=run.status,  # type: ignore[arg-type]  # one of the seven
        origin="scheduled",
        controllable=True,
        agent_type=run.agent.type,
        node_id=run.node or None,  # type: ignore[arg-type]  # a name
        parent_id=run.parent_id,  # type: ignore[arg-type]  # a name
        labels=run.labels,
        priority=0,
        retry_on_lost=False,
        created_at=format_time(run.created_us),
        started_at=format_optional_time(run.started_us),
        finished_at=format_optional_time(run.ended_us),
        updated_at=format_time(run.updated_us),
        first_seq=run.first_seq,
        last_seq=run.last_seq,
        event_count=run.last_seq,
        seq_holes=0,
        usage=None,
        tool_calls=run.tool_calls,
        tool_failures=run.tool_failures,
        revision=run.revision,
        snapshot=Snapshot(
            task_id=run.task_id,  # type: ignore[arg-type]  # a name
            name=run.name,
            agent=Agent(type=run.agent.type),
            prompt=run.prompt,
            labels=run.labels,
        ),
    )
