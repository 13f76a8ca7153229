"""One session as a run: reads what is new, reports it, and ends the run when it is judged over.

One call at a time; the caller sees to that. What was told is on disk before the next is sent.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from runwatch_nodemanager.agents.protocol import Draft
from runwatch_nodemanager.delivery import Delivery, RunLostError
from runwatch_nodemanager.events import number_draft
from runwatch_nodemanager.link import AnswerError
from runwatch_nodemanager.patience import persist
from runwatch_nodemanager.sessions.endings import Standing, judge
from runwatch_nodemanager.sessions.finishing import Finisher
from runwatch_nodemanager.sessions.formats.entries import Moved
from runwatch_nodemanager.sessions.head import read_head
from runwatch_nodemanager.sessions.naming import cwd_of, labels_of, model_of, name_of
from runwatch_nodemanager.sessions.positions import (
    Position,
    Positions,
    Source,
    Told,
    Underway,
    copied,
)
from runwatch_nodemanager.sessions.processes import Running
from runwatch_nodemanager.sessions.reading import SessionReading
from runwatch_nodemanager.sessions.roots import Place
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.errors import UnreachableError
from runwatch_shared.logs import log
from runwatch_shared.models import Run
from runwatch_shared.states import is_terminal
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time, parse_time
from runwatch_shared.wire import EventInput, EventsAnswer, FoundRunRequest, ReportedRun

logger: Final = logging.getLogger(__name__)

T = TypeVar("T")

MOST_LOSSES: Final = 3
"""Runs lost one after the other, after which only a change of the files begins another."""
DELETED: Final = "deleted"
OWN_RUN: Final = "own run"


class SessionFollower:
    """Follows one session.

    Args:
        position: What is kept of it.
        root: Below what its files must lie.
        is_own: Whether the session is of a run this node itself executes.
    """

    def __init__(
        self,
        shop: Workshop,
        place: Place,
        position: Position,
        positions: Positions,
        *,
        root: Path,
        finisher: Finisher,
        is_own: Callable[[Position], bool],
    ) -> None:
        self.files = {path: source.lane for path, source in position.told.sources.items()}
        """Lane by path."""
        self.modified_us = 0
        """When one of the files was last written."""
        self.settled = not position.active
        """Whether the run is ours in this process; one an earlier process had is not yet."""
        self._shop = shop
        self._root = root
        self._place = place
        self._position = position
        self._positions = positions
        self._finisher = finisher
        self._is_own = is_own
        self._reading = SessionReading(
            position.agent_type,
            node_id=shop.link.node_id,
            root=root,
            first_bytes=shop.settings.sessions_first_bytes,
            finish=finisher.payload,
        )
        self._known_seq = 0
        self._losses = 0
        self._told_lost = False
        self._acked_seq = 0
        self._seen_alive = False
        self._known_to_be_others = False
        """Whether it was looked whose session it is."""

    @property
    def position(self) -> Position:
        return self._position

    @property
    def active(self) -> bool:
        return self._position.active

    @property
    def run_id(self) -> str:
        return self._position.run_id

    @property
    def epoch(self) -> int:
        return self._position.epoch

    def reported(self) -> ReportedRun | None:
        """What a heartbeat says of it."""
        if not self.active or not self.settled:
            return None
        return ReportedRun(
            id=self.run_id,
            epoch=self.epoch,
            alive=True,
            spooled_seq=self._position.told.next_seq - 1,
            acked_seq=self._acked_seq,
        )

    def spooled(self) -> tuple[int, int, int | None]:
        """Nothing: what is not told yet stands in the agent's own files."""
        return 0, 0, None

    def renew(self, *, sent_at: float, ttl_s: float) -> None:
        """A found run goes on whether or not its lease does."""

    def lose(self) -> None:
        """A directive says that the run is over or not ours; asked about before the next batch."""
        self._told_lost = True

    async def advance(self, *, last: bool = False) -> None:
        """Report all that is new in the files; returns when there is no more."""
        if not self.settled or self._told_lost:
            await self._settle()
        while not self._position.hidden and await self._report_next(last=last):
            pass

    async def look(self, running: Running, *, now_us: int) -> None:
        """Judge how the session stands now, and report what follows."""
        if not self.active or not self.settled:
            return
        head, told = self._position.head, self._position.told
        newest_us = max(
            moment for moment in (told.moment_us, self.modified_us, 0) if moment <= now_us
        )
        alive = running.alive(self._position.agent_type, head.cwd)
        self._seen_alive = self._seen_alive or (running.known and alive is not False)
        standing = Standing(
            turn=told.turn,
            error=told.error,
            quiet_s=max(0, now_us - newest_us) / MICROSECONDS_PER_SECOND,
            alive=alive,
            seen=self._seen_alive,
            interactive=head.interactive,
            waiting=told.waiting,
        )
        draft = judge(standing, idle_s=self._shop.settings.session_idle_s)
        if draft is None:
            return
        if draft.type == "run_completed":
            await self.advance(last=True)
            if self._position.told.moment_us != told.moment_us or not self.active:
                return  # it has just said more: judged anew the next time
        told = self._position.told
        after, at_us = copied(told), now_us
        if draft.type == "run_completed":
            tally = told.tally()
            counted = {"entries": tally.entries, "unknown_entries": tally.unknown}
            draft.payload.update({name: n for name, n in counted.items() if n})
            after.ended, at_us = True, told.moment_us or now_us
        else:
            after.waiting = True
        told_draft = Draft(draft.type, self._finisher.payload(draft.payload))
        await self._deliver([Moved(told_draft, at_us)], after)
        if self._position.told.ended:
            await self._save()
            self._log(
                logging.INFO,
                "session",
                "A session ended",
                reason=str(draft.payload["inferred_from"]),
            )

    async def _report_next(self, *, last: bool) -> bool:
        """One batch; whether there may be more."""
        position = self._position
        new_run = not position.active
        told = position.told
        if not position.run_id:
            await asyncio.to_thread(self._look_at_head)
        filled = await asyncio.to_thread(
            self._reading.fill, told, position.head, self.files, new_run=new_run, last=last
        )
        self._shop.metrics.session_reads.inc()
        if not filled.moved:
            if filled.progressed:
                filled.after.ended = told.ended
                position.told = filled.after
            return filled.progressed
        if new_run:
            if not self._known_to_be_others and await asyncio.to_thread(self._is_own, position):
                await self._hide(OWN_RUN)
                return False
            self._known_to_be_others = True
            # Kept from now on as the new run's: a batch of it that is under way is known again.
            begun = await asyncio.to_thread(self._reading.begun, told)
            if not await self._announce(begun, filled.after):
                return True  # its run has events that are not known here: read again
        return await self._deliver(filled.moved, filled.after)

    def _look_at_head(self) -> None:
        """A session that has only begun tells more of itself with each line."""
        leads = [path for path, lane in self.files.items() if not lane] or list(self.files)
        with contextlib.suppress(OSError):
            self._position.head = self._finisher.head(read_head(Path(min(leads)), root=self._root))

    async def _announce(self, begun: Told, after: Told) -> bool:
        """Get the run that goes from ``begun`` to ``after``; False if it began before and was
        forgotten here.
        """
        position = self._position
        answer = await self._asked(lambda: self._shop.link.announce(self._request()))
        forgotten = answer.next_seq > 1 and answer.run.id != position.run_id
        position.run_id, position.epoch = answer.run.id, answer.lease.epoch
        position.store = await self._asked(self._shop.link.store)
        self._known_seq = 0
        self._told_lost = False
        self._log(logging.INFO, "session", "Shows a session", agent_type=position.agent_type)
        if forgotten:
            await self._skip_what_is_known(answer.run)
            return False
        begun.next_seq = after.next_seq = answer.next_seq
        self._acked_seq = answer.next_seq - 1
        position.told = begun
        return True

    async def _skip_what_is_known(self, run: Run) -> None:
        """What the server has is not newer than its newest event; the rest is new."""
        page = await self._asked(lambda: self._shop.link.newest_event(run.id))
        newest_us = parse_time(page.events[-1].timestamp) if page.events else 0
        told = self._position.told
        told.next_seq, told.opened, told.ended = run.last_seq + 1, True, False
        told.moment_us = newest_us
        for path, lane in self.files.items():
            source = told.sources.get(path) or Source(lane=lane)
            source.skip_us = newest_us
            told.sources[path] = source
        await self._save()

    async def _settle(self) -> None:
        """Find out how the run stands that an earlier process had, or that is said to be lost."""
        position = self._position
        try:
            run = await self._asked(lambda: self._shop.link.run(position.run_id))
        except AnswerError as error:
            if error.code != "not_found":
                raise
            await self._deleted()
            return
        underway, position.underway = position.underway, None
        self._known_seq = 0
        if underway is not None:
            if run.last_seq >= underway.last_seq:
                position.told = underway.after
            else:
                self._known_seq = run.last_seq
        if is_terminal(run.status):
            position.told.ended = True
        elif not position.told.ended:
            answer = await self._asked(lambda: self._shop.link.announce(self._request()))
            if answer.run.id != position.run_id:
                position.run_id, position.told.opened = answer.run.id, False
                position.told.next_seq = answer.next_seq
            position.epoch = answer.lease.epoch
        self._acked_seq = run.last_seq
        self.settled, self._told_lost = True, False
        await self._save()

    async def _deliver(self, moved: list[Moved], after: Told) -> bool:
        """Send a batch; whether it is stored. What is known changes with it, not before."""
        position = self._position
        first_seq = after.next_seq
        after.next_seq = first_seq + len(moved)
        sized = [
            number_draft(
                draft,
                seq=first_seq + number,
                moment_us=at_us,
                limit_bytes=self._shop.limits.event_bytes,
            )
            for number, (draft, at_us) in enumerate(moved)
        ]
        events = [one.event for one in sized if one.event.seq > self._known_seq]
        position.underway = Underway(last_seq=after.next_seq - 1, after=after)
        await self._save()
        shift = 0

        def renumber(batch: list[EventInput], after_seq: int) -> list[EventInput]:
            nonlocal shift
            by = max(0, after_seq + 1 - batch[0].seq)
            shift += by
            return [msgspec.structs.replace(event, seq=event.seq + by) for event in batch]

        delivery = Delivery(
            self._shop.link,
            run_id=position.run_id,
            epoch=position.epoch,
            metrics=self._shop.metrics,
            clock=self._shop.clock,
            renumber=renumber,
            on_answer=self._answered,
        )
        try:
            for batch in _batches(events, self._shop.limits.batch_events):
                await delivery.send(batch)
        except RunLostError as error:
            return await self._lost(error.reason)
        after.next_seq += shift
        position.told, position.underway = after, None
        self._acked_seq = after.next_seq - 1
        self._losses = 0
        self._shop.metrics.events_truncated.inc(sum(1 for one in sized if one.truncated))
        return True

    async def _lost(self, reason: str) -> bool:
        """The server takes nothing more in this run; whether another one may be tried."""
        position = self._position
        position.underway = None
        self._log(logging.WARNING, "session", "Lost the run of a session", reason=reason)
        if reason == "not_found":
            await self._deleted()
            return False
        position.told.ended = True
        self._losses += 1
        await self._save()
        return self._losses < MOST_LOSSES

    async def _deleted(self) -> None:
        """Its run is not there: a person deleted it, or the server has another database."""
        if await self._asked(self._shop.link.store) == self._position.store:
            await self._hide(DELETED)
            return
        known = self._position
        self._position = Position(
            agent_type=known.agent_type, external_id=known.external_id, head=known.head
        )
        self.settled, self._told_lost = True, False
        await self._save()

    async def _hide(self, why: str) -> None:
        self._position.hidden = why
        self.settled, self._told_lost = True, False
        await self._save()

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        return await persist(ask, rest=self._shop.link.rest, on_retry=self._retried)

    def _request(self) -> FoundRunRequest:
        head = self._position.head
        began_us = head.started_us or self._position.told.moment_us
        return FoundRunRequest(
            external_id=self._place.external_id,
            name=name_of(head, self._place),
            agent_type=self._position.agent_type,
            process_id=self._shop.link.process_id,
            started_at=format_time(began_us) if began_us else None,
            labels=labels_of(head),
            cwd=cwd_of(head),
            model=model_of(head),
        )

    def _answered(self, answer: EventsAnswer, sent_at: float) -> None:
        """A found run is never asked to end."""

    def _retried(self, attempt: int, error: UnreachableError | AnswerError) -> None:
        level = logging.WARNING if attempt == 1 else logging.DEBUG
        sentence = "Could not report a session, trying again"
        self._log(level, "session", sentence, attempt=attempt, error=str(error))

    async def _save(self) -> None:
        await asyncio.to_thread(self._positions.save, self._position)

    def _log(self, level: int, tag: Any, sentence: str, **facts: Any) -> None:
        log(logger, level, tag, sentence, run_id=self.run_id, **facts)


def _batches(events: list[EventInput], most: int) -> Iterator[list[EventInput]]:
    for start in range(0, len(events), most):
        yield events[start : start + most]
