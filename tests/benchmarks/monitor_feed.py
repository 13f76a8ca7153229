"""A thousand consoles at twenty changes a second, against `websockets.broadcast()` in the same run,
and what a hundred of them cost that stop reading.

A real `monitor-server` process over loopback; the consoles are a small C program in another. A
change is a POST of an event by an external reporter, so what is measured is from the durable commit
to the read by the last console. What woke up again is folded and compared with the HTTP list.
"""

import json
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.benchmarks.figures import Figure, percentile
from tests.processes import ServerProcess

CONSOLES = 1000
STALLED = 100
A_SECOND = 20
RUNS = 300
ROUNDS = 3
QUIET_S = 5.0
"""Everybody reads: this is what is compared with the library, and the rate of readers."""
STALL_S = 15.0
WAKE_S = 4.0
SETTLE_S = 0.5
MB = 1024 * 1024
PATH = "/ws/monitor?mode=delta"
CONFIG = """[server.limits]
sockets = 2000
sockets_per_credential = 2000
reads_burst = 100000
writes_burst = 100000
"""


class Seen(NamedTuple):
    """A change frame as one console read it."""

    socket: int
    previous: int
    revision: int
    at_us: int


class Watchers:
    """The consoles' process."""

    def __init__(self, program: Path, folder: Path, port: int, path: str, stalled: int) -> None:
        self.times, self.frames = folder / "seen", folder / "frames"
        words = [str(port), path, str(CONSOLES), str(stalled), str(self.times), str(self.frames)]
        self.process = subprocess.Popen(
            [program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._line() != "ready":
            raise RuntimeError("The consoles could not open their sockets")

    def say(self, letter: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(letter)
        self.process.stdin.flush()

    def end(self) -> list[Seen]:
        """Everything they saw."""
        self.say("q")
        if self._line() != "done":
            raise RuntimeError("The consoles did not end")
        self.process.wait(10)
        return [
            Seen(socket, previous, revision, at_us)
            for socket, _, previous, revision, at_us in struct.iter_unpack(
                "=iiqqq", self.times.read_bytes()
            )
        ]

    def payloads(self) -> dict[int, list[Any]]:
        """Every frame of those that stalled, decoded."""
        found: dict[int, list[Any]] = defaultdict(list)
        data, at = self.frames.read_bytes(), 0
        while at < len(data):
            socket, size = struct.unpack_from("=ii", data, at)
            at += 8
            found[socket].append(json.loads(data[at : at + size]))
            at += size
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


class Reporter:
    """Posts one event after another over one connection, at a pace."""

    def __init__(self, server: ServerProcess) -> None:
        self.connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        self.headers = {
            "Authorization": f"Bearer {server.token}",
            "Content-Type": "application/json",
        }
        self.seq: dict[str, int] = {}
        self.turn = 0
        for number in range(RUNS):
            agent = {"type": "general"}
            task = {"name": f"job {number}", "agent": agent, "prompt": "do what is to be done"}
            made = self.post("/api/v1/tasks", task)
            run = self.post(f"/api/v1/tasks/{made['id']}/runs", {})
            self.seq[run["id"]] = 0
            self.report(run["id"])

    def post(self, path: str, body: object) -> Any:
        self.connection.request("POST", path, json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in {200, 201}:
            raise RuntimeError(f"{path}: {answer.status} {text[:200]!r}")
        return json.loads(text)

    def report(self, run_id: str) -> None:
        self.seq[run_id] += 1
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = {
            "seq": self.seq[run_id],
            "type": "message",
            "timestamp": moment,
            "payload": {"role": "assistant", "content": f"step {self.seq[run_id]} " + "x" * 120},
        }
        self.post(f"/api/v1/runs/{run_id}/events", {"events": [event]})

    def go(self, seconds: float) -> tuple[int, int]:
        """Report for a while; gives when that began and ended, microseconds since 1970."""
        begun_us, due_s = time.time_ns() // 1000, time.monotonic()
        names = list(self.seq)
        for _ in range(int(seconds * A_SECOND)):
            self.report(names[self.turn % len(names)])
            self.turn += 1
            due_s += 1 / A_SECOND
            time.sleep(max(0.0, due_s - time.monotonic()))
        return begun_us, time.time_ns() // 1000


class Round(NamedTuple):
    """What one round measured."""

    ours_ms: list[float]
    library_ms: list[float]
    grown_bytes: int
    kept_rate: float
    waiting_rows: float
    wrong: int


class Timed(ServerProcess):
    """A server that writes down when it committed."""

    def __init__(self, folder: Path) -> None:
        self.times = folder / "commits"
        super().__init__(folder / "data", "--no-tls", "--config", str(folder / "config.toml"))
        program = [sys.executable, "-m", "tests.benchmarks._timed_server", str(self.times)]
        self.command = [*program, *self.command[1:]]

    def rss(self) -> int:
        """Resident bytes (Linux)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def worst_mailbox(self) -> float:
        _, _, rest = self.metrics().partition('runwatch_feed_mailbox_rows_max{channel="monitor"} ')
        return float(rest.split()[0])

    def metrics(self) -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return text


def one_round(program: Path, folder: Path) -> Round:
    (folder / "config.toml").write_text(CONFIG)
    with Timed(folder) as server:
        reporter = Reporter(server)
        with watching(program, folder, server.port, PATH, STALLED) as watchers:
            reporter.go(1.0)
            quiet = reporter.go(QUIET_S)
            before = server.rss()
            watchers.say("s")
            stall = reporter.go(STALL_S)
            grown, waiting = server.rss() - before, server.worst_mailbox()
            watchers.say("w")
            reporter.go(1.0)
            time.sleep(WAKE_S)
            listed = server.get("/api/v1/monitor/workflows?limit=1000")
            seen = watchers.end()
            truth = {row["id"]: row for row in listed["workflows"]}
            folds = watchers.payloads()
            wrong = sum(fold(frames) != (truth, listed["total"]) for frames in folds.values())
            wrong += STALLED - len(folds)
        committed = commits(server.times)
    healthy = [frame for frame in seen if frame.socket < CONSOLES - STALLED]
    rates = [rate(healthy, committed, span) for span in (quiet, stall)]
    size = 1400
    return Round(
        ours_ms=lags_ms(seen, committed, quiet),
        library_ms=library(program, folder, size),
        grown_bytes=grown,
        kept_rate=rates[1] / rates[0],
        waiting_rows=waiting,
        wrong=wrong,
    )


def library(program: Path, folder: Path, size: int) -> list[float]:
    """The same consoles at `websockets.broadcast()`."""
    times = folder / "broadcasts"
    words = [str(times), str(size), str(A_SECOND)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks._broadcast_server", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            with watching(program, folder, port, "/", 1) as watchers:
                server.stdin.write("\n")
                server.stdin.flush()
                time.sleep(1.0)
                begun_us = time.time_ns() // 1000
                time.sleep(QUIET_S)
                span = begun_us, time.time_ns() // 1000
                server.stdin.write("\n")
                server.stdin.flush()
                server.stdout.readline()
                return lags_ms(watchers.end(), commits(times), span)
        finally:
            server.kill()


@contextmanager
def watching(program: Path, folder: Path, port: int, path: str, stalled: int) -> Iterator[Watchers]:
    watchers = Watchers(program, folder, port, path, stalled)
    try:
        yield watchers
    finally:
        watchers.close()


def commits(file: Path) -> dict[int, int]:
    """When each revision was committed."""
    pairs = (line.split() for line in file.read_text().splitlines())
    return {int(revision): int(at_us) for revision, at_us in pairs}


def lags_ms(seen: list[Seen], committed: dict[int, int], span: tuple[int, int]) -> list[float]:
    """From the oldest commit in a frame to its read, for commits within a span."""
    revisions = sorted(committed)
    lags = []
    for frame in seen:
        at = bisect_right(revisions, frame.previous)
        if at < len(revisions) and revisions[at] <= frame.revision:
            at_us = committed[revisions[at]]
            if span[0] <= at_us <= span[1]:
                lags.append((frame.at_us - at_us) / 1000)
    return lags


def rate(seen: list[Seen], committed: dict[int, int], span: tuple[int, int]) -> float:
    """Of the changes committed in a span, the share that reached its readers by the end of it, a
    little later; a merged frame has several.
    """
    until_us = span[1] + SETTLE_S * 1e6
    within = [revision for revision, at_us in committed.items() if span[0] <= at_us <= span[1]]
    first, last = min(within) - 1, max(within)
    reached: dict[int, int] = {}
    for frame in seen:
        if frame.at_us <= until_us:
            reached[frame.socket] = max(reached.get(frame.socket, 0), frame.revision)
    got = sum(max(0, min(revision, last) - first) for revision in reached.values())
    return got / (len(within) * (CONSOLES - STALLED))


def fold(frames: list[Any]) -> tuple[dict[str, Any], int]:
    """The rows and the count a console has after these frames."""
    rows: dict[str, Any] = {}
    total = 0
    for frame in frames:
        match frame["type"]:
            case "resync":
                rows.clear()
            case "snapshot":
                rows.update({row["id"]: row for row in frame.get("workflows", ())})
                total = frame.get("total", total)
            case "change":
                changed = frame.get("workflows", {"upsert": (), "remove": ()})
                rows.update({row["id"]: row for row in changed["upsert"]})
                for key in changed["remove"]:
                    rows.pop(key["id"], None)
                total = frame.get("total", total + frame["entered"] - frame["left"])
    return rows, total


def main() -> list[Figure]:
    """The figures; nothing, said aloud, without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        print("monitor_feed is skipped: there is no C compiler for its consoles")
        return []
    with tempfile.TemporaryDirectory() as name:
        program = Path(name) / "watchers"
        source = Path(__file__).with_name("_watchers.c")
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        rounds = []
        for number in range(ROUNDS):
            folder = Path(name) / str(number)
            folder.mkdir()
            rounds.append(one_round(program, folder))
    ours = [percentile(each.ours_ms, 0.99) for each in rounds]
    theirs = [percentile(each.library_ms, 0.99) for each in rounds]
    middle = median(percentile(each.ours_ms, 0.5) for each in rounds)
    their_middle = median(percentile(each.library_ms, 0.5) for each in rounds)
    return [
        Figure(
            name=f"commit to read by {CONSOLES} consoles at {A_SECOND} changes/s, p99, "
            "against websockets.broadcast()",
            value=median(our / their for our, their in zip(ours, theirs, strict=True)),
            ceiling=1.0,
            note=f"p99 {median(ours):.1f} ms against {median(theirs):.1f} ms, "
            f"p50 {middle:.1f} ms against {their_middle:.1f} ms",
        ),
        Figure(
            name=f"the server's memory grown while {STALLED} of them stall",
            value=max(each.grown_bytes for each in rounds) / MB,
            unit="MB",
            ceiling=20,
        ),
        Figure(
            name="the rate of the others, against before",
            value=min(each.kept_rate for each in rounds),
            floor=0.95,
        ),
        Figure(
            name="rows that wait for the worst of the stalled",
            value=min(each.waiting_rows for each in rounds),
            unit="rows",
            floor=1,
            note="proves that they were stalled",
        ),
        Figure(
            name="stalled ones that woke and do not show what the list says",
            value=max(each.wrong for each in rounds),
            unit="consoles",
            ceiling=0,
        ),
    ]
