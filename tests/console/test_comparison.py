"""Two runs aligned: what is the same, what differs, and what is asked of the server for it."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.commands import CommandError
from runwatch_console.comparing import compare, read_side
from runwatch_console.comparison import Call, Pair, align, common, differences
from runwatch_console.comparison_text import head_lines, signed_duration, summary_text
from runwatch_console.fleet import Fleet
from runwatch_console.folding import fold
from runwatch_console.lens import Lens
from runwatch_console.locale.words import Words
from runwatch_console.messages import DiffRequested
from runwatch_console.ports import ApiError
from runwatch_console.screens.command_requests import request_of
from runwatch_console.toolcalls import CallKey
from runwatch_shared.models import Event, Step
from tests.console.records import NOW_S, at, detail, event, fleet_rows, snapshot, summary, usage
from tests.console.scripted import ScriptedApi

LENS = Lens(words=Words("en"), now_s=NOW_S)
SYMBOLS = st.lists(st.sampled_from("abcd"), max_size=24)
LEFT, RIGHT = "run-00000000000a", "run-00000000000b"


def call(seq: int, command: str, status: str = "succeeded", ms: int | None = 100) -> Call:
    tool, _, rest = command.partition(":")
    return Call(seq=seq, key=CallKey(tool, rest), status=status, duration_ms=ms, text=command)


def calls(*commands: str) -> list[Call]:
    return [call(seq, command) for seq, command in enumerate(commands, 1)]


def kinds(pairs: list[Pair]) -> list[str]:
    return [pair.kind.value for pair in pairs]


def longest(left: list[str], right: list[str]) -> int:
    """Its length, by the table everybody knows."""
    row = [0] * (len(right) + 1)
    for one in left:
        above = row[:]
        for j, two in enumerate(right):
            row[j + 1] = above[j] + 1 if one == two else max(row[j], above[j + 1])
    return row[-1]


@given(SYMBOLS, SYMBOLS)
def test_what_is_common_is_a_longest_subsequence_of_both(left: list[str], right: list[str]) -> None:
    pairs = common(left, right)
    assert all(left[i] == right[j] for i, j in pairs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(pairs))
    assert len(pairs) == longest(left, right)


@given(SYMBOLS, SYMBOLS)
def test_every_call_stands_in_the_comparison_once_and_in_its_order(
    left: list[str], right: list[str]
) -> None:
    one = calls(*(f"T:{symbol}" for symbol in left))
    two = calls(*(f"{symbol}:x" for symbol in right))
    pairs = align(one, two)
    assert [pair.left for pair in pairs if pair.left] == one
    assert [pair.right for pair in pairs if pair.right] == two


@given(SYMBOLS)
def test_a_run_is_the_same_as_itself(symbols: list[str]) -> None:
    one = calls(*symbols)
    pairs = align(one, one)
    assert set(kinds(pairs)) <= {"same"}
    assert differences(pairs) == []


def test_the_kinds_of_differences_are_told_apart() -> None:
    left = calls("Read:a", "Bash:test", "Edit:one", "Bash:make", "Bash:push")
    right = [
        *calls("Read:a", "Grep:x"),
        call(3, "Bash:test", "failed", 900),
        call(4, "Edit:two"),
        call(5, "Bash:push"),
    ]
    pairs = align(left, right)
    assert kinds(pairs) == ["same", "right", "outcome", "input", "left", "same"]
    assert differences(pairs) == [1]
    assert pairs[2].delta_ms == 800


def test_stretches_of_differences_are_counted_once_each() -> None:
    pairs = align(calls("A:1", "B:1", "A:2", "C:1"), calls("A:1", "A:2", "D:1", "D:2"))
    assert kinds(pairs) == ["same", "left", "same", "left", "right", "right"]
    assert differences(pairs) == [1, 3]


def test_thousands_of_steps_that_repeat_are_aligned() -> None:
    left = [f"T:{n % 7}" for n in range(4_000)]
    right = [f"T:{n % 7}" for n in range(4_000) if n % 11]
    assert len(common(left, right)) == len(right)


# From the server.


def steps(commands: list[str], **last: Any) -> list[Step]:
    made = []
    for n, command in enumerate(commands, 1):
        facts: dict[str, Any] = {"status": "succeeded", "duration_ms": 100 * n}
        if n == len(commands):
            facts |= last
        made.append(
            Step(
                id=f"tool-{n}", kind="tool", name="Bash", seq=2 * n, started_at=at(900 - n),
                detail=f"Bash: {command}"[:160], **facts,
            )
        )  # fmt: skip
    return made


def log_of(commands: list[str]) -> list[Event]:
    return [
        event(2 * n, "tool_use_start", {"tool": "Bash", "input": {"command": command}})
        for n, command in enumerate(commands, 1)
    ]


def scripted(left: list[str], right: list[str], **last: Any) -> ScriptedApi:
    api = ScriptedApi()
    for run_id, commands, more in ((LEFT, left, {}), (RIGHT, right, last)):
        row = summary(
            run_id, "done", tool_calls=len(commands), usage=usage(1_000 * len(commands), 0.5)
        )
        api.details[run_id] = detail(row, prompt="fix it")
        api.steps_of[run_id] = steps(commands, **more)
        api.logs[run_id] = log_of(commands)
    return api


async def test_inputs_decide_and_not_the_text_that_was_cut() -> None:
    long = "x" * 200
    found = await compare(scripted([f"{long} 1"], [f"{long} 2"]), LEFT, RIGHT)
    assert kinds(list(found.pairs)) == ["input"]
    assert found.differences == (0,)


async def test_the_same_steps_with_another_end_are_found() -> None:
    api = scripted(["ls", "make"], ["ls", "make"], status="failed", duration_ms=5_200)
    found = await compare(api, LEFT, RIGHT)
    assert kinds(list(found.pairs)) == ["same", "outcome"]
    assert found.pairs[1].delta_ms == 5_000
    lines = {line.label: line for line in head_lines(found, LENS)}
    assert lines["diff.tokens"].delta == "="
    assert lines["diff.prompt"].delta == "the same prompt"
    assert "1 of 2 steps are the same; differences: 1" in summary_text(found, LENS)


async def test_of_no_steps_none_are_called_the_same() -> None:
    found = await compare(scripted([], []), LEFT, RIGHT)
    assert summary_text(found, LENS) == "Neither has taken a step."


async def test_a_long_run_is_read_page_by_page_and_only_so_far() -> None:
    api = scripted([f"c{n}" for n in range(6_000)], ["c0"])
    side = await read_side(api, LEFT)
    assert len(side.calls) == 5_000
    assert not side.whole
    assert side.calls[-1].key == (await read_side(api, LEFT)).calls[-1].key
    assert all(not one.key.digest.startswith("text") for one in side.calls)
    found = await compare(api, LEFT, RIGHT)
    assert "only the first 5,000 steps" in summary_text(found, LENS)


async def test_a_step_names_its_tool_whether_the_server_does_or_not() -> None:
    api = scripted(["ls"], ["ls"])
    step = msgspec.structs.replace(api.steps_of[LEFT][0], detail="ls -l")
    api.steps_of[LEFT] = [step, msgspec.structs.replace(step, detail=None, seq=4)]
    side = await read_side(api, LEFT)
    assert [one.text for one in side.calls] == ["Bash: ls -l", "Bash"]


async def test_a_run_without_steps_and_one_that_is_not_there() -> None:
    api = scripted([], ["ls"])
    found = await compare(api, LEFT, RIGHT)
    assert kinds(list(found.pairs)) == ["right"]
    with pytest.raises(ApiError):
        await compare(api, LEFT, "run-nope")


def test_differences_of_numbers_have_a_sign_and_unknown_ones_none() -> None:
    assert signed_duration(2.1) == "+2.1s"
    assert signed_duration(-0.34) == "-340ms"
    assert signed_duration(0) == "="
    assert signed_duration(None) == ""


# The command.

FLEET = fold(Fleet(), [snapshot(fleet_rows())])


def test_diff_takes_two_runs_or_one_beside_the_one_here() -> None:
    message = request_of("diff run-51aa run-6b02", FLEET, "")
    assert isinstance(message, DiffRequested)
    assert (message.left, message.right) == ("run-51aa00c4d2e1", "run-6b02aa001122")
    message = request_of("diff run-6b02", FLEET, "run-51aa00c4d2e1")
    assert isinstance(message, DiffRequested)
    assert message.left == "run-51aa00c4d2e1"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("diff", "command.needs_argument"),
        ("diff run-51aa", "command.no_run_here"),
        ("diff run-51aa run-51aa", "command.diff_same"),
        ("diff run-51aa run-6b02 run-90b3", "command.diff_needs_two"),
        ("diff run-51aa nope", "command.no_run"),
    ],
)
def test_a_diff_of_anything_else_is_refused(line: str, word: str) -> None:
    with pytest.raises(CommandError) as refused:
        request_of(line, FLEET, "")
    assert refused.value.word == word
