"""A node: lines from an agent to the server, what fifty runs at once cost it, how soon a cancel is
done.

Lines: `cat FILE` as a run of a real node, its log on disk, between the first commit and the last;
against the same without supervisor and log (`_direct_node`), and against `cat FILE | wc -l`, which
neither keeps nor sends anything.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.processes import descendants, marked_pids
from tests.benchmarks._held_runs import LIMITS
from tests.benchmarks.figures import Figure, compared
from tests.benchmarks.long_run import resident_kb
from tests.processes import NodeProcess, ServerProcess, clean_environment, wait_until

ROUNDS: Final = 3
LINES: Final = 60_000
LIMIT_S: Final = 120.0
RUNS: Final = 50
WATCHED_S: Final = 15.0
CANCELS: Final = 9
LINE_EVERY_S: Final = 1.0

# Nobody in it ends by SIGTERM; one has a session of its own.
DEAF: Final = """
trap '' TERM
setsid sleep 600 &
sh -c 'sleep 600' &
echo begun
wait
"""


class Fleet:
    """A server, a real node for fifty runs, and one without a log; ended with the stack."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.file = folder / "lines"
        self.file.write_text("".join(f"line {n} of what an agent says\n" for n in range(LINES)))
        self.server = ServerProcess(folder, "--no-tls")
        self.server.environment["RUNWATCH_LIMITS"] = json.dumps(LIMITS)
        stack.enter_context(self.server)
        self.node = NodeProcess(self.server, "--stop-agents", "--capacity", str(RUNS))
        self.node.command[self.node.command.index("--server") + 1] = self.server.url
        stack.enter_context(self.node)
        stack.enter_context(self._direct(folder))

    @contextmanager
    def _direct(self, folder: Path) -> Iterator[None]:
        command = [sys.executable, "-m", "tests.benchmarks._direct_node", self.server.url]
        command += [str(folder), "direct", str(self.file)]
        process = subprocess.Popen(command, env=clean_environment(folder))
        try:
            wait_until(self._direct_is_there, "the node without a log", 20)
            yield
        finally:
            process.kill()
            process.wait()

    def _direct_is_there(self) -> bool:
        return self.server.request("GET", "/api/v1/nodes/direct")[0] == 200

    def lines_per_s(self, node_id: str) -> float:
        """Of one run on this node, from the first commit to the last."""
        run_id = self.server.make_run(["cat", str(self.file)], constraints={"node_id": node_id})
        run = self.server.wait_for_run(run_id, "done", "failed", limit_s=LIMIT_S)
        assert run["status"] == "done", run
        assert run["event_count"] >= LINES, run
        span = self._stored_at(run_id, "tail=true") - self._stored_at(run_id, "after_seq=0")
        return LINES / span.total_seconds()

    def _stored_at(self, run_id: str, which: str) -> datetime:
        """When the server took the first, or the last, event."""
        (event,) = self.server.get(f"/api/v1/runs/{run_id}/events?{which}&limit=1")["events"]
        return datetime.fromisoformat(event["received_at"])

    def run(self, *argv: str) -> str:
        """The id of a run of the real node, once it reports."""
        run_id = self.server.make_run(list(argv), constraints={"node_id": self.node.node_id})
        self.server.wait_for_run(run_id, "running", limit_s=LIMIT_S)
        return run_id

    def cancel_ms(self) -> tuple[float, float]:
        """From the request to no process left, and to the end being stored."""
        run_id = self.run("sh", "-c", DEAF)
        folder = NodeFolder(self.node.data_dir / "node" / self.node.node_id).run(run_id)
        wait_until(lambda: len(marked_pids(folder.path)) >= 4, "the tree", LIMIT_S)
        begun = time.perf_counter()
        self.server.post(f"/api/v1/runs/{run_id}/cancel")
        wait_until(lambda: not marked_pids(folder.path), "the end of the tree", LIMIT_S)
        gone = time.perf_counter()
        self.server.wait_for_run(run_id, "cancelled", limit_s=LIMIT_S)
        return (gone - begun) * 1000, (time.perf_counter() - begun) * 1000


def cat_to_wc(file: Path) -> float:
    """Lines a second through a pipe to a program that only counts them."""
    begun = time.perf_counter()
    with subprocess.Popen(["cat", str(file)], stdout=subprocess.PIPE) as cat:
        counted = subprocess.run(
            ["wc", "-l"], stdin=cat.stdout, capture_output=True, check=True, timeout=LIMIT_S
        )
    assert int(counted.stdout) == LINES
    return LINES / (time.perf_counter() - begun)


def cpu_s(pids: list[int]) -> float:
    """Processor time these processes have taken so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def proportional_kb(pid: int) -> int:
    """Memory of a process, what it shares counted in parts."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss")


def watched_cores(pids: list[int]) -> float:
    """Share of one core that these processes take, over some seconds."""
    before, begun = cpu_s(pids), time.perf_counter()
    # A span is what is measured; nothing is waited for.
    time.sleep(WATCHED_S)
    return (cpu_s(pids) - before) / (time.perf_counter() - begun)


def lines(fleet: Fleet) -> list[Figure]:
    node = partial(fleet.lines_per_s, fleet.node.node_id)
    bare = compared(ROUNDS, node, partial(fleet.lines_per_s, "direct"))
    pipe = compared(ROUNDS, node, partial(cat_to_wc, fleet.file))
    return [
        Figure(
            name="lines of a run, against the same without supervisor and log",
            value=bare.ratio,
            floor=0.5,
            note=f"{bare.ours:,.0f} against {bare.theirs:,.0f} lines/s",
        ),
        Figure(
            name="lines of a run",
            value=pipe.ours,
            unit="lines/s",
            note=f"cat | wc -l: {pipe.theirs:,.0f}, of which that is {pipe.ratio:.2%}",
        ),
    ]


def many(fleet: Fleet) -> list[Figure]:
    """Fifty runs at once, a line a second each."""
    manager = fleet.node.pid
    idle_kb, idle = resident_kb(manager), watched_cores([manager])
    script = f"while :; do echo line; sleep {LINE_EVERY_S}; done"
    runs = [fleet.run("sh", "-c", script) for _ in range(RUNS)]
    supervisors = [pid for pid in descendants(manager) if _is_supervisor(pid)]
    assert len(supervisors) == RUNS, supervisors
    busy = watched_cores([manager])
    theirs = watched_cores(supervisors)
    figures = [
        Figure(
            name=f"manager, {RUNS} runs of a line a second",
            value=busy * 100,
            unit="% of a core",
            ceiling=50,
            note=f"{idle * 100:.1f} % without runs",
        ),
        Figure(
            name="… its memory",
            value=resident_kb(manager) / 1024,
            unit="MB",
            ceiling=150,
            note=f"{idle_kb / 1024:.0f} MB without runs",
        ),
        Figure(name="… all supervisors", value=theirs * 100, unit="% of a core", ceiling=50),
        Figure(
            name="… memory of one",
            unit="MB",
            ceiling=15,
            value=median(proportional_kb(pid) for pid in supervisors) / 1024,
        ),
    ]
    for run_id in runs:
        fleet.server.post(f"/api/v1/runs/{run_id}/cancel")
    for run_id in runs:
        fleet.server.wait_for_run(run_id, "cancelled", limit_s=LIMIT_S)
    return figures


def _is_supervisor(pid: int) -> bool:
    return b"runwatch_nodemanager.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()


def cancels(fleet: Fleet) -> list[Figure]:
    """Of a tree in which nobody ends by SIGTERM."""
    found = [fleet.cancel_ms() for _ in range(CANCELS)]
    gone, stored = zip(*found, strict=True)
    return [
        Figure(
            name="cancel of a deaf tree: no process left",
            value=max(gone),
            unit="ms",
            ceiling=1000,
            note=f"the slowest of {CANCELS}; median {median(gone):.0f}",
        ),
        Figure(
            name="… its end is stored",
            value=max(stored),
            unit="ms",
            ceiling=1500,
            note=f"median {median(stored):.0f}",
        ),
    ]


def main() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="runwatch-bench-") as name, ExitStack() as stack:
        fleet = Fleet(Path(name), stack)
        return [*lines(fleet), *many(fleet), *cancels(fleet)]
