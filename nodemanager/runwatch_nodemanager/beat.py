"""Makes this node's heartbeats, and takes from the answers what concerns leases."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from runwatch_nodemanager.identity import own_addresses
from runwatch_nodemanager.link import AnswerError
from runwatch_nodemanager.logins.states import LoginStates, with_accounts
from runwatch_nodemanager.runtimes.contained_offers import offers_of
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.errors import UnreachableError
from runwatch_shared.logs import log
from runwatch_shared.models import AgentOffer, Login, Spool
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time
from runwatch_shared.wire import Heartbeat, HeartbeatAnswer, ReportedCapacity, ReportedRun

logger: Final = logging.getLogger(__name__)

LEAST_ANSWER_S: Final = 5.0
"""A heartbeat is waited for as long as until the next one is due, but not less than this: on a
connection that died in silence it must not cost the leases.
"""


class Held(Protocol):
    """A run this node holds: one it executes, or a session it found."""

    @property
    def epoch(self) -> int: ...

    def reported(self) -> ReportedRun | None: ...

    def spooled(self) -> tuple[int, int, int | None]: ...

    def renew(self, *, sent_at: float, ttl_s: float) -> None: ...


class Reporter:
    """Tells the server how this node is."""

    def __init__(self, workshop: Workshop, *, hostname: str, version: str) -> None:
        self._shop = workshop
        self._hostname = hostname
        self._version = version
        self._addresses = own_addresses()
        self._installed: list[AgentOffer] = []
        self._offers: list[AgentOffer] = []
        self._runtimes = [workshop.runtime.name]
        self._states = LoginStates(workshop)
        self._logins: list[Login] = []
        self._started_at = format_time(workshop.clock.now_us())
        self._failures = 0
        self.interval_s = workshop.settings.heartbeat_s
        self.known = False
        """Whether the server has answered a heartbeat of this process."""
        self.reconciled = False
        """Whether what the server takes for ours was compared with what is here."""

    def look_at_agents(self) -> None:
        """See which agents are installed. Blocks, for seconds."""
        self._installed = self._shop.agents.offers()
        self.look_at_runtimes()

    def look_at_runtimes(self) -> None:
        """See which runtimes can be had. Blocks, for seconds if an engine does not answer."""
        shop = self._shop
        self._runtimes = shop.runtime.offers()
        self._offers = offers_of(
            self._installed, shop.placement, self._runtimes, shop.settings.default_agent
        )

    def look_at_logins(self) -> None:
        """See how the logins of this node are. Reads what has changed; blocks briefly."""
        self._logins = self._states.look()

    async def beat(
        self, executions: Mapping[str, Held], *, room: int, status: str
    ) -> HeartbeatAnswer:
        """One heartbeat.

        Raises:
            AnswerError: The server refused it.
            UnreachableError: There was no answer.
        """
        shop, metrics = self._shop, self._shop.metrics
        spool = await asyncio.to_thread(self._spool, list(executions.values()))
        await asyncio.to_thread(self.look_at_logins)
        reported = [run for execution in executions.values() if (run := execution.reported())]
        now = shop.clock.now_us()
        beat = Heartbeat(
            node_id=shop.link.node_id,
            process_id=shop.link.process_id,
            started_at=self._started_at,
            time=format_time(now),
            status="draining" if status == "draining" else "online",
            hostname=self._hostname,
            ips=self._addresses,
            labels=shop.settings.labels,
            version=self._version,
            capacity=ReportedCapacity(max_concurrent=shop.settings.capacity, available=room),
            runtimes=self._runtimes,
            agents=with_accounts(self._offers, self._logins),
            logins=self._logins,
            spool=spool,
            runs=reported,
            orphans=[orphan for collector in shop.orphans for orphan in collector.told()],
        )
        sent_at = shop.clock.monotonic()
        metrics.heartbeats.inc()
        try:
            with metrics.heartbeat_seconds.time():
                answer = await shop.link.heartbeat(
                    beat, answer_s=max(LEAST_ANSWER_S, self.interval_s)
                )
        except (AnswerError, UnreachableError) as error:
            self._failed(error)
            raise
        self._answered(answer, executions, sent_at, status)
        return answer

    def _answered(
        self,
        answer: HeartbeatAnswer,
        executions: Mapping[str, Held],
        sent_at: float,
        status: str,
    ) -> None:
        if not self.known or self._failures:
            self._log(logging.INFO, "The server knows this node", attempt=self._failures or None)
        if self._failures:
            self._shop.link.returned()
        self.known = True
        self._failures = 0
        self.interval_s = min(self._shop.settings.heartbeat_s, max(1, answer.interval_s))
        self._log(
            logging.DEBUG,
            "Heartbeat",
            status=status,
            running=len(executions),
            capacity=self._shop.settings.capacity,
            lease_count=len(answer.leases),
        )
        for lease in answer.leases:
            execution = executions.get(lease.run_id)
            if execution is not None and execution.epoch == lease.epoch:
                execution.renew(sent_at=sent_at, ttl_s=lease.ttl_s)

    def _failed(self, error: AnswerError | UnreachableError) -> None:
        self._failures += 1
        self._shop.metrics.heartbeat_errors.inc()
        code = error.code if isinstance(error, AnswerError) else "unreachable"
        level = logging.WARNING if self._failures in (1, 10) else logging.DEBUG
        sentence = "Could not send a heartbeat, trying again"
        self._log(level, sentence, code=code, attempt=self._failures, error=str(error))

    def _spool(self, executions: list[Held]) -> Spool:
        events = size = 0
        oldest_us: int | None = None
        for execution in executions:
            waiting, waiting_bytes, moment_us = execution.spooled()
            events += waiting
            size += waiting_bytes
            if moment_us is not None:
                oldest_us = moment_us if oldest_us is None else min(oldest_us, moment_us)
        metrics = self._shop.metrics
        metrics.spool_events.set(events)
        metrics.spool_bytes.set(size)
        metrics.spool_oldest.set((oldest_us or 0) / MICROSECONDS_PER_SECOND)
        return Spool(
            events=events,
            bytes=size,
            limit_bytes=self._shop.settings.spool_limit_bytes,
            oldest_at=format_time(oldest_us) if oldest_us is not None else None,
        )

    def _log(self, level: int, sentence: str, **facts: Any) -> None:
        node_id = self._shop.link.node_id
        log(logger, level, "node.heartbeat", sentence, node_id=node_id, **facts)
