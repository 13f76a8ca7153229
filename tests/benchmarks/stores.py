"""Each store behind the whole server against its raw driver in the same run, and what a second
server on one database brings and costs.

Raw SQLite is that of `ingest`; raw PostgreSQL is asyncpg's COPY as performance.md 4 has it: one
connection, `synchronous_commit=on`, a transaction a batch, no server; raw MongoDB is pymongo's
`insert_many`, a batch at once, with the write concern of the store. All have a core to themselves,
while ours shares two with its client. Without `RUNWATCH_TEST_MONGO_URL` MongoDB is FerretDB.
"""

import asyncio
import http.client
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import asyncpg
from pymongo import MongoClient, WriteConcern
from websockets.asyncio.client import ClientConnection, connect

from tests import mongo, postgres
from tests.benchmarks._terminal import Terminal, compiled_environment
from tests.benchmarks.console import (
    ROOT,
    SETTLED_S,
    WARM_POSTS,
    compile_all,
    posts,
    report,
    told_ms,
)
from tests.benchmarks.figures import Figure, compared, percentile
from tests.benchmarks.ingest import LOADS, ROUNDS, Load, RawSqlite, raw_payload, shown
from tests.processes import BIN, clean_environment

FLOOR: Final = 0.6
"""Of asyncpg's COPY at 100 events a batch (performance.md 9)."""
RUNS: Final = 50
"""Runs the raw side takes turns with."""
TABLE: Final = (
    "DROP TABLE IF EXISTS ev; CREATE TABLE ev(run bigint NOT NULL, seq bigint NOT NULL,"
    " ts bigint NOT NULL, type text NOT NULL, payload text NOT NULL, PRIMARY KEY(run, seq))"
)
COLUMNS: Final = ("run", "seq", "ts", "type", "payload")
FEW: Final = {1: (8, 10), 10: (8, 10), 100: (8, 10)}
"""Loads for FerretDB, which looks through a collection for much of what it is asked."""
POSTS: Final = 200
PAUSE_S: Final = 0.02
LIMIT_S: Final = 20.0

Loads = Mapping[int, tuple[int, int]]


class RawCopy:
    """asyncpg's COPY into a table of performance.md 4, a transaction a batch."""

    def __init__(self, url: str) -> None:
        self._url = url

    def rate(self, batch: int) -> float:
        """Events a second."""
        connections, requests = LOADS[batch]
        return asyncio.run(self._rate(batch, connections * requests))

    async def _rate(self, batch: int, batches: int) -> float:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(f"{TABLE}; SET synchronous_commit = on")
            payload = raw_payload().decode()
            begun = perf_counter()
            for n in range(batches):
                run, first = n % RUNS, n // RUNS * batch + 1
                rows = [
                    (run, seq, 1700000000000, "message", payload)
                    for seq in range(first, first + batch)
                ]
                await connection.copy_records_to_table("ev", records=rows, columns=COLUMNS)
            return batches * batch / (perf_counter() - begun)
        finally:
            await connection.close()


class RawMongo:
    """pymongo's `insert_many` into a collection with one index, as many documents as there are
    events.
    """

    def __init__(self, url: str, loads: Loads) -> None:
        self._url = url
        self._loads = loads

    def rate(self, batch: int) -> float:
        """Events a second."""
        connections, requests = self._loads[batch]
        batches = connections * requests
        client: MongoClient[dict[str, object]] = MongoClient(self._url)
        concern = WriteConcern(w="majority", j=True)
        with closing(client):
            client.get_default_database().drop_collection("ev")
            events = client.get_default_database().get_collection("ev", write_concern=concern)
            events.create_index([("run", 1), ("seq", 1)])
            payload = raw_payload()
            begun = perf_counter()
            for n in range(batches):
                run, first = n % RUNS, n // RUNS * batch + 1
                events.insert_many(
                    {
                        "_id": f"{run:016x}:{seq:016x}", "run": run, "seq": seq,
                        "ts": 1700000000000, "type": "message", "payload": payload,
                    }
                    for seq in range(first, first + batch)
                )  # fmt: skip
            return batches * batch / (perf_counter() - begun)


def main() -> list[Figure]:
    """SQLite, PostgreSQL, MongoDB, and two servers on one PostgreSQL."""
    compile_all()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        figures = sqlite(root / "sqlite")
        figures += mongodb(root / "mongo")
        cluster = stack.enter_context(postgres.cluster(postgres.DURABLE))
        figures += one_server(cluster, root / "one")
        figures += two_servers(cluster, root / "two")
    return figures


def sqlite(folder: Path) -> list[Figure]:
    """Ingest on SQLite."""
    folder.mkdir()
    raw, load = RawSqlite(folder), Load(folder / "server", "--no-tls")
    try:
        return against("SQLite", "raw executemany", load.rate, raw.rate, 0.75)
    finally:
        load.server.stop()


def one_server(cluster: postgres.Cluster, folder: Path) -> list[Figure]:
    """Ingest on PostgreSQL."""
    raw = RawCopy(cluster.url("postgres"))
    load = Load(folder, "--no-tls", database=cluster.database())
    try:
        return against("PostgreSQL", "asyncpg COPY", load.rate, raw.rate, FLOOR)
    finally:
        load.server.stop()


def mongodb(folder: Path) -> list[Figure]:
    """Ingest on MongoDB, where there is one, or FerretDB."""
    real = mongo.url_of_a_real_one() is not None
    if not real and not mongo.program().exists():
        return []
    with mongo.server() as server:
        loads = LOADS if real else FEW
        raw = RawMongo(server.emptied(1), loads)
        load = Load(folder, "--no-tls", database=server.emptied(2))

        def rate(batch: int) -> float:
            return load.reporting(batch, *loads[batch])()

        try:
            name = "MongoDB" if real else "FerretDB"
            return against(name, "pymongo insert_many", rate, raw.rate, None)
        finally:
            load.server.stop()


def against(
    store: str,
    driver: str,
    ours: Callable[[int], float],
    theirs: Callable[[int], float],
    floor: float | None,
) -> list[Figure]:
    """Batches of 1, 10 and 100; the last has the floor, if any."""
    figures = []
    for batch in LOADS:
        found = compared(ROUNDS, partial(ours, batch), partial(theirs, batch))
        name = f"{store}, {batch} events a request, against {driver}"
        figures.append(shown(name, found, floor if batch == max(LOADS) else None))
    return figures


def two_servers(cluster: postgres.Cluster, folder: Path) -> list[Figure]:
    """Both at work: what two take in against one, and how soon one shows what came to the other."""
    with pair(cluster, folder / "ingest", "--no-tls") as (first, second):
        found = compared(ROUNDS, partial(both, first, second), partial(first.rate, 100))
    name = "two servers' ingest against that of one beside an idle one"
    with pair(cluster, folder / "tls") as (first, second):
        return [shown(name, found, None), to_socket(first, second), to_screen(first, second)]


@contextmanager
def pair(cluster: postgres.Cluster, folder: Path, *flags: str) -> Iterator[tuple[Load, Load]]:
    """Two servers on one new database."""
    database = cluster.database()
    with ExitStack() as stack:
        loads = []
        for name in ("a", "b"):
            load = Load(folder / name, *flags, database=database)
            stack.callback(load.server.stop)
            loads.append(load)
        yield loads[0], loads[1]


def both(first: Load, second: Load) -> float:
    """Events a second of two servers, each with half of the connections."""
    connections, requests = LOADS[100]
    waits = [load.reporting(100, connections // 2, requests) for load in (first, second)]
    return sum(wait() for wait in waits)


def to_socket(first: Load, second: Load) -> Figure:
    """An event's POST to one server until a socket of the other has it."""
    run_id = first.run(first.task())
    taken = asyncio.run(_socket(first, second, run_id))
    return soon("event posted until a socket of another server has it, p95", taken)


async def _socket(first: Load, second: Load, run_id: str) -> list[float]:
    url = second.server.url.replace("https:", "wss:") + f"/ws/runs/{run_id}/events?from_seq=0"
    headers = {"Authorization": f"Bearer {second.server.token}"}
    tls = second.server.tls()
    posting = http.client.HTTPSConnection(
        "127.0.0.1", first.server.port, context=first.server.tls(), timeout=10
    )
    taken = []
    async with connect(url, ssl=tls, proxy=None, additional_headers=headers) as socket:
        with closing(posting):
            for seq in range(1, WARM_POSTS + POSTS + 1):
                await asyncio.sleep(PAUSE_S)
                begun = perf_counter()
                sent = asyncio.to_thread(report, posting, first.node_token, run_id, seq)
                async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
                    group.create_task(sent, name="post")
                    await _until(socket, b"%07d " % seq)
                    seen = perf_counter()
                if seq > WARM_POSTS:
                    taken.append(seen - begun)
    return taken


async def _until(socket: ClientConnection, text: bytes) -> None:
    async for frame in socket:
        if text in (frame if isinstance(frame, bytes) else frame.encode()):
            return
    raise AssertionError("the socket was closed")


def to_screen(first: Load, second: Load) -> Figure:
    """An event's POST to one server until a console of the other shows it."""
    run_id = first.run(first.task())
    environment = compiled_environment(clean_environment(second.server.data_dir))
    with Terminal([str(BIN / "monitor-tui")], environment, ROOT) as terminal:
        terminal.wait_for(re.compile(rb"\xe2\x97\x8f live"))
        terminal.press(":")
        terminal.watch(SETTLED_S)
        terminal.press(f"run {run_id}\r")
        terminal.watch(SETTLED_S)
        taken = posts(first, run_id, terminal)
    return soon("event posted until on a console of another server, p95", taken)


def soon(name: str, taken: list[float]) -> Figure:
    """The 95th percentile, bounded as on one server."""
    return Figure(
        name=name,
        value=percentile(taken, 0.95) * 1e3,
        unit="ms",
        ceiling=150,
        note=f"{len(taken)} events, p50 {told_ms(taken, 0.5)}, p99 {told_ms(taken, 0.99)}",
    )
