"""Where a replay stands, and how fast it goes: time of the recording by time of the room; pure."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

SPEEDS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, math.inf)
"""What `+` and `-` step through; the last is as fast as the console can fold."""


class Playhead:
    """Runs from 0 to `length_s` and stands there.

    Args:
        monotonic: The room's clock, seconds.
    """

    def __init__(
        self,
        length_s: float,
        *,
        speed: float = 1.0,
        position_s: float = 0.0,
        paused: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.length_s = length_s
        self.speed = speed
        self.paused = paused
        self._monotonic = monotonic
        self._at_s = min(max(0.0, position_s), length_s)
        self._since_s = monotonic()

    @property
    def position_s(self) -> float:
        """Seconds of the recording that have been played."""
        if self.paused or math.isinf(self.speed):
            return self._at_s
        gone_s = (self._monotonic() - self._since_s) * self.speed
        return min(self.length_s, self._at_s + max(0.0, gone_s))

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to play."""
        return self.position_s >= self.length_s

    def wait_s(self, at_s: float) -> float | None:
        """Seconds of the room until a moment of the recording; None: not before something is
        changed. At the highest speed all is due.
        """
        if math.isinf(self.speed):
            return None if self.paused else 0.0
        left_s = at_s - self.position_s
        if left_s <= 0:
            return 0.0
        return None if self.paused else left_s / self.speed

    def reach(self, at_s: float) -> None:
        """At the highest speed: so far it was played."""
        if math.isinf(self.speed):
            self._at_s = max(self._at_s, min(at_s, self.length_s))

    def go_to(self, at_s: float) -> None:
        """Stand at this moment."""
        self._at_s = min(max(0.0, at_s), self.length_s)
        self._since_s = self._monotonic()

    def set_paused(self, paused: bool) -> None:
        """Stand, or go on."""
        self.go_to(self.position_s)
        self.paused = paused

    def faster(self, step: int) -> None:
        """The next speed, up or down."""
        self.go_to(self.position_s)
        nearest = min(range(len(SPEEDS)), key=lambda i: abs(_size(SPEEDS[i]) - _size(self.speed)))
        self.speed = SPEEDS[min(max(0, nearest + step), len(SPEEDS) - 1)]


def _size(speed: float) -> float:
    return math.log2(min(speed, 128.0))


class PlayClock:
    """The recording's clock as a `Clock`: it stands while the replay stands.

    `now` is the time of day of the server that was recorded.
    """

    def __init__(self, playhead: Playhead, began_s: float) -> None:
        self._playhead = playhead
        self._began_s = began_s

    def monotonic(self) -> float:
        """Seconds of the recording."""
        return self._playhead.position_s

    def now(self) -> datetime:
        """The moment that is shown."""
        return datetime.fromtimestamp(self._began_s + self._playhead.position_s, UTC)

    def now_us(self) -> int:
        """The same in microseconds."""
        return round((self._began_s + self._playhead.position_s) * 1_000_000)
