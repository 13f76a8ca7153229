"""Many tasks and runs of one played story: its rows with other ids, words and moments.

The rows are taken as the story's store has them, whatever columns there are. A moment moves by
whole minutes, so that what is kept by the minute moves with it.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

from tests.benchmarks._stories import LABELS, MINUTE_US, NAME, NODE, TICKET, Story

_OF_RUNS: Final = "(SELECT id FROM runs WHERE task_id = ?)"
TABLES: Final = {
    "tasks": "id = ?",
    "task_labels": "task_id = ?",
    "runs": "task_id = ?",
    "run_labels": f"run_id IN {_OF_RUNS}",
    "run_specs": f"run_id IN {_OF_RUNS}",
    "run_folds": f"run_id IN {_OF_RUNS}",
    "steps": f"run_id IN {_OF_RUNS}",
    "leases": f"run_id IN {_OF_RUNS}",
    "events": "run IN (SELECT key FROM runs WHERE task_id = ?)",
    "event_blocks": "run IN (SELECT key FROM runs WHERE task_id = ?)",
    "ended_runs": "run IN (SELECT key FROM runs WHERE task_id = ?)",
}
"""Where the rows of a task are."""
WORDS: Final = (NAME, NAME.casefold(), NODE, *LABELS.values(), TICKET)
"""What a copy has its own words for, in this order."""
_REVISION: Final = '"revision":'
KEYS: Final = {("runs", "key"), ("events", "run"), ("event_blocks", "run"), ("ended_runs", "run")}
_MARGIN_US: Final = 400 * 86_400_000_000
"""Moments of a story are not further ahead: a deadline, the removal of its events."""

Rows = dict[str, list[tuple[Any, ...]]]
Place = tuple[str, int]
"""``fixed``, ``own``, ``revision``, ``moment``, ``minute`` or ``text``, and which of them."""


class Stamp:
    """Makes copies of a story."""

    def __init__(self, story: Story) -> None:
        self.begun_us, self.ended_us = story.begun_us, story.ended_us
        self.counts: Counter[str] = Counter()
        """What a copy adds to counters of all time."""
        self.timed: list[tuple[int, str, str, float]] = []
        """(moment, span, name, value): what it adds to those of a day or minute."""
        for commit in story.commits:
            for span, _, name, value in commit.counts:
                if span == "all":
                    self.counts[name] += value  # type: ignore[assignment]  # cost is a float
                else:
                    self.timed.append((commit.at_us, span, name, value))
        first = min(commit.revision for commit in story.commits)
        self.revisions = max(commit.revision for commit in story.commits) - first + 1
        self._reading = _Reading(story, first)
        places = {name: self._reading.rows(name, where) for name, where in TABLES.items()}
        self.columns = self._reading.columns
        self._reading.seal()
        story.store.close()
        self.runs = len(places["runs"])
        self.events = len(places["events"])
        self.held = len(places["leases"])
        self._makers = {
            name: [_getter([self._reading.index(place) for place in row]) for row in rows]
            for name, rows in places.items()
        }

    def copy(
        self,
        ids: Sequence[str],
        keys: Sequence[int],
        words: Sequence[str],
        shift_us: int,
        revision: int,
    ) -> Rows:
        """The rows of a copy, by table.

        Args:
            ids: Of the task and of each run.
            keys: Of each run, in the table of events.
            words: For `WORDS`.
            shift_us: Whole minutes.
            revision: What its first commit takes; in all it takes ``revisions``.
        """
        reading = self._reading
        values: list[Any] = [*reading.fixed, *ids, *keys, *words]
        values += [revision + offset for offset in range(self.revisions)]
        values += [moment + shift_us for moment in reading.moments]
        minutes = shift_us // MINUTE_US
        values += [minute + minutes for minute in reading.minutes]
        values += [pattern % get(values) for pattern, get in reading.texts]
        return {name: [make(values) for make in rows] for name, rows in self._makers.items()}


class _Reading:
    """A story's rows as places in the list of a copy's values."""

    def __init__(self, story: Story, first_revision: int) -> None:
        self.fixed: list[Any] = []
        self.moments: list[int] = []
        self.minutes: list[int] = []
        self.texts: list[tuple[str, Callable[[Sequence[Any]], Any]]] = []
        self.columns: dict[str, list[str]] = {}
        """By table, in the order of the rows."""
        self._patterns: list[tuple[str, list[Place]]] = []
        self._starts: dict[str, int] = {}
        self._first_revision = first_revision
        self._story = story
        connection = story.store._writer.raw
        sql = "SELECT key FROM runs WHERE id = ?"
        keys = [connection.execute(sql, (run,)).fetchall()[0][0] for run in story.run_ids]
        self._own: list[Any] = [story.task_id, *story.run_ids, *keys, *WORDS]
        self._revisions = max(commit.revision for commit in story.commits) - first_revision + 1
        words = [re.escape(word) for word in (story.task_id, *story.run_ids, *WORDS)]
        self._parts = re.compile(
            rf'{"|".join(words)}|(?<="revision":)\d+|(?<![\d.])(?:\d{{16}}|\d{{8}})(?![\d.])'
        )

    def rows(self, table: str, where: str) -> list[list[Place]]:
        """The rows of a table."""
        connection = self._story.store._writer.raw
        names = [column for _, column, *_ in connection.execute(f"PRAGMA table_info({table})")]
        self.columns[table] = names
        found = connection.execute(f"SELECT * FROM {table} WHERE {where}", (self._story.task_id,))
        return [
            [self._place(table, name, value) for name, value in zip(names, row, strict=True)]
            for row in found.fetchall()
        ]

    def seal(self) -> None:
        """All rows are read: where each place is can be told from now on."""
        at = 0
        for kind, size in (
            ("fixed", len(self.fixed)),
            ("own", len(self._own)),
            ("revision", self._revisions),
            ("moment", len(self.moments)),
            ("minute", len(self.minutes)),
            ("text", len(self._patterns)),
        ):
            self._starts[kind] = at
            at += size
        self.texts = [
            (pattern, _getter([self.index(part) for part in parts]))
            for pattern, parts in self._patterns
        ]

    def index(self, place: Place) -> int:
        """Where in the list of a copy's values a place is."""
        return self._starts[place[0]] + place[1]

    def _place(self, table: str, column: str, value: Any) -> Place:
        if (table, column) in KEYS:
            return "own", self._own.index(value, len(self._story.run_ids) + 1)
        if column == "revision":
            return "revision", value - self._first_revision
        if isinstance(value, int) and self._is_moment(value):
            return self._added("moment", self.moments, value)
        if isinstance(value, str):
            if value in self._own:
                return "own", self._own.index(value)
            pattern, parts = self._pattern(value)
            if parts:
                self._patterns.append((pattern, parts))
                return "text", len(self._patterns) - 1
        return self._added("fixed", self.fixed, value)

    def _pattern(self, text: str) -> tuple[str, list[Place]]:
        """A text as a pattern of ``%`` and the places of what it is filled with."""
        pattern, at = "", 0
        parts: list[Place] = []
        for found in self._parts.finditer(text):
            part = self._part(text, found)
            if part is not None:
                pattern += text[at : found.start()].replace("%", "%%") + "%s"
                parts.append(part)
                at = found.end()
        return pattern + text[at:].replace("%", "%%"), parts

    def _part(self, text: str, found: re.Match[str]) -> Place | None:
        word = found[0]
        if word in self._own:
            return "own", self._own.index(word)
        if text.endswith(_REVISION, 0, found.start()):
            return "revision", int(word) - self._first_revision
        number = int(word)
        if self._is_moment(number):
            return self._added("moment", self.moments, number)
        if self._story.begun_us // MINUTE_US <= number <= self._story.ended_us // MINUTE_US:
            return self._added("minute", self.minutes, number)
        return None

    def _is_moment(self, number: int) -> bool:
        return self._story.begun_us - MINUTE_US <= number <= self._story.ended_us + _MARGIN_US

    def _added(self, kind: str, values: list[Any], value: Any) -> Place:
        for at, known in enumerate(values):
            if known is value or (type(known) is type(value) and known == value):
                return kind, at
        values.append(value)
        return kind, len(values) - 1


def _getter(places: list[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """What gives the values at some places, as a tuple even for one."""
    if len(places) == 1:
        only = places[0]
        return lambda values: (values[only],)
    return itemgetter(*places)
