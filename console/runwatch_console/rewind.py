"""Going back in time in a live console: what each fold changed, kept backwards, within limits.

The feed goes on being folded while a moment of before is shown. Pure: no screen, no clock.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from runwatch_console.fleet import Fleet
from runwatch_console.rows import RunRow
from runwatch_console.state import ConsoleState, Past

KEPT_S: Final = 30 * 60.0
KEPT_BYTES: Final = 32 * 1024 * 1024
ROW_BYTES: Final = 1_600
"""A row without its texts, roughly."""
FOLD_BYTES: Final = 700
"""A fold that changed nothing, roughly."""
NODE_BYTES: Final = 120
"""A node that did not change, in a mapping of nodes that did, roughly."""
STATS_BYTES: Final = 3_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Undo:
    """How to come from the fleet after a fold to the one before it."""

    before: Fleet
    """The fleet before, without its runs."""
    runs: Mapping[str, RunRow | None]
    """What changed: the row as it was, None for one that was not there; or with `whole` all."""
    whole: bool
    size_bytes: int

    def undone(self, runs: dict[str, RunRow]) -> dict[str, RunRow]:
        """The runs before the fold; those after it are changed in place."""
        if self.whole:
            return {run_id: row for run_id, row in self.runs.items() if row is not None}
        for run_id, row in self.runs.items():
            if row is None:
                runs.pop(run_id, None)
            else:
                runs[run_id] = row
        return runs


class Rewind:
    """The live fleet, what it was before, and the moment that is shown.

    Args:
        kept_s: Seconds of the server's clock that can be gone back.
        kept_bytes: What is kept for it takes at most so much, roughly; the oldest goes first.
    """

    def __init__(self, *, kept_s: float = KEPT_S, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_s = kept_s
        self._kept_bytes = kept_bytes
        self._undos: deque[Undo] = deque()
        self._bytes = 0
        self._live = Fleet()
        self._viewed: Fleet | None = None
        self._at_s = 0.0

    @property
    def size_bytes(self) -> int:
        """What is kept takes so much, roughly."""
        return self._bytes

    @property
    def revisions(self) -> list[int]:
        """Of the fleets that can be gone back to, the oldest first."""
        return [undo.before.revision for undo in self._undos]

    def live(self, state: ConsoleState) -> ConsoleState:
        """The state as it is now, whatever is shown: the one to fold on."""
        if self._viewed is None:
            return state
        return replace(state, fleet=self._live, past=None)

    def noted(self, before: Fleet, state: ConsoleState) -> ConsoleState:
        """Keep what a fold changed; gives what is to be shown after it."""
        after = self._live = state.fleet
        if after is not before and before.loaded:
            self._keep(undo_of(before, after))
        if self._viewed is None:
            return state
        return self._shown(state, replace(self._viewed, changed=frozenset()))

    def _keep(self, undo: Undo) -> None:
        self._undos.append(undo)
        self._bytes += undo.size_bytes
        newest_s = self._live.server_s or 0.0
        while self._undos and (
            self._bytes > self._kept_bytes
            or newest_s - (self._undos[0].before.server_s or 0.0) > self._kept_s
        ):
            self._bytes -= self._undos.popleft().size_bytes

    @property
    def oldest_s(self) -> float | None:
        """The earliest moment that can be shown, by the server's clock."""
        return self._undos[0].before.server_s if self._undos else None

    def stepped(self, state: ConsoleState, seconds: float) -> ConsoleState:
        """The state so many seconds later, or earlier; live again from the newest on."""
        live = self.live(state)
        from_s = self._at_s if self._viewed is not None else live.server_now_s
        return self.at(state, from_s + seconds)

    def at(self, state: ConsoleState, at_s: float) -> ConsoleState:
        """The state at a moment of the server's clock: at the oldest one kept, if it is before."""
        oldest_s = self.oldest_s
        if oldest_s is None or at_s >= (self._live.server_s or 0.0):
            return self.returned(state)
        self._at_s = max(at_s, oldest_s)
        times = [undo.before.server_s or 0.0 for undo in self._undos]
        number = max(0, bisect_right(times, self._at_s) - 1)
        self._viewed = self.fleet_before(number)
        return self._shown(self.live(state), self._viewed)

    def fleet_before(self, number: int) -> Fleet:
        """The fleet before the fold of this number, counted from the oldest that is kept."""
        runs = dict(self._live.runs)
        for index in range(len(self._undos) - 1, number - 1, -1):
            runs = self._undos[index].undone(runs)
        return replace(self._undos[number].before, runs=runs, changed=None)

    def returned(self, state: ConsoleState) -> ConsoleState:
        """Live again."""
        live = self.live(state)
        if self._viewed is None:
            return live
        self._viewed = None
        return replace(live, fleet=replace(live.fleet, changed=None))

    def _shown(self, live: ConsoleState, viewed: Fleet) -> ConsoleState:
        return replace(live, fleet=viewed, past=Past(at_s=self._at_s, oldest_s=self.oldest_s))


def undo_of(before: Fleet, after: Fleet) -> Undo:
    """How to come back from `after`, which is one fold later."""
    whole = after.changed is None
    runs: Mapping[str, RunRow | None]
    if after.changed is None:
        runs = before.runs
    else:
        runs = {run_id: before.runs.get(run_id) for run_id in after.changed}
    size = FOLD_BYTES + sum(row_bytes(row) for row in runs.values() if row is not None)
    if before.nodes is not after.nodes:
        size += len(before.nodes) * NODE_BYTES
    if before.stats is not after.stats:
        size += STATS_BYTES
    bare = replace(before, runs={}, arriving_runs=None, arriving_nodes={})
    return Undo(before=bare, runs=runs, whole=whole, size_bytes=size)


def row_bytes(row: RunRow) -> int:
    """What a row takes, roughly: with other texts than Latin ones twice as much for these."""
    texts = len(row.searched) + len(row.activity) + len(row.error) + len(row.queue_reason)
    return ROW_BYTES + texts * (1 if row.searched.isascii() else 2)
