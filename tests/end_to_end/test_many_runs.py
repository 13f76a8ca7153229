"""A console that holds a part of a real server's runs, and its user who looks at all of them."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from runwatch_console.screens.runs import RunsScreen
from tests.benchmarks.generate import generate
from tests.end_to_end.screens import console_of, text_of, until
from tests.processes import ServerProcess

RUNS = 2_400
HELD = 500
PAGE = 1_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder: Path = tmp_path_factory.mktemp("many")
    now_us = time.time_ns() // 1000
    generate(folder / "runwatch.db", runs=RUNS, events=2 * RUNS, now_us=now_us)
    process = ServerProcess(folder)
    # There is no node behind the fleet: nothing may run out meanwhile.
    process.environment["RUNWATCH_LEASE"] = json.dumps({"ttl_s": 10**7, "node_offline_s": 10**7})
    process.environment["RUNWATCH_SEARCH"] = "false"
    with process:
        yield process


def all_ids(server: ServerProcess, query: str) -> list[str]:
    """Every id of a list, page by page."""
    ids: list[str] = []
    more = ""
    while True:
        path = f"/api/v1/monitor/workflows?limit={PAGE}&{query}{more}"
        page = server.get(path)
        ids += [row["id"] for row in page["workflows"]]
        if page["next_cursor"] is None:
            return ids
        more = f"&cursor={page['next_cursor']}"


async def shown(pilot: Pilot[None]) -> RunsScreen:
    """The Runs screen, live."""
    app = pilot.app
    await until(lambda: f"of {RUNS:,}" in text_of(app), lambda: text_of(app))
    screen = app.screen
    assert isinstance(screen, RunsScreen)
    # The first part of the snapshot is shown at once, the others when the key has rested.
    await until(lambda: screen.source.run_count >= HELD, lambda: text_of(app))
    return screen


async def page_up(pilot: Pilot[None], screen: RunsScreen) -> None:
    """Rows that are on their way are waited for."""
    key = screen.rows.cursor_key
    await pilot.press("pageup")
    await until(lambda: screen.rows.cursor_key != key, lambda: text_of(pilot.app))


async def test_all_runs_can_be_gone_through_from_the_last_to_the_first(
    server: ServerProcess,
) -> None:
    app = console_of(server, rows=HELD)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("2")
        screen = await shown(pilot)
        assert screen.source.run_count < RUNS
        wanted = all_ids(server, "sort=-attention")
        await pilot.press("G")
        await until(lambda: screen.rows.cursor_key == wanted[-1], lambda: text_of(app))
        while screen.rows.cursor > 0:
            await page_up(pilot, screen)
        assert set(screen.source.ids) == set(wanted)
        assert len(screen.source.ids) == RUNS
        # Of what ended, the server's order and the console's are one.
        ended = set(all_ids(server, "active=false"))
        assert [key for key in screen.source.ids if key in ended] == [
            key for key in wanted if key in ended
        ]


async def test_a_filter_counts_all_that_match_at_the_server(server: ServerProcess) -> None:
    app = console_of(server, rows=HELD)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("2")
        screen = await shown(pilot)
        wanted = all_ids(server, "status=timeout")
        await pilot.press("f", *"s:timeout", "enter")
        await until(
            lambda: re.search(r"Runs [\d,]+\+? of", text_of(app)) and screen.complete_list,
            lambda: text_of(app),
        )
        assert f"Runs {len(wanted):,} of {RUNS:,}" in text_of(app)
        assert set(screen.source.ids) == set(wanted)


async def test_the_dearest_run_of_all_stands_first_by_cost(server: ServerProcess) -> None:
    app = console_of(server, rows=HELD)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("2")
        screen = await shown(pilot)
        page = server.get("/api/v1/monitor/workflows?limit=1&sort=-cost_usd")
        most = page["workflows"][0]["usage"]["cost_usd"]
        await pilot.press("s", "s", "s")
        await until(lambda: screen.walk and screen.walk.begun, lambda: text_of(app))
        first = screen.source.run_of(screen.source.ids[0])
        assert first is not None
        assert first.cost_usd == most
