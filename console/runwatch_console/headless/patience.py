"""When a command gives a lost server up; the console itself never does."""

import time
from collections.abc import Callable
from typing import Final

from runwatch_console.feeditems import HOPELESS, Disconnected, LossReason

FIRST_CONTACT_S: Final = 5.0
"""A server that was never reached is more likely misnamed than away."""

FINAL: Final = HOPELESS | {LossReason.NEEDS_TLS, LossReason.NO_TLS, LossReason.VERSION}
"""Nobody sits here who could do something about it."""


class Patience:
    """How long one command has been without its server, and whether that is too long."""

    def __init__(
        self, limit_s: float | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`limit_s`: without the server after it was reached once; None: for ever."""
        self._limit_s = limit_s
        self._monotonic = monotonic
        self._since_s = monotonic()
        self._reached = False
        self._lost = False
        self._said = ""

    def reached(self) -> bool:
        """The server is there. Whether it was away before."""
        back = self._lost
        self._reached, self._lost, self._said = True, False, ""
        return back

    def news(self, loss: Disconnected) -> bool:
        """Whether this loss differs from the one before; to be asked once a loss."""
        before, self._said = self._said, f"{loss.reason} {loss.detail}"
        return self._said != before

    def exhausted(self, loss: Disconnected) -> bool:
        """Whether this loss ends the command: it is final, or the next try would come too late."""
        if loss.reason in FINAL:
            return True
        now_s = self._monotonic()
        if self._reached and not self._lost:
            self._since_s = now_s
        self._lost = True
        limit_s = self._limit_s if self._reached else FIRST_CONTACT_S
        away_s = now_s - self._since_s + (loss.retry_in_s or 0.0)
        return limit_s is not None and away_s > limit_s
