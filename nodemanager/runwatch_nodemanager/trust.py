"""How long this node may believe that a run is its own (contract 8.3); knows no server.

A run that may be given to another node must not outlive this belief: it ends the start of an agent,
the node manager's part in it, and, in the supervisor, the agent itself, whoever else still lives.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from runwatch_shared.clock import Clock

MARGIN_S: Final = 5.0
"""A lease is trusted this much shorter than it lasts."""
TELL_EVERY_S: Final = 2.0
"""The supervisor need not hear of each of many renewals a second."""
LOOK_S: Final = 1.0


class Trust:
    """One run's lease.

    Args:
        clock: Its monotonic time is `boot_clock.boot_seconds`, as a supervisor's.
        tell: Gives the supervisor the seconds left, so that it ends the run by itself if this
            program cannot; False if none listens.
    """

    def __init__(self, clock: Clock, tell: Callable[[float], bool]) -> None:
        self._clock = clock
        self._tell = tell
        self._ttl_s = 0.0
        self._until = 0.0
        self._told_at = 0.0
        self.watched = False
        """Whether the run must end with its lease, as it may be given to another node."""

    def renew(self, *, sent_at: float, ttl_s: float | None = None) -> None:
        """The lease was granted to a request sent at this moment; without a time as long as last.

        What counts is when the request was sent: the answer may have been long on its way.
        """
        self._ttl_s = self._ttl_s if ttl_s is None else ttl_s
        self._until = max(self._until, sent_at + self._ttl_s - MARGIN_S)
        self.tell()

    def tell(self) -> None:
        """Let the supervisor know, now and then."""
        now = self._clock.monotonic()
        if not self.watched or now - self._told_at < TELL_EVERY_S:
            return
        if self._tell(max(0.0, self._until - now)):
            self._told_at = now

    @property
    def deadline(self) -> float | None:
        """When a supervisor that hears no more must end the run; None: never."""
        return self._until if self.watched else None

    async def ended(self) -> None:
        """Returns when the lease is in doubt."""
        while True:
            left_s = self._until - self._clock.monotonic()
            if left_s <= 0:
                return
            await asyncio.sleep(min(left_s, LOOK_S))
