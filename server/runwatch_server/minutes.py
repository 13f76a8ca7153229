"""What was counted minute by minute for a day, and running sums over windows of them; bounded.

A projection asks for windows with every look at the numbers, so a window is moved, not added up.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from runwatch_server.tally import MINUTE_US, minute_of, percentile_ms

WAITS: Final = "queue_wait:"
SUMMED: Final = ("tokens:", "cost_usd:")
"""Topics whose counters, one an agent type, are kept as one sum."""
SINGLE: Final = frozenset({"events", "ended:completed", "ended:failed", "ended:cancelled"})


class Minute:
    """What happened in a minute, or in several together."""

    __slots__ = ("sums", "waits")

    def __init__(self) -> None:
        self.sums: defaultdict[str, float] = defaultdict(float)
        """By name; by topic with its colon for those of `SUMMED`."""
        self.waits: defaultdict[int, float] = defaultdict(float)
        """How many waits in the queue fell in a bucket (`tally.wait_bucket`)."""

    def count(self, name: str, value: float) -> None:
        """Take in a counter; those that no window shows are left out."""
        if name.startswith(WAITS):
            self.waits[int(name.removeprefix(WAITS))] += value
        elif (kept := kept_as(name)) is not None:
            self.sums[kept] += value

    def add(self, other: "Minute", sign: int) -> None:
        """Take in all of another one, or take it out again."""
        for name, value in other.sums.items():
            self.sums[name] += sign * value
        for bucket, count in other.waits.items():
            self.waits[bucket] += sign * count
            if not self.waits[bucket]:
                del self.waits[bucket]

    def wait_ms(self, share: float) -> int | None:
        """The wait that ``share`` of all did not exceed; None without any."""
        return percentile_ms(self.waits, share)


def kept_as(name: str) -> str | None:
    """The name under which a counter is summed."""
    if name in SINGLE:
        return name
    return next((topic for topic in SUMMED if name.startswith(topic)), None)


class Window:
    """The sum of the last ``minutes`` minutes, the present one among them."""

    def __init__(self, minutes: int) -> None:
        self.total = Minute()
        self._span_us = (minutes - 1) * MINUTE_US
        self._last_us: int | None = None

    def covers(self, start_us: int) -> bool:
        """Whether a minute is in it now."""
        last_us = self._last_us
        return last_us is not None and last_us - self._span_us <= start_us <= last_us

    def move(self, last_us: int, minutes: Mapping[int, Minute]) -> None:
        """Let it end with the minute that begins at ``last_us``: costs what it moves by."""
        before_us = self._last_us
        if before_us == last_us:
            return
        self._last_us = last_us
        first_us = last_us - self._span_us
        if before_us is None or abs(last_us - before_us) > self._span_us:
            self.total = Minute()
            self._take(first_us, last_us, minutes, 1)
            return
        old_first_us = before_us - self._span_us
        if last_us > before_us:
            self._take(old_first_us, first_us - MINUTE_US, minutes, -1)
            self._take(before_us + MINUTE_US, last_us, minutes, 1)
        else:
            self._take(last_us + MINUTE_US, before_us, minutes, -1)
            self._take(first_us, old_first_us - MINUTE_US, minutes, 1)

    def _take(self, first_us: int, last_us: int, minutes: Mapping[int, Minute], sign: int) -> None:
        for start_us in range(first_us, last_us + 1, MINUTE_US):
            minute = minutes.get(start_us)
            if minute is not None:
                self.total.add(minute, sign)


class Minutes:
    """The minutes of the last ``kept`` ones, and windows over them."""

    def __init__(self, *, kept: int, windows: Mapping[str, int]) -> None:
        self._kept_us = kept * MINUTE_US
        self._minutes: dict[int, Minute] = {}
        self._windows = {name: Window(minutes) for name, minutes in windows.items()}

    def get(self, start_us: int) -> Minute | None:
        """The minute that begins then; None where nothing was counted."""
        return self._minutes.get(start_us)

    def count(self, start_us: int, name: str, value: float) -> None:
        """Take in a counter of a minute."""
        minute = self._minutes.get(start_us)
        if minute is None:
            minute = self._minutes[start_us] = Minute()
        minute.count(name, value)
        for window in self._windows.values():
            if window.covers(start_us):
                window.total.count(name, value)

    def window(self, name: str, now_us: int) -> Minute:
        """The sum over a window that ends now."""
        window = self._windows[name]
        window.move(minute_of(now_us), self._minutes)
        return window.total

    def forget(self, now_us: int) -> None:
        """Let go of minutes out of reach."""
        oldest_us = minute_of(now_us) - self._kept_us
        for start_us in [start_us for start_us in self._minutes if start_us < oldest_us]:
            for window in self._windows.values():
                if window.covers(start_us):
                    window.total.add(self._minutes[start_us], -1)
            del self._minutes[start_us]
