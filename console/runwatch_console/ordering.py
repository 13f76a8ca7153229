"""Which runs a list shows and in what order, and when that may change; pure.

The order stands still while the user works: it is applied again when asked, or `QUIET_S` after the
last key.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from runwatch_console.filters import ANY, Filter
from runwatch_console.rows import RunRow

QUIET_S: Final = 2.0
"""Seconds without a key after which rows may move."""
PACE_S: Final = 0.5
"""At most one new order in so many seconds while nobody touches a key."""
TIMED_S: Final = 5.0
"""A filter on ages is looked at again after so many seconds, without any change."""

SortKey = tuple[float | str, ...]


MISSING: Final = float("inf")
"""Sort key of a row without the value: it comes last, whichever way round."""


def _most_first(value: float | None) -> float:
    return MISSING if value is None else -value


@dataclass(frozen=True, slots=True)
class Sort:
    """A named order; ascending by `key`, so "most first" keys are negative."""

    id: str
    key: Callable[[RunRow], SortKey]


_ATTENTION_IN_STATE: Final = {"looping": 0.0, "stalled": 1.0, "stuck_queued": 2.0, "slow": 3.0}

LAST: Final = "\U0010ffff"

SORTS: Final = (
    Sort(
        "attention",
        lambda run: (
            -run.attention,
            _ATTENTION_IN_STATE.get(run.health, 4.0) if not run.ended else 5.0,
            _most_first(run.ended_s or run.updated_s) if run.ended else (run.created_s or 0.0),
        ),
    ),
    Sort("age", lambda run: (_most_first(run.state_since_s),)),
    Sort("updated", lambda run: (_most_first(run.updated_s),)),
    Sort("cost", lambda run: (_most_first(run.cost_usd),)),
    Sort("rate", lambda run: (_most_first(run.cost_per_h),)),
    Sort("tokens", lambda run: (_most_first(run.tokens),)),
    Sort("failures", lambda run: (_most_first(run.tool_failures), _most_first(run.tool_calls))),
    Sort("name", lambda run: (run.name.casefold(),)),
    Sort("node", lambda run: (run.node or LAST, -run.attention)),
)
"""In the order `s` goes through them; a row without the value comes last."""


def sort_named(name: str) -> Sort | None:
    """The sort with this id, or the one whose id begins so."""
    return next((sort for sort in SORTS if sort.id.startswith(name)), None) if name else None


class RunOrder:
    """Keeps the ids a list shows, in order.

    `note` is told of every change and is cheap; `apply` computes the order anew and is called only
    when `due` or
    when the user asks. While `locked`, rows keep their places and new ones come last.
    """

    def __init__(self, *, chosen: Filter = ANY, sort: Sort = SORTS[0]) -> None:
        self.filter = chosen
        self.inverted = False
        self.sort = sort
        self.reversed = False
        self.locked = False
        self.ids: tuple[str, ...] = ()
        self._keys: dict[str, SortKey] = {}
        self._all: list[tuple[SortKey, str]] = []
        """All runs of the last time in their order, whatever the filter."""
        self._all_of: Mapping[str, RunRow] = {}
        self._all_by: Sort | None = None
        self._dirty = True
        self._whole = True
        self._applied_mono_s = float("-inf")

    def matches(self, run: RunRow, now_s: float) -> bool:
        """Whether a row belongs in the list."""
        return self.filter.matches(run, now_s) != (self.inverted and bool(self.filter))

    def note(self, runs: Mapping[str, RunRow], changed: Iterable[str] | None, now_s: float) -> None:
        """Take note of rows that changed; None: all of them."""
        if changed is None:
            self._dirty = self._whole = True
            return
        if self._dirty:
            return
        for run_id in changed:
            run = runs.get(run_id)
            now = self.sort.key(run) if run is not None and self.matches(run, now_s) else None
            if now != self._keys.get(run_id):
                self._dirty = True
                return

    def due(self, now_mono_s: float, last_key_mono_s: float) -> bool:
        """Whether the order should be applied now of itself."""
        if not self.ids and self._whole:
            return True
        since_s = now_mono_s - self._applied_mono_s
        if now_mono_s - last_key_mono_s < QUIET_S or since_s < PACE_S:
            return False
        return self._dirty or (self.filter.timed and since_s >= TIMED_S)

    def apply(self, runs: Mapping[str, RunRow], now_s: float, now_mono_s: float) -> tuple[str, ...]:
        """The ids in order; ties are broken by id, so the order is the same every time."""
        in_order = self._in_order(runs)
        if self.filter:
            matches, wanted = self.filter.matches, not self.inverted
            in_order = [each for each in in_order if matches(runs[each[1]], now_s) is wanted]
        keyed = {run_id: key for key, run_id in in_order}
        self.ids = tuple(self._locked_order(keyed) if self.locked else self._turned(in_order))
        self._keys = keyed
        self._dirty = self._whole = False
        self._applied_mono_s = now_mono_s
        return self.ids

    def merge(self, runs: Iterable[RunRow], gone: Iterable[str], now_s: float) -> tuple[str, ...]:
        """The ids with these runs at their places, without those that are gone: all others stand
        as they did, however their rows have changed since.
        """
        for run_id in gone:
            self._keys.pop(run_id, None)
        for run in runs:
            if run.id not in self._keys and self.matches(run, now_s):
                self._keys[run.id] = self.sort.key(run)
        self.ids = tuple(self._locked_order(self._keys) if self.locked else self._order(self._keys))
        return self.ids

    def place_of(self, run: RunRow, *, after: bool) -> int:
        """How many of `ids` stand before a run, which need not be one of them; `after`: itself
        counted too.
        """
        mine = (self.sort.key(run), run.id)

        def stands_before(run_id: str) -> bool:
            its = (self._keys[run_id], run_id)
            if its == mine:
                return after
            if self.reversed and (its[0][0] == MISSING) != (mine[0][0] == MISSING):
                return its[0][0] != MISSING
            falling = self.reversed and its[0][0] != MISSING
            return its > mine if falling else its < mine

        return sum(map(stands_before, self.ids))

    def _in_order(self, runs: Mapping[str, RunRow]) -> list[tuple[SortKey, str]]:
        """All of them; where little has changed since the last time, little is done again."""
        key, before = self.sort.key, self._all_of
        if self._all_by is not self.sort:
            self._all = []
        # In the order of before: what is nearly sorted is sorted fast.
        kept = [
            each if run is before[each[1]] else (key(run), each[1])
            for each in self._all
            if (run := runs.get(each[1])) is not None
        ]
        if len(kept) < len(runs):
            known = {run_id for _, run_id in kept}
            kept += [(key(run), run_id) for run_id, run in runs.items() if run_id not in known]
        kept.sort()
        self._all, self._all_of, self._all_by = kept, dict(runs), self.sort
        return kept

    def _order(self, keyed: dict[str, SortKey]) -> list[str]:
        return self._turned(sorted((key, run_id) for run_id, key in keyed.items()))

    def _turned(self, by_key: list[tuple[SortKey, str]]) -> list[str]:
        if not self.reversed:
            return [run_id for _, run_id in by_key]
        known = [run_id for key, run_id in by_key if key[0] != MISSING]
        return known[::-1] + [run_id for key, run_id in by_key if key[0] == MISSING]

    def _locked_order(self, keyed: dict[str, SortKey]) -> list[str]:
        kept = [run_id for run_id in self.ids if run_id in keyed]
        places = set(kept)
        return kept + self._order({k: v for k, v in keyed.items() if k not in places})
