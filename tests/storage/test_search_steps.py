"""What a search costs: rows looked at in the database, counted by SQLite itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runwatch_server.storage.protocols import EventQuery, Query, TaskQuery
from runwatch_server.storage.sql.reading import ReadTransaction
from runwatch_server.storage.sqlite.store import SqliteStore
from tests.storage.counting import raw_of, steps
from tests.storage.making import a_run, a_task, an_event, insert_runs, run_id, write
from tests.storage.test_search import add, catch_up, open_searched

RUNS = 3000
EVENTS = 3000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    """Indexed, but for nothing."""
    folder: Path = tmp_path_factory.mktemp("steps")
    store = open_searched(folder)
    insert_runs(
        store, *(a_run(n, name=f"deploy {n}" + "部署" * (n == 77)) for n in range(1, RUNS + 1))
    )
    tasks = [a_task(n, name=f"task {n}" + "needle" * (n == 5)) for n in range(1, RUNS + 1)]
    write(store, lambda tx: [tx.tasks.insert(task) for task in tasks])
    add(
        store,
        1,
        *(an_event(n, "构建" if n == 2990 else "compile") for n in range(1, EVENTS + 1)),
    )
    catch_up(store)
    yield store
    store.close()


@pytest.mark.parametrize(
    "q", ["deploy 2345", "nowhere", "部署", "部", "龘靐", "deploy 77部", "run-000000000abc"]
)
@pytest.mark.parametrize("sort", ["update_time", "name", "cost_usd"])
def test_a_rare_word_is_found_without_looking_at_every_run(
    store: SqliteStore, q: str, sort: str
) -> None:
    query = Query(q=q, sort=sort, state=("pending",))
    assert steps(store, lambda tx: tx.runs.page(query)) < RUNS
    assert steps(store, lambda tx: tx.runs.count(query, at_most=10_000)) < RUNS


@pytest.mark.parametrize("q", ["needle", "nowhere", "task 1234"])
def test_a_rare_word_is_found_without_looking_at_every_task(store: SqliteStore, q: str) -> None:
    assert steps(store, lambda tx: tx.tasks.page(TaskQuery(q=q))) < RUNS
    assert steps(store, lambda tx: tx.tasks.count(TaskQuery(q=q), at_most=10_000)) < RUNS


@pytest.mark.parametrize("sort", ["update_time", "name"])
def test_a_dense_word_is_met_in_the_order_of_the_list(store: SqliteStore, sort: str) -> None:
    query = Query(q="deploy", sort=sort, limit=20)
    assert steps(store, lambda tx: tx.runs.page(query)) < RUNS


@pytest.mark.parametrize("q", ["compile 2777", "构建", "nowhere", "建"])
@pytest.mark.parametrize("downward", [False, True])
def test_a_word_in_a_long_run_is_found_without_looking_at_every_event(
    store: SqliteStore, q: str, downward: bool
) -> None:
    query = EventQuery(run_id=run_id(1), q=q, tail=downward, scan_limit=200)
    with store.read() as tx:
        page = tx.events.page(query)
    assert page.scanned_to_seq is None
    assert len(page.events) == (q != "nowhere")
    assert steps(store, lambda tx: tx.events.page(query)) < EVENTS


def test_a_scan_would_have_been_counted(store: SqliteStore) -> None:
    def look_at_all(tx: ReadTransaction) -> None:
        raw_of(tx).execute("SELECT count(*) FROM runs WHERE instr(search, 'x')").fetchall()

    assert steps(store, look_at_all) > RUNS
