"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
START: Final = datetime(2026, 11, 23, 10, 31, 22, tzinfo=UTC)


class ManualClock:
    """A `runwatch_shared.clock.Clock`; `advance` moves both hands, `set_wall` only the wall."""

    def __init__(self, start: datetime = START) -> None:
        self._wall_us = (start - EPOCH) // timedelta(microseconds=1)
        self._monotonic_us = 0

    def now(self) -> datetime:
        return EPOCH + timedelta(microseconds=self._wall_us)

    def now_us(self) -> int:
        return self._wall_us

    def monotonic(self) -> float:
        return self._monotonic_us / 1_000_000

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        if seconds < 0:
            raise ValueError("time does not pass backwards; use set_wall")
        step_us = round(seconds * 1_000_000)
        self._wall_us += step_us
        self._monotonic_us += step_us

    def set_wall(self, moment: datetime) -> None:
        """Sets the wall clock, as an administrator or NTP does; durations do not notice."""
        self._wall_us = (moment - EPOCH) // timedelta(microseconds=1)
