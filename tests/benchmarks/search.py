"""`q` over many runs against the same over few, within a long run against a look at every event,
and what keeping the index costs ingest.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

import msgspec

from runwatch_server.storage.protocols import EventQuery, Query, WriteTx
from runwatch_server.storage.sql.events import EventReader
from runwatch_server.storage.sql.reading import ReadTransaction
from runwatch_server.storage.sql.runs import RunReader
from runwatch_server.storage.sqlite.store import SqliteStore
from tests.benchmarks.figures import Figure, interleaved
from tests.benchmarks.ingest import Load
from tests.storage.making import NOW_US, RULES, a_run, a_spec, an_event, run_id

FEW, MANY = 2_000, 200_000
EVENTS = 200_000
GROUP = 2_000
TRIES = 9
ROUNDS = 3

WORDS: dict[str, tuple[str, float | None]] = {
    "rare": ("needle in", 5.0),
    "absent": ("qzxkvwjyq", 5.0),
    "absent, its trigrams dense": ("reployed ser", 30.0),
    "dense": ("deploy", 12.0),
    "rare, 2 Chinese characters": ("部署", 5.0),
    "absent, 2 Chinese characters": ("龘靐", 5.0),
}
"""What is sought, and how much longer it may take among a hundred times as many runs."""


def name_of(number: int) -> str:
    """Names as people give them; some twenty runs have what is rare."""
    if number % 100 == 7 and number < FEW:
        return f"find the needle in {number}, 部署"
    return f"{('deploy', 'review', 'redeployed')[number % 3]} service {number % 977} of {number}"


class Searched:
    """A store with its index filled."""

    def __init__(self, folder: Path, runs: int) -> None:
        folder.mkdir()
        self.store = SqliteStore.open(folder / "runwatch.db", RULES, search=True)
        self.runs = runs
        for first in range(0, runs, GROUP):
            self.put(partial(_insert, first=first))
        self.indexed_s = self.catch_up()

    def put(self, work: Callable[[WriteTx], object]) -> None:
        (outcome,), _ = self.store.write_group([work], NOW_US)
        assert outcome.error is None, outcome.error
        self.store.tidy(idle=True)

    def catch_up(self) -> float:
        """Seconds it took to index what was not."""
        assert self.store.follower is not None
        begun = time.perf_counter()
        while self.store.follower._indexer.step():
            pass
        return time.perf_counter() - begun

    def add_events(self, events: int) -> None:
        """Those of one run."""

        def append(tx: WriteTx, first: int) -> None:
            row = tx.runs.get(run_id(1))
            assert row is not None
            rows = [
                an_event(seq, "tests passed, build of the api is green " * 6 + str(seq))
                for seq in range(first, first + GROUP)
            ]
            tx.runs.save(row, msgspec.structs.replace(row, last_seq=rows[-1].seq))
            tx.events.append(row.id, rows)

        for first in range(1, events, GROUP):
            self.put(partial(append, first=first))

    def listed(self, q: str) -> tuple[float, float]:
        """Seconds of a page with its total: with the index, and looking at every row."""
        query = Query(q=q, limit=51)
        with self.store.read() as tx:
            assert isinstance(tx, ReadTransaction)
            scan = RunReader(tx._connection)
            assert tx.runs.page(query) == scan.page(query)
            assert tx.runs.count(query, at_most=10_000) == scan.count(query, at_most=10_000)
            return timed(lambda: _list(tx.runs, query), TRIES), timed(lambda: _list(scan, query), 1)

    def found_event(self) -> tuple[float, float]:
        """Seconds until the one event is found: with the index, and looking at every event."""
        query = EventQuery(run_id=run_id(1), q=f"green {EVENTS - 100}", scan_limit=10**9)
        with self.store.read() as tx:
            assert isinstance(tx, ReadTransaction)
            scan = EventReader(tx._connection)
            assert tx.events.page(query) == scan.page(query)
            assert len(tx.events.page(query).events) == 1
            ours = timed(lambda: tx.events.page(query), TRIES)
            return ours, timed(lambda: scan.page(query), 1)


def _insert(tx: WriteTx, first: int) -> None:
    for number in range(first + 1, first + GROUP + 1):
        tx.runs.insert(a_run(number, name=name_of(number)), a_spec())


def _list(reader: RunReader, query: Query) -> None:
    reader.page(query)
    reader.count(query, at_most=10_000)


def timed(work: Callable[[], object], tries: int) -> float:
    """The median of some tries, seconds."""
    taken = []
    for _ in range(tries):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return median(taken)


def main() -> list[Figure]:
    """Lists by `q`, events by `q`, and ingest with the index kept and without."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        few, many = Searched(root / "few", FEW), Searched(root / "many", MANY)
        stack.callback(few.store.close)
        stack.callback(many.store.close)
        figures.append(
            Figure(
                name="index of runs",
                value=MANY / many.indexed_s,
                unit="runs/s",
                note="filled at once, one thread",
            )
        )
        for kind, (q, ceiling) in WORDS.items():
            small, _ = few.listed(q)
            large, scanned = many.listed(q)
            figures.append(
                Figure(
                    name=f"list by q, {kind}: {MANY:,} runs against {FEW:,}",
                    value=large / small,
                    ceiling=ceiling,
                    note=f"{large * 1e3:.2f} against {small * 1e3:.2f} ms; "
                    f"every row {scanned * 1e3:.0f} ms",
                )
            )
        many.add_events(EVENTS)
        indexed_s = many.catch_up()
        ours, scanned = many.found_event()
        figures += [
            Figure(
                name=f"one event of {EVENTS:,} by q: a look at every event against the index",
                value=scanned / ours,
                floor=20.0,
                note=f"{scanned * 1e3:.0f} against {ours * 1e3:.2f} ms",
            ),
            Figure(
                name="index of events",
                value=EVENTS / indexed_s,
                unit="events/s",
                note="filled at once, one thread",
            ),
        ]
    return [*figures, kept_against_not()]


def kept_against_not() -> Figure:
    """Ingest with the follower at work against ingest without one."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        kept = Load(root / "kept", "--no-tls")
        stack.callback(kept.server.stop)
        without = Load(root / "without", "--no-tls", RUNWATCH_SEARCH="false")
        stack.callback(without.server.stop)
        ours, theirs = interleaved(ROUNDS, lambda: kept.rate(100), lambda: without.rate(100))
    return Figure(
        name="ingest, 100 events a request, index kept against none",
        value=ours / theirs,
        floor=0.9,
        note=f"{ours:,.0f} against {theirs:,.0f} events/s",
    )
