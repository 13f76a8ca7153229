"""A feed, a run's events and an API that do what a test tells them; no network."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from runwatch_console.held.holdings import Holdings
from runwatch_console.held.lists import workflow_page
from runwatch_console.ports import (
    ApiError,
    Connected,
    Connection,
    EventQuery,
    FeedItem,
    Frame,
    Method,
    NewTask,
    Query,
    RunItem,
    Target,
)
from runwatch_shared.ledger import LedgerAnswer
from runwatch_shared.models import (
    Agent,
    Event,
    History,
    Prompt,
    Run,
    Snapshot,
    Stats,
    Step,
    Task,
    TaskRuns,
    WorkflowDetail,
    WorkflowSummary,
)
from runwatch_shared.wire import (
    CancelAnswer,
    EventViewPage,
    NodeList,
    RunList,
    ServerInfo,
    StepPage,
    TaskList,
    WorkflowList,
)
from tests.console import records

T = TypeVar("T")
TARGET = Target(
    context="prod", server_url="https://127.0.0.1:8080", credential="token file ~/.runwatch/token"
)


class ScriptedFeed:
    """Yields what `say` is given."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[FeedItem] = asyncio.Queue()
        self.retries = 0

    def say(self, *items: Any) -> None:
        """Items of the feed; a wire frame is wrapped."""
        wrapped = (Connected, Frame)
        for item in items:
            is_item = isinstance(item, wrapped) or type(item).__module__.endswith(
                ("ports", "feeditems")
            )
            self.items.put_nowait(item if is_item else Frame(frame=item))

    async def frames(self) -> AsyncIterator[FeedItem]:
        while True:
            yield await self.items.get()

    def retry_now(self) -> None:
        self.retries += 1


class ScriptedRunEvents:
    """Live items by run; `open` counts the sockets that are open, `opened` names them all."""

    def __init__(self) -> None:
        self.queues: dict[str, asyncio.Queue[RunItem]] = {}
        self.opened: list[tuple[str, int | None]] = []
        self.open = 0

    def say(self, run_id: str, *items: RunItem) -> None:
        queue = self.queues.setdefault(run_id, asyncio.Queue())
        for item in items:
            queue.put_nowait(item)

    async def follow(self, run_id: str, from_seq: int | None) -> AsyncIterator[RunItem]:
        self.opened.append((run_id, from_seq))
        self.open += 1
        queue = self.queues.setdefault(run_id, asyncio.Queue())
        try:
            while True:
                yield await queue.get()
        finally:
            self.open -= 1


class ScriptedApi:
    """Answers from what it holds; `refuse` makes a call fail; `calls` keeps what was asked."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Event]] = {}
        self.details: dict[str, WorkflowDetail] = {}
        self.ledgers: dict[str, LedgerAnswer] = {}
        self.steps_of: dict[str, list[Step]] = {}
        self.task_list: list[Task] = []
        self.workflow_list: list[WorkflowSummary] = []
        self.runs_of_task: dict[str, list[Run]] = {}
        self.refusals: dict[str, ApiError] = {}
        self.answers: dict[tuple[str, str], Any] = {}
        """What `ask` answers, by method and path; a callable gets the body."""
        self.calls: list[tuple[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.half_hour: History = records.history()

    def refuse(self, call: str, error: ApiError) -> None:
        self.refusals[call] = error

    async def _called(self, call: str, what: Any) -> None:
        self.calls.append((call, what))
        await self.gate.wait()
        await asyncio.sleep(0)
        if call in self.refusals:
            raise self.refusals[call]

    def asked(self, call: str) -> list[Any]:
        return [what for name, what in self.calls if name == call]

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
        await self._called(f"{method} {path}", body if body is not None else query)
        if (method, path) not in self.answers:
            raise ApiError("not_found", f"{path} is not scripted", status=404)
        found = self.answers[method, path]
        return cast(T, found(body) if callable(found) else found)

    async def server_info(self) -> ServerInfo:
        await self._called("server_info", None)
        return records.server_info()

    async def workflow(self, run_id: str) -> WorkflowDetail:
        await self._called("workflow", run_id)
        if run_id not in self.details:
            raise ApiError("not_found", "no such run", status=404)
        return self.details[run_id]

    async def workflows(
        self, query: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> WorkflowList:
        await self._called("workflows", (dict(query), limit, cursor))
        held = Holdings()
        held.runs = {row.id: row for row in self.workflow_list}
        return workflow_page(held, query, limit=limit, cursor=cursor)

    async def events(self, run_id: str, query: EventQuery) -> EventViewPage:
        await self._called("events", query)
        log = self.logs.get(run_id, [])
        wanted = [each for each in log if _matches(each, query)]
        if query.tail:
            chosen = wanted[-query.limit :]
        elif query.before_seq is not None:
            chosen = [each for each in wanted if each.seq < query.before_seq][-query.limit :]
        else:
            chosen = [each for each in wanted if each.seq > (query.after_seq or 0)][: query.limit]
        before = bool(chosen and log and chosen[0].seq > log[0].seq)
        after = bool(chosen and log and chosen[-1].seq < log[-1].seq)
        return records.page(chosen, has_before=before, has_after=after, total=len(log))

    async def steps(self, run_id: str, *, after_seq: int, limit: int) -> StepPage:
        await self._called("steps", (run_id, after_seq, limit))
        steps = self.steps_of.get(run_id, [])
        found = [step for step in steps if (step.seq or 0) > after_seq]
        return StepPage(steps=found[:limit], total=len(steps))

    async def stats(self) -> Stats:
        return records.stats()

    async def history(self, minutes: int) -> History:
        await self._called("history", minutes)
        return self.half_hour

    async def nodes(self) -> NodeList:
        raise ApiError("not_found", "not scripted", status=404)

    async def ledger(self, node_id: str) -> LedgerAnswer:
        if node_id not in self.ledgers:
            raise ApiError("not_found", "not scripted", status=404)
        return self.ledgers[node_id]

    async def tasks(
        self, query: Mapping[str, Sequence[str]], *, limit: int, cursor: str | None = None
    ) -> TaskList:
        await self._called("tasks", (dict(query), limit, cursor))
        statuses = [each for value in query.get("status", ()) for each in value.split(",")]
        words = "".join(query.get("q", ()))
        found = [
            each
            for each in self.task_list
            if (not statuses or each.status in statuses) and words in each.name
        ]
        start = int(cursor or 0)
        more = start + limit < len(found)
        return TaskList(
            tasks=found[start : start + limit],
            count=len(found[start : start + limit]),
            total=len(found),
            total_exact=True,
            has_more=more,
            next_cursor=str(start + limit) if more else None,
            revision=1,
            server_time=records.at(),
        )

    async def task_runs(self, task_id: str, *, limit: int, cursor: str | None = None) -> RunList:
        await self._called("task_runs", task_id)
        begin = int(cursor or 0)
        found = self.runs_of_task.get(task_id, [])
        runs = found[begin : begin + limit]
        more = str(begin + limit) if begin + limit < len(found) else None
        return RunList(runs=runs, count=len(runs), next_cursor=more)

    async def create_task(self, task: NewTask) -> Task:
        await self._called("create_task", task)
        return Task(
            id="task-0000000000aa",  # type: ignore[arg-type]
            name=task.name,
            status="pending",
            type=task.agent_type,
            agent=Agent(type=task.agent_type),
            prompt=Prompt(content=task.prompt),
            labels={},
            priority=0,
            retry_on_lost=False,
            runs=TaskRuns(total=0, active=0),
            created_at=records.at(),
            updated_at=records.at(),
            revision=9,
        )

    async def create_run(self, task_id: str) -> Run:
        await self._called("create_run", task_id)
        return _run("run-0000000000aa", task_id)

    async def cancel_run(self, run_id: str, note: str = "") -> CancelAnswer:
        await self._called("cancel_run", run_id)
        return CancelAnswer(status="running", cancelling=True, run=_run(run_id, "task-1"))

    async def retry_run(self, run_id: str) -> Run:
        await self._called("retry_run", run_id)
        return _run("run-0000000000bb", "task-1")


def _matches(event: Event, query: EventQuery) -> bool:
    if query.levels and event.level not in query.levels:
        return False
    if query.types and event.type not in query.types:
        return False
    return not query.q or query.q.casefold() in bytes(event.payload).decode().casefold()


def _run(run_id: str, task_id: str) -> Run:
    return Run(
        id=run_id,  # type: ignore[arg-type]
        task_id=task_id,  # type: ignore[arg-type]
        attempt=1,
        status="queued",
        origin="scheduled",
        controllable=True,
        agent_type="command",
        labels={},
        priority=0,
        retry_on_lost=False,
        created_at=records.at(),
        updated_at=records.at(),
        first_seq=0,
        last_seq=0,
        event_count=0,
        seq_holes=0,
        usage=None,
        tool_calls=0,
        tool_failures=0,
        revision=9,
        snapshot=Snapshot(
            task_id=task_id,  # type: ignore[arg-type]
            name="x",
            agent=Agent(type="command"),
            prompt="",
            labels={},
        ),
    )


class Script:
    """All three, as one connection."""

    def __init__(self) -> None:
        self.feed = ScriptedFeed()
        self.run_events = ScriptedRunEvents()
        self.api = ScriptedApi()
        self.connects = 0

    def connect(self) -> Connection:
        self.connects += 1
        return Connection(feed=self.feed, run_events=self.run_events, api=self.api)

    def say_fleet(self) -> None:
        """Hello and a fleet with something of everything, with logs and details."""
        rows = records.fleet_rows()
        self.api.task_list = records.fleet_tasks()
        self.api.workflow_list = rows
        for row in rows:
            log = records.run_events(60, max(1, row.last_seq - 59))
            self.api.logs[row.id] = log
            self.api.details[row.id] = records.detail(row)
            self.api.runs_of_task["task-000000000000"] = [
                records.run("run-51aa00c4d2e1", "running", attempt=2, node_id="n2"),
                records.run("run-44deaa001122", "failed", exit_code=137, error="killed"),
            ]
            self.api.steps_of[row.id] = records.steps_of(log, other=len(row.name) % 2)
        self.feed.say(
            Connected(hello=records.hello()),
            records.snapshot(rows, records.fleet_nodes(), total=5_140),
        )
