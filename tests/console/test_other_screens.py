"""Attention, Nodes, Pulse, the command line, new run, copying, help."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from textual.app import App

from runwatch_console.dialogs.new_run import FormError, task_of_form
from runwatch_console.keymap import keys_of
from runwatch_console.ports import ApiError
from runwatch_console.widgets.tile_view import TileView
from runwatch_shared.models import NodeLedger
from tests.console.driving import console
from tests.console.records import change, node, summary, waiting


@pytest.mark.requirement("screen.attention")
async def test_attention_opens_runs_and_the_queue_and_nodes_as_lists() -> None:
    async with console() as driven:
        assert driven.cursor_line.startswith(">◐ WAIT  ")
        await driven.press("enter")
        await driven.until_text("run-8f21a0c4d2e1 fix-auth")
        await driven.press("1", "G", "enter")
        await driven.until_text("filter: s:queue", "Runs 2 of")
        await driven.press("1", "k", "enter")
        await driven.until_text("filter: node:n6 s:active", "Runs 1 of")


async def test_attention_stands_still_under_the_keys_and_moves_when_they_rest() -> None:
    async with console() as driven:
        await driven.press("j", "j", "j", "j")
        before = driven.cursor_line
        line = driven.lines.index(before)
        more = [summary(f"run-{n:012d}", name=f"new-{n}", waiting=waiting()) for n in range(5)]
        driven.script.feed.say(change(upsert=more))
        await driven.until(lambda: "run-000000000004" in driven.app.state.fleet.runs)
        await driven.pass_time(1)
        assert driven.lines[line] == before
        assert "new-4" not in driven.text
        await driven.pass_time(2)
        await driven.until_text("new-4", "NEEDS YOU (8 of 8)")
        assert driven.cursor_line.split()[3] == before.split()[3]


async def test_attention_passes_over_headings() -> None:
    async with console() as driven:
        await driven.press("j", "j", "j")
        assert "LOOP" in driven.cursor_line
        await driven.press("g")
        assert "WAIT" in driven.cursor_line
        assert "NEEDS YOU" in driven.text


@pytest.mark.parametrize("width", [80, 100])
async def test_attention_counts_n_of_m_and_says_what_it_costs(width: int) -> None:
    async with console((width, 24)) as driven:
        assert "NEEDS YOU (3 of 3)" in driven.text
        assert "oldest 2h14m · holds 3 slots" in driven.text
        for count in ("7 run", "3 WAIT", "1 LOOP", "1 STALL", "1 FAIL", "1 unknown", "nodes 5/6"):
            assert count in driven.lines[0]
        assert "$4.10/h" in driven.lines[0]


async def test_f_on_attention_filters_the_runs() -> None:
    async with console() as driven:
        await driven.press("f", *"s:loop", "enter")
        await driven.until_text("Runs 1 of 5,140")


@pytest.mark.requirement("screen.nodes")
async def test_nodes_show_what_is_known_and_follow_changes() -> None:
    async with console() as driven:
        await driven.press("4")
        assert "Nodes 5 of 6 online" in driven.text
        assert "?" in driven.line_with("n6 ")
        driven.script.feed.say(change(nodes=[node("n6"), node("n1", "unhealthy")]))
        await driven.until(lambda: "SICK" in driven.line_with("n1 "))
        await driven.press("slash", *"n3", "enter")
        assert "n3" in driven.cursor_line
        await driven.until_text("claude-code: login missing")
        await driven.press("enter")
        await driven.until_text("filter: node:n3 s:active")


@pytest.mark.requirement("screen.nodes")
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_what_no_ledger_tells_is_a_question_mark_and_never_0(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await driven.press("4")
        await driven.until_text("? = no ledger here")
        # REAL, PHANTOM and ORPHAN: the last to go.
        assert driven.line_with("n1 ").count("?") == 3
        if size[0] >= 100:
            assert "this server keeps none" in driven.text


@pytest.mark.requirement("screen.nodes")
async def test_nodes_show_what_really_runs_there_and_an_offline_one_is_unknown() -> None:
    counted = NodeLedger(
        capacity=4, allocated=3, pending=0, real=7, matched=2, phantom=1, orphan=5, as_of=None
    )
    silent = NodeLedger(
        capacity=4,
        allocated=3,
        pending=3,
        real=None,
        matched=None,
        phantom=None,
        orphan=None,
        as_of=None,
    )
    async with console((200, 60)) as driven:
        await driven.press("4")
        rows = [node(f"n{n}", ledger=counted) for n in range(1, 6)]
        driven.script.feed.say(change(nodes=[*rows, node("n6", "offline", ledger=silent)]))
        await driven.until(lambda: "7" in driven.line_with("n1 ").split())
        # CAP ALLOC REAL PHANTOM ORPHAN
        assert " 4     3    7       1      5 " in driven.line_with("n1 ")
        assert driven.line_with("n6 ").count("?") >= 3
        assert "no ledger here" not in driven.text
        await driven.press("slash", *"n6", "enter")
        await driven.until_text("what really runs there is not known")
        await driven.press("slash", *"n1", "enter")
        await driven.until_text("3 given: 0 pending, 2 matched, 1 phantom")


@pytest.mark.requirement("screen.pulse")
async def test_pulse_shows_numbers_and_half_an_hour_and_opens_lists() -> None:
    async with console((80, 24)) as driven:
        await driven.press("6")
        await driven.until_text("COST PER HOUR", "$4.10", "81k", "900ms / 41.0s", "62%")
        await driven.until(lambda: any(bar in driven.text for bar in "▂▃▄▅▆▇█"))
        assert driven.script.api.asked("history") == [30]
        await driven.press("l", "enter")
        await driven.until_text("filter: s:wait")
        await driven.press("6", "j", "j", "j", "h", "enter")
        await driven.until_text("Nodes 5 of 6")


@pytest.mark.requirement("screen.help")
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [80, 119, 120])
async def test_every_key_of_help_has_its_sentence_on_one_line(width: int, language: str) -> None:
    async with console((width, 120), language=language) as driven:
        await driven.press("2", "?")
        words = driven.app.state.words
        await driven.until_text(words("help.signs"))
        shown = driven.text
        missing = [
            key.id for key in keys_of(("list", "runs", "table")) if words(key.help) not in shown
        ]
        assert missing == []


@pytest.mark.requirement("screen.pulse")
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_bars_fill_their_tile(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await driven.press("6")
        await driven.until(
            lambda: all(view._texts()[3] for view in driven.app.screen.query(TileView))
        )
        for view in driven.app.screen.query(TileView):
            lowest = view._texts()[3][-1]
            assert len(lowest) == view.size.width - 2
            assert lowest.strip() == lowest


@pytest.mark.requirement("screen.pulse", "state.no_color")
async def test_the_bars_of_a_chosen_tile_are_not_turned_round_without_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console() as driven:
        await driven.press("6")
        view = driven.app.screen.query(TileView).first()
        await driven.until(lambda: view.has_focus and view._texts()[3])
        reversed_lines = [
            any(
                segment.style is not None and segment.style.reverse
                for segment in view.render_line(y)
            )
            for y in range(view.size.height)
        ]
        assert reversed_lines == [True, True, *[False] * (view.size.height - 2)]


async def test_pulse_without_history_says_so_and_keeps_the_numbers() -> None:
    async with console() as driven:
        driven.script.api.refuse("history", ApiError("internal", "store gone", status=500))
        await driven.press("6")
        await driven.until_text("could not be had: store gone", "$4.10")


@pytest.mark.requirement("screen.help", "keys.help_quit")
async def test_help_is_of_the_screen_it_was_asked_on() -> None:
    async with console() as driven:
        await driven.press("question_mark")
        await driven.until_text("next run that waits for you")
        assert "follow the live end" not in driven.text
        await driven.press("escape", "2", "enter", "question_mark")
        await driven.until_text("follow the live end")


@pytest.mark.requirement("keys.command")
async def test_commands_go_places_and_errors_are_said() -> None:
    async with console() as driven:
        await driven.press("colon", *"nod", "tab", "enter")
        await driven.until_text("Nodes 5 of 6")
        await driven.press("colon", *"runs s:wait", "enter")
        await driven.until_text("Runs 3 of 5,140")
        await driven.press("colon", *"sort cost", "enter")
        await driven.until_text("sort: cost")
        await driven.press("colon", *"frob", "enter")
        await driven.until_text("no command frob")
        await driven.press("colon", *"retry run-44deaa001122", "enter")
        await driven.until(lambda: driven.script.api.asked("retry_run") == ["run-44deaa001122"])
        await driven.until_text("run-0000000000bb is queued")


def _has_quit(app: App[None]) -> bool:
    return not app.is_running or app._exit


@pytest.mark.requirement("keys.help_quit")
async def test_q_quits_and_so_does_the_command() -> None:
    for keys in (["q"], ["colon", "q", "enter"]):
        async with console(fleet=False) as driven:
            await driven.press(*keys)
            await driven.until(partial(_has_quit, driven.app))


@pytest.mark.requirement("keys.time")
async def test_t_goes_through_the_time_formats() -> None:
    async with console() as driven:
        await driven.press("2", "enter")
        await driven.until_text("[60]")
        await driven.press("t")
        await driven.until_text("times: UTC", "10:15:42")
        await driven.press("t")
        await driven.until_text("times: relative")
        assert "15m » assistant" in driven.text


# New run.

FORM = {
    "name": "", "agent": "command", "argv": "pytest -q 'two words'", "prompt": "", "node": "",
    "labels": "team=web env=dev", "priority": "", "timeout": "60",
}  # fmt: skip


def test_a_command_is_a_list_of_words_and_never_a_shells_string() -> None:
    task = task_of_form(FORM)
    assert task.argv == ("pytest", "-q", "two words")
    assert task.name == "pytest -q two words"
    assert task.labels == {"team": "web", "env": "dev"}
    assert task.timeout_s == 60


@pytest.mark.parametrize(
    ("field", "text"),
    [("argv", ""), ("argv", "a 'b"), ("labels", "web"), ("priority", "high"), ("timeout", "1h")],
)
def test_a_field_that_cannot_be_used_is_named(field: str, text: str) -> None:
    with pytest.raises(FormError) as raised:
        task_of_form(FORM | {field: text})
    assert raised.value.field == field


async def test_a_new_run_is_made_and_opened() -> None:
    async with console() as driven:
        await driven.press("ctrl+n")
        await driven.until_text("New run")
        await driven.press(*"hello", "tab", "tab", *"echo hi", "ctrl+s")
        await driven.until(lambda: driven.script.api.asked("create_run") == ["task-0000000000aa"])
        task = driven.script.api.asked("create_task")[0]
        assert (task.name, task.agent_type, task.argv) == ("hello", "command", ("echo", "hi"))
        await driven.until(lambda: "run-0000000000aa" in driven.lines[0])


async def test_the_servers_error_stands_at_its_field_and_nothing_is_made_twice() -> None:
    async with console() as driven:
        api = driven.script.api
        await driven.press("ctrl+n", *"hello", "ctrl+s")
        await driven.until_text("is needed")
        api.refuse(
            "create_task", ApiError("invalid_field", "name is taken", field="name", status=400)
        )
        await driven.press("tab", "tab", *"ls", "ctrl+s")
        await driven.until_text("name is taken")
        api.refusals.clear()
        api.refuse("create_run", ApiError("unreachable", "no answer", status=0))
        await driven.press("ctrl+s")
        await driven.until_text("no answer")
        api.refusals.clear()
        await driven.press("ctrl+s")
        await driven.until(lambda: len(api.asked("create_run")) == 2)
        assert len(api.asked("create_task")) == 2  # the refused one and the one that was made


# Clipboard.


@pytest.mark.requirement("keys.copy")
async def test_copying_goes_to_the_terminal_and_promises_nothing() -> None:
    async with console() as driven:
        await driven.press("2", "c")
        await driven.until_text("16 characters sent to the terminal; whether it took them")
        assert driven.app.clipboard == "run-8f21a0c4d2e1"


@pytest.mark.requirement("state.copy_tmux")
async def test_inside_tmux_the_text_goes_to_its_buffer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "tmux"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncat > {tmp_path}/text\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    async with console(environment={"TMUX": "1"}) as driven:
        await driven.press("2", "c")
        await driven.until_text("are in tmux's buffer")
        assert await asyncio.to_thread((tmp_path / "text").read_text) == "run-8f21a0c4d2e1"
        assert "load-buffer -w -" in await asyncio.to_thread((tmp_path / "arguments").read_text)


async def test_a_tmux_that_does_not_take_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with console(environment={"TMUX": "1"}) as driven:
        await driven.press("2", "c")
        await driven.until_text("tmux did not take it")


@pytest.mark.requirement("keys.copy")
async def test_a_row_is_copied_as_it_reads() -> None:
    async with console() as driven:
        await driven.press("2", "C")
        await driven.until(lambda: bool(driven.app.clipboard))
        assert driven.app.clipboard.startswith("◐ WAIT 2h14m run-8f21a0c fix-auth")


async def test_a_new_row_appears_at_once_when_nobody_is_at_the_keys() -> None:
    async with console() as driven:
        await driven.press("2")
        await driven.pass_time(10)
        driven.script.feed.say(change(upsert=[summary("run-f00000000001", name="brand-new")]))
        await driven.until(lambda: "run-f00000000001" in driven.app.state.fleet.runs)
        await driven.pass_time(1)
        await driven.until_text("brand-new")
