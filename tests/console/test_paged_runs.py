"""Runs beyond those that are held: asked for as one comes to them, right in place and number."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from runwatch_console.ports import ApiError, Connected, Disconnected, LossReason
from runwatch_console.screens import paged_runs
from runwatch_console.screens.paged_runs import PagedRunsScreen
from runwatch_console.walk import PAGE_ROWS, Walk
from runwatch_shared.models import WorkflowSummary
from tests.console import records
from tests.console.driving import Driven, console
from tests.console.records import at, change, summary, usage
from tests.console.scripted import Script

HELD = 120
TOTAL = 1_000


def run(number: int, **facts: object) -> WorkflowSummary:
    """The higher the number, the longer ago it ended."""
    ended = at(3600.0 + 10 * number)
    facts = {"end_time": ended, "update_time": ended, "status": "done"} | facts
    status = str(facts.pop("status"))
    return summary(f"run-{number:012x}", status, name=f"old-{number:04d}", **facts)


@asynccontextmanager
async def beyond(
    size: tuple[int, int] = (80, 24), *, total: int = TOTAL, **facts: object
) -> AsyncIterator[Driven]:
    """The Runs screen over a server of which the console holds the newest `HELD` runs.

    `facts` are further facts of the oldest run.
    """
    rows = [run(number) for number in range(total - 1)] + [run(total - 1, **facts)]
    script = Script()
    script.api.workflow_list = rows
    script.feed.say(
        Connected(hello=records.hello()),
        records.snapshot(rows[:HELD], records.fleet_nodes(), total=total),
    )
    async with console(size, fleet=False, script=script) as driven:
        await driven.until(lambda: driven.app.state.fleet.loaded)
        await driven.press("2")
        yield driven


def screen(driven: Driven) -> PagedRunsScreen:
    shown = driven.app.console_screen
    assert isinstance(shown, PagedRunsScreen)
    return shown


def listed(driven: Driven) -> list[str]:
    return [row for row in screen(driven).source.ids if row.startswith("run-")]


def cursors(driven: Driven) -> list[str | None]:
    return [cursor for _, _, cursor in driven.script.api.asked("workflows")]


def name_here(driven: Driven) -> str:
    found = re.search(r"old-\d{4}", driven.cursor_line)
    assert found is not None, driven.text
    return found[0]


async def press_and_move(driven: Driven, key: str) -> None:
    before = driven.cursor_line
    await driven.press(key)
    await driven.until(lambda: driven.cursor_line != before)


async def go_down(driven: Driven, rows: int) -> None:
    """By whole pages of the screen, as one who reads: each page is there before the next key."""
    while name_here(driven) < f"old-{rows:04d}":
        await press_and_move(driven, "pagedown")


async def test_nothing_is_asked_for_until_one_comes_near_the_end_of_what_is_held() -> None:
    async with beyond() as driven:
        assert "Runs 120 of 1,000" in driven.text
        await driven.press("pagedown", "pagedown")
        await driven.pilot.pause(0.3)
        assert cursors(driven) == []


@pytest.mark.requirement("rule.n_of_m")
async def test_going_down_passes_the_end_of_what_is_held_without_a_hole_and_counts_right() -> None:
    async with beyond() as driven:
        await go_down(driven, HELD + 50)
        await driven.until_text("Runs 319 of 1,000")
        assert listed(driven) == [f"run-{number:012x}" for number in range(319)]
        assert cursors(driven) == [None]
        await go_down(driven, 500)
        names = listed(driven)
        assert names == [f"run-{number:012x}" for number in range(len(names))]
        assert len(set(cursors(driven))) == len(cursors(driven))


async def test_what_is_far_away_is_let_go_and_had_again_on_the_way_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paged_runs, "Walk", partial(Walk, most_pages=2))
    async with beyond() as driven:
        await driven.press("G")
        await driven.until(lambda: "old-0999" in driven.cursor_line)
        while name_here(driven) > "old-0140":
            await press_and_move(driven, "pageup")
            walk = screen(driven).walk
            assert walk is not None
            assert len(walk.rows) <= 2 * PAGE_ROWS
        assert f"run-{TOTAL - 1:012x}" not in listed(driven)
        asked = len(cursors(driven))
        assert len(set(cursors(driven))) == asked
        await driven.press("g")
        await driven.until(lambda: "old-0000" in driven.cursor_line)
        await driven.press("G")
        await driven.until(lambda: "old-0999" in driven.cursor_line)
        assert "old-0998" in driven.text


async def test_a_key_held_down_does_not_jump_over_rows_that_are_on_their_way() -> None:
    async with beyond() as driven:
        driven.script.api.gate.clear()
        await driven.press(*["pagedown"] * 20)
        assert "old-0119" in driven.cursor_line
        assert "880 more at the server" in driven.text
        driven.script.api.gate.set()
        await driven.until_text("old-0120")
        await driven.press("j")
        assert "old-0120" in driven.cursor_line


async def test_one_page_at_a_time_is_asked_for() -> None:
    async with beyond() as driven:
        driven.script.api.gate.clear()
        await driven.press(*["pagedown"] * 20)
        await driven.until(lambda: len(cursors(driven)) == 1)
        for _ in range(5):
            await driven.press("k", "j")
            await driven.pass_time(1)
        assert len(cursors(driven)) == 1
        driven.script.api.gate.set()
        await driven.until_text("Runs 319 of")


@pytest.mark.requirement("rule.stays")
async def test_a_page_that_could_not_be_had_is_said_and_asked_for_again_on_r() -> None:
    async with beyond() as driven:
        api = driven.script.api
        api.refuse("workflows", ApiError("internal", "store \x1b[31mgone", status=500))
        await driven.press(*["pagedown"] * 20)
        await driven.until_text("more could not be had: store", "r asks again")
        asked = len(cursors(driven))
        await driven.press("k", "j")
        await driven.pass_time(5)
        assert len(cursors(driven)) == asked
        api.refusals.clear()
        await driven.press("r")
        await driven.until_text("Runs 319 of 1,000")


async def test_after_a_cursor_that_the_server_knows_no_more_the_walk_begins_anew() -> None:
    async with beyond() as driven:
        await go_down(driven, HELD + 50)
        api = driven.script.api
        api.refuse("workflows", ApiError("invalid_cursor", "another filter", status=400))
        while "could not be had" not in driven.text:
            await driven.press("pagedown")
        api.refusals.clear()
        await driven.press("r")
        await driven.until(lambda: cursors(driven)[-1] is None)
        await driven.until(lambda: len(listed(driven)) == 319)
        assert "could not be had" not in driven.text


@pytest.mark.requirement("keys.filter")
async def test_a_filter_finds_what_is_not_held_and_its_count_is_no_more_than_known() -> None:
    async with beyond(status="failed") as driven:
        driven.script.api.gate.clear()
        await driven.press("f", *"s:fail", "enter")
        await driven.until_text("Runs 0+ of 1,000", "there may be more at the server")
        driven.script.api.gate.set()
        await driven.until_text("Runs 1 of 1,000", "old-0999")
        query, _, _ = driven.script.api.asked("workflows")[-1]
        assert query["status"] == "failed,timeout"
        assert query["until"] <= at(3600.0 + 10 * (HELD - 2))


async def test_a_filter_that_nothing_matches_ends_at_the_empty_screen() -> None:
    async with beyond(total=1_000) as driven:
        await driven.press("f", *"name:nowhere", "enter")
        await driven.until_text("0 of 1,000 match")


async def test_what_the_server_cannot_judge_is_looked_through_so_far_and_further_on_r(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paged_runs, "MOST_BARREN", 2)
    async with beyond(error="disk full") as driven:
        await driven.press("f", *"error:disk", "enter")
        await driven.until_text("400 more runs looked through", "r looks further")
        assert "Runs 0+ of 1,000" in driven.text
        await driven.press("r")
        await driven.until_text("800 more runs looked through")
        await driven.press("r")
        await driven.until_text("Runs 1 of 1,000", "old-0999")


@pytest.mark.requirement("keys.sort")
async def test_the_first_by_cost_is_the_first_of_all_not_of_those_held() -> None:
    async with beyond(usage=usage(cost=99.0)) as driven:
        await driven.press("s", "s", "s")
        await driven.until(lambda: listed(driven)[0] == f"run-{TOTAL - 1:012x}")
        query, _, _ = driven.script.api.asked("workflows")[-1]
        assert query["sort"] == "-cost_usd"


async def test_a_change_of_a_row_that_was_read_is_shown_in_it_and_a_removed_one_goes() -> None:
    async with beyond() as driven:
        await go_down(driven, HELD + 20)
        run_id = driven.app.console_screen.rows.cursor_key  # type: ignore[union-attr]
        number = int(str(run_id).removeprefix("run-"), 16)
        driven.script.feed.say(change(upsert=[run(number, activity_text="fresh news")]))
        await driven.until_text("fresh news")
        gone = f"run-{number + 1:012x}"
        assert gone in listed(driven)
        driven.script.feed.say(change(remove=[gone], left=1, previous=2, revision=3))
        await driven.until(lambda: driven.app.state.fleet.revision == 3)
        await driven.pass_time(3)
        await driven.until(lambda: gone not in listed(driven))
        assert f"old-{number:04d}" in driven.cursor_line
        assert "of 999" in driven.lines[0]


async def test_a_run_that_was_read_can_be_opened_peeked_and_previewed() -> None:
    async with beyond((120, 40)) as driven:
        await go_down(driven, HELD + 20)
        name = name_here(driven)
        await driven.until(lambda: driven.text.count(name) >= 2)
        await driven.press("space")
        await driven.until_text(f"{driven.app.console_screen.rows.cursor_key}  {name}")  # type: ignore[union-attr]
        await driven.press("escape", "enter")
        await driven.until(lambda: driven.app.state.run_id.startswith("run-"))
        await driven.press("2")
        await driven.until(lambda: name in driven.cursor_line)


@pytest.mark.requirement("state.rewind")
async def test_the_past_has_no_rows_that_were_read_now() -> None:
    async with beyond() as driven:
        await go_down(driven, HELD + 20)
        driven.script.feed.say(change(upsert=[run(0)], server_time=at(-60)))
        await driven.until(lambda: driven.app.state.fleet.revision == 2)
        asked = len(cursors(driven))
        await driven.press("<")
        await driven.until(lambda: driven.app.state.past is not None)
        await driven.until(lambda: len(listed(driven)) == HELD)
        assert len(cursors(driven)) == asked
        await driven.press("0")
        await driven.until(lambda: len(listed(driven)) == 319)


async def test_without_its_server_it_says_that_more_comes_later_and_asks_nothing() -> None:
    async with beyond() as driven:
        driven.script.feed.say(Disconnected(reason=LossReason.CLOSED, retry_in_s=60.0))
        await driven.until_text("DISCONNECTED")
        await driven.press(*["pagedown"] * 20)
        await driven.until_text("more when the server is back")
        await driven.pass_time(2)
        assert cursors(driven) == []


async def test_another_snapshot_begins_anew() -> None:
    async with beyond() as driven:
        await go_down(driven, HELD + 20)
        rows = driven.script.api.workflow_list
        driven.script.feed.say(records.snapshot(rows[:HELD], records.fleet_nodes(), total=TOTAL))
        before = driven.app.state.fleet.edge
        await driven.until(lambda: driven.app.state.fleet.edge is not before)
        await driven.pass_time(3)
        await driven.until(lambda: cursors(driven)[-1] is None and len(cursors(driven)) > 1)
        await driven.until(lambda: len(listed(driven)) == 319)
