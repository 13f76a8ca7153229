"""What the monitor costs with very many runs, each against the same with 10,000 (RUNS=1000000).

Two real servers over stores made by `generate`, asked in turns over HTTP and WebSocket; medians,
warm. Memory and the start are told. `idle` is told too: what 200 consoles cost that watch 100,000
runs in which nothing happens. BENCH_FOLDER keeps the stores for the next time. STORE=postgresql is
the same on PostgreSQL, on a server of its own.
"""

import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlencode

from runwatch_server.api.cursors import write_cursor
from runwatch_shared.timestamps import parse_time
from runwatch_shared.wire import WORKFLOW_SORTS
from tests import postgres
from tests.benchmarks._scale_server import ScaleServer
from tests.benchmarks.figures import Figure, interleaved
from tests.benchmarks.generate import generate

RUNS: Final = int(os.environ.get("RUNS", "1000000"))
EVENTS_A_RUN: Final = 10
BASE: Final = min(10_000, RUNS)
IDLE_RUNS: Final = min(100_000, RUNS)
CONSOLES: Final = 200
IDLE_S: Final = float(os.environ.get("IDLE_S", "30"))
ROUNDS: Final = int(os.environ.get("ROUNDS", "25"))
LIST: Final = "/api/v1/monitor/workflows"


class Place(NamedTuple):
    """Where a store is."""

    folder: Path
    database: str | None


class Asks(NamedTuple):
    """One thing that is asked of both servers."""

    name: str
    most: float | None
    query: dict[str, object]


SORTED: Final = tuple(
    Asks(f"page by {sort}", 1.2 if sort in {"-update_time", "-attention"} else 2, {"sort": sort})
    for name in WORKFLOW_SORTS
    for sort in (name, f"-{name}")
)
FILTERED: Final = (
    Asks("filter state", 2, {"state": "failed"}),
    Asks("filter status, two", 2, {"status": "cancelled,timeout"}),
    Asks("filter node", 2, {"node": "node-07"}),
    Asks("filter node and state", 2, {"node": "node-07", "state": "failed"}),
    Asks("filter node and status", 2, {"node": "node-03", "status": "done"}),
    Asks("filter agent_type", 2, {"agent_type": "gemini-cli"}),
    Asks("filter agent_type and state", 2, {"agent_type": "command", "state": "failed"}),
    Asks("filter label", 2, {"label": "team:平台"}),
    Asks("filter label, no value", 2, {"label": "ticket"}),
    Asks("filter rare label", 2, {"label": "ticket:RW-7"}),
    Asks("filter health", 2, {"health": "stalled,looping"}),
    Asks("filter waiting", 2, {"waiting": "true"}),
    Asks("filter active, by attention", 2, {"active": "true", "sort": "-attention"}),
    Asks("filter since", 2, {"since": "6h"}),
    Asks("filter since and until", 2, {"since": "48h", "until": "24h"}),
)
WIDE: Final = (
    Asks("filter label and state", None, {"label": "team:red", "state": "failed"}),
    Asks("filter node and a rare status", None, {"node": "node-03", "status": "timeout"}),
    Asks("filter since, by cost", None, {"since": "6h", "sort": "-cost_usd"}),
    Asks("filter since 10 days, by name", None, {"since": "10d", "sort": "name"}),
)
"""Told without a bound: an exact total of what two filters leave together is counted; up to 2,000
rows are found and sorted.
"""


def main() -> list[Figure]:
    """Everything, in the order it is printed."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        if os.environ.get("STORE", "sqlite") == "sqlite":
            root = Path(os.environ.get("BENCH_FOLDER") or scratch)
            made = partial(in_file, root)
        else:
            cluster = stack.enter_context(postgres.cluster(postgres.DURABLE))
            made = partial(in_database, Path(scratch), cluster)
        places = {runs: made(runs) for runs in {BASE, RUNS, IDLE_RUNS}}
        with ScaleServer(*places[BASE]) as small, ScaleServer(*places[RUNS]) as large:
            figures = [*started(small, large), *asked(small, large), connected(small, large)]
            figures.append(memory(small, large))
        with ScaleServer(*places[IDLE_RUNS]) as watched:
            figures.append(idle(watched))
    return figures


def in_database(root: Path, cluster: postgres.Cluster, runs: int) -> Place:
    """A new database with so many runs."""
    folder = root / str(runs)
    folder.mkdir()
    url = cluster.database()
    begun = time.monotonic()
    generate(url, runs=runs, events=runs * EVENTS_A_RUN, now_us=time.time_ns() // 1000)
    print(f"{runs:,} runs in {time.monotonic() - begun:.0f} s", flush=True)
    return Place(folder, url)


def in_file(root: Path, runs: int) -> Place:
    """A SQLite file with so many runs, made if it is not there."""
    folder = root / str(runs)
    database = folder / "runwatch.db"
    if not database.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        begun = time.monotonic()
        now_us = time.time_ns() // 1000
        unfinished = folder / "unfinished.db"
        generate(unfinished, runs=runs, events=runs * EVENTS_A_RUN, now_us=now_us)
        unfinished.rename(database)
        print(f"{runs:,} runs in {time.monotonic() - begun:.0f} s", flush=True)
    return Place(folder, None)


def started(small: ScaleServer, large: ScaleServer) -> list[Figure]:
    """From the command to the ready file; the first start also brings the schema up to date."""
    base_s, large_s = interleaved(3, small.restart, large.restart)
    note = f"{large_s:.2f} s against {base_s:.2f} s"
    return [Figure(name="server start to ready", value=large_s / base_s, note=note)]


def asked(small: ScaleServer, large: ScaleServer) -> list[Figure]:
    """Numbers, pages by every order, deep pages, pages under filters."""
    figures = [ratio("stats", 1.5, small, large, "/api/v1/monitor/stats")]
    figures.append(ratio("stats/history", None, small, large, "/api/v1/monitor/stats/history"))
    figures.append(ratio("first page", 1.2, small, large, LIST))
    for offset in (BASE // 2, BASE - 100):
        name = f"page at offset {offset:,}"
        figures.append(ratio(name, 1.2, small, large, f"{LIST}?offset={offset}"))
    deep = [deep_page(server, share) for server, share in ((small, 0.9), (large, 0.9))]
    figures.append(ratio("deep page by cursor", 1.2, small, large, *deep))
    figures += [
        ratio(ask.name, ask.most, small, large, f"{LIST}?{urlencode(ask.query)}")
        for ask in (*SORTED, *FILTERED, *WIDE)
    ]
    return figures


def deep_page(server: ScaleServer, share: float) -> str:
    """The address of the page by ``start_time`` behind that share of the time there are runs of."""

    def begun_us(sort: str) -> int:
        row = server.get(f"{LIST}?{urlencode({'sort': sort, 'limit': 1})}")["workflows"][0]
        return parse_time(row["start_time"])

    first_us, last_us = begun_us("start_time"), begun_us("-start_time")
    place = (first_us + round(share * (last_us - first_us)), "run-8")
    cursor = write_cursor([("sort", ["start_time"])], place)
    return f"{LIST}?{urlencode({'sort': 'start_time', 'cursor': cursor})}"


def ratio(
    name: str, most: float | None, small: ScaleServer, large: ScaleServer, *paths: str
) -> Figure:
    """The median time of one request, large against small; each may have its own address."""
    for _ in range(3):
        small.seconds(paths[0])
        large.seconds(paths[-1])
    base_s, large_s = interleaved(
        ROUNDS, partial(small.seconds, paths[0]), partial(large.seconds, paths[-1])
    )
    note = f"{large_s * 1000:.2f} ms against {base_s * 1000:.2f} ms"
    return Figure(name=name, value=large_s / base_s, ceiling=most, note=note)


def connected(small: ScaleServer, large: ScaleServer) -> Figure:
    """From dialling `/ws/monitor` to the first part of the snapshot."""
    base_s, large_s = interleaved(max(5, ROUNDS // 2), small.first_chunk_s, large.first_chunk_s)
    note = f"{large_s * 1000:.1f} ms against {base_s * 1000:.1f} ms"
    name = "connect in delta mode to the first snapshot chunk"
    return Figure(name=name, value=large_s / base_s, ceiling=2, note=note)


def memory(small: ScaleServer, large: ScaleServer) -> Figure:
    """Memory of both, after all that was asked of both."""
    grown = large.rss_bytes() - small.rss_bytes()
    mib = 2**20
    note = f"{large.rss_bytes() / mib:.0f} MiB against {small.rss_bytes() / mib:.0f} MiB"
    value = grown / max(1, RUNS - BASE)
    return Figure(name="memory a run held", value=value, unit="bytes", note=note)


def idle(watched: ScaleServer) -> Figure:
    """What consoles cost while nothing happens."""
    share = watched.idle_cpu_share(CONSOLES, IDLE_S)
    name = f"idle, {CONSOLES} consoles, {IDLE_RUNS:,} runs"
    note = f"of a core, over {IDLE_S:.0f} s"
    return Figure(name=name, value=share * 100, unit="%", ceiling=1, note=note)
