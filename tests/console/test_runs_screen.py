"""The table of runs: order, filter, search, marks, preview and actions."""

import pytest
from textual import events

from runwatch_console.ports import ApiError, EventBatch
from runwatch_console.screens.runs import RunsScreen
from tests.console.driving import Driven, console
from tests.console.records import change, event, summary, waiting


def order(driven: Driven) -> list[str]:
    """The rows of the table; the preview below its rule is none of it."""
    rule = next((i for i, line in enumerate(driven.lines) if line.startswith("───")), None)
    return [line[1:] for line in driven.lines[:rule] if "run-" in line[:40]]


@pytest.mark.requirement("rule.rows_stand")
async def test_the_cursor_stays_on_its_run_and_line_when_the_order_changes() -> None:
    async with console() as driven:
        await driven.press("2", "j", "j", "j", "j")
        before = driven.cursor_line
        line = driven.lines.index(before)
        driven.script.feed.say(change(upsert=[summary("run-0000cc001122", waiting=waiting())]))
        await driven.until(lambda: driven.app.state.fleet.revision == 2)
        assert driven.lines[line] == before
        await driven.pass_time(3)
        await driven.until_text("4 WAIT" if "4 WAIT" in driven.text else "run-0000cc0")
        assert driven.cursor_line.split()[3] == before.split()[3]


@pytest.mark.requirement("rule.rows_stand")
async def test_rows_change_in_place_while_keys_are_pressed_and_move_two_seconds_later() -> None:
    async with console((120, 24)) as driven:
        await driven.press("2", "j")
        rows_before = [line.split()[3] for line in order(driven)]
        driven.script.feed.say(
            change(upsert=[summary("run-6b02aa001122", name="add-metrics", waiting=waiting())])
        )
        await driven.until(lambda: "WAIT" in driven.line_with("run-6b02aa0"))
        assert [line.split()[3] for line in order(driven)] == rows_before
        await driven.pass_time(2.5)
        await driven.until(lambda: [line.split()[3] for line in order(driven)] != rows_before)
        assert "run-6b02aa0" in "".join(order(driven)[:4])


@pytest.mark.requirement("keys.lock")
async def test_a_locked_order_does_not_move() -> None:
    async with console((120, 24)) as driven:
        await driven.press("2", "S")
        assert "locked" in driven.lines[0]
        before = [line.split()[3] for line in order(driven)]
        driven.script.feed.say(change(upsert=[summary("run-6b02aa001122", waiting=waiting())]))
        await driven.until(lambda: "WAIT" in driven.line_with("run-6b02aa0"))
        await driven.pass_time(5)
        assert [line.split()[3] for line in order(driven)] == before


async def test_a_run_that_left_stays_as_a_dimmed_row_until_the_order_is_applied() -> None:
    async with console() as driven:
        await driven.press("2", "j")
        driven.script.feed.say(change(remove=["run-51aa00c4d2e1"]))
        await driven.until(lambda: "run-51aa00c4d2e1" not in driven.app.state.fleet.runs)
        assert "refactor-billing" in driven.text
        await driven.pass_time(3)
        await driven.until_no_text("refactor-billing")


@pytest.mark.requirement("screen.runs")
async def test_a_filter_narrows_while_it_is_typed_and_escape_brings_all_back() -> None:
    async with console() as driven:
        await driven.press("2", "f", *"s:wa")
        await driven.until_text("Runs 3 of 5,140")
        await driven.press("escape")
        await driven.until_text("Runs 35 of 5,140")
        await driven.press("f", *"s:wait", "enter")
        await driven.until_text("Runs 3 of 5,140", "filter: s:wait")
        await driven.press("exclamation_mark")
        await driven.until_text("Runs 32 of 5,140", "!(s:wait)")
        await driven.press("escape")
        await driven.until_text("Runs 35 of 5,140")


async def test_a_filter_that_means_nothing_is_explained_and_does_not_count() -> None:
    async with console() as driven:
        await driven.press("2", "f", *"s:wait age>x", "enter")
        await driven.until_text("age>x: x is no age")
        assert "Runs 3 of 5,140" in driven.text or "Runs 35 of 5,140" in driven.text


@pytest.mark.requirement("keys.filter")
async def test_tab_completes_a_filter() -> None:
    async with console() as driven:
        await driven.press("2", "f", *"s:sta", "tab", "enter")
        await driven.until_text("filter: s:stall", "Runs 1 of 5,140")


@pytest.mark.requirement("keys.search")
async def test_a_search_highlights_and_goes_round_and_becomes_a_filter() -> None:
    async with console() as driven:
        await driven.press("2", "slash", *"build-1", "enter")
        assert "build-1" in driven.cursor_line
        first = driven.cursor_line
        await driven.press("n")
        assert driven.cursor_line != first
        await driven.press("N")
        assert driven.cursor_line == first
        await driven.press("ampersand")
        await driven.until_text("filter: build-1", "Runs 9 of 5,140")


async def test_a_search_without_a_match_says_so() -> None:
    async with console() as driven:
        await driven.press("2", "slash", *"zzz", "enter")
        await driven.until_text("no match for zzz")


@pytest.mark.requirement("screen.runs", "keys.sort")
async def test_sort_goes_through_the_orders() -> None:
    async with console() as driven:
        await driven.press("2", "s", "s", "s")
        assert "sort: cost" in driven.lines[0]
        assert "run-0e55aa0" in order(driven)[0]
        await driven.press("R")
        assert "run-0e55aa0" not in order(driven)[0]


@pytest.mark.requirement("keys.waiting_error")
async def test_w_and_e_go_to_waiting_and_troubled_runs() -> None:
    async with console() as driven:
        await driven.press("2", "G", "w")
        assert "WAIT" in driven.cursor_line
        await driven.press("W")
        assert "WAIT" in driven.cursor_line
        await driven.press("e")
        assert "LOOP" in driven.cursor_line
        await driven.press("E")
        assert "FAIL" in driven.cursor_line


@pytest.mark.requirement("screen.preview")
async def test_the_preview_follows_the_cursor_with_one_socket_at_a_time() -> None:
    async with console() as driven:
        await driven.press("2")
        run_events = driven.script.run_events
        await driven.until(
            lambda: run_events.opened and run_events.opened[-1][0].startswith("run-8f")
        )
        await driven.press("j", "j", "j")
        await driven.until(lambda: run_events.opened[-1][0] == "run-51aa00c4d2e1")
        await driven.until(lambda: run_events.open == 1)
        assert "run-2c7100aa41b0" not in [run_id for run_id, _ in run_events.opened]
        run_events.say(
            "run-51aa00c4d2e1", EventBatch(events=(event(4813, payload={"content": "fresh"}),))
        )
        await driven.until_text("fresh")
        await driven.press("1", "4")
        await driven.until(lambda: run_events.open == 0)


async def test_the_preview_comes_though_the_fleet_changes_all_the_time() -> None:
    async with console() as driven:
        await driven.press("4")
        opened = driven.script.run_events.opened
        await driven.until(lambda: driven.script.run_events.open == 0)
        before = len(opened)

        def previewed_amid_changes() -> bool:
            said = change(upsert=[summary("run-6b02aa001122", tool_calls=len(opened))])
            driven.script.feed.say(said)
            return len(opened) > before

        await driven.press("1")
        await driven.until(previewed_amid_changes)


@pytest.mark.requirement("screen.preview")
async def test_events_of_a_run_that_was_left_are_dropped() -> None:
    async with console() as driven:
        await driven.press("2")
        await driven.until(lambda: driven.script.run_events.open == 1)
        left = driven.script.run_events.opened[-1][0]
        await driven.press("j")
        driven.script.run_events.say(
            left, EventBatch(events=(event(9999, payload={"content": "late"}),))
        )
        await driven.until(lambda: driven.script.run_events.opened[-1][0] != left)
        await driven.pilot.pause(0.1)
        assert "late" not in driven.text


@pytest.mark.requirement("keys.peek")
async def test_peek_shows_facts_and_events_and_space_closes_it() -> None:
    async with console((80, 24)) as driven:
        await driven.press("2", "space")
        await driven.until_text("approve: git push origin main?", "[60]")
        await driven.press("space")
        await driven.until_text("Runs 35 of")
        await driven.press("space")
        await driven.until_text("[60]")
        await driven.press("enter")
        await driven.until_text("seq 60")


@pytest.mark.requirement("told.tool_calls")
async def test_explain_says_only_what_the_server_said() -> None:
    async with console() as driven:
        await driven.press("2", "j", "j", "j", "X")
        await driven.until_text(
            "same Bash call 6 of last 12", "88 calls, 14 failed", "Only what the server"
        )
        await driven.press("escape")
        driven.script.api.refuse("workflow", ApiError("internal", "store gone", status=500))
        await driven.press("X")
        await driven.until_text("same Bash call 6 of last 12", "store gone")


@pytest.mark.requirement("keys.cancel")
async def test_cancel_asks_and_only_y_cancels() -> None:
    async with console() as driven:
        await driven.press("2", "ctrl+k")
        await driven.until_text("Cancel this run?", "run-8f21a0c")
        await driven.press("enter")
        await driven.until_no_text("Cancel this run?")
        assert driven.script.api.asked("cancel_run") == []
        await driven.press("ctrl+k", "y")
        await driven.until(lambda: driven.script.api.asked("cancel_run") == ["run-8f21a0c4d2e1"])
        await driven.until_text("cancel asked for 1")


@pytest.mark.requirement("keys.mark", "keys.cancel")
async def test_for_many_the_number_must_be_typed() -> None:
    async with console() as driven:
        await driven.press("2", "m", "m", "m")
        assert "3 marked" in driven.lines[-1]
        await driven.press("ctrl+k")
        await driven.until_text("Cancel 3 runs?")
        await driven.press("y", "2", "enter")
        await driven.until_text("That is not 3")
        assert driven.script.api.asked("cancel_run") == []
        await driven.press("3", "enter")
        await driven.until(lambda: len(driven.script.api.asked("cancel_run")) == 3)
        await driven.until_no_text("marked")


async def test_a_refused_cancel_is_said_with_its_run() -> None:
    async with console() as driven:
        driven.script.api.refuse(
            "cancel_run", ApiError("not_controllable", "found run", status=409)
        )
        await driven.press("2", "ctrl+k", "y")
        await driven.until_text("run-8f21a0c4d2e1 was not cancelled: found run")


async def test_what_has_ended_cannot_be_cancelled() -> None:
    async with console() as driven:
        await driven.press("2", "f", *"s:done", "enter", "ctrl+k")
        await driven.until_text("nothing here can be cancelled")


@pytest.mark.requirement("keys.mouse")
async def test_the_mouse_puts_the_cursor_and_a_double_click_opens() -> None:
    async with console() as driven:
        await driven.press("2")
        await driven.pilot.click("#rows", offset=(20, 3))
        await driven.pilot.pause()
        assert "run-51aa00c" in driven.cursor_line
        await driven.pilot.click("#rows", offset=(20, 3), times=2)
        await driven.until_text("seq 4,812")


@pytest.mark.requirement("keys.rebound")
async def test_keys_can_be_rebound_and_the_key_line_shows_it() -> None:
    async with console(keymap={"table.sort": "o", "app.help": "f1"}) as driven:
        await driven.press("2")
        assert "o sort" in driven.lines[-1]
        await driven.press("s")
        assert "sort: attention" in driven.lines[0]
        await driven.press("o")
        assert "sort: newest" in driven.lines[0]
        await driven.press("f1")
        assert "Help" in driven.text


@pytest.mark.requirement("rule.never_blocks")
async def test_a_slow_answer_never_blocks_a_key() -> None:
    async with console() as driven:
        driven.script.api.gate.clear()
        await driven.press("2", "X")
        await driven.until_text("asking the server")
        await driven.press("escape", "j", "j")
        assert "deploy-docs" in driven.cursor_line


async def test_keys_typed_in_one_burst_reach_the_prompt_in_their_order() -> None:
    async with console() as driven:
        await driven.press("2")
        for character in ":run run-51aa":
            name = {":": "colon", " ": "space", "-": "minus"}.get(character, character)
            driven.app.post_message(events.Key(name, character))
        driven.app.post_message(events.Key("enter", None))
        await driven.until(lambda: driven.app.state.run_id == "run-51aa00c4d2e1")
        await driven.until_text("seq 4,812")


@pytest.mark.parametrize("typed", [("f", *"agee>1h", "enter"), (":", *"runs agee>1h", "enter")])
async def test_a_refused_filter_names_its_term_and_the_fields(typed: tuple[str, ...]) -> None:
    async with console() as driven:
        await driven.press("2")
        await driven.press(*typed)
        await driven.until_text("agee>1h: no field agee", "(did you mean")


async def test_a_search_in_the_table_says_when_it_wrapped() -> None:
    async with console() as driven:
        await driven.press("2", "G")
        await driven.press("slash", *"refactor", "enter")
        await driven.until_text("search wrapped")
        assert "refactor" in driven.cursor_line


async def test_a_size_or_a_state_before_the_widgets_are_there_is_no_error() -> None:
    async with console() as driven:
        screen = RunsScreen(driven.app)
        screen.on_resize()
        screen.watch_state()
        screen.show_frame()
