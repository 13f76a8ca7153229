"""Changes merged to what a person can listen to: a few lines a second, one of each row at most."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from runwatch_console.plain.changes import Change

ROUND_S: Final = 1.0
"""Between two tellings. The first change after a silence is told at once."""
LINES: Final = 10
"""Of one telling; the rows beyond are counted by state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """What is told at one moment: lines, and how many more changed, by the word of their state."""

    lines: Sequence[Change] = ()
    more: Sequence[tuple[str, int]] = ()


class Floods:
    """Holds what is not told yet, a row once. Times are of one monotonic clock."""

    def __init__(self, *, round_s: float = ROUND_S, lines: int = LINES) -> None:
        self._round_s = round_s
        self._lines = lines
        self._held: dict[str, Change] = {}
        self._told_at = float("-inf")

    def add(self, changes: Iterable[Change]) -> None:
        """Take changes; the last of a row stands for those before it."""
        for change in changes:
            self._held[change.key] = change

    @property
    def held(self) -> int:
        """Rows that are not told yet."""
        return len(self._held)

    def wait_s(self, now_s: float) -> float:
        """Until the next telling may be."""
        return max(0.0, self._told_at + self._round_s - now_s)

    def tell(self, now_s: float) -> Telling:
        """All that is held, the urgent first; beyond the bound by number."""
        told = sorted(self._held.values(), key=lambda change: not change.urgent)
        self._held = {}
        if told:
            self._told_at = now_s
        more = Counter(change.word for change in told[self._lines :])
        return Telling(lines=told[: self._lines], more=more.most_common())
