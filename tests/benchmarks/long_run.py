"""A run of a million events: read from its beginning by one socket, paged, filtered, and reported.

Raw: `apsw` reading the same rows of the same file, payloads as bytes, without JSON and without a
network.
"""

import http.client
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import apsw
import msgspec
from websockets.sync.client import connect

from runwatch_server.storage.sql import event_blocks
from tests.benchmarks._long_store import event, fill, opened, run_id
from tests.benchmarks.figures import Figure, interleaved
from tests.processes import ServerProcess

LONG, SHORT = 1, 2
EVENTS = 1_000_000
FEW = 1000
ROUNDS = 3
REQUESTS = 60
RARE_EVERY = 100_000


class Seq(msgspec.Struct):
    seq: int


class Frame(msgspec.Struct):
    type: str
    data: list[Seq] | dict[str, object]


FRAMES = msgspec.json.Decoder(Frame)


def main() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="runwatch-bench-") as name:
        folder = Path(name)
        store = opened(folder)
        fill(store, LONG, EVENTS, rare_every=RARE_EVERY)
        fill(store, SHORT, FEW, rare_every=FEW // 10)
        store.close()
        with ServerProcess(folder, "--no-tls") as server:
            figures = replay(server, folder)
            figures += pages(server)
        return [*figures, marking()]


def replay(server: ServerProcess, folder: Path) -> list[Figure]:
    """One socket from 0 to the end, and the same rows without any of it."""
    read_all(server)
    before = resident_kb(server.pid)
    grown: list[int] = []

    def ours() -> float:
        begun = time.perf_counter()
        read_all(server)
        seconds = time.perf_counter() - begun
        grown.append(resident_kb(server.pid))
        return EVENTS / seconds

    rate, raw = interleaved(ROUNDS, ours, partial(raw_rate, folder))
    return [
        Figure(name="run of 1,000,000, one socket", value=rate / 1000, unit="k events/s"),
        Figure(
            name="… against reading the table", value=rate / raw, note=f"raw {raw / 1000:.0f} k"
        ),
        Figure(
            name="… server memory grown meanwhile",
            value=(max(grown) - before) / 1024,
            unit="MB",
            ceiling=32,
            note="at most the pages SQLite keeps for its readers",
        ),
    ]


def read_all(server: ServerProcess) -> None:
    """Every event once, in order, and the status."""
    url = server.url.replace("http", "ws", 1)
    path = f"{url}/ws/runs/{run_id(LONG)}/events?from_seq=0&batch=true"
    headers = {"Authorization": f"Bearer {server.token}"}
    last = 0
    with connect(path, additional_headers=headers, compression=None, max_size=None) as socket:
        for message in socket:
            frame = FRAMES.decode(message)
            if isinstance(frame.data, list):
                assert frame.data[0].seq == last + 1
                assert frame.data[-1].seq == last + len(frame.data)
                last = frame.data[-1].seq
    assert last == EVENTS


def raw_rate(folder: Path) -> float:
    connection = apsw.Connection(str(folder / "runwatch.db"), flags=apsw.SQLITE_OPEN_READONLY)
    begun = time.perf_counter()
    count = size = 0
    for row in connection.execute(
        "SELECT seq, epoch, type, at_us, received_us, level, payload FROM events "
        "WHERE run = (SELECT key FROM runs WHERE id = ?) ORDER BY seq",
        (run_id(LONG),),
    ):
        count += 1
        size += len(row[6])
    assert count == EVENTS
    return count / (time.perf_counter() - begun)


def pages(server: ServerProcess) -> list[Figure]:
    """The same pages of the long and the short run."""
    host = server.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    headers = {"Authorization": f"Bearer {server.token}"}

    def asked(number: int, query: str, wanted: int) -> float:
        path = f"/api/v1/monitor/workflows/run/{run_id(number)}/events?{query}"
        begun = time.perf_counter()
        connection.request("GET", path, headers=headers)
        body = connection.getresponse().read()
        seconds = time.perf_counter() - begun
        assert len(json.loads(body)["events"]) == wanted, (query, body[:300])
        return seconds

    figures = []
    for name, query, few, wanted, ceiling in (
        ("first page", "after_seq=0", "after_seq=0", 100, 1.3),
        ("middle page, up", f"after_seq={EVENTS // 2}", "after_seq=500", 100, 1.3),
        ("middle page, down", f"before_seq={EVENTS // 2}", "before_seq=500", 100, 1.3),
        ("tail", "tail=true", "tail=true", 100, 1.3),
        ("10 errors by level", "after_seq=0&level=error", "after_seq=0&level=error", 10, None),
        ("10 errors by type, down", "tail=true&type=error", "tail=true&type=error", 10, None),
        ("a type there is none of", "type=checkpoint", "type=checkpoint", 0, None),
    ):
        long, short = timed(partial(asked, LONG, query, wanted), partial(asked, SHORT, few, wanted))
        figures.append(
            Figure(
                name=f"{name}, of 1,000,000 against of 1,000",
                value=long / short,
                ceiling=ceiling,
                note=f"{long * 1000:.2f} ms, {short * 1000:.2f} ms",
            )
        )
    return figures


def timed(*asked: Callable[[], float]) -> list[float]:
    samples: list[list[float]] = [[] for _ in asked]
    for _ in range(REQUESTS):
        for taken, ask in zip(samples, asked, strict=True):
            time.sleep(0.02)  # the limit of 50 reads a second, for each credential
            taken.append(ask())
    return [median(taken) for taken in samples]


def marking() -> Figure:
    """Appends with the marks filtered pages skip by, against appends without them."""
    with tempfile.TemporaryDirectory(prefix="runwatch-bench-") as name:
        folder = Path(name)
        store = opened(folder)
        mark = event_blocks.mark
        numbers = iter(range(1, 1000))

        def rate() -> float:
            number = next(numbers)
            begun = time.perf_counter()
            fill(store, number, 20_000, rare_every=37, batch=100)
            return 20_000 / (time.perf_counter() - begun)

        def without() -> float:
            event_blocks.mark = lambda *arguments: None
            try:
                return rate()
            finally:
                event_blocks.mark = mark

        fill(store, next(numbers), 20_000, rare_every=37, batch=100)
        marked, plain = interleaved(11, rate, without)
        store.close()
    assert event(37, rare_every=37).level == "error"
    return Figure(name="appends, marked against unmarked", value=marked / plain, floor=0.97)


def resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("no VmRSS")
