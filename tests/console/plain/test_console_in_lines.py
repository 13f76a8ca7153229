"""The console in lines: what is told, what is typed, in both languages."""

import re
from typing import Any

import pytest

from runwatch_console.feeditems import Disconnected, LossReason
from runwatch_console.plain.words import EN, LANGUAGES
from runwatch_console.ports import ApiError, Connected
from runwatch_shared.models import Waiting
from tests.console.network.records import (
    EARLIER,
    change,
    hello,
    node,
    node_changes,
    snapshot,
    summary,
    waiting_summary,
    workflows,
)
from tests.console.plain.listening import Listening, listening

WAITING = waiting_summary("run-00000000aaaa")
RUNNING = summary("run-00000000bbbb", name="docs")
FLEET = snapshot(workflows=[WAITING, RUNNING], nodes=[node()], total=2)


def failed(run_id: str, **values: Any) -> Any:
    return summary(
        run_id, state="failed", status="failed", end_time=EARLIER, exit_code=137, **values
    )


async def changed(driven: Listening, *rows: Any, revision: int = 813, **values: Any) -> None:
    driven.give(change(revision - 1, revision, workflows=workflows(*rows, **values)))
    await driven.until(lambda: driven.console.fleet.revision == revision)


async def test_it_begins_with_counts_and_with_what_needs_somebody() -> None:
    async with listening(FLEET) as driven:
        assert driven.lines[:4] == [
            "Connected.",
            "Runs: 2. 1 WAIT, 1 run.",
            "Nodes online: 1 of 1.",
            "Needs you: 1.",
        ]
        assert driven.lines[4].startswith("WAIT, run-00000000aaaa, add-metrics, approve: git push")


@pytest.mark.requirement("state.plain")
async def test_a_change_is_one_line_time_state_run_name_reason() -> None:
    async with listening(FLEET) as driven:
        driven.forget()
        await changed(driven, failed("run-00000000bbbb", name="docs", error="out of memory"))
        await driven.heard("FAIL")
        [line] = driven.lines
        assert re.fullmatch(r"\d\d:\d\d:\d\d FAIL, run-00000000bbbb, docs, .*out of memory.*", line)


async def test_numbers_and_activities_that_go_on_are_not_told_unless_asked_for() -> None:
    async with listening(FLEET) as driven:
        driven.forget()
        await changed(driven, summary("run-00000000bbbb", name="docs", event_count=99))
        await changed(
            driven,
            summary("run-00000000bbbb", name="docs", activity_text="Edit x"),
            revision=814,
        )
        assert driven.console.floods.held == 0
        await driven.commands.do("verbose on")
        await changed(
            driven,
            summary("run-00000000bbbb", name="docs", activity_text="Read y"),
            revision=815,
        )
        await driven.heard("docs, Read y")


async def test_a_flood_is_a_few_lines_and_a_count_the_urgent_first() -> None:
    many = [summary(f"run-{n:012d}", name=f"n{n}") for n in range(60)]
    async with listening(snapshot(workflows=many, nodes=[], total=60)) as driven:
        driven.forget()
        ended = [failed(run.id) if n == 59 else summary(run.id, state="completed", status="done")
                 for n, run in enumerate(many)]  # fmt: skip
        await changed(driven, *ended)
        await driven.heard("more changed")
        assert len(driven.lines) == 11
        assert "FAIL, run-000000000059" in driven.lines[0]
        assert driven.lines[-1] == "50 more changed: 50 done. Type runs to hear them."


async def test_runs_and_nodes_that_come_and_go_are_told() -> None:
    async with listening(FLEET) as driven:
        driven.forget()
        await changed(driven, remove=("run-00000000bbbb",))
        await driven.heard("gone, run-00000000bbbb, docs")
        offline = node("n1", status="offline", offline_since=EARLIER)
        driven.give(change(813, 814, nodes=node_changes(offline)))
        await driven.heard("n1, ")
        driven.give(change(814, 815, nodes=node_changes(remove=("n1",))))
        await driven.heard("node gone, n1")


async def test_a_loss_is_told_once_and_the_way_back_with_what_was_caught_up() -> None:
    lost = Disconnected(reason=LossReason.CLOSED, detail="server stopped", retry_in_s=1.0)
    async with listening(FLEET) as driven:
        driven.forget()
        driven.give(lost, lost, lost)
        await driven.heard("server stopped")
        driven.give(Connected(hello=hello(resumed=True)))
        driven.give(change(812, 813, workflows=workflows(summary(RUNNING.id, event_count=26))))
        await driven.heard("Connected again, 14 events caught up.")
        assert sum("DISCONNECTED" in line for line in driven.lines) == 1
        await driven.commands.do("retry")
        assert driven.feed.retried == 1


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_line_is_text_that_can_be_read_out(language: str) -> None:
    hostile = waiting_summary("run-00000000cccc")
    prompt = "\x1b[2J\x9b31m[bold]git push\u202e ·\u2066 ✕ ─── 你好 😀"
    hostile = summary(
        hostile.id,
        name="\x1b]0;t\x07n\r\nx",
        state="waiting",
        waiting=Waiting(kind="approval", since=EARLIER, prompt=prompt, open=1, holds_slot=True),
    )
    frame = snapshot(workflows=[hostile, RUNNING], nodes=[node()], total=2)
    async with listening(frame, language=language) as driven:
        for line in (
            "help",
            "needs",
            "runs",
            "run cccc",
            "nodes",
            "status",
            "explain bbbb",
            "\x1b",
        ):
            await driven.commands.do(line)
        assert driven.lines
        for said in driven.lines:
            assert said.isprintable()
            assert not set(said) & set("●◐▲↻○✓✕∅·─…")
        assert any("你好 😀" in said for said in driven.lines)


async def test_runs_are_listed_filtered_and_paged() -> None:
    many = [summary(f"run-{n:012d}", name=f"n{n}") for n in range(25)]
    async with listening(snapshot(workflows=[*many, WAITING], nodes=[], total=26)) as driven:
        driven.forget()
        await driven.commands.do("runs")
        assert driven.lines[0].startswith("WAIT, run-00000000aaaa")
        assert driven.lines[-1] == "20 of 26. Type more to go on."
        driven.forget()
        await driven.commands.do("more")
        assert len(driven.lines) == 7
        driven.forget()
        await driven.commands.do("runs s:wait")
        assert driven.lines[1:] == ["1 of 1."]
        driven.forget()
        await driven.commands.do("more")
        await driven.commands.do("runs s:nonsense")
        await driven.commands.do("runs s:failed")
        assert driven.lines[0] == "There is no more."
        assert "s:nonsense" in driven.lines[1]
        assert driven.lines[2] == "0 of 26 match."


async def test_a_run_is_named_by_the_end_of_its_id_and_never_guessed() -> None:
    async with listening(FLEET) as driven:
        driven.forget()
        for line in ("cancel", "cancel zzzz", "cancel run-0000"):
            await driven.commands.do(line)
        assert driven.lines[0] == "cancel needs the id of a run."
        assert driven.lines[1] == "zzzz: no run with this id."
        assert "2 runs" in driven.lines[2]
        assert driven.api.asked("cancel_run") == []


@pytest.mark.parametrize(
    ("answer", "asked"), [("yes", 1), ("no", 0), ("runs", 0), ("cancel aaaa", 0)]
)
async def test_a_cancel_is_done_after_yes_alone(answer: str, asked: int) -> None:
    async with listening(FLEET) as driven:
        await driven.commands.do("cancel bbbb")
        await driven.heard("Cancel run-00000000bbbb, docs, run?")
        assert driven.api.asked("cancel_run") == []
        await driven.commands.do(answer)
        assert len(driven.api.asked("cancel_run")) == asked
        await driven.commands.do("yes")
        assert len(driven.api.asked("cancel_run")) == asked


async def test_read_only_cancels_nothing_and_a_refusal_is_said() -> None:
    async with listening(FLEET, read_only=True) as driven:
        await driven.commands.do("cancel bbbb")
        await driven.commands.do("yes")
        await driven.heard("Read only")
        assert driven.api.asked("cancel_run") == []
    async with listening(FLEET) as driven:
        driven.api.refuse("cancel_run", ApiError("conflict", "already \x1b[1mover", status=409))
        await driven.commands.do("cancel bbbb")
        await driven.commands.do("yes")
        await driven.heard("Not done: already")


async def test_held_changes_are_told_after_go() -> None:
    async with listening(FLEET) as driven:
        await driven.commands.do("hold")
        driven.forget()
        await changed(driven, failed("run-00000000bbbb"))
        await driven.until(lambda: driven.console.floods.held)
        await driven.commands.do("status")
        assert not any("FAIL, run" in line for line in driven.lines)
        await driven.commands.do("go")
        await driven.heard("FAIL, run-00000000bbbb")


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    place = re.compile(r"\{(\w+)\}")
    for table in LANGUAGES.values():
        assert table.keys() == EN.keys()
        for word_id, text in table.items():
            assert set(place.findall(text)) == set(place.findall(EN[word_id])), word_id
