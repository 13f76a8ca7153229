"""The store the scale benchmark makes is one a server would have written, and serves as one."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwatch_server import fold, standing
from runwatch_server.lifespan import rules_of
from runwatch_server.projection import Projection
from runwatch_server.rows import NO_FOLD, RunRow
from runwatch_server.storage.keeping.opening import snapshot
from runwatch_server.storage.keeping.verifying import Verification
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import EventQuery, Query, Store
from runwatch_server.tally import of_run
from runwatch_shared.settings import HealthThresholds, ServerSettings
from tests.benchmarks.generate import generate
from tests.postgres import Cluster
from tests.processes import ServerProcess
from tests.storage.making import NOW_US

RUNS, EVENTS = 600, 5400


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str | None]:
    """A server's folder, and the URL of its database where that is elsewhere."""
    folder = tmp_path_factory.mktemp("generated")
    if request.param == "sqlite":
        generate(folder / "runwatch.db", runs=RUNS, events=EVENTS, now_us=NOW_US)
        return folder, None
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    url = cluster.database()
    generate(url, runs=RUNS, events=EVENTS, now_us=NOW_US)
    return folder, url


@pytest.fixture
def store(place: tuple[Path, str | None]) -> Iterator[Store]:
    folder, url = place
    store = open_store(
        url or f"sqlite:///{folder / 'runwatch.db'}",
        rules=rules_of(ServerSettings()),
        synchronous="full",
        sole=False,
    )
    yield store
    store.close()


def rows_of(store: Store) -> list[RunRow]:
    with store.read() as tx:
        return tx.runs.page(Query(limit=10 * RUNS))


def test_there_are_as_many_as_were_asked_for(store: Store) -> None:
    rows = rows_of(store)
    assert (len(rows), sum(row.event_count for row in rows)) == (RUNS, EVENTS)
    assert len({row.id for row in rows}) == RUNS
    assert {row.status for row in rows} >= {"queued", "running", "done", "failed", "cancelled"}
    assert {standing.state_of(row) for row in rows} >= {"waiting", "pending", "running"}
    assert {row.health for row in rows} >= {"ok", "stalled", "looping"}
    assert any(ord(row.name[0]) > 0x4E00 for row in rows)
    assert max(row.updated_us for row in rows) <= NOW_US


def test_its_counters_are_what_counting_the_rows_gives(store: Store) -> None:
    rows = rows_of(store)
    counted: Counter[str] = Counter()
    for row in rows:
        for span, _, name, value in of_run(None, row, NOW_US, day_start_us=lambda moment: 0):
            if span == "all":
                counted[name] += int(value)
    with store.read() as tx:
        stored = {name: value for span, _, name, value in tx.counters() if span == "all"}
        projection = Projection(day_start_us=lambda moment: 0, started_us=0)
        projection.load(tx)
    kept = ("run:", "kept_events")
    present = {name: value for name, value in stored.items() if name.startswith(kept) and value}
    assert present == dict(counted)
    stats = projection.stats(NOW_US)
    assert stats.total_events == EVENTS
    assert stats.usage.total is not None
    used = [row.usage for row in rows if row.usage is not None]
    assert stats.usage.total.total_tokens == sum(usage.total_tokens for usage in used)
    assert stats.usage.total.cost_usd == pytest.approx(sum(usage.cost_usd or 0 for usage in used))
    ended = [row for row in rows if row.status == "done"]
    lasted = [standing.duration_ms(row) or 0 for row in ended]
    assert stats.avg_duration_ms == round(sum(lasted) / len(lasted))
    held = Counter(row.node_id for row in rows if standing.holds_slot(row))
    assert {node.id: node.allocated for node in projection.nodes.values() if node.allocated} == held
    waiting = [row.wait.since_us for row in rows if row.status == "running" and row.wait]
    assert (stats.waiting.count, projection.oldest_wait_us()) == (len(waiting), min(waiting))
    assert stats.queue_wait_ms.samples == sum(
        (row.claimed_us or 0) > NOW_US - NOW_US % 60_000_000 - 59 * 60_000_000 for row in rows
    )


def test_its_runs_are_what_their_events_fold_to(store: Store) -> None:
    thresholds = HealthThresholds()
    with store.read() as tx:
        for row in rows_of(store):
            events = tx.events.page(EventQuery(run_id=row.id, after_seq=0, limit=1000)).events
            assert [event.seq for event in events] == list(range(1, row.last_seq + 1))
            task = tx.tasks.get(row.task_id)
            assert task is not None
            assert (task.name, task.labels) == (row.name, row.labels)
            if not events:
                continue
            claimed: dict[str, Any] = {"status": "assigned", "created_us": row.created_us}
            fresh = RunRow(
                id=row.id,
                task_id=row.task_id,
                name=row.name,
                agent_type=row.agent_type,
                updated_us=row.created_us,
                source=row.source,
                claimed_us=row.claimed_us,
                epoch=row.epoch,
                **claimed,
            )
            begun = fold.begin(fresh, events[0])
            folded = fold.fold_events(
                begun, NO_FOLD, events, now_us=row.updated_us, thresholds=thresholds
            ).row
            for name in ("event_count", "tool_calls", "tool_failures", "open_tools", "usage"):
                assert getattr(folded, name) == getattr(row, name), (row.id, name)
            assert tx.runs.fold(row.id).steps == len(
                tx.runs.steps(row.id, after_n=None, before_n=None, limit=1000)
            )


def test_it_agrees_with_itself(place: tuple[Path, str | None]) -> None:
    folder, url = place
    with snapshot(url or f"sqlite:///{folder / 'runwatch.db'}") as connection:
        assert list(Verification(connection).wrong()) == []


def test_a_server_serves_it(place: tuple[Path, str | None], store: Store) -> None:
    rows = rows_of(store)
    store.close()
    folder, url = place
    with ServerProcess(folder, "--no-tls", database=url) as server:
        stats = server.get("/api/v1/monitor/stats")
        assert stats["total_runs"] == RUNS
        page = server.get("/api/v1/monitor/workflows?sort=start_time&limit=1000")
        assert page["total"] == len(page["workflows"]) == RUNS
        team = server.get("/api/v1/monitor/workflows?label=team:red&limit=1")
        assert team["total"] == sum(row.labels["team"] == "red" for row in rows)
        busy = next(row for row in rows if row.tool_calls)
        detail = server.get(f"/api/v1/monitor/workflows/run/{busy.id}")
        assert len(detail["steps"]) == detail["steps_total"] == busy.tool_calls + 3
        assert sum(tool["calls"] for tool in detail["tools"]) == busy.tool_calls
        assert [event["seq"] for event in detail["events"]] == list(range(1, busy.last_seq + 1))
        assert busy.name in detail["prompt"]
