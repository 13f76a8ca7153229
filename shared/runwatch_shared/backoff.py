"""How long to wait before the next try: full jitter, and what ``Retry-After`` asks; no sleeping."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

FIRST_S: Final = 0.2
LONGEST_S: Final = 30.0
LONGEST_RETRY_AFTER_S: Final = 300.0
"""A server that asks for more is asked again after this long; a wrong header must not stop us."""


class Backoff:
    """Waits between tries: uniform between 0 and a ceiling that doubles from 0.2 s to 30 s.

    Full jitter, so that many clients cut off at one moment do not come back at one moment
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    def __init__(
        self,
        *,
        first_s: float = FIRST_S,
        longest_s: float = LONGEST_S,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._uniform = uniform
        self._ceiling_s = first_s
        self._tries = 0

    @property
    def tries(self) -> int:
        """Waits given since the last success."""
        return self._tries

    def next_s(self, retry_after_s: float | None = None) -> float:
        """Seconds to wait now. Never less than the other side asked for, up to 300 s."""
        wait_s = self._uniform(0.0, self._ceiling_s)
        self._ceiling_s = min(self._ceiling_s * 2, self._longest_s)
        self._tries += 1
        if retry_after_s is not None:
            wait_s += min(max(retry_after_s, 0.0), LONGEST_RETRY_AFTER_S)
        return wait_s

    def reset(self) -> None:
        """To be called after a success: the next wait is short again."""
        self._ceiling_s = self._first_s
        self._tries = 0


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds asked for by a ``Retry-After`` header, a number or a date (RFC 9110, 10.2.3).

    None when there is none or it cannot be read. Never negative.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
