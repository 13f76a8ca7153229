"""`X`: the explanation of a run, driven."""

import pytest

from runwatch_console.ports import ApiError
from runwatch_console.widgets.event_view import EventView
from runwatch_shared.models import Event
from tests.console.driving import Driven, console
from tests.console.records import event, run_events

LOOPING = "run-51aa00c4d2e1"
SIZES = [(80, 24), (120, 40), (200, 60)]


def loop_log() -> list[Event]:
    calls = {"tool": "Bash", "input": {"command": "pytest -q"}}
    log = run_events(900, 1)
    return [
        event(each.seq, "tool_use_start", calls) if each.seq in range(300, 306) else each
        for each in log
    ][:310]


async def explain_loop(driven: Driven) -> None:
    driven.script.api.logs[LOOPING] = loop_log()
    await driven.press("2", "j", "j", "j", "X")
    await driven.until_text("What shows it (6)")


@pytest.mark.requirement("keys.explain")
@pytest.mark.parametrize("size", SIZES)
async def test_explain_shows_reason_rule_and_events(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await explain_loop(driven)
        assert "same Bash call 6 of last 12" in driven.text
        assert "4 of the last 12 calls have the same tool and input" in driven.text
        assert "pytest -q" in driven.line_with("[305]")
        assert "same call" in driven.line_with("[300]")


@pytest.mark.parametrize("size", SIZES)
async def test_enter_opens_the_run_at_the_event(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await explain_loop(driven)
        await driven.press("j", "enter")
        await driven.until(lambda: driven.app.state.run_id == LOOPING)
        await driven.until(lambda: bool(driven.app.screen.query("#events")))
        view = driven.app.screen.query_one("#events", EventView)
        await driven.until(lambda: view.cursor_key == ("EventLine", 301, 0))
        assert not view.run_log.following


async def test_an_event_far_from_the_tail_is_asked_for() -> None:
    async with console() as driven:
        log = run_events(5_000, 1)
        driven.script.api.logs[LOOPING] = log
        screen = driven.app
        await driven.press("2", "j", "j", "j", "enter")
        await driven.until_text("seq 5,000")
        driven.script.api.calls.clear()
        screen.console_screen.show_event(LOOPING, 700)  # type: ignore[union-attr]
        view = driven.app.screen.query_one("#events", EventView)
        await driven.until(lambda: view.cursor_key == ("EventLine", 700, 0))
        screen.console_screen.show_event(LOOPING, 9_999)  # type: ignore[union-attr]
        await driven.until_text("event 9,999 is gone")


async def test_a_run_beyond_the_rows_here_is_asked_for_and_explained() -> None:
    async with console() as driven:
        fleet = driven.script.api
        away = "run-00aa00aa00aa"
        fleet.details[away] = fleet.details[LOOPING]
        await driven.press("colon", *f"explain {away}", "enter")
        await driven.until_text("same Bash call 6 of last 12")


async def test_explain_shows_what_it_has_while_the_server_is_silent() -> None:
    async with console() as driven:
        driven.script.api.gate.clear()
        await driven.press("2", "j", "j", "j", "X")
        await driven.until_text("same Bash call 6 of last 12", "asking the server for more")
        driven.script.api.refuse("events", ApiError("internal", "store gone", status=500))
        driven.script.api.gate.set()
        await driven.until_text("Some of it could not be had: store gone")


async def test_explain_on_a_terminal_without_utf_8() -> None:
    async with console((80, 24), ascii_only=True) as driven:
        await explain_loop(driven)
        assert driven.text.isascii()


async def test_explain_speaks_chinese() -> None:
    async with console(language="zh") as driven:
        driven.script.api.logs[LOOPING] = loop_log()
        await driven.press("2", "j", "j", "j", "X")
        await driven.until_text("证据（6）", "最近 12 次调用中有 4 次工具与输入相同")
