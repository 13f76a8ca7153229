"""How often a caller may come: token buckets and counted failures, both bounded in number."""

import math
from collections import OrderedDict
from typing import Final

from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import ServerSettings

MOST_CALLERS: Final = 10_000
MINUTE_S: Final = 60.0
ROUNDING: Final = 1e-6
"""Of sums of floats: who waits as long as it was told is let in."""


class Buckets:
    """A token bucket a caller: ``burst`` at once, then ``per_s`` each second."""

    def __init__(self, per_s: float, burst: int, *, most: int = MOST_CALLERS) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._most = most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def change(self, per_s: float, burst: int) -> None:
        """Fill all buckets at another rate, to another height."""
        self._per_s, self._burst = per_s, float(burst)

    def take(self, caller: str, now_s: float) -> None:
        """Take one.

        Args:
            now_s: Monotonic seconds.

        Raises:
            RefusedError: 429, with the seconds until there is one again.
        """
        level, filled_s = self._levels.get(caller, (self._burst, now_s))
        level = min(self._burst, level + (now_s - filled_s) * self._per_s)
        allowed = level >= 1 - ROUNDING
        self._levels[caller] = (level - 1 if allowed else level, now_s)
        self._levels.move_to_end(caller)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        if not allowed:
            raise RefusedError(
                "rate_limited",
                "too many requests of this credential",
                retry_after_s=max(1, math.ceil((1 - level) / self._per_s)),
            )


class Failures:
    """Failed logins of the last minute, an address and e-mail."""

    def __init__(self, most_per_min: int, *, most: int = MOST_CALLERS) -> None:
        self._most_per_min = most_per_min
        self._most = most
        self._moments: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def follow(self, settings: ServerSettings) -> None:
        """Allow as many as the settings say now."""
        self._most_per_min = settings.limits.login_failures_per_min

    def check(self, caller: tuple[str, str], now_s: float) -> None:
        """Raises 429 while the last minute holds as many failures as are allowed."""
        recent = self._recent(caller, now_s)
        if len(recent) >= self._most_per_min:
            raise RefusedError(
                "rate_limited",
                "too many failed logins",
                retry_after_s=max(1, math.ceil(recent[0] + MINUTE_S - now_s)),
            )

    def add(self, caller: tuple[str, str], now_s: float) -> None:
        """Count one failure."""
        self._moments[caller] = [*self._recent(caller, now_s), now_s][-self._most_per_min :]
        self._moments.move_to_end(caller)
        if len(self._moments) > self._most:
            self._moments.popitem(last=False)

    def clear(self, caller: tuple[str, str]) -> None:
        """Forget the failures: the login succeeded."""
        self._moments.pop(caller, None)

    def _recent(self, caller: tuple[str, str], now_s: float) -> list[float]:
        return [at for at in self._moments.get(caller, ()) if at > now_s - MINUTE_S]
