"""Time as an argument: the wall clock in UTC and a monotonic one; formats are in `timestamps`."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What reads the time. Moments come from `now` and `now_us`, durations from `monotonic`."""

    def now(self) -> datetime:
        """This moment, aware, in UTC."""
        ...

    def now_us(self) -> int:
        """This moment in microseconds since 1970-01-01T00:00:00Z."""
        ...

    def monotonic(self) -> float:
        """Seconds since an unspecified point; never goes back when the wall clock is set."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """See `Clock`. Made from `now_us`, so both name the same microsecond."""
        return _EPOCH + timedelta(microseconds=self.now_us())

    def now_us(self) -> int:
        """See `Clock`."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()
