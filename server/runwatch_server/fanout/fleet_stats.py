"""The newest statistics as JSON, made anew at most once a second and only where a number changed.

Source: contract 7.1 and 7.2. Used in the event loop only.
"""

import asyncio
from typing import Final, Protocol

import msgspec

from runwatch_server.fanout.frames import encode
from runwatch_shared.clock import Clock
from runwatch_shared.models import Stats, Usage

STATS_S: Final = 1.0


class StatsSource(Protocol):
    """Where the numbers come from (`projection.Projection`)."""

    @property
    def revision(self) -> int: ...

    def stats(self, now_us: int) -> Stats: ...


class FleetStats:
    """Statistics for those who follow them. ``version`` rises with every new ``json``."""

    def __init__(self, source: StatsSource, clock: Clock) -> None:
        self.version = 0
        self.json: msgspec.Raw | None = None
        self._source = source
        self._clock = clock
        self._numbers: Stats | None = None
        self._due = False
        self._made_s = float("-inf")

    def outdate(self) -> None:
        """Something was committed."""
        self._due = True

    def renew(self) -> float | None:
        """Make new ones if they are due; gives in how many seconds to ask again if it is too soon,
        else None.
        """
        if not self._due:
            return None
        now_s = asyncio.get_running_loop().time()
        wait_s = self._made_s + STATS_S - now_s
        if wait_s > 0:
            return wait_s
        self._due = False
        self._made_s = now_s
        self._take(self._source.stats(self._clock.now_us()))
        return None

    def notice_windows(self) -> None:
        """Numbers over the last minutes and of today change without any commit."""
        if not self._due and self._numbers is not None:
            self._due = numbers_of(self._source.stats(self._clock.now_us())) != self._numbers

    def now(self) -> msgspec.Raw:
        """Those of this moment, for a client that has none."""
        return msgspec.Raw(encode(self._source.stats(self._clock.now_us())))

    def _take(self, stats: Stats) -> None:
        numbers = numbers_of(stats)
        if numbers != self._numbers:
            self._numbers = numbers
            self.version += 1
            self.json = msgspec.Raw(encode(stats))


def numbers_of(stats: Stats) -> Stats:
    """What makes two statistics different: all but when they were taken."""
    usage = msgspec.structs.replace(
        stats.usage, today=_undated(stats.usage.today), total=_undated(stats.usage.total)
    )
    return msgspec.structs.replace(stats, usage=usage, revision=0, server_time="")


def _undated(usage: Usage | None) -> Usage | None:
    return None if usage is None else msgspec.structs.replace(usage, as_of="")
