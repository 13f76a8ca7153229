"""The task that delivers alerts: each at least once, retried within bounds, beside everything else.

An alert is stored in the commit that made it due and stays there until it is delivered or given
up, so a restart neither loses nor forgets one. Nothing that serves a request waits for this.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final, Literal, Protocol

from runwatch_server.alerts.message import body_of
from runwatch_server.alerts.post import Answer
from runwatch_server.alerts.queue import AlertQueue, Waiting
from runwatch_server.alerts.row import AlertRow
from runwatch_server.steady import keep_going
from runwatch_server.storage.protocols import Commit, ReadTx, Writer
from runwatch_shared.backoff import Backoff
from runwatch_shared.clock import Clock
from runwatch_shared.errors import OverloadedError, StoreError
from runwatch_shared.logs import log
from runwatch_shared.settings import ServerSettings
from runwatch_shared.tasks import TaskOwner

logger: Final = logging.getLogger(__name__)

Outcome = Literal["delivered", "retried", "refused", "given_up", "dropped", "gone"]

FIRST_WAIT_S: Final = 2.0
LONGEST_WAIT_S: Final = 1200.0
WAIT_GROWS: Final = 4
"""Ceilings of the waits between tries of one alert: 2, 8, 32, 128, 512, 1200, 1200 s."""
GONE_S: Final = 3600.0
"""How long a receiver is left alone that answered 410: by mistake it must not be for ever."""
STORE_AGAIN_S: Final = 5.0
CLOSE_S: Final = 0.8
"""What stopping may take for the last marks in the store, and again for the connection."""
_SECOND_US: Final = 1_000_000


class AlertObserver(Protocol):
    """Hears what became of alerts."""

    def alerted(self, kind: str, outcome: Outcome) -> None: ...

    def waiting(self, alerts: int) -> None: ...


class Post(Protocol):
    """See `post.Poster`."""

    async def post(self, alert_id: str, body: bytes) -> Answer: ...

    async def close(self) -> None: ...


class AlertSender:
    """Used in the event loop only.

    Args:
        host: Of the receiver, for the log.
    """

    def __init__(
        self,
        poster: Post,
        *,
        host: str,
        writer: Writer,
        clock: Clock,
        settings: ServerSettings,
        store_id: str,
        observer: AlertObserver,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._poster = poster
        self._host = host
        self._writer = writer
        self._clock = clock
        self._settings = settings
        self._store_id = store_id
        self._observer = observer
        self._uniform = uniform
        self._queue = AlertQueue(settings.webhook_queue)
        self._troubles = Backoff(uniform=uniform)
        self._not_before_s = 0.0
        """The receiver as a whole is in trouble until then."""
        self._gone_until_s = float("-inf")
        """By the monotonic clock: the receiver wants nothing until then."""
        self._over: set[str] = set()
        """Delivered or given up, and still in the store."""
        self._tried: dict[str, int] = {}
        self._store_not_before_s = 0.0
        self._woken = asyncio.Event()

    def load(self, tx: ReadTx) -> None:
        """Take what was left undelivered; before the first commit."""
        for alert in tx.pending_alerts():
            self._queue.put(alert)
        self._bound()

    def on_commit(self, commit: Commit) -> None:
        """Take the alerts of a commit; costs nothing where there are none."""
        if not commit.alerts:
            return
        gone = self._clock.monotonic() < self._gone_until_s
        for alert in commit.alerts:
            if gone:
                self._finish(alert, "gone")
            else:
                self._queue.put(alert)
        self._bound()
        self._woken.set()

    def start(self, owner: TaskOwner) -> None:
        """Start the task; its owner ends it."""
        owner.spawn(self._run(), name="alerts")

    async def step(self) -> None:
        """Send one alert, or wait until there is one to send."""
        self._woken.clear()
        await self._mark()
        now_s = self._clock.monotonic()
        waiting = None if now_s < self._not_before_s else self._queue.take(now_s)
        if waiting is not None:
            answer = await self._poster.post(
                waiting.alert.id, body_of(waiting.alert, self._store_id)
            )
            self._judge(waiting, answer)
            return
        try:
            async with asyncio.timeout(self._rest_s(now_s)):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _run(self) -> None:
        try:
            await keep_going(self.step, name="alerts")
        finally:
            try:
                async with asyncio.timeout(CLOSE_S):
                    self._store_not_before_s = 0.0
                    await self._mark()
                async with asyncio.timeout(CLOSE_S):
                    await self._poster.close()
            except TimeoutError:
                logger.warning("The alerts did not stop in time; the last may come twice")

    def _rest_s(self, now_s: float) -> float | None:
        moments = [self._store_not_before_s] if self._over or self._tried else []
        first_s = self._queue.next_s()
        if first_s is not None:
            moments.append(max(first_s, self._not_before_s))
        return max(0.0, min(moments) - now_s) if moments else None

    def _judge(self, waiting: Waiting, answer: Answer) -> None:
        alert = waiting.alert
        match answer.result:
            case "delivered":
                self._troubles.reset()
                self._queue.done(waiting)
                self._finish(alert, "delivered")
                self._say(logging.DEBUG, "Alert delivered", alert, answer)
            case "refused":
                self._troubles.reset()
                self._queue.done(waiting)
                self._finish(alert, "refused")
                self._say(logging.ERROR, "The receiver refused an alert", alert, answer)
            case "gone":
                self._gone_until_s = self._clock.monotonic() + GONE_S
                self._say(
                    logging.ERROR,
                    "The receiver wants no more alerts; none is sent for an hour",
                    alert,
                    answer,
                )
                for each in self._queue.clear():
                    self._finish(each, "gone")
            case "again":
                self._again(waiting, answer)
        self._observer.waiting(len(self._queue))

    def _again(self, waiting: Waiting, answer: Answer) -> None:
        alert, now_s = waiting.alert, self._clock.monotonic()
        self._not_before_s = now_s + self._troubles.next_s(answer.retry_after_s)
        ceiling_s = min(FIRST_WAIT_S * WAIT_GROWS**waiting.attempts, LONGEST_WAIT_S)
        self._queue.back(waiting, now_s + self._uniform(0.0, ceiling_s))
        age_s = (self._clock.now_us() - alert.at_us) / _SECOND_US
        settings = self._settings
        if waiting.attempts >= settings.webhook_attempts or age_s >= settings.webhook_give_up_s:
            self._queue.done(waiting)
            self._finish(alert, "given_up")
            self._say(
                logging.ERROR, "An alert is given up", alert, answer, attempt=waiting.attempts
            )
            return
        self._tried[alert.id] = waiting.attempts
        self._observer.alerted(alert.kind, "retried")
        self._say(
            logging.WARNING,
            "An alert could not be delivered, it is tried again",
            alert,
            answer,
            attempt=waiting.attempts,
        )

    def _finish(self, alert: AlertRow, outcome: Outcome) -> None:
        self._over.add(alert.id)
        self._tried.pop(alert.id, None)
        self._observer.alerted(alert.kind, outcome)

    def _bound(self) -> None:
        surplus = self._queue.surplus()
        for alert in surplus:
            self._finish(alert, "dropped")
        if surplus:
            log(
                logger,
                logging.ERROR,
                "alert",
                "Too many alerts wait: the oldest are dropped",
                count=len(surplus),
                to=self._host,
            )
        self._observer.waiting(len(self._queue))

    async def _mark(self) -> None:
        """Write down what became of alerts; what cannot be written now is written later."""
        over, tried = frozenset(self._over), dict(self._tried)
        if not (over or tried) or self._clock.monotonic() < self._store_not_before_s:
            return
        try:
            await self._writer.write(lambda tx: tx.alerts.mark(over=over, tried=tried))
        except (StoreError, OverloadedError) as error:
            self._store_not_before_s = self._clock.monotonic() + STORE_AGAIN_S
            logger.warning("What became of alerts could not be written down: %s", error)
            return
        self._over -= over
        for alert_id, attempts in tried.items():
            if self._tried.get(alert_id) == attempts:
                del self._tried[alert_id]

    def _say(
        self,
        level: int,
        sentence: str,
        alert: AlertRow,
        answer: Answer,
        *,
        attempt: int | None = None,
    ) -> None:
        log(
            logger,
            level,
            "alert",
            sentence,
            id=alert.id,
            code=alert.kind,
            run_id=alert.run_id or None,
            to=self._host,
            attempt=attempt,
            reason=answer.reason,
        )
