"""Durable ingest over HTTP against raw SQLite in the same run.

Raw: `executemany` of the same batch into the same events table, `synchronous=FULL`, a transaction a
batch, through apsw, with a core of its own. Ours: the whole server (decoding, judging, folding,
counters, statistics, group commit) behind HTTP, with a client on the other core.
"""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from importlib import resources
from pathlib import Path

import apsw

from tests.benchmarks._held_runs import HeldRuns
from tests.benchmarks._reporters import PAYLOAD_CHARS
from tests.benchmarks.figures import Figure, interleaved

ROUNDS = 3
LOADS = {1: (32, 120), 10: (32, 60), 100: (16, 60)}
"""Batch size → (connections, requests of each)."""


class Load(HeldRuns):
    """A server without TLS, and reports to it from a process of their own."""

    def rate(self, batch: int) -> float:
        """Events a second, each acknowledged after its commit."""
        connections, requests = LOADS[batch]
        self.beat()
        task_id = self.task()
        runs = [self.run(task_id) for _ in range(connections)]
        command = [sys.executable, "-m", "tests.benchmarks._reporters", "127.0.0.1"]
        command += [str(self.server.port), self.node_token, str(batch), str(requests), *runs]
        done = subprocess.run(command, capture_output=True, check=True, timeout=120)
        told = json.loads(done.stdout)
        assert told["created"] == connections * requests, told
        return connections * requests * batch / float(told["seconds"])


class RawSqlite:
    """The events table alone, written by `executemany` in a transaction a batch."""

    def __init__(self, folder: Path) -> None:
        self.connection = apsw.Connection(str(folder / "raw.db"))
        self.connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
        self.connection.execute(events_table())
        self.runs = 0

    def rate(self, batch: int) -> float:
        """Events a second."""
        connections, requests = LOADS[batch]
        count = max(20, connections * requests // (4 if batch < 100 else 1))
        self.runs += 1
        sql = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        payload = json.dumps({"role": "assistant", "content": "x" * (PAYLOAD_CHARS + 8)}).encode()
        batches = [
            [
                (self.runs, seq, 1, "message", 1, 1, "info", payload, None)
                for seq in range(n * batch + 1, n * batch + batch + 1)
            ]
            for n in range(count)
        ]
        begun = time.perf_counter()
        for rows in batches:
            with self.connection:
                self.connection.executemany(sql, rows)
        return count * batch / (time.perf_counter() - begun)


def events_table() -> str:
    """The statement that makes the server's own events table."""
    schema = resources.files("runwatch_server.storage").joinpath(
        "queries/sqlite/schema/0001_initial.sql"
    )
    statements = schema.read_text(encoding="utf-8").split(";")
    return next(text for text in statements if "CREATE TABLE events" in text)


def main() -> list[Figure]:
    """Ingest at 1, 10 and 100 events a request, and what group commit is worth."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        raw = RawSqlite(root)
        grouped = Load(root / "grouped", "--no-tls")
        stack.callback(grouped.server.stop)
        single = Load(root / "single", "--no-tls", RUNWATCH_COMMIT_WORKS="1")
        stack.callback(single.server.stop)
        figures = []
        for batch, floor in ((1, None), (10, None), (100, 0.75)):
            ours, theirs = interleaved(
                ROUNDS, partial(grouped.rate, batch), partial(raw.rate, batch)
            )
            figures.append(
                Figure(
                    name=f"ingest, {batch} events a request, against raw executemany",
                    value=ours / theirs,
                    floor=floor,
                    note=f"{ours:,.0f} against {theirs:,.0f} events/s",
                )
            )
        together, alone = interleaved(ROUNDS, lambda: grouped.rate(1), lambda: single.rate(1))
    figures.append(
        Figure(
            name="group commit against a commit a request, 1 event each",
            value=together / alone,
            floor=3.0,
            note=f"{together:,.0f} against {alone:,.0f} events/s",
        )
    )
    return figures
