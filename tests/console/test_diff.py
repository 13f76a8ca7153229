"""The comparison of two runs, driven."""

import re

import pytest

from runwatch_console.ports import ApiError
from runwatch_console.widgets.event_view import EventView
from tests.console.driving import Driven, console
from tests.console.test_comparison import log_of, steps

LOOP, OTHER = "run-51aa00c4d2e1", "run-6b02aa001122"
SIZES = [(80, 24), (120, 40), (200, 60)]
SAME = [f"make part-{n}" for n in range(40)]


def script(driven: Driven) -> None:
    left = [*SAME, "pytest -q", "git diff", "git push"]
    right = [*SAME, "pytest -x", "git push"]
    api = driven.script.api
    for run_id, commands in ((LOOP, left), (OTHER, right)):
        api.steps_of[run_id] = steps(commands)
        api.logs[run_id] = log_of(commands)


async def open_diff(driven: Driven) -> None:
    script(driven)
    await driven.press("colon", *f"diff {LOOP} {OTHER}", "enter")
    await driven.until_text("41 of 43 steps are the same; differences: 1")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.requirement("screen.diff")
async def test_the_first_difference_is_gone_to(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await open_diff(driven)
        await driven.until_text("pytest -q", "pytest -x", "git diff")
        assert "pytest -q" in cursor_line(driven)
        assert "1.2M" in driven.line_with("tokens")
        assert "210k" in driven.line_with("tokens")
        assert "-990k" in driven.line_with("tokens")
        assert driven.line_with("n N difference").rstrip(" │").endswith("- A + B alone")


def cursor_line(driven: Driven) -> str:
    return next((line for line in driven.lines if re.match(r"[│|] >", line)), "")


async def test_side_by_side_where_there_is_room_and_stacked_where_not() -> None:
    async with console((120, 40)) as driven:
        await open_diff(driven)
        both = driven.line_with("pytest -q")
        assert "pytest -x" in both
        await driven.pilot.resize_terminal(80, 24)
        await driven.until(lambda: "pytest -x" not in driven.line_with("pytest -q"))
        assert "A " in driven.line_with("pytest -q")
        assert "B " in driven.line_with("pytest -x")
        assert "pytest -q" in cursor_line(driven)


async def test_n_goes_round_the_differences() -> None:
    async with console() as driven:
        script(driven)
        driven.script.api.steps_of[OTHER] = steps(["first", *SAME, "pytest -q", "last"])
        driven.script.api.logs[OTHER] = log_of(["first", *SAME, "pytest -q", "last"])
        await driven.press("colon", *f"diff {LOOP} {OTHER}", "enter")
        await driven.until_text("differences: 2")
        assert "first" in cursor_line(driven)
        await driven.press("n")
        assert "git diff" in cursor_line(driven)
        await driven.press("n")
        assert "first" in cursor_line(driven)
        await driven.press("N")
        assert "git diff" in cursor_line(driven)


async def test_enter_opens_the_first_run_there_and_o_the_second() -> None:
    async with console() as driven:
        await open_diff(driven)
        await driven.press("enter")
        await driven.until(lambda: driven.app.state.run_id == LOOP)
        await driven.until(lambda: bool(driven.app.screen.query("#events")))
        view = driven.app.screen.query_one("#events", EventView)
        await driven.until(lambda: view.cursor_key == ("EventLine", 82, 0))
        await driven.press("colon", *f"diff {LOOP} {OTHER}", "enter")
        await driven.until_text("differences: 1")
        await driven.press("o")
        await driven.until(lambda: driven.app.state.run_id == OTHER)


async def test_two_marked_runs_are_compared_with_capital_d() -> None:
    async with console() as driven:
        script(driven)
        await driven.press("2", "D")
        await driven.until_text("mark two runs with m")
        await driven.press("j", "j", "j", "m", "m", "D")
        await driven.until_text("A run-51aa00c4d2e1 · B run-90b3ffe01122", "steps are the same")
        await driven.press("escape")
        await driven.until_text("of 5,140")


async def test_a_run_that_is_gone_is_said() -> None:
    async with console() as driven:
        script(driven)
        driven.script.api.refuse("steps", ApiError("not_found", "no such \x1b[1mrun", status=404))
        await driven.press("colon", *f"diff {LOOP} {OTHER}", "enter")
        await driven.until_text("no such")
        await driven.press("escape")
        await driven.until_text("NEEDS YOU")


async def test_the_comparison_speaks_chinese_and_ascii() -> None:
    async with console(language="zh") as driven:
        script(driven)
        await driven.press("colon", *f"diff {LOOP} {OTHER}", "enter")
        await driven.until_text("43 步中 41 步相同；1 处差异")
    async with console((80, 24), ascii_only=True) as driven:
        await open_diff(driven)
        assert driven.text.isascii()
