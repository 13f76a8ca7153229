"""Requests answered from a recording, as it was at the moment that is shown; nothing is written."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NoReturn, TypeVar

import msgspec

from runwatch_console.held.details import READ_EVENTS, step_page, workflow_detail
from runwatch_console.held.lists import node_list, workflow_page
from runwatch_console.held.pages import event_page
from runwatch_console.ports import ApiError, EventQuery, Method, NewTask, Query
from runwatch_console.recording.reader import RunEventsAt
from runwatch_console.replay.player import Player
from runwatch_shared.ledger import LedgerAnswer
from runwatch_shared.models import Event, History, Run, Stats, Task, WorkflowDetail, WorkflowSummary
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

T = TypeVar("T")


class RecordedApi:
    """See the module and `ports.Api`."""

    def __init__(self, player: Player) -> None:
        self._player = player

    async def aclose(self) -> None:
        """Let the file go."""
        self._player.recording.close()

    async def server_info(self) -> ServerInfo:
        """What a server says of itself is not recorded."""
        raise _not_recorded()

    async def workflow(self, run_id: str) -> WorkflowDetail:
        """The row, and what its recorded events tell."""
        return workflow_detail(self._row(run_id), await self._newest(run_id))

    async def steps(self, run_id: str, *, after_seq: int, limit: int) -> StepPage:
        """Tool calls of the newest recorded events."""
        row, events = self._row(run_id), await self._newest(run_id)
        return step_page(row, events, after_seq=after_seq, limit=limit)

    async def workflows(
        self, query: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> WorkflowList:
        """The rows of the moment."""
        return workflow_page(self._player.fleet, query, limit=limit, cursor=cursor)

    async def events(self, run_id: str, query: EventQuery) -> EventViewPage:
        """The recorded events up to the moment; none of a run that was not recorded."""
        row = self._row(run_id)
        log = self._log(run_id)
        return await asyncio.to_thread(
            event_page,
            log,
            query,
            total=log.last_seq,
            producer=row.node_id or "",
            server_time=self._player.fleet.server_time,
        )

    async def stats(self) -> Stats:
        """The numbers of the moment."""
        stats = self._player.fleet.stats
        if stats is None:
            raise _not_recorded()
        return stats

    async def history(self, minutes: int) -> History:
        """The minutes that were played."""
        return self._player.minutes.history(minutes, self._player.fleet.server_time)

    async def nodes(self) -> NodeList:
        """The nodes of the moment."""
        return node_list(self._player.fleet)

    async def ledger(self, node_id: str) -> LedgerAnswer:
        """Ledgers are not recorded, but for their numbers."""
        raise _not_recorded()

    async def tasks(
        self, query: Mapping[str, Sequence[str]], *, limit: int, cursor: str | None = None
    ) -> TaskList:
        """Tasks are not recorded."""
        raise _not_recorded()

    async def task_runs(self, task_id: str, *, limit: int, cursor: str | None = None) -> RunList:
        """See `tasks`."""
        raise _not_recorded()

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
        """Nothing beyond the feed is recorded, and nothing can be done to it."""
        if method != "GET":
            _refuse()
        raise _not_recorded()

    async def create_task(self, task: NewTask) -> Task:
        """Refused."""
        _refuse()

    async def create_run(self, task_id: str) -> Run:
        """Refused."""
        _refuse()

    async def cancel_run(self, run_id: str, note: str = "") -> CancelAnswer:
        """Refused."""
        _refuse()

    async def retry_run(self, run_id: str) -> Run:
        """Refused."""
        _refuse()

    def _row(self, run_id: str) -> WorkflowSummary:
        row = self._player.fleet.runs.get(run_id)
        if row is None:
            raise ApiError("not_found", f"{run_id} is not in the recording here", status=404)
        return row

    async def _newest(self, run_id: str) -> list[Event]:
        log = self._log(run_id)
        newest = await asyncio.to_thread(lambda: list(islice(log.falling(None), READ_EVENTS)))
        newest.reverse()
        return newest

    def _log(self, run_id: str) -> RunEventsAt:
        return self._player.recording.events(run_id, self._player.playhead.position_s)


def _refuse() -> NoReturn:
    raise ApiError("read_only", "a recording can only be looked at", status=403)


def _not_recorded() -> ApiError:
    return ApiError("not_recorded", "the recording does not hold it", status=404)
