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
from functools import partial
from importlib import resources
from pathlib import Path

import apsw

from tests.benchmarks._reporters import PAYLOAD_CHARS
from tests.benchmarks.figures import Figure, interleaved
from tests.processes import ServerProcess, wait_until

ROUNDS = 3
LOADS = {1: (32, 120), 10: (32, 60), 100: (16, 60)}
"""Batch size → (connections, requests of each)."""


class Bench:
    """A server without TLS and a node that only registers and claims, so that runs are held."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.server = ServerProcess(folder, "--no-tls")
        self.server.environment.update(settings)
        self.server.start()
        self.server.request("POST", "/api/v1/nodes/heartbeat", self._beat(), token=self.node_token)

    @property
    def node_token(self) -> str:
        return (self.server.data_dir / "node-token").read_text().strip()

    def _beat(self) -> dict[str, object]:
        return {
            "node_id": "bench",
            "process_id": "p1",
            "started_at": "2026-11-23T10:00:00Z",
            "capacity": {"max_concurrent": 100_000},
        }

    def held_run(self, task_id: str) -> str:
        """A run the node has claimed under epoch 1."""
        run_id = self.server.post(f"/api/v1/tasks/{task_id}/runs")["id"]
        claim = {"node_id": "bench", "process_id": "p1"}

        def claimed() -> bool:
            path = f"/api/v1/runs/{run_id}/claim"
            return self.server.request("POST", path, claim, token=self.node_token)[0] == 200

        wait_until(claimed, "the claim", 10)
        return str(run_id)

    def rate(self, batch: int) -> float:
        """Events a second, each acknowledged after its commit."""
        connections, requests = LOADS[batch]
        self.server.request("POST", "/api/v1/nodes/heartbeat", self._beat(), token=self.node_token)
        task = self.server.post("/api/v1/tasks", {"name": "load", "prompt": "x"})["id"]
        runs = [self.held_run(task) for _ in range(connections)]
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
        count = max(20, connections * requests // 4)
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
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        raw = RawSqlite(root)
        grouped = Bench(root / "grouped")
        single = Bench(root / "single", RUNWATCH_COMMIT_WORKS="1")
        try:
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
        finally:
            grouped.server.stop()
            single.server.stop()
    figures.append(
        Figure(
            name="group commit against a commit a request, 1 event each",
            value=together / alone,
            floor=3.0,
            note=f"{together:,.0f} against {alone:,.0f} events/s",
        )
    )
    return figures
