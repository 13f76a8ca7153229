"""What a group of batches costs the one that writes to PostgreSQL, part by part; only told.

The domain and the store in one process, without HTTP: groups of 16 batches of 100 events, each of a
run of its own, as `stores` has them.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Final, TypeVar

import msgspec

from runwatch_server import appends, leases, runs, scheduler, tasks
from runwatch_server.lifespan import rules_of
from runwatch_server.storage.observing import Operation
from runwatch_server.storage.postgres.store import PostgresStore
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.settings import ServerSettings
from runwatch_shared.wire import ClaimRequest, EventBatch, RunRequest, TaskRequest
from tests import postgres
from tests.benchmarks._reporters import request
from tests.benchmarks._stories import BY_NODES, PROCESS, beat
from tests.benchmarks.figures import Figure

RUNS: Final = 16
BATCH: Final = 100
WARM: Final = 3
GROUPS: Final = 60
T = TypeVar("T")


class Parts:
    """`observing.QueryObserver`: seconds by table."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def queried(self, operation: Operation, table: str, seconds: float) -> None:
        self.seconds[f"{operation} {table}"] += seconds  # type: ignore[assignment]


def main() -> list[Figure]:
    """A group, and its parts."""
    settings = ServerSettings()
    with postgres.cluster(postgres.DURABLE) as cluster:
        parts = Parts()
        with closing(
            PostgresStore.open(cluster.database(), rules_of(settings), observer=parts)
        ) as store:
            return measured(store, parts, settings)


def measured(store: PostgresStore, parts: Parts, settings: ServerSettings) -> list[Figure]:
    """The medians do not matter here; the sums over all groups do."""
    run_ids = claimed(store, settings)
    decoder = msgspec.json.Decoder(EventBatch)
    groups = []
    for number in range(WARM + GROUPS):
        group: list[Callable[[WriteTx], object]] = []
        for run_id in run_ids:
            body = request("", "", run_id, 1 + number * BATCH, BATCH).partition(b"\r\n\r\n")[2]
            prepared = appends.prepare(
                decoder.decode(body), limits=settings.limits, now_us=now_us()
            )
            group.append(
                partial(
                    appends.append,
                    run_id=run_id,
                    batch=prepared,
                    by=BY_NODES,
                    settings=settings,
                )
            )
        groups.append(group)
    for group in groups[:WARM]:
        write(store, group)
    timed_commands(store, parts)
    parts.seconds.clear()
    begun, cpu = time.perf_counter(), time.thread_time()
    for group in groups[WARM:]:
        write(store, group)
    whole, own = time.perf_counter() - begun, time.thread_time() - cpu
    rate = GROUPS * RUNS * BATCH / whole
    return [
        told("a group of 16 batches of 100 events", whole, f"{rate:,.0f} events/s"),
        told("of it the processor, by this side", own),
        *(told(f"of it {name}", seconds) for name, seconds in parts.seconds.most_common()),
    ]


def told(name: str, seconds: float, note: str = "") -> Figure:
    """A part of one group."""
    return Figure(name=name, value=seconds / GROUPS * 1e3, unit="ms", note=note)


def claimed(store: PostgresStore, settings: ServerSettings) -> list[str]:
    """Runs a node holds."""

    def one(work: Callable[[WriteTx], T]) -> T:
        (value,) = write(store, [work])
        return value  # type: ignore[return-value]  # the work's own

    one(lambda tx: beat(tx, "bench", 1000, now_us(), settings))
    wanted = msgspec.convert({"name": "load", "prompt": "x"}, TaskRequest)
    task = one(lambda tx: tasks.create_task(tx, wanted, by_name="x", settings=settings))
    made = [
        one(lambda tx: runs.create_run(tx, task.id, RunRequest(), settings=settings)).id
        for _ in range(RUNS)
    ]
    one(lambda tx: scheduler.place(tx, settings))
    claim = ClaimRequest(node_id="bench", process_id=PROCESS)
    for run_id in made:
        one(partial(leases.claim, run_id=run_id, request=claim, by=BY_NODES, settings=settings))
    return [str(run_id) for run_id in made]


def write(store: PostgresStore, works: list[Callable[[WriteTx], T]]) -> list[object]:
    """A group none of whose works may fail."""
    outcomes, _ = store.write_group(works, now_us())
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return [outcome.value for outcome in outcomes]


def timed_commands(store: PostgresStore, parts: Parts) -> None:
    """Count what is no statement for the metrics too: beginning and committing."""
    writer = store._writer
    assert writer is not None
    command = writer.command

    def timed(sql: str) -> None:
        begun = time.perf_counter()
        command(sql)
        name = "commit" if sql.endswith("COMMIT") else "begin"
        parts.seconds[name] += time.perf_counter() - begun  # type: ignore[assignment]

    writer.command = timed  # type: ignore[method-assign]


def now_us() -> int:
    return time.time_ns() // 1000
