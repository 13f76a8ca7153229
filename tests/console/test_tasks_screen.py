"""Screen 7 and the task dialog, driven; the filter of tasks."""

import pytest

from runwatch_console.filters import FilterError
from runwatch_console.lens import Lens
from runwatch_console.locale.words import Words
from runwatch_console.ports import ApiError
from runwatch_console.taskfilter import complete_task_filter, parse_task_filter
from runwatch_console.taskrows import TASK_COLUMNS, task_facts, task_row
from runwatch_shared.models import TaskRuns
from tests.console import records
from tests.console.driving import Driven, console, is_harmless
from tests.console.hostile import MARKUP, SEQUENCES
from tests.console.records import NOW_S, change, stats, task

LENS = Lens(words=Words("en"), now_s=NOW_S)
SIZES = [(80, 24), (120, 40), (200, 60)]


async def open_tasks(driven: Driven) -> None:
    await driven.press("7")
    await driven.until_text("Tasks 200 of 260")


@pytest.mark.requirement("screen.tasks")
@pytest.mark.parametrize("size", SIZES)
async def test_tasks_are_a_table_newest_first(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await open_tasks(driven)
        assert "fix-auth-0" in driven.cursor_line
        assert "● run" in driven.cursor_line
        assert "✓ done" in driven.line_with("refactor-billing-2")
        if size[0] >= 100:
            await driven.until_text("Run the evaluation.")


async def test_the_next_page_comes_when_the_end_is_near() -> None:
    async with console() as driven:
        await open_tasks(driven)
        await driven.press("G")
        await driven.until_text("Tasks 260 of 260")
        await driven.press("G")
        assert "-259" in driven.cursor_line
        cursors = [cursor for _, _, cursor in driven.script.api.asked("tasks")]
        assert cursors == [None, "200"]


async def test_a_filter_is_the_servers_and_escape_clears_it() -> None:
    async with console() as driven:
        await open_tasks(driven)
        await driven.press("f", *"s:failed tests", "enter")
        await driven.until_text("filter: s:failed tests")
        await driven.until(lambda: "tests-" in driven.cursor_line)
        query, _, _ = driven.script.api.asked("tasks")[-1]
        assert query == {"status": ["failed"], "q": ["tests"]}
        await driven.press("escape")
        await driven.until_text("Tasks 200 of 260")


async def test_a_filter_that_means_nothing_is_said_and_does_not_count() -> None:
    async with console() as driven:
        await open_tasks(driven)
        await driven.press("f", *"node:n1", "enter")
        await driven.until_text("tasks have s: label:")
        assert len(driven.script.api.asked("tasks")) == 1


async def test_nothing_matches_and_nothing_there_are_said_apart() -> None:
    async with console() as driven:
        await open_tasks(driven)
        await driven.press("f", *"nosuchtask", "enter")
        await driven.until_text("no task matches nosuchtask")
    async with console(fleet=False) as driven:
        driven.script.say_fleet()
        driven.script.api.task_list = []
        await driven.press("7")
        await driven.until_text("no tasks yet", "monitor-tui start")


async def test_a_list_that_cannot_be_had_is_said_and_asked_for_again() -> None:
    async with console() as driven:
        driven.script.api.refuse("tasks", ApiError("internal", "store \x1b[1mgone", status=500))
        await driven.press("7")
        await driven.until_text("The tasks could not be had: store")
        driven.script.api.refusals.clear()
        asked = len(driven.script.api.asked("tasks"))
        await driven.pass_time(4)
        assert len(driven.script.api.asked("tasks")) == asked
        await driven.pass_time(7)
        await driven.until_text("Tasks 200 of 260")


async def test_new_tasks_come_by_themselves_and_the_cursor_stays_on_its_row() -> None:
    async with console() as driven:
        await open_tasks(driven)
        await driven.press("j", "j")
        here = driven.cursor_line
        line = driven.lines.index(here)
        driven.script.api.task_list.insert(
            0, task("task-ffffffffffff", "pending", name="brand-new")
        )
        driven.script.feed.say(change(stats=stats(total_tasks=5_001)))
        await driven.until(lambda: driven.app.state.fleet.stats.total_tasks == 5_001)  # type: ignore[union-attr]
        await driven.pass_time(4)
        await driven.until_text("Tasks 200 of 261")
        assert driven.cursor_line.split()[3:5] == here.split()[3:5]
        assert driven.lines.index(driven.cursor_line) in (line, line + 1)


@pytest.mark.requirement("screen.tasks")
@pytest.mark.parametrize("size", SIZES)
async def test_enter_shows_the_task_with_its_runs_and_opens_one(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await open_tasks(driven)
        await driven.press("enter")
        await driven.until_text(
            "2 of 2 runs", "run-51aa00c4d2e1", "exit 137", "Run the evaluation."
        )
        await driven.press("enter")
        await driven.until(lambda: driven.app.state.run_id == "run-51aa00c4d2e1")


async def test_one_more_run_is_started_and_opened() -> None:
    async with console() as driven:
        await open_tasks(driven)
        await driven.press("ctrl+r")
        await driven.until(lambda: driven.app.state.run_id == "run-0000000000aa")
        assert driven.script.api.asked("create_run") == ["task-000000000000"]
        await driven.press("7", "enter")
        await driven.until_text("2 of 2 runs")
        await driven.press("ctrl+r")
        await driven.until(lambda: len(driven.script.api.asked("create_run")) == 2)


async def test_a_run_that_is_refused_is_said() -> None:
    async with console() as driven:
        await open_tasks(driven)
        driven.script.api.refuse("create_run", ApiError("forbidden", "need operator", status=403))
        await driven.press("ctrl+r")
        await driven.until_text("no run of task-000000000000: need operator")


async def test_cancel_asks_for_the_runs_under_way() -> None:
    async with console() as driven:
        await open_tasks(driven)
        await driven.press("ctrl+k")
        await driven.until_text("Cancel this run?", "run-51aa00c")
        await driven.press("y")
        await driven.until(lambda: driven.script.api.asked("cancel_run") == ["run-51aa00c4d2e1"])
        await driven.press("j", "j", "ctrl+k")
        await driven.until_text("nothing here can be cancelled")


@pytest.mark.requirement("screen.tasks.cancel")
async def test_cancel_asks_for_all_runs_under_way_however_old_and_held_or_not() -> None:
    async with console() as driven:
        api = driven.script.api
        ended = [records.run(f"run-{n:012x}", "done") for n in range(0x1000, 0x1190)]
        api.task_list = [
            records.task("task-000000000000", "in_progress", name="many",
                         runs=TaskRuns(total=402, active=2)),
        ]  # fmt: skip
        api.runs_of_task["task-000000000000"] = [
            records.run("run-51aa00c4d2e1", "running", node_id="n2"),
            *ended,
            records.run("run-00000000aaaa", "queued"),
        ]
        await driven.press("7")
        await driven.until_text("many")
        await driven.press("ctrl+k")
        await driven.until_text("Cancel 2 runs?", "run-51aa00c", "run-00000000aaaa")
        await driven.press("2", "enter")
        await driven.until(lambda: len(api.asked("cancel_run")) == 2)
        assert api.asked("cancel_run") == ["run-51aa00c4d2e1", "run-00000000aaaa"]


@pytest.mark.requirement("screen.tasks.cancel")
async def test_fewer_found_than_are_under_way_is_said() -> None:
    async with console() as driven:
        driven.script.api.task_list = [
            records.task("task-000000000000", "in_progress", name="many",
                         runs=TaskRuns(total=9, active=3)),
        ]  # fmt: skip
        await driven.press("7")
        await driven.until_text("many")
        await driven.press("ctrl+k")
        await driven.until_text("1 of 3 runs under way were found", "Cancel this run?")


async def test_tasks_are_searched_and_copied() -> None:
    async with console() as driven:
        await open_tasks(driven)
        await driven.press("slash", *"bump-deps-11", "enter")
        await driven.until(lambda: "bump-deps-11 " in driven.cursor_line)
        await driven.press("c")
        await driven.until_text("task-000000000011")


async def test_tasks_in_chinese_and_without_utf_8() -> None:
    async with console(language="zh") as driven:
        await driven.press("7")
        await driven.until_text("任务 200 / 260")
    async with console((80, 24), ascii_only=True) as driven:
        await open_tasks(driven)
        await driven.press("enter")
        await driven.until_text("2 of 2 runs")
        assert driven.text.isascii()


@pytest.mark.parametrize("text", [*SEQUENCES, *MARKUP])
def test_no_text_of_a_task_is_obeyed(text: str) -> None:
    row = task_row(task(name=text, description=text, labels={text: text}))
    from_columns = [column.cell(row, LENS)[0] for column in TASK_COLUMNS]
    assert all(map(is_harmless, from_columns))
    assert all(is_harmless(fact.text) for fact in task_facts(row, LENS))


def test_a_task_filter_becomes_the_servers_parameters() -> None:
    parsed = parse_task_filter("s:failed,pending label:team=web label:x since:6h two words")
    assert parsed == {
        "status": ["failed,pending"],
        "label": ["team:web", "x"],
        "since": ["6h"],
        "q": ["two words"],
    }
    assert parse_task_filter("") == {}
    assert parse_task_filter("s:fai", typing=True) == {"status": ["fai"]}
    assert parse_task_filter("s:", typing=True) == {}


@pytest.mark.parametrize("text", ["node:n1", "s:nope", "s:", "age:1h"])
def test_a_term_that_tasks_do_not_have_is_refused(text: str) -> None:
    with pytest.raises(FilterError):
        parse_task_filter(text)


def test_a_task_filter_is_completed() -> None:
    assert complete_task_filter("s:failed,c") == ["s:failed,completed", "s:failed,cancelled"]
    assert complete_task_filter("x la") == ["x label:"]
