"""What the server says of a run stands on the console's screens."""

import re
import sys
from pathlib import Path

import pytest

from runwatch_console.ports import Connected
from runwatch_shared.models import WorkflowSummary
from tests.benchmarks._terminal import Terminal
from tests.console import records
from tests.console.driving import Driven, console
from tests.console.records import at, summary, usage, waiting
from tests.processes import BIN, clean_environment

RUN = "run-000000000001"


async def told(driven: Driven, row: WorkflowSummary) -> None:
    """A fleet of one run."""
    driven.script.feed.say(Connected(hello=records.hello()), records.snapshot([row]))
    await driven.until(lambda: driven.app.state.fleet.loaded)


@pytest.mark.requirement("told.health")
async def test_health_stands_with_its_reason_and_since_when() -> None:
    async with console(fleet=False) as driven:
        await told(
            driven,
            summary(RUN, health="looping", health_reason="same Bash call 6 of last 12",
                    health_since=at(540))
        )  # fmt: skip
        await driven.until_text("UNHEALTHY (1 of", "same Bash call 6 of last 12")
        line = driven.line_with("same Bash call")
        assert "LOOP" in line
        assert "9m" in line


@pytest.mark.requirement("told.waiting")
async def test_a_wait_stands_with_kind_since_deadline_and_prompt() -> None:
    async with console(fleet=False) as driven:
        await told(
            driven,
            summary(RUN, waiting=waiting("which bucket?", kind="question", since=at(8_040),
                                         deadline=at(-2_760)))
        )  # fmt: skip
        await driven.until_text("NEEDS YOU (1 of", "which bucket?")
        line = driven.line_with("which bucket?")
        assert "answer: which bucket?" in line
        assert "2h14m" in line
        assert "due 46m" in line


@pytest.mark.requirement("told.usage", "told.agent_type", "told.tool_calls", "told.activity")
async def test_a_row_has_its_agent_tokens_cost_tools_and_what_it_does_now() -> None:
    async with console((160, 40), fleet=False) as driven:
        await told(
            driven,
            summary(RUN, agent_type="openai-codex", usage=usage(1_200_000, 1.92), tool_calls=88,
                    tool_failures=14, activity_text="Edit src/metrics.py")
        )  # fmt: skip
        await driven.press("2")
        await driven.until_text("Runs 1 of 1")
        row = driven.cursor_line
        for part in ("codex", "1.2M", "1.92", "88", "14✕", "Edit src/metrics.py"):
            assert part in row


@pytest.mark.requirement("keys.move")
async def test_j_k_g_and_the_rest_move_the_cursor() -> None:
    async with console((120, 24)) as driven:
        await driven.press("2")
        top = driven.cursor_line
        for there, back in (
            ("j", "k"),
            ("down", "up"),
            ("ctrl+d", "ctrl+u"),
            ("pagedown", "pageup"),
            ("G", "g"),
        ):
            await driven.press(there)
            assert driven.cursor_line != top
            await driven.press(back)
            assert driven.cursor_line == top


@pytest.mark.requirement("keys.no_mouse")
@pytest.mark.parametrize(("flags", "asked_for"), [([], True), (["--no-mouse"], False)])
def test_the_mouse_is_asked_for_unless_it_is_left_to_the_terminal(
    tmp_path: Path, flags: list[str], asked_for: bool
) -> None:
    command = [sys.executable, str(BIN / "monitor-tui"), "--demo", *flags]
    with Terminal(command, clean_environment(tmp_path), tmp_path) as terminal:
        terminal.wait_for(re.compile(rb"\xe2\x97\x8f demo|\xe2\x97\x8f live"))
        assert (b"\x1b[?1000h" in terminal.seen) is asked_for
