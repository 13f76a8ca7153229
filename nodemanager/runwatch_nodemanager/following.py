"""Reads a run's log as it grows and has it delivered, to the terminal event."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.agents.protocol import Draft
from runwatch_nodemanager.assignment import Assignment
from runwatch_nodemanager.changes.report import Changes, find_changes
from runwatch_nodemanager.delivery import Delivery, RunLostError
from runwatch_nodemanager.leaving import write_record
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.run_reader import Batch, Checkpoint, RunReader
from runwatch_nodemanager.runtimes.protocol import Growth
from runwatch_nodemanager.spool import used_bytes
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.logs import log
from runwatch_shared.timestamps import parse_time
from runwatch_shared.wire import ClaimAnswer, EventsAnswer

logger: Final = logging.getLogger(__name__)

GROWTH_S: Final = 1.0
"""How long to wait for more output before looking whether its writer still lives."""
LEASE: Final = "lease"
"""What a supervisor gives as its reason when it was not told in time that the lease goes on."""
TRUST_ENDED: Final = "trust_ended"
PATIENT_ROUNDS: Final = 5
"""So often a damaged tail of a log still written is waited for."""


class Follower:
    """One claimed run's reporting.

    Args:
        rules: What is secret in what the run told and changed.
        on_answer: Told each answer of the server and when its request was sent.
    """

    def __init__(
        self,
        shop: Workshop,
        folder: RunFolder,
        assignment: Assignment,
        claim: ClaimAnswer,
        *,
        rules: Rules,
        on_answer: Callable[[EventsAnswer, float], None],
    ) -> None:
        self._shop = shop
        self._folder = folder
        self._rules = rules
        self._run_id = assignment.run_id
        self._reader = RunReader(
            folder,
            assignment,
            shop.agents.reading(claim.run.snapshot.agent.type),
            runtime_name=shop.runtime.name,
            event_limit_bytes=shop.limits.event_bytes,
            known_seq=claim.next_seq - 1,
            rules=rules,
        )
        self._delivery = Delivery(
            shop.link,
            run_id=assignment.run_id,
            epoch=assignment.epoch,
            metrics=shop.metrics,
            clock=shop.clock,
            renumber=lambda events, after: self._reader.renumber(events, after_seq=after),
            on_answer=on_answer,
            waiting=lambda: self._waiting,
        )
        self._waiting = 0
        """Events not yet acknowledged when they were last counted."""
        self._unacked: Batch | None = None
        self._kept_segment = 0
        """Where the checkpoint on the disk lies; 0: not known."""
        self.acked_seq = claim.last_seq

    @property
    def last_seq(self) -> int:
        """The newest number given to an event or known of one."""
        return max(self.acked_seq, self._reader.last_seq)

    @property
    def settled(self) -> bool:
        """Whether nothing that was read is still on its way to the server."""
        return self._unacked is None

    @property
    def terminal(self) -> Draft | None:
        return self._reader.terminal

    def spooled(self) -> tuple[int, int, int | None]:
        """Events and bytes not yet acknowledged, and the moment of the oldest. Blocks briefly."""
        events = self._reader.waiting_records()
        oldest_us = None
        batch = self._unacked
        if batch is not None and batch.events:
            events += len(batch.events)
            oldest_us = parse_time(batch.events[0].timestamp)
        self._waiting = events
        return events, used_bytes(self._folder.log) if events else 0, oldest_us

    async def follow(self) -> None:
        """Returns when the terminal event is stored.

        Raises:
            RunLostError: The server takes no more of this run from this node.
        """
        with self._shop.runtime.stream(self._folder) as growth:
            while not await self._follow_once(growth):
                pass

    async def close(self) -> None:
        await asyncio.to_thread(self._reader.close)

    async def _follow_once(self, growth: Growth) -> bool:
        """Report what is there, else wait for more; True when the terminal event is stored."""
        for round_number in range(PATIENT_ROUNDS + 1):
            alive = self._shop.runtime.alive(self._folder)
            batch = await asyncio.to_thread(
                self._reader.fill,
                max_events=self._shop.limits.batch_events,
                max_bytes=self._shop.batch_bytes,
                writer_gone=not alive,
                give_up=round_number == PATIENT_ROUNDS,
            )
            if batch.ended and self._reader.ended_by == LEASE:
                # It is another's to carry out; that it was stopped here is no end of it.
                raise RunLostError(TRUST_ENDED)
            if batch.events:
                await self._deliver(batch)
            elif batch.after is not None and batch.after.segment != self._kept_segment:
                # A segment was left behind with its last event: now it can go.
                await self._acknowledge(batch.after)
            if batch.ending:
                await self._find_changes()
                return False
            if batch.events or batch.ended:
                return batch.ended
            if not alive:
                await self._declare_gone()
                return False
            await growth.wait(GROWTH_S)
        return False

    async def _deliver(self, batch: Batch) -> None:
        self._unacked = batch
        self._shop.metrics.events_truncated.inc(batch.truncated)
        await asyncio.to_thread(self._reader.sync)
        self.acked_seq = max(self.acked_seq, await self._delivery.send(batch.events))
        self._unacked = None
        if batch.after is not None:
            await self._acknowledge(batch.after)

    async def _acknowledge(self, after: Checkpoint) -> None:
        """A disk that does not take it now is asked again after the next batch."""
        try:
            await asyncio.to_thread(self._reader.acknowledge, after)
            self._kept_segment = after.segment
        except OSError as error:
            log(
                logger,
                logging.WARNING,
                "spool",
                "Could not note how far a run is reported",
                run_id=self._run_id,
                error=str(error),
            )

    async def _find_changes(self) -> None:
        try:
            changes = await asyncio.to_thread(find_changes, self._folder.changes, self._rules)
        except OSError as error:
            log(
                logger,
                logging.WARNING,
                "workspace",
                "Could not find out what a run changed",
                run_id=self._run_id,
                error=str(error),
            )
            changes = Changes()
        self._reader.tell_changes(changes)

    async def _declare_gone(self) -> None:
        killed = await asyncio.to_thread(self._shop.runtime.clear, self._folder)
        log(
            logger,
            logging.WARNING,
            "run.execute",
            "The agent is gone without an end",
            run_id=self._run_id,
            count=killed,
        )
        error = "neither the agent nor its supervisor runs any more, and no exit was recorded"
        await write_record(self._shop, self._folder, kinds.GONE, {"error": error})
