"""When the next frame of changes may go: a tick apart on average (contract 7.2)."""

from typing import Final

TICK_S: Final = 0.05
EARLY_S: Final = TICK_S / 2
"""Changes that come once a tick with some jitter would each wait for the latest so far, were none
let out early.
"""


class Pace:
    """One frame a tick; the first after silence goes at once, and none is held for who is early."""

    def __init__(self) -> None:
        self._due_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Seconds until a frame may go; 0 for at once."""
        return max(0.0, self._due_s - EARLY_S - now_s)

    def went(self, now_s: float) -> None:
        """A frame goes now."""
        self._due_s = max(now_s, self._due_s) + TICK_S
