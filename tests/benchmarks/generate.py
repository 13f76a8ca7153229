"""`python -m tests.benchmarks.generate --runs N --events M --database PLACE`: a store that large.

The place is a new SQLite file or an empty PostgreSQL database.

Every row is what the server writes: lives of runs are played through its domain (`_stories`) and
copied with other ids, words and moments (`_stamps`). Only the way into the store is quicker
(`_filling`).
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from runwatch_server.days import day_starts, time_zone
from runwatch_server.lifespan import rules_of
from runwatch_server.rows import NodeRow
from runwatch_server.storage.memory import MemoryStore
from runwatch_server.storage.sql.documents import NODE as NODE_DOCUMENT
from runwatch_server.tally import minute_of
from runwatch_shared.settings import ServerSettings
from tests.benchmarks._filling import Filling, filling_postgres, filling_sqlite
from tests.benchmarks._stamps import TABLES, Rows, Stamp
from tests.benchmarks._stories import MINUTE_US, Plot, beat, play

DAY_US: Final = 86_400_000_000
SPAN_US: Final = 20 * DAY_US
"""How far back the history goes: less than events are kept."""
NODES: Final = 50
MOST_ACTIVE: Final = 400
"""Runs under way: what a fleet holds does not grow with its history."""
LENGTHS: Final = (2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30, 45)
AGENTS: Final = ("claude-code",) * 10 + ("openai-codex",) * 5 + ("gemini-cli", "command", "general")
ENDED: Final = (
    (("done",),) * 78
    + (("failed",),) * 9
    + (("cancelled",),) * 4
    + (("withdrawn",),) * 2
    + (("timeout",),) * 2
    + (("failed", "done"),) * 4
    + (("failed", "failed"),)
)
ACTIVE: Final = ("working",) * 8 + ("queued",) * 4 + ("waiting",) * 2 + ("stalled", "looping")
TEAMS: Final = ("red", "blue", "green", "payments", "search", "平台", "数据", "移动端")
ENVS: Final = ("prod", "staging", "dev")
VERBS: Final = ("Fix", "Review", "Port", "Test", "Document", "修复", "重构", "测试", "迁移", "检查")
THINGS: Final = (
    "the login page",
    "flaky test of the queue",
    "payment API",
    "nightly build",
    "search index",
    "登录页面",
    "支付接口",
    "夜间构建",
    "搜索索引",
    "用户权限",
)
BATCH: Final = 2000
"""Tasks whose rows are written together."""


class Generator:
    """Makes one store. ``now_us`` is when the newest of it happened."""

    def __init__(self, filling: Filling, *, now_us: int, seed: int = 1) -> None:
        self._filling = filling
        self.settings = ServerSettings()
        self.now_us = now_us
        self._random = random.Random(seed)
        self._stamps: dict[Plot, Stamp] = {}
        self._counts: Counter[tuple[str, int, str]] = Counter()
        self._copies: Counter[Plot] = Counter()
        self._held: Counter[str] = Counter()
        self._revision = 1
        self._key = 0
        self._ids: set[str] = set()
        self._columns: dict[str, list[str]] = {}
        """Of each table of `TABLES`, in the order of the rows."""
        self._day_start_us = day_starts(time_zone(self.settings.time_zone))

    def fill(self, runs: int, events: int) -> None:
        """Write everything; the store must be new."""
        rows: Rows = {name: [] for name in TABLES}
        for number, (plot, ended_us) in enumerate(self._plots(runs, events), 1):
            for name, made in self._copy(plot, ended_us).items():
                rows[name] += made
            if number % BATCH == 0:
                self._write(rows)
        self._write(rows)
        self._write_rest()
        self._filling.finish(self._revision)

    def _write(self, rows: Rows) -> None:
        for name, made in rows.items():
            self._filling.write(name, self._columns[name], made)
            made.clear()

    def _plots(self, runs: int, events: int) -> Iterator[tuple[Plot, int]]:
        """What is told and when it ends, oldest first, with as many runs and events in all."""
        choice = self._random.choice
        active = min(MOST_ACTIVE, runs // 10)
        told_runs = told_events = 0
        while told_runs < runs:
            left = runs - told_runs
            ended = left > active
            fates = choice(ENDED) if ended else (choice(ACTIVE),)
            if len(fates) > max(1, left - active):
                fates = fates[-1:]
            wanted = (told_runs + 1) * events / runs - told_events
            length = min(LENGTHS, key=lambda length: abs(length - wanted * choice((0.4, 1, 1.6))))
            plot = Plot(
                agent_type=choice(AGENTS),
                events=length,
                fates=fates,
                ticket=self._random.random() < 0.1,
                phase_us=choice((3_141_593, 17_320_508, 44_721_360)),
            )
            if left == 1:
                exact = max(2, events - told_events)
                plot = msgspec.structs.replace(plot, fates=("done",), events=exact)
            stamp = self._stamp(plot)
            told_runs += stamp.runs
            told_events += stamp.events
            back_us = int(SPAN_US * (left / runs) ** 1.3) if ended and left > 1 else 0
            yield plot, self.now_us - back_us

    def _stamp(self, plot: Plot) -> Stamp:
        stamp = self._stamps.get(plot)
        if stamp is None:
            stamp = self._stamps[plot] = Stamp(play(plot, self.settings, self.now_us))
            self._columns = stamp.columns
        return stamp

    def _copy(self, plot: Plot, ended_us: int) -> dict[str, list[tuple[Any, ...]]]:
        stamp = self._stamp(plot)
        choice = self._random.choice
        shift_us = (ended_us - stamp.ended_us) // MINUTE_US * MINUTE_US
        self._copies[plot] += 1
        for at_us, span, name, value in stamp.timed:
            moment_us = at_us + shift_us
            if span == "minute" and moment_us > self.now_us - DAY_US:
                self._counts[span, minute_of(moment_us), name] += value  # type: ignore[assignment]
            elif span == "day" and moment_us > self.now_us - 8 * DAY_US:
                self._counts[span, self._day_start_us(moment_us), name] += value  # type: ignore[assignment]
        name = f"{choice(VERBS)} {choice(THINGS)} #{self._random.randrange(10_000)}"
        node = f"node-{self._random.randrange(NODES):02d}"
        self._held[node] += stamp.held
        keys = [
            self._filling.key(self._key + number, stamp.begun_us + shift_us)
            for number in range(1, stamp.runs + 1)
        ]
        self._key += stamp.runs
        revision = self._revision
        self._revision += stamp.revisions
        ids = [self._new_id("task"), *(self._new_id("run") for _ in keys)]
        words = (
            name,
            name.casefold(),
            node,
            choice(TEAMS),
            choice(ENVS),
            f"repo-{self._random.randrange(40)}",
            f"RW-{self._random.randrange(50_000)}",
        )
        return stamp.copy(ids, keys, words, shift_us, revision)

    def _new_id(self, prefix: str) -> str:
        while True:
            made = f"{prefix}-{self._random.getrandbits(48):012x}"
            if made not in self._ids:
                self._ids.add(made)
                return made

    def _write_rest(self) -> None:
        """Nodes and counters."""
        nodes = []
        for node in self._nodes():
            self._revision += 1
            row = msgspec.structs.replace(node, revision=self._revision)
            nodes.append((row.id, row.revision, NODE_DOCUMENT.text(row)))
        self._filling.write("nodes", ("id", "revision", "doc"), nodes)
        counts: Counter[tuple[str, int, str]] = self._counts.copy()
        for plot, copies in self._copies.items():
            for name, value in self._stamps[plot].counts.items():
                counts["all", 0, name] += value * copies
        rows = [(*key, float(value)) for key, value in sorted(counts.items())]
        self._filling.write("counters", ("span", "start_us", "name", "value"), rows)

    def _nodes(self) -> list[NodeRow]:
        """The fleet, as heartbeats make it, with what its runs hold."""
        store = MemoryStore.make(rules_of(self.settings))
        try:
            names = [f"node-{number:02d}" for number in range(NODES)]
            works = [
                lambda tx, name=name: beat(tx, name, 16, self.now_us, self.settings)
                for name in names
            ]
            store.write_group(works, self.now_us)
            with store.read() as tx:
                rows = tx.nodes.all()
        finally:
            store.close()
        return [
            msgspec.structs.replace(
                row, allocated=self._held[row.id], active_runs=self._held[row.id]
            )
            for row in rows
        ]


def generate(target: Path | str, *, runs: int, events: int, now_us: int) -> None:
    """A new store with so many runs and events.

    Args:
        target: A SQLite file, or the URL of an empty PostgreSQL database.

    Raises:
        ValueError: Fewer than two events a run, or no run, or the file is there.
    """
    if runs < 1 or events < 2 * runs:
        raise ValueError("at least one run, and two events a run")
    opened = (
        filling_sqlite(target, ServerSettings())
        if isinstance(target, Path)
        else filling_postgres(target)
    )
    with opened as filling:
        Generator(filling, now_us=now_us).fill(runs, events)


def main(arguments: list[str]) -> int:
    """Make a store and say how long it took."""
    parser = argparse.ArgumentParser(description="Make a store with many runs.")
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--database", type=_target, required=True)
    chosen = parser.parse_args(arguments)
    begun = time.monotonic()
    now_us = time.time_ns() // 1000
    try:
        generate(chosen.database, runs=chosen.runs, events=chosen.events, now_us=now_us)
    except ValueError as error:
        parser.error(str(error))
    seconds = time.monotonic() - begun
    print(f"{chosen.runs:,} runs, {chosen.events:,} events, {seconds:.0f} s")
    return 0


def _target(text: str) -> Path | str:
    return text if text.startswith("postgresql://") else Path(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
