"""Durable ingest over HTTP against raw SQLite in the same run.

Raw: `executemany` of the same rows without a server, `synchronous=FULL`, a transaction a batch,
with a core of its own. Ours: the whole server (decoding, judging, folding, counters, statistics,
group commit) behind HTTP, with a client on the other core.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib import resources
from pathlib import Path

import apsw

from tests.benchmarks._held_runs import HeldRuns
from tests.benchmarks._reporters import PAYLOAD_CHARS
from tests.benchmarks.figures import Compared, Figure, compared

ROUNDS = 5
GROUP_ROUNDS = 11
"""One fsync varies much from moment to moment, and a commit a request is hardly anything else."""
LOADS = {1: (32, 120), 10: (32, 60), 100: (16, 240)}
"""Batch size → (connections, requests of each). A round of batches of 100 takes some seconds on
both sides: in one of half a second, connecting and the first batch of each run weigh too."""


class Load(HeldRuns):
    """A server without TLS, and reports to it from a process of their own."""

    def rate(self, batch: int) -> float:
        """Events a second, each acknowledged after its commit."""
        return self.reporting(batch, *LOADS[batch])()

    def reporting(self, batch: int, connections: int, requests: int) -> Callable[[], float]:
        """Begin to report; what is given back waits for the end and gives the events a second."""
        self.beat()
        task_id = self.task()
        runs = [self.run(task_id) for _ in range(connections)]
        command = [sys.executable, "-m", "tests.benchmarks._reporters", "127.0.0.1"]
        command += [str(self.server.port), self.node_token, str(batch), str(requests), *runs]
        reporters = subprocess.Popen(command, stdout=subprocess.PIPE)

        def wait() -> float:
            try:
                output, _ = reporters.communicate(timeout=120)
            except BaseException:
                reporters.kill()
                raise
            told = json.loads(output)
            assert told["created"] == connections * requests, told
            return connections * requests * batch / float(told["seconds"])

        return wait


class RawSqlite:
    """`sqlite3.executemany` as performance.md 3 has it: no server, one transaction a batch, which
    also counts the events of their run.
    """

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL").fetchall()
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.execute(
            "CREATE TABLE events (run TEXT NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL,"
            " type TEXT NOT NULL, at_us INTEGER NOT NULL, received_us INTEGER NOT NULL,"
            " level TEXT NOT NULL, payload BLOB, raw TEXT, PRIMARY KEY (run, seq)) WITHOUT ROWID"
        )
        self.connection.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, last_seq INTEGER)")
        self.rounds = 0

    def rate(self, batch: int) -> float:
        """Events a second."""
        connections, requests = LOADS[batch]
        batches = max(20, connections * requests // (1 if batch == 100 else 4))
        self.rounds += 1
        runs = [f"run-{self.rounds:04x}{n:08x}" for n in range(connections)]
        self.connection.executemany("INSERT INTO runs VALUES (?, 0)", [(run,) for run in runs])
        payload = raw_payload()
        begun = time.perf_counter()
        for n in range(batches):
            run, first = runs[n % connections], n // connections * batch + 1
            rows = [
                (run, seq, 1, "message", 1, 1, "info", payload, None)
                for seq in range(first, first + batch)
            ]
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?)", rows)
            self.connection.execute("UPDATE runs SET last_seq = ? WHERE id = ?", (rows[-1][1], run))
            self.connection.execute("COMMIT")
        return batches * batch / (time.perf_counter() - begun)


class RawOwnTable:
    """The server's own table through its own driver, one run, rows made before: no server can
    reach it, and it tells what remains.
    """

    def __init__(self, folder: Path) -> None:
        self.connection = apsw.Connection(str(folder / "own.db"))
        self.connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
        self.connection.execute(events_table())
        self.runs = 0

    def rate(self, batch: int) -> float:
        """Events a second."""
        connections, requests = LOADS[batch]
        self.runs += 1
        payload = raw_payload()
        batches = [
            [
                (self.runs, seq, 1, "message", 1, 1, "info", payload, None)
                for seq in range(n * batch + 1, n * batch + batch + 1)
            ]
            for n in range(connections * requests)
        ]
        begun = time.perf_counter()
        for rows in batches:
            with self.connection:
                self.connection.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?)", rows)
        return connections * requests * batch / (time.perf_counter() - begun)


def raw_payload() -> bytes:
    """A payload as long as those that are reported."""
    return json.dumps({"role": "assistant", "content": "x" * (PAYLOAD_CHARS + 8)}).encode()


def events_table() -> str:
    """The statement that makes the server's own events table."""
    schema = resources.files("runwatch_server.storage").joinpath(
        "queries/sqlite/schema/0001_initial.sql"
    )
    statements = schema.read_text(encoding="utf-8").split(";")
    return next(text for text in statements if "CREATE TABLE events" in text)


def shown(name: str, found: Compared, floor: float | None) -> Figure:
    """Ours over another."""
    return Figure(
        name=name,
        value=found.ratio,
        floor=floor,
        note=f"{found.ours:,.0f} against {found.theirs:,.0f} events/s",
    )


def main() -> list[Figure]:
    """Ingest at 1, 10 and 100 events a request, and what group commit is worth."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        raw, own = RawSqlite(root), RawOwnTable(root)
        grouped = Load(root / "grouped", "--no-tls")
        stack.callback(grouped.server.stop)
        single = Load(root / "single", "--no-tls", RUNWATCH_COMMIT_WORKS="1")
        stack.callback(single.server.stop)
        figures = []
        for batch, floor in ((1, None), (10, None), (100, 0.75)):
            found = compared(ROUNDS, partial(grouped.rate, batch), partial(raw.rate, batch))
            name = f"ingest, {batch} events a request, against raw executemany"
            figures.append(shown(name, found, floor))
        found = compared(ROUNDS, partial(grouped.rate, 100), partial(own.rate, 100))
        name = "ingest, 100 events a request, against apsw on the same table, one run"
        figures.append(shown(name, found, None))
        found = compared(GROUP_ROUNDS, partial(grouped.rate, 1), partial(single.rate, 1))
    figures.append(shown("group commit against a commit a request, 1 event each", found, 3.0))
    return figures
