"""The life of a node: heartbeat, claims, directives, adoption after a restart, graceful stop."""

import asyncio
import contextlib
import logging
import shutil
import socket
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from runwatch_nodemanager.assignment import load_assignment
from runwatch_nodemanager.beat import Held, Reporter
from runwatch_nodemanager.ending import end_agents
from runwatch_nodemanager.execution import TOLD, Execution
from runwatch_nodemanager.instances.keeper import InstanceKeeper
from runwatch_nodemanager.link import AnswerError
from runwatch_nodemanager.logins.desk import LoginDesk
from runwatch_nodemanager.proxy_tests import ProxyTests
from runwatch_nodemanager.sessions.keeper import SessionKeeper
from runwatch_nodemanager.sweep import sweep
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.backoff import Backoff
from runwatch_shared.errors import RunwatchError, UnreachableError
from runwatch_shared.logs import log
from runwatch_shared.models import Run
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.wire import Directives, HeartbeatAnswer

logger: Final = logging.getLogger(__name__)

FATAL_CODES: Final = frozenset({"node_conflict", "node_deleted", "not_your_node"})
"""Answers after which this process must not go on as this node."""
LEAST_BEAT_S: Final = 0.5
LONGEST_BEAT_RETRY_S: Final = 5.0
"""Between heartbeats without an answer: whoever rests is woken by the first that has one."""
POLL_PAUSE_S: Final = 1.0
"""Between polls that bring nothing this node can take: it may be full."""
CLAIMING_PAUSE_S: Final = 0.1
SWEEP_S: Final = 600.0
COLLECT_S: Final = 15.0
FLUSH_S: Final = 3.0
"""How long at a stop the newest output may take to get to the server."""
FLUSH_LOOK_S: Final = 0.05
STOP_MARGIN_S: Final = 20.0
MAX_CRASHES: Final = 3


class NodeRefusedError(RunwatchError):
    """The server does not want this process as this node."""


class NodeManager:
    """One process of one node."""

    def __init__(
        self,
        workshop: Workshop,
        reporter: Reporter,
        sessions: SessionKeeper | None = None,
        instances: InstanceKeeper | None = None,
    ) -> None:
        self._shop = workshop
        self._instances = instances
        self._sessions = sessions
        self._reporter = reporter
        self._executions: dict[str, Execution] = {}
        self._changed = asyncio.Event()
        """Something a heartbeat should tell soon."""
        self._stop = asyncio.Event()
        self._stop_agents = workshop.settings.stop_agents
        self._beat_backoff = Backoff(first_s=LEAST_BEAT_S * 2, longest_s=LONGEST_BEAT_RETRY_S)
        self._poll_backoff = Backoff(first_s=POLL_PAUSE_S)
        self._asked_to_wait_s: float | None = None
        """By the server's last answer to a heartbeat."""
        self._drained = False
        self._refused_by: str | None = None
        self._never_started: set[str] = set()
        self._proxy_tests = ProxyTests(workshop.link, workshop.settings.proxy_test_allow)
        self._runs = TaskOwner("runs")
        self._logins = LoginDesk(workshop, on_change=self._accounts_changed)
        self._ended = asyncio.Event()
        self._freed = asyncio.Event()
        """A run ended here since this was cleared."""

    def stop(self, *, agents: bool = False) -> None:
        """Ask for the end. ``agents``: theirs too, whatever the settings say."""
        self._stop_agents = self._stop_agents or agents
        self._stop.set()

    async def run(self) -> None:
        """Until it is stopped.

        Raises:
            NodeRefusedError: The server does not want this process as this node.
        """
        shop = self._shop
        shop.metrics.capacity.set(shop.settings.capacity)
        shop.metrics.spool_limit_bytes.set(shop.settings.spool_limit_bytes)
        self._have_counted()
        async with self._runs, self._logins, TaskOwner("node") as loops:
            await asyncio.to_thread(self._reporter.look_at_agents)
            self._adopt_all()
            self._logins.adopt_all()
            loops.spawn(self._forever(self._beat, "heartbeat"), name="heartbeat")
            loops.spawn(self._forever(self._poll, "claim"), name="claim")
            loops.spawn(self._forever(self._sweep, "sweep"), name="sweep")
            loops.spawn(self._forever(self._proxy_tests.once, "proxy tests"), name="proxy tests")
            loops.spawn(self._forever(self._log_in, "logins"), name="logins")
            if self._sessions is not None:
                showing = partial(self._show_sessions, self._sessions)
                loops.spawn(self._forever(showing, "sessions"), name="sessions")
            if self._instances is not None:
                keeping = partial(self._keep_instances, self._instances)
                loops.spawn(self._forever(keeping, "instances"), name="instances")
            if shop.orphans:
                loops.spawn(self._forever(self._collect, "orphans"), name="orphans")
            await self._stop.wait()
            await self._wind_down(loops)
        if self._refused_by is not None:
            raise NodeRefusedError(
                f"the server refuses this process as node {shop.link.node_id}: {self._refused_by}"
            )

    async def _forever(self, once: Callable[[], Awaitable[None]], name: str) -> None:
        """A loop of this node must not end for one defect; each is told."""
        backoff = Backoff(first_s=1.0)
        while True:
            try:
                await once()
            except Exception:
                logger.exception("Could not go on with %s, trying again", name)
                await asyncio.sleep(backoff.next_s())
            else:
                backoff.reset()

    def _adopt_all(self) -> None:
        for path in sorted(self._shop.folder.runs.iterdir()):
            folder = self._shop.folder.run(path.name)
            assignment = load_assignment(folder)
            if assignment is None or assignment.phase == "claiming" or assignment.snapshot is None:
                # Whether it was claimed only the server knows; it was not started.
                self._never_started.add(path.name)
                shutil.rmtree(path, ignore_errors=True)
                continue
            execution = Execution(assignment.run_id, self._shop)
            self._carry_out(execution, execution.adopt(assignment))

    def _carry_out(self, execution: Execution, work: Coroutine[Any, Any, None]) -> None:
        self._executions[execution.run_id] = execution
        self._runs.spawn(self._watched(execution, work), name=f"run {execution.run_id}")

    async def _watched(self, execution: Execution, work: Coroutine[Any, Any, None]) -> None:
        """See a run through; after a defect of ours its log is read again from the checkpoint."""
        backoff = Backoff(first_s=1.0)
        try:
            while True:
                try:
                    await work
                except Exception:
                    logger.exception("Could not carry out run %s", execution.run_id)
                else:
                    return
                await asyncio.sleep(backoff.next_s())
                again = load_assignment(self._shop.folder.run(execution.run_id))
                if again is None or again.snapshot is None or backoff.tries > MAX_CRASHES:
                    await execution.abandon()
                    return
                execution = Execution(execution.run_id, self._shop)
                self._executions[execution.run_id] = execution
                work = execution.adopt(again)
        finally:
            self._executions.pop(execution.run_id, None)
            self._changed.set()
            self._ended.set()
            self._freed.set()

    def _have_counted(self) -> None:
        """Let the gauges of runs be counted whenever they are read, in the thread that serves."""

        def count(wanted: Callable[[Execution], bool]) -> Callable[[], float]:
            return lambda: sum(1 for held in list(self._executions.values()) if wanted(held))

        metrics = self._shop.metrics
        metrics.running.set_function(count(lambda held: held.begun))
        metrics.pending.set_function(count(lambda held: not held.begun))
        metrics.containers_running.set_function(count(lambda held: held.contained))

    @property
    def _room(self) -> int:
        return max(0, self._shop.settings.capacity - len(self._executions))

    async def _beat(self) -> None:
        """One heartbeat, and the pause after it."""
        self._changed.clear()
        answer = await self._beat_once("draining" if self._stop.is_set() else "online")
        if answer is None:
            # Nodes that lost their server at one moment must not come back at one moment.
            await asyncio.sleep(LEAST_BEAT_S + self._beat_backoff.next_s(self._asked_to_wait_s))
            return
        self._beat_backoff.reset()
        self._direct(answer.directives)
        if not self._reporter.reconciled:
            await self._reconcile()
        await asyncio.sleep(LEAST_BEAT_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._reporter.interval_s - LEAST_BEAT_S)):
                await self._changed.wait()

    async def _beat_once(self, status: str) -> HeartbeatAnswer | None:
        self._asked_to_wait_s = None
        held: dict[str, Held] = dict(self._executions)
        if self._sessions is not None:
            held |= self._sessions.by_run()
        try:
            return await self._reporter.beat(held, room=self._room, status=status)
        except AnswerError as error:
            if error.code in FATAL_CODES or (error.status == 403 and not self._reporter.known):
                self._refused_by = f"{error.code}: {error}"
                self._stop.set()
            self._asked_to_wait_s = error.retry_after_s
            return None
        except UnreachableError:
            return None

    async def _reconcile(self) -> None:
        """Once after the start: runs the server takes for ours of which nothing is left here."""
        try:
            answer = await self._shop.link.runs(wait_s=0, status="assigned,running")
        except (AnswerError, UnreachableError):
            return
        self._reporter.reconciled = True
        for run in answer.runs:
            claimed = run.claimed_at is not None and run.lease is not None
            if run.id in self._executions or not claimed or run.origin != "scheduled":
                continue
            execution = Execution(run.id, self._shop)
            never_started = run.id in self._never_started
            self._carry_out(execution, execution.take_up(run, never_started=never_started))

    async def _poll(self) -> None:
        """One long poll for new runs and directives, and the start of what there is room for."""
        if not self._reporter.known or self._stop.is_set():
            await asyncio.sleep(LEAST_BEAT_S)
            return
        backoff_s = POLL_PAUSE_S
        taken = 0
        self._freed.clear()
        try:
            answer = await self._shop.link.runs(wait_s=self._shop.settings.claim_wait_s)
        except AnswerError as error:
            await asyncio.sleep(LEAST_BEAT_S + self._poll_backoff.next_s(error.retry_after_s))
            return
        except UnreachableError:
            await self._shop.link.rest(LEAST_BEAT_S + self._poll_backoff.next_s())
            return
        else:
            self._poll_backoff.reset()
            self._direct(answer.directives)
            taken = sum(1 for run in answer.runs if self._take(run))
            if not answer.runs:
                return
            if all(run.id in self._executions for run in answer.runs):
                # They are being claimed; news about them must not wait.
                backoff_s = CLAIMING_PAUSE_S
        if not taken:
            # A run that ends meanwhile makes room for the one that was just assigned.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff_s):
                    await self._freed.wait()

    def _take(self, run: Run) -> bool:
        """Begin an assigned run if there is room; False if it is not for now or not new."""
        new = run.id not in self._executions and run.claimed_at is None
        if not new or self._room == 0 or self._drained or self._stop.is_set():
            return False
        execution = Execution(run.id, self._shop)
        self._carry_out(execution, execution.begin())
        return True

    def _direct(self, directives: Directives) -> None:
        self._drained = directives.drain
        self._proxy_tests.ask(directives.proxy_tests)
        for run_id in directives.cancel_runs:
            if execution := self._executions.get(run_id):
                execution.cancel(directives.cancel_reasons.get(run_id, "user"))
        for run_id in directives.lost_runs:
            if execution := self._executions.get(run_id):
                execution.lose(TOLD)
            elif self._sessions is not None:
                self._sessions.lose(run_id)

    def _accounts_changed(self) -> None:
        self._reporter.look_at_logins()
        self._changed.set()

    async def _log_in(self) -> None:
        """From when the server knows this node; what is under way is seen through at a stop too."""
        if not self._reporter.known or self._stop.is_set():
            await asyncio.sleep(LEAST_BEAT_S)
            return
        await self._logins.run_once()

    async def _show_sessions(self, sessions: SessionKeeper) -> None:
        """From when the server knows this node."""
        if not self._reporter.known:
            await asyncio.sleep(LEAST_BEAT_S)
            return
        await sessions.run()

    async def _keep_instances(self, instances: InstanceKeeper) -> None:
        """From when the server knows this node."""
        if not self._reporter.known:
            await asyncio.sleep(LEAST_BEAT_S)
            return
        await instances.run()

    async def _sweep(self) -> None:
        keep_s = self._shop.settings.keep_finished_s
        await asyncio.to_thread(sweep, self._shop.folder, self._shop.clock.now_us(), keep_s)
        await asyncio.to_thread(self._reporter.look_at_agents)
        await asyncio.sleep(SWEEP_S)

    async def _collect(self) -> None:
        """See whether containers can be had, and remove what no run has any more."""
        for collector in self._shop.orphans:
            await asyncio.to_thread(collector.look)
        await asyncio.to_thread(self._reporter.look_at_runtimes)
        await asyncio.sleep(COLLECT_S)

    async def _wind_down(self, loops: TaskOwner) -> None:
        """Asked, then bounded; agents run on under their supervisors unless they are to end."""
        log(
            logger,
            logging.INFO,
            "node",
            "Stopping",
            running=len(self._executions),
            reason="with its agents" if self._stop_agents else "agents run on",
        )
        if self._refused_by is None:
            self._changed.set()
        limit_s = FLUSH_S
        if self._stop_agents:
            limit_s = self._shop.settings.stop_grace_s + STOP_MARGIN_S
            for execution in list(self._executions.values()):
                execution.cancel("node_stopped")
            await self._logins.end(FLUSH_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._until_flushed()
        if self._stop_agents:
            # Those that could not be adopted in time, too.
            grace_s = self._shop.settings.stop_grace_s
            end = partial(end_agents, self._shop.folder, self._shop.runtime, grace_s=grace_s)
            await asyncio.to_thread(end)
        if self._refused_by is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._beat_once("draining")
        await loops.stop()

    async def _until_flushed(self) -> None:
        while not self._flushed():
            self._ended.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_LOOK_S):
                    await self._ended.wait()

    def _flushed(self) -> bool:
        if self._stop_agents:
            return not self._executions
        return all(execution.settled for execution in self._executions.values())


def host_name() -> str:
    return socket.gethostname()[:255]
