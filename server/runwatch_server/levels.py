"""What was present at the end of each minute of the last day, kept over a restart as counters.

A level is no sum: a minute's counters are written once, when it is over.
"""

from collections.abc import Mapping
from typing import Final

from runwatch_server.tally import MINUTE_US, minute_of

NAMES: Final = ("queued", "running", "waiting", "slots_allocated", "nodes_online")
TOPIC: Final = "level:"
_RECORDED: Final = "recorded"
"""What every written minute has, also one in which all levels are 0."""


class Levels:
    """Those of the last ``kept`` minutes."""

    def __init__(self, *, kept: int) -> None:
        self._kept_us = kept * MINUTE_US
        self._minutes: dict[int, dict[str, float]] = {}
        self._written_us = 0
        """Minutes up to this one are in the store."""

    def get(self, start_us: int) -> Mapping[str, float] | None:
        """Those of the minute that begins then, by `NAMES`; None where it was not recorded."""
        return self._minutes.get(start_us)

    def note(self, now_us: int, levels: dict[str, float]) -> None:
        """What is present now; the last of a minute counts."""
        self._minutes[minute_of(now_us)] = levels

    def count(self, start_us: int, name: str, value: float) -> None:
        """Take in a counter of `TOPIC` that is in the store."""
        levels = self._minutes.setdefault(start_us, dict.fromkeys(NAMES, 0.0))
        if (of := name.removeprefix(TOPIC)) in levels:
            levels[of] = value
        self._written_us = max(self._written_us, start_us)

    def unwritten(self, now_us: int) -> list[tuple[int, str, float]]:
        """Counters of minutes that are over and not in the store: (begin, name, value)."""
        return [
            (start_us, TOPIC + name, value)
            for start_us, levels in sorted(self._minutes.items())
            if self._written_us < start_us < minute_of(now_us)
            for name, value in (*levels.items(), (_RECORDED, 1.0))
        ]

    def forget(self, now_us: int) -> None:
        """Let go of minutes out of reach."""
        oldest_us = minute_of(now_us) - self._kept_us
        for start_us in [start_us for start_us in self._minutes if start_us < oldest_us]:
            del self._minutes[start_us]
