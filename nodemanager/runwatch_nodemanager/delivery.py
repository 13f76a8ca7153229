"""Brings the batches of one run to the server; knows what each answer of contract 9.1 asks for."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from runwatch_nodemanager.link import AnswerError, Link
from runwatch_nodemanager.metrics import NodeMetrics
from runwatch_nodemanager.patience import persist
from runwatch_shared.clock import Clock
from runwatch_shared.errors import RunwatchError, UnreachableError
from runwatch_shared.logs import log
from runwatch_shared.wire import EventInput, EventsAnswer

logger: Final = logging.getLogger(__name__)

LOST_CODES: Final = frozenset(
    {"lease_lost", "lease_required", "run_finished", "not_found", "not_your_run"}
)
"""This node has nothing more to say in this run."""
TOO_LARGE: Final = 413
MAX_RENUMBERINGS: Final = 3


class RunLostError(RunwatchError):
    """The server does not take this run's events from this node any more."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the run is lost: {reason}")
        self.reason = reason


class Delivery:
    """Sends until it is acknowledged.

    Args:
        renumber: Gives events that collide new numbers above the one named.
        on_answer: Told each answer and the monotonic time its request was sent.
        waiting: How many events waited when that was last counted; told in the log.
    """

    def __init__(
        self,
        link: Link,
        *,
        run_id: str,
        epoch: int,
        metrics: NodeMetrics,
        clock: Clock,
        renumber: Callable[[list[EventInput], int], list[EventInput]],
        on_answer: Callable[[EventsAnswer, float], None],
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        self._link = link
        self._run_id = run_id
        self._epoch = epoch
        self._metrics = metrics
        self._clock = clock
        self._renumber = renumber
        self._on_answer = on_answer
        self._waiting = waiting

    async def send(self, events: list[EventInput]) -> int:
        """Returns when all are stored; gives the newest number the server has then.

        Raises:
            RunLostError: They will never be.
        """
        renumberings = 0
        while True:
            try:
                return await self._send_once(events)
            except AnswerError as error:
                self._refused(error, events)
                if error.code in LOST_CODES:
                    raise RunLostError(error.code) from error
                if error.code == "seq_conflict" and renumberings < MAX_RENUMBERINGS:
                    renumberings += 1
                    last_seq = error.details.get("last_seq")
                    if isinstance(last_seq, int):
                        events = self._renumber(events, last_seq)
                        continue
                if error.status not in (400, TOO_LARGE):
                    raise RunLostError(error.code) from error
            return await self._send_apart(events)

    async def _send_once(self, events: list[EventInput]) -> int:
        sent_at = 0.0

        async def report() -> EventsAnswer:
            nonlocal sent_at
            sent_at = self._clock.monotonic()
            with self._metrics.report_seconds.time():
                return await self._link.report(self._run_id, self._epoch, events)

        def retried(attempt: int, error: UnreachableError | AnswerError) -> None:
            self._retried(events, attempt, error)

        answer = await persist(report, rest=self._link.rest, on_retry=retried)
        self._metrics.batch_events.observe(len(events))
        self._metrics.reported(Counter(event.type for event in events))
        status = 201 if answer.created else 200
        self._log(logging.DEBUG, "Events reported", events, status=status)
        self._on_answer(answer, sent_at)
        return answer.last_seq

    async def _send_apart(self, events: list[EventInput]) -> int:
        """A batch that is refused as it is: by halves; a single event by a note in its place."""
        if len(events) > 1:
            half = len(events) // 2
            await self.send(events[:half])
            return await self.send(events[half:])
        event = events[0]
        if event.type == "warning":
            raise RunLostError("events_refused")
        facts = {
            "code": "event_refused",
            "message": "the server refused an event of this run",
            "type": event.type,
        }
        note = EventInput(
            seq=event.seq,
            type="warning",
            timestamp=event.timestamp,
            payload=msgspec.Raw(msgspec.json.encode(facts)),
        )
        return await self.send([note])

    def _retried(
        self, events: list[EventInput], attempt: int, error: UnreachableError | AnswerError
    ) -> None:
        answer = error if isinstance(error, AnswerError) else None
        code = answer.code if answer else "unreachable"
        self._metrics.report_failed(code)
        self._log(
            logging.WARNING,
            "Could not report events, trying again",
            events,
            status=answer.status if answer else None,
            code=code,
            attempt=attempt,
            error=str(error),
        )

    def _refused(self, error: AnswerError, events: list[EventInput]) -> None:
        self._metrics.report_failed(error.code)
        self._log(
            logging.ERROR,
            "The server refused events",
            events,
            status=error.status,
            code=error.code,
            reason=str(error.details.get("reason") or error),
        )

    def _log(self, level: int, sentence: str, events: list[EventInput], **facts: Any) -> None:
        log(
            logger,
            level,
            "event.report",
            sentence,
            run_id=self._run_id,
            count=len(events),
            from_seq=events[0].seq,
            to_seq=events[-1].seq,
            spool_events=max(len(events), self._waiting()),
            **facts,
        )
