"""What SQLite does for a page of the monitor does not grow with what is stored: steps, counted."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwatch_server.lifespan import rules_of
from runwatch_server.storage.protocols import Query, ReadTx
from runwatch_server.storage.sql import pages
from runwatch_server.storage.sqlite.store import SqliteStore
from runwatch_shared.settings import ServerSettings
from runwatch_shared.wire import WORKFLOW_SORTS
from tests.benchmarks.generate import generate
from tests.storage.counting import steps
from tests.storage.making import NOW_US

pytestmark = pytest.mark.timeout(240)  # the stores are made within the first test

MORE = int(os.environ.get("RUNWATCH_SCALE_RUNS", "10000"))
FEWER = MORE // 10
DAY_US = 86_400_000_000
TOTAL, FEW = 200, 50
"""Up to where totals are exact, and how few rows are sorted, here: as far below what is stored as
the server's own numbers are below a million.
"""
SLACK = 3_000
"""Steps: a few rows more or less of one page."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    made = []
    for runs in (FEWER, MORE):
        path: Path = tmp_path_factory.mktemp("scale") / "runwatch.db"
        generate(path, runs=runs, events=2 * runs, now_us=NOW_US)
        made.append(SqliteStore.open(path, rules_of(ServerSettings()), sole=False))
    yield made[0], made[1]
    for store in made:
        store.close()


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "FEW", FEW)


def grown(stores: tuple[SqliteStore, SqliteStore], **query: Any) -> tuple[int, int]:
    """Steps of a page and its total in the smaller store and in the larger."""
    wanted = Query(limit=51, **query)

    def work(tx: ReadTx) -> None:
        tx.runs.page(wanted)
        tx.runs.count(wanted, at_most=TOTAL)

    fewer, more = (steps(store, work) for store in stores)
    return fewer, more


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", WORKFLOW_SORTS)
def test_a_first_page_takes_the_same_by_any_order(
    stores: tuple[SqliteStore, SqliteStore], sort: str, descending: bool
) -> None:
    fewer, more = grown(stores, sort=sort, descending=descending)
    assert more <= 1.1 * fewer + 100


def test_a_page_by_its_place_takes_the_same_however_deep(
    stores: tuple[SqliteStore, SqliteStore],
) -> None:
    for days in (1, 10, 19):
        place = (NOW_US - days * DAY_US, "run-8")
        fewer, more = grown(stores, sort="start_time", after=place)
        assert more <= 1.1 * fewer + 100


@pytest.mark.parametrize(
    "conditions",
    [
        {"state": ("failed",)},
        {"status": ("cancelled", "timeout")},
        {"node": ("node-07",), "state": ("failed",)},
        {"agent_type": ("gemini-cli",)},
        {"agent_type": ("command",), "state": ("completed",)},
        {"labels": {"team": "red"}},
        {"labels": {"ticket": None}},
        {"health": ("stalled", "looping")},
        {"waiting": True},
        {"active": True, "sort": "attention"},
        {"since_us": NOW_US - DAY_US // 4},
        {"task": "task-none"},
    ],
)
def test_a_filtered_page_takes_about_the_same(
    stores: tuple[SqliteStore, SqliteStore], conditions: dict[str, Any]
) -> None:
    fewer, more = grown(stores, **conditions)
    assert more <= 2 * fewer + SLACK, (fewer, more)


def test_what_a_server_reads_to_start_does_not_grow_with_its_history(
    stores: tuple[SqliteStore, SqliteStore],
) -> None:
    fewer, more = (steps(store, lambda tx: (tx.waiting_runs(), tx.nodes.all())) for store in stores)
    assert more <= 4 * fewer + SLACK
