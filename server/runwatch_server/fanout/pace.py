"""When the next frame of changes may go (contract 7.2)."""

from typing import Final

TICK_S: Final = 0.05
SILENCE_S: Final = TICK_S / 2
"""A lone change waits no longer than this after the frame before it. Changes that come once a tick
would otherwise, after one was late, each wait for nearly a whole tick, for ever.
"""


class Pace:
    """Commits of a tick go in one frame; one alone goes at once after silence."""

    def __init__(self) -> None:
        self._went_s = float("-inf")

    def wait_s(self, now_s: float, commits: int) -> float:
        """Seconds until a frame with so many commits may go; 0 for at once."""
        gap_s = SILENCE_S if commits == 1 else TICK_S
        return max(0.0, self._went_s + gap_s - now_s)

    def went(self, now_s: float) -> None:
        """A frame goes now."""
        self._went_s = now_s
