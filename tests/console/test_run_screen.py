"""One run: its live events, its JSON, and what stands beside them."""

from typing import Any

import pytest

from runwatch_console.ports import (
    ApiError,
    Disconnected,
    EventBatch,
    Gap,
    LossReason,
    Reconnected,
    RunStatus,
)
from runwatch_console.widgets.event_view import EventView
from tests.console.driving import Driven, console
from tests.console.records import at, event, run_events

RUN = "run-51aa00c4d2e1"


async def open_run(driven: Driven, events: int = 60) -> EventView:
    """Screen 3 with the run that loops; its log ends at seq 4,812."""
    driven.script.api.logs[RUN] = run_events(events, 4813 - events)
    await driven.press("colon", *f"run {RUN}", "enter")
    await driven.until(lambda: "seq 4,812" in driven.text and "[4,812]" in driven.text)
    return driven.app.screen.query_one(EventView)


def say(driven: Driven, *numbers: int, **more: Any) -> None:
    batch = tuple(event(n, payload={"content": f"number {n}"}, **more) for n in numbers)
    driven.script.run_events.say(RUN, EventBatch(events=batch))


@pytest.mark.requirement("screen.run")
async def test_the_tail_comes_first_and_live_events_follow_it() -> None:
    async with console() as driven:
        await open_run(driven, 3_000)
        assert driven.script.api.asked("events")[-1].tail
        assert driven.script.run_events.opened[-1] == (RUN, 4812)
        assert "following" in driven.text
        say(driven, 4813, 4814)
        await driven.until_text("number 4814")
        assert "number 4814" in driven.cursor_line


@pytest.mark.requirement("keys.follow")
async def test_moving_up_leaves_the_live_end_and_f_comes_back() -> None:
    async with console() as driven:
        await open_run(driven)
        await driven.press("k", "k")
        here = driven.cursor_line
        say(driven, 4813)
        await driven.until_text("+1 new")
        assert driven.cursor_line == here
        assert "following" not in driven.text
        await driven.press("F")
        await driven.until_text("number 4813", "following")
        assert "new" not in driven.line_with("following")


@pytest.mark.requirement("keys.pause")
async def test_a_pause_keeps_receiving_and_says_how_much() -> None:
    async with console() as driven:
        await open_run(driven)
        await driven.press("p")
        say(driven, 4813, 4814, 4815)
        await driven.until_text("paused", "+3 new")
        assert "number 4815" not in driven.text
        await driven.press("p")
        await driven.until_text("number 4815", "following")


@pytest.mark.requirement("fast.events_window")
async def test_earlier_events_are_asked_for_when_the_view_comes_near_them() -> None:
    async with console() as driven:
        view = await open_run(driven, 1_500)
        await driven.press(*["pageup"] * 5)
        await driven.until(lambda: view.run_log.window.first_seq < 4_200)
        asked = driven.script.api.asked("events")[-1]
        assert asked.before_seq is not None
        seqs = [line.seq for line in view.run_log.window.lines]
        assert seqs == list(range(seqs[0], 4813))


async def test_a_search_finds_what_is_far_outside_the_window() -> None:
    async with console() as driven:
        log = run_events(3_000, 1_813)
        log[100] = event(1_913, payload={"content": "the needle in the hay"})
        driven.script.api.logs[RUN] = log
        await driven.press("colon", *f"run {RUN}", "enter")
        await driven.until_text("[4,812]")
        await driven.press("slash", *"needle", "enter", "N")
        await driven.until(lambda: "the needle in the hay" in driven.cursor_line)
        assert any(query.q == "needle" for query in driven.script.api.asked("events"))
        say(driven, 4813)
        await driven.until_text("+1 new")
        await driven.press("F")
        await driven.until_text("[4,812]")


@pytest.mark.requirement("keys.search")
async def test_n_and_capital_n_go_between_matches_and_e_between_errors() -> None:
    async with console() as driven:
        await open_run(driven)
        await driven.press("slash", *"rounding", "enter", "N")
        first = driven.cursor_line
        assert "The rounding" in first
        await driven.press("N")
        assert driven.cursor_line != first
        await driven.press("n")
        assert driven.cursor_line == first
        await driven.press("E")
        assert "exit 1" in driven.cursor_line
        await driven.press("G", "e")
        await driven.until_text("search wrapped")


@pytest.mark.requirement("keys.fold")
async def test_an_event_unfolds_where_it_stands() -> None:
    async with console() as driven:
        await open_run(driven)
        await driven.press("E")
        await driven.press("z")
        await driven.until_text("E   assert 12 == 13")
        assert "exit 1" in driven.cursor_line
        await driven.press("z")
        await driven.until_no_text("E   assert 12 == 13")
        await driven.press("Z")
        await driven.until_text("E   assert 12 == 13")


@pytest.mark.requirement("keys.wrap")
async def test_long_lines_wrap_and_stop_wrapping() -> None:
    async with console((80, 24)) as driven:
        driven.script.api.logs[RUN] = [event(4812, payload={"content": "word " * 60 + "the end"})]
        await driven.press("colon", *f"run {RUN}", "enter")
        await driven.until_text("[4,812]")
        assert "the end" not in driven.text
        await driven.press("backslash")
        await driven.until_text("the end")
        await driven.press("backslash")
        await driven.until_no_text("the end")


@pytest.mark.requirement("keys.fold")
async def test_the_json_of_an_event_folds_and_escape_goes_back() -> None:
    async with console((80, 24)) as driven:
        await open_run(driven)
        await driven.press("E", "J")
        await driven.until_text('type: "tool_result"', "success: false")
        await driven.press("j", "j", "j", "j", "z")
        await driven.until_no_text("success: false")
        await driven.press("escape")
        await driven.until_text("[4,812]")


@pytest.mark.requirement("screen.run")
async def test_at_200_columns_lanes_tools_json_and_steps_stand_beside_the_log() -> None:
    async with console((200, 60)) as driven:
        await open_run(driven)
        await driven.until_text("LANES (2)", "TOOLS (88 calls)", "STEPS (91)", 'type: "message"')
        bash = next(line for line in driven.lines if "▶Bash" in line)
        assert "14✕" in bash


async def test_the_json_of_a_run_that_was_left_does_not_stand_beside_one_without_events() -> None:
    async with console((200, 60)) as driven:
        await open_run(driven)
        await driven.until_text('type: "message"')
        driven.script.api.logs["run-7c11aa001122"] = []
        await driven.press("colon", *"run run-7c11aa001122", "enter")
        await driven.until_text("run-7c11aa001122 bump-deps")
        await driven.until_no_text('type: "message"')
        assert "message · 4,812" not in driven.text
        assert "null" not in driven.text


@pytest.mark.requirement("rule.stays")
async def test_a_gap_is_drawn_where_the_events_would_stand() -> None:
    async with console() as driven:
        await open_run(driven)
        driven.script.run_events.say(RUN, Gap(from_seq=4813, to_seq=4900, reason="expired"))
        say(driven, 4901)
        await driven.until_text("── gap 4,813–4,900 (expired) ──", "number 4901")


async def test_a_lost_run_feed_is_said_and_what_was_missed_is_counted() -> None:
    async with console() as driven:
        await open_run(driven)
        loss = Disconnected(reason=LossReason.CLOSED, retry_in_s=3)
        driven.script.run_events.say(RUN, loss)
        await driven.until_text("feed lost, retry in 3s")
        driven.script.run_events.say(RUN, Reconnected(from_seq=4812))
        say(driven, 4813, 4814, received_at=at(1))
        await driven.until_text("number 4814", "+2 events caught up")
        assert "feed lost" not in driven.text


async def test_the_end_of_a_run_is_said() -> None:
    async with console() as driven:
        await open_run(driven)
        driven.script.run_events.say(RUN, RunStatus(status="done", last_seq=4812, exit_code=0))
        await driven.until_text("· ended")


async def test_a_run_that_does_not_exist_is_said_without_a_loop() -> None:
    async with console() as driven:
        driven.script.api.refuse("events", ApiError("not_found", "no such run", status=404))
        await driven.press("colon", *"run run-123456789abc", "enter")
        await driven.until_text("there is no such run")
        asked = len(driven.script.api.asked("events"))
        await driven.pilot.pause(0.3)
        assert len(driven.script.api.asked("events")) == asked


async def test_a_page_that_cannot_be_had_is_said_and_may_be_asked_again() -> None:
    async with console() as driven:
        await open_run(driven, 1_500)
        driven.script.api.refuse("events", ApiError("internal", "store gone", status=500))
        await driven.press("g")
        await driven.until_text("The server did not give that: store gone")
        driven.script.api.refusals.clear()
        await driven.press("j", "g")
        await driven.until(
            lambda: driven.app.screen.query_one(EventView).run_log.window.first_seq < 4_300
        )


@pytest.mark.requirement("fast.events_window")
async def test_memory_for_events_is_bounded() -> None:
    async with console() as driven:
        view = await open_run(driven)
        for start in range(4_813, 16_813, 1_000):
            driven.script.run_events.say(
                RUN, EventBatch(events=tuple(event(n) for n in range(start, start + 1_000)))
            )
        await driven.until(lambda: view.run_log.window.last_seq == 16_812)
        assert len(view.run_log.window.lines) == view.run_log.window.max_events
        assert view.run_log.window.has_before


async def test_a_place_in_the_log_is_kept_under_dialogs_and_while_elsewhere() -> None:
    async with console() as driven:
        await open_run(driven)
        await driven.press(*["k"] * 20)
        here = driven.cursor_line
        await driven.press("question_mark", "escape")
        assert driven.cursor_line == here
        await driven.press("2", "3")
        await driven.until(lambda: driven.cursor_line == here)
        await driven.until(lambda: driven.script.run_events.opened[-1] == (RUN, None))


@pytest.mark.requirement("keys.open_back")
async def test_going_back_and_forward_passes_the_same_runs() -> None:
    async with console() as driven:
        await driven.press("2", "enter")
        await driven.until_text("run-8f21a0c4d2e1 fix-auth")
        await driven.press("w")
        await driven.until_text("释放说明")
        await driven.press("left_square_bracket")
        await driven.until(lambda: "fix-auth" in driven.lines[0])
        await driven.press("escape")
        await driven.until_text("Runs 35 of 5,140")
        await driven.press("right_square_bracket", "right_square_bracket")
        await driven.until(lambda: "fix-auth" not in driven.lines[0] and "run-" in driven.lines[0])


async def test_without_an_open_run_screen_3_says_how_to_open_one() -> None:
    async with console() as driven:
        await driven.press("3")
        await driven.until_text("No run is open", ":run ID")


async def test_a_search_goes_on_from_the_other_end_of_the_log_and_says_so() -> None:
    async with console() as driven:
        view = await open_run(driven)
        say(driven, 4813)
        await driven.until_text("number 4813")
        await driven.press("g")
        await driven.press("slash", *"number 4813", "enter")
        await driven.until(lambda: view.line is not None and view.line.seq == 4813)
        assert "search wrapped" not in driven.text
        await driven.press("slash", *[key for _ in "number 4813" for key in ["backspace"]])
        first = view.run_log.window.lines[0]
        await driven.press(*"pytest", "enter")
        await driven.until_text("search wrapped")
        assert view.line is not None
        assert view.line.seq < 4813
        assert first.seq <= view.line.seq


async def test_a_search_at_the_live_end_asks_the_server_for_what_lies_before_the_window() -> None:
    async with console() as driven:
        view = await open_run(driven, 3_000)
        log = driven.script.api.logs[RUN]
        log[5] = event(log[5].seq, payload={"content": "a needle"})
        await driven.press("slash", *"needle", "enter")
        await driven.until(lambda: view.line is not None and view.line.seq == log[5].seq)
        assert "search wrapped" in driven.text


@pytest.mark.requirement("keys.timeline")
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_steps_in_time_are_shown_and_hidden(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await driven.press("2", "enter")
        await driven.until_text("seq 60")
        wide = size == (200, 60)
        if wide:
            await driven.until_text("STEPS (91)")
        await driven.press("T")
        await driven.until(lambda: ("STEPS (91)" in driven.text) is not wide)
        await driven.press("T")
        await driven.until(lambda: ("STEPS (91)" in driven.text) is wide)


@pytest.mark.requirement("keys.search")
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_what_is_searched_becomes_a_filter_that_can_be_turned_round(
    size: tuple[int, int],
) -> None:
    async with console(size) as driven:
        await driven.press("2", "enter")
        await driven.until_text("seq 60")
        await driven.press("ampersand")
        await driven.until_text("search with / first")
        await driven.press("slash", *"collected", "enter", "ampersand")
        await driven.until_text("collected 6 of 60", "collected 12 items")
        assert "rounding is off" not in driven.text
        await driven.press("exclamation_mark")
        await driven.until_text("!collected 54 of 60", "rounding is off")
        assert "collected 12 items" not in driven.text
        await driven.press("escape")
        await driven.until_text("collected 12 items", "rounding is off")
        assert "of 60" not in driven.text


async def test_a_filtered_log_goes_on_and_another_run_is_not_filtered() -> None:
    async with console() as driven:
        await driven.press("2", "enter")
        await driven.until_text("seq 60")
        run_id = driven.app.state.run_id
        await driven.press("slash", *"needle", "enter", "ampersand")
        await driven.until_text("needle 0 of 60")
        lines = [event(61, payload={"content": "a needle"}), event(62, payload={"content": "hay"})]
        driven.script.run_events.say(run_id, EventBatch(events=tuple(lines)))
        await driven.until_text("a needle", "needle 1 of 62")
        assert "hay" not in driven.text
        await driven.press("left_square_bracket", "j", "enter")
        await driven.until(lambda: driven.app.state.run_id != run_id)
        await driven.until_text("rounding is off")
