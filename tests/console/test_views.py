"""Saved views: shown, kept in the settings file, deleted, and found by their names."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from runwatch_console.locale.words import Words
from runwatch_console.views import BUILT_IN, find_view, name_problem, view_problem, views_of
from runwatch_shared.settings import SavedView
from tests.console.driving import Driven, console

WORDS = Words("en")


def shown_runs(driven: Driven) -> list[str]:
    rows: Any = driven.app.screen.query_one("#rows")
    return [rows.source.key_at(index) for index in range(len(rows.source))]


def order(driven: Driven) -> Any:
    screen: Any = driven.app.console_screen
    return screen.order


@pytest.mark.requirement("keys.views")
async def test_v_lists_the_views_and_enter_shows_one() -> None:
    async with console() as driven:
        await driven.press("v")
        await driven.until_text("needs-me", "failed-today", "built in", ":save NAME")
        await driven.press("j", "j", "enter")
        await driven.until_text("view: needs-me", "filter: s:needs")
        runs = driven.app.state.fleet.runs
        needy = {run_id for run_id, run in runs.items() if run.attention >= 3}
        assert set(shown_runs(driven)) == needy


async def test_a_view_brings_filter_order_columns_and_lock() -> None:
    saved = SavedView(
        filter="s:active",
        sort="name",
        reversed=True,
        locked=True,
        columns=["task", "state", "cost"],
    )
    async with console(views={"mine-all": saved}) as driven:
        await driven.press("colon", *"view mine", "minus", "a", "enter")
        await driven.until_text("view: mine-all", "locked")
        runs = driven.app.state.fleet.runs
        names = [runs[run_id].name.casefold() for run_id in shown_runs(driven)]
        assert names == sorted(names, reverse=True)
        assert all(not runs[run_id].ended for run_id in shown_runs(driven))
        header = driven.line_with("TASK")
        assert header.index("TASK") < header.index("ST") < header.index("$")
        assert "AGENT" not in header
        await driven.press("S")
        assert "view: mine-all" not in driven.text, "it is another view now"


@pytest.mark.requirement("keys.command.save")
async def test_save_keeps_what_is_shown_beside_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    before = '# mine\n[server]\nport = 1  # the port\n\n[console]\nlang = "en"\n'
    path.write_text(before)
    path.chmod(0o640)
    async with console(settings_file=path) as driven:
        await driven.press("2", "f", *"s:active", "enter", "s", "R")
        await driven.press("colon", *"columns state task", "enter")
        await driven.press("colon", *"save old ones", "enter")
        await driven.until_text("view old ones is kept in", "view: old ones")
        text = path.read_text()
        assert text.startswith(before)
        assert path.stat().st_mode & 0o777 == 0o640
        saved = tomllib.loads(text)["console"]["views"]["old ones"]
        assert saved == {
            "filter": "s:active",
            "sort": "age",
            "reversed": True,
            "columns": ["state", "task"],
        }
        await driven.press("escape", "colon", *"view old ", "tab")
        await driven.press("enter")
        await driven.until_text("view: old ones")


async def test_a_view_of_ones_own_is_deleted_after_a_question(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[console.views.docs]\nfilter = "docs"\n')
    async with console(settings_file=path, views={"docs": SavedView(filter="docs")}) as driven:
        await driven.press("2", "v", "ctrl+x")
        await driven.until_text("all is built in")
        await driven.press("G", "ctrl+x")
        await driven.until_text("Delete the view docs?", "y deletes it")
        await driven.press("enter")
        assert "docs" in path.read_text()
        await driven.press("v", "G", "ctrl+x")
        await driven.until_text("Delete the view docs?")
        await driven.press("y")
        await driven.until_text("view docs is deleted")
        assert "docs" not in path.read_text()
        assert "docs" not in driven.app.state.preferences.views


async def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[console\n")
    async with console(settings_file=path) as driven:
        await driven.press("colon", *"save mine", "enter")
        await driven.until_text("views are kept from the Runs screen")
        await driven.press("2", "colon", *"save active", "enter")
        await driven.until_text("active is built in")
        await driven.press("colon", *"save ok", "enter")
        await driven.until_text("is not TOML")
        assert path.read_text() == "[console\n"
        await driven.press("colon", *"view nothing", "enter")
        await driven.until_text("no view nothing", "needs-me")


async def test_the_console_begins_with_the_home_and_the_view_of_the_settings() -> None:
    async with console(home="runs", view="active", columns={"runs": ["state", "task"]}) as driven:
        await driven.until_text("view: active")
        assert "NODE" not in driven.line_with("TASK")
        await driven.press("1")
        await driven.until_text("NEEDS YOU")
        await driven.press("2")
        await driven.until_text("view: active")


async def test_views_are_shown_in_chinese() -> None:
    async with console(language="zh") as driven:
        await driven.press("v")
        await driven.until_text("视图", "内置")


async def test_failed_today_counts_from_midnight() -> None:
    view = find_view(BUILT_IN, "failed-today")
    assert view is not None
    assert view_problem(view.saved, WORDS) == ""


@pytest.mark.parametrize("view", views_of({}, "sam"), ids=lambda view: view.name)
def test_every_built_in_view_means_something(view: Any) -> None:
    assert view_problem(view.saved, WORDS) == ""


def test_mine_are_the_runs_of_the_user() -> None:
    mine = find_view(views_of({}, "sam"), "mine")
    assert mine is not None
    assert mine.saved.filter == "label:owner=sam"
    assert find_view(views_of({}, ""), "mine") is None
    assert find_view(views_of({}, 'x" s:done'), "mine") is None


@pytest.mark.parametrize("name", ["", " a", "a\x1b[31m", "x" * 41, "active", "mine", "a\nb"])
def test_such_a_name_is_refused(name: str) -> None:
    assert name_problem(name, WORDS)


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (SavedView(filter="s:wiat"), "filter: s:wiat"),
        (SavedView(sort="cots"), "sort: cots is not known; did you mean cost?"),
        (SavedView(columns=["tsak"]), "did you mean task?"),
        (SavedView(columns=["task", "task"]), "twice"),
    ],
)
def test_what_is_wrong_with_a_view_is_named(saved: SavedView, said: str) -> None:
    assert said in view_problem(saved, WORDS)
