"""Reports of events while old ones are removed, against the same without; and how fast they go."""

import http.client
import json
import tempfile
import time
from pathlib import Path

from runwatch_server import retention
from runwatch_server.first_start import write_now
from runwatch_server.rows import Bounds, PruneRow
from runwatch_shared.clock import SystemClock
from tests.benchmarks._held_runs import HeldRuns
from tests.benchmarks._long_store import fill, opened
from tests.benchmarks._reporters import request
from tests.benchmarks.figures import Figure, percentile
from tests.processes import ServerProcess

OLD_EVENTS = 300_000
BATCH = 100
BATCHES = 400


class Reports(HeldRuns):
    """One reporter that waits for each answer."""

    def latencies_s(self) -> list[float]:
        """Of batches of 100 events, each until it is on disk."""
        run_id = self.run(self.task())
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port)
        taken = []
        for n in range(BATCHES):
            head, _, body = request(
                "127.0.0.1", self.node_token, run_id, 1 + n * BATCH, BATCH
            ).partition(b"\r\n\r\n")
            del head
            headers = {"Authorization": f"Bearer {self.node_token}"}
            headers["Content-Type"] = "application/json"
            begun = time.perf_counter()
            connection.request("POST", f"/api/v1/runs/{run_id}/events", body, headers)
            answer = connection.getresponse()
            answer.read()
            taken.append(time.perf_counter() - begun)
            assert answer.status == 201
        return taken


def main() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="runwatch-bench-") as name:
        folder = Path(name)
        store = opened(folder)
        for number in range(1, 31):
            fill(store, number, OLD_EVENTS // 30, rare_every=37)
        store.close()
        reports = Reports(folder, "--no-tls", RUNWATCH_RETENTION=json.dumps({"events_s": 0}))
        try:
            quiet = reports.latencies_s()
            before = kept(folder)
            ask(reports.server, folder)
            pruning = reports.latencies_s()
            removed = before + BATCH * BATCHES - kept(folder)
        finally:
            reports.server.stop()
        begun = time.perf_counter()
        gone = alone(folder)
        seconds = time.perf_counter() - begun
    p99, p50 = percentile(pruning, 0.99), percentile(pruning, 0.5)
    return [
        Figure(
            name="100 events acknowledged, p99 while removing against not",
            value=p99 / percentile(quiet, 0.99),
            note=f"{p99 * 1000:.1f} ms; median {p50 / percentile(quiet, 0.5):.2f} x",
        ),
        Figure(
            name="removed meanwhile",
            value=removed / sum(pruning) / 1000,
            unit="k events/s",
        ),
        Figure(name="removed with no server", value=gone / seconds / 1000, unit="k events/s"),
    ]


def ask(server: ServerProcess, folder: Path) -> None:
    """Ask the server to remove all that is old, and go."""
    assert server.running
    store = opened(folder, sole=False)
    clock = SystemClock()
    row = PruneRow(asked_us=clock.now_us(), bounds=Bounds(events_before_us=clock.now_us()))
    write_now(store, clock, lambda tx: tx.prunes.put(row))
    store.close()


def kept(folder: Path) -> int:
    """Events stored now."""
    store = opened(folder, sole=False)
    with store.read() as tx:
        events = tx.size().events
    store.close()
    return events


def alone(folder: Path) -> int:
    """Remove what is left, with no server; gives how much that was."""
    store = opened(folder)
    clock = SystemClock()
    bounds = Bounds(events_before_us=clock.now_us())
    gone = 0
    while True:
        removed = write_now(store, clock, lambda tx: retention.piece(tx, bounds, rows=10_000))
        gone += removed.events
        if not removed.rows:
            break
    store.close()
    return gone
