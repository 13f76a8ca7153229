"""What the first frame waits for: which modules, how often the sheet is read, which widgets."""

import subprocess
import sys
from typing import Any

import pytest
from textual.css.stylesheet import Stylesheet

from runwatch_console.screens.registry import PLACES, make_screen
from runwatch_console.widgets.preview import Preview
from runwatch_console.widgets.prompt import Prompt
from tests.console.driving import console

LATER = (
    "httpx",
    "runwatch_console.answers",
    "runwatch_console.commands",
    "runwatch_console.dialogs",
    "runwatch_console.feeding",
    "runwatch_console.following",
    "runwatch_console.ports",
    "runwatch_console.screens.nodes",
    "runwatch_console.screens.run_detail",
    "runwatch_console.screens.runs",
    "runwatch_console.widgets.preview",
    "runwatch_console.widgets.prompt",
    "runwatch_shared.wire",
    "typer",
    "websockets",
)


def test_what_the_first_frame_does_not_show_is_not_loaded_for_it() -> None:
    program = "\n".join(
        (
            "import sys",
            "import runwatch_console.app, runwatch_console.contexts",
            "import runwatch_console.screens.attention",
            "print(*sys.modules)",
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "runwatch_console.screens.attention" in done.stdout.split()
    assert not set(LATER) & set(done.stdout.split())


async def test_the_style_sheet_is_read_once_for_the_first_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    parsed = Stylesheet._parse_rules

    def counting(self: Stylesheet, css: str, read_from: Any, *rest: Any, **named: Any) -> Any:
        key = (css, read_from, *rest, *named.values())
        if key not in self._parse_cache and read_from[0].endswith("console.tcss"):
            read.append(read_from[0])
        return parsed(self, css, read_from, *rest, **named)

    monkeypatch.setattr(Stylesheet, "_parse_rules", counting)
    async with console() as driven:
        assert len(read) == 1
        assert driven.app.screen.query_one(Prompt) is not None
        assert driven.app.screen.query_one(Preview) is not None


async def test_every_screen_can_be_made_by_its_name() -> None:
    async with console() as driven:
        for name in PLACES:
            assert make_screen(name, driven.app).host is driven.app


async def test_home_is_found_again_from_every_other_screen() -> None:
    async with console() as driven:
        home = driven.app.screen
        for key in "234567":
            await driven.press(key)
            assert driven.app.screen is not home
            await driven.press("1")
            assert driven.app.screen is home


async def test_a_moved_cursor_is_painted_without_waiting_for_a_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with console() as driven:
        await driven.press("2")
        rows: Any = driven.app.screen.query_one("#rows")
        painted: list[object] = []
        monkeypatch.setattr(type(driven.app), "_display", lambda *given: painted.append(given))
        rows.action_move(1)
        assert len(painted) == 1
