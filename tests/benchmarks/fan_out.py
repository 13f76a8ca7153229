"""Events of one run to a thousand sockets, against `websockets.broadcast()` in the same run.

Both servers have a core and the readers, a small C program, the other. The floors are those of
``performance.md`` section 9: 1.1 times the library, slow consumers checked for, and readers as fast
as ever when some never read.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks.figures import Figure

READERS = 1000
STALLED = 10
MESSAGES = 600
ROUNDS = 3
LIMIT_S = 60


class Bench:
    """The compiled readers, what each way cost, and what was left waiting for stalled ones."""

    def __init__(self, readers: Path) -> None:
        self.readers = readers
        self.waiting = 0
        self.cpu_us: dict[str, list[float]] = {"broadcast": [], "hub": [], "each": []}
        """The server's processor time for one frame to one socket."""

    def frames_per_s(self, way: str, stalled: int) -> float:
        """Frames read a second by all that read."""
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks._fan_server", way, str(MESSAGES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            port = server.stdout.readline().strip()
            path = "/ws/runs/run-000000000001/events"
            words = [port, path, str(READERS), str(stalled), str(MESSAGES), str(LIMIT_S)]
            with subprocess.Popen(
                [self.readers, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as readers:
                assert readers.stdout is not None
                if readers.stdout.readline().strip() != "ready":
                    raise RuntimeError(f"The readers could not open their sockets ({way})")
                before_s = cpu_s(server.pid)
                say(server)
                frames, seconds = readers.stdout.readline().split()
                say(server)
                waiting = int(server.stdout.readline())
                wanted = MESSAGES * (READERS - stalled)
                if int(frames) != wanted:
                    raise RuntimeError(f"{way}: {frames} of {wanted} frames in {LIMIT_S} s")
                if stalled:
                    self.waiting = waiting
                spent_us = (cpu_s(server.pid) - before_s) * 1e6
                self.cpu_us[way].append(spent_us / wanted)
            return int(frames) / float(seconds)
        finally:
            server.kill()
            server.wait()
            server.stdin.close()
            server.stdout.close()


def cpu_s(pid: int) -> float:
    """Processor time a process has used, in seconds (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(server: "subprocess.Popen[str]") -> None:
    assert server.stdin is not None
    server.stdin.write("\n")
    server.stdin.flush()


def main() -> list[Figure]:
    """The ratios; nothing, said aloud, without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        print("fan_out is skipped: there is no C compiler for its readers")
        return []
    with tempfile.TemporaryDirectory() as folder:
        readers = Path(folder) / "readers"
        source = Path(__file__).with_name("_readers.c")
        subprocess.run([compiler, "-O2", "-o", readers, source], check=True)
        bench = Bench(readers)
        rounds = [
            (
                bench.frames_per_s("broadcast", 0),
                bench.frames_per_s("each", 0),
                bench.frames_per_s("each", STALLED),
                bench.frames_per_s("hub", 0),
            )
            for _ in range(ROUNDS)
        ]
    # Each round against itself: what else the machine does changes from one to the next.
    against_library = median(each / library for library, each, _, _ in rounds)
    healthy = median(
        stalled / (READERS - STALLED) / (each / READERS) for _, each, stalled, _ in rounds
    )
    library, each, stalled, hub = (median(column) for column in zip(*rounds, strict=True))
    cpu = {way: median(spent) for way, spent in bench.cpu_us.items()}
    return [
        Figure(
            name=f"one run to {READERS} sockets, against websockets.broadcast()",
            value=against_library,
            floor=1.1,
            note=f"{each:,.0f}/s against {library:,.0f}/s, every event written by itself",
        ),
        Figure(
            name=f"a healthy reader's rate with {STALLED} of {READERS} stalled, against none",
            value=healthy,
            floor=0.9,
            note=f"{stalled:,.0f}/s in all",
        ),
        Figure(
            name="the server's processor time a frame, broadcast() against ours",
            value=cpu["broadcast"] / cpu["each"],
            note=f"{cpu['broadcast']:.1f} µs against {cpu['each']:.1f} µs",
        ),
        Figure(
            name="as the server is: events of a busy moment go out together",
            value=hub / library,
            note=f"{hub:,.0f}/s against {library:,.0f}/s",
        ),
        Figure(
            name="events that wait for a stalled reader at the end",
            value=bench.waiting,
            unit="events",
            floor=1,
            note="proves that they were stalled",
        ),
    ]
