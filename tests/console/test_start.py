"""What the first frame waits for: which modules, how often the sheet is read, which widgets."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from textual._compositor import Compositor
from textual.app import App
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode
from textual.geometry import Region
from textual.screen import Screen
from textual.widget import Widget

import runwatch_console.app
from runwatch_console.app import ConsoleApp
from runwatch_console.screens.registry import PLACES, make_screen
from runwatch_console.widgets.preview import Preview
from runwatch_console.widgets.prompt import Prompt
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.text_line import TextLine
from runwatch_console.widgets.virtual_list import Paint, Piece, differing
from tests.console.driving import console

LATER = (
    "httpx",
    "runwatch_console.answers",
    "runwatch_console.attention",
    "runwatch_console.columns",
    "runwatch_console.filters",
    "runwatch_console.widgets.virtual_list",
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


@pytest.mark.requirement("fast.first_frame")
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


def test_the_insides_of_textual_that_the_console_uses_are_there() -> None:
    # ADR 0026: with a Textual that has others, a key waits for the next frame.
    assert callable(Compositor.update_widgets)
    assert callable(Screen._compositor_refresh)
    assert callable(DOMNode._attach)
    screen: Any = Screen()
    assert isinstance(screen._compositor, Compositor)
    waiting = (screen._layout_required, screen._scroll_required, screen._repaint_required)
    assert all(isinstance(each, bool) for each in waiting)
    assert App()._batch_count == 0


async def test_a_cursor_is_painted_with_the_next_frame_where_textual_has_other_insides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with console() as driven:
        await driven.press("2")
        monkeypatch.delattr(Compositor, "update_widgets")
        rows: Any = driven.app.screen.query_one("#rows")
        first = driven.cursor_line
        rows.action_move(1)
        monkeypatch.undo()
        await driven.until(lambda: driven.cursor_line not in ("", first))


async def test_the_first_frame_says_all_it_has_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    frames: list[str] = []
    display = ConsoleApp._display

    def watched(self: ConsoleApp, screen: Any, renderable: Any) -> None:
        if not self._batch_count:
            strips = screen._compositor.render_strips()
            frames.append("\n".join(strip.text for strip in strips))
        display(self, screen, renderable)

    monkeypatch.setattr(ConsoleApp, "_display", watched)
    async with console(fleet=False):
        pass
    lines = frames[0].split("\n")
    assert "prod" in lines[0]
    assert "connecting" in lines[0]
    assert any("connecting to https://127.0.0.1:8080" in line for line in lines[1:-1])
    assert "help" in lines[-1]


async def test_every_tone_of_the_first_frame_is_in_its_sheet() -> None:
    async with console(fleet=False) as driven:
        screen = driven.app.screen
        used = {"title", "muted", "key", "accent"}
        for name in ("#status", "#keys"):
            line = screen.query_one(name, TextLine)
            tones = {tone for _, tone in (*line.left, *line.right) if tone}
            assert tones <= used
        sheet = Path(runwatch_console.app.__file__).with_name("first_frame.tcss")
        text = sheet.read_text(encoding="utf-8")
        assert all(f".tone--{tone} " in text for tone in used)


async def test_a_fact_that_changed_is_drawn_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(size=(200, 60)) as driven:
        await driven.press("2")
        facts = driven.app.screen.query_one("#side-facts", QuietText)
        await driven.until(lambda: facts.content_size.width > 0)
        lines = [f"line {n}" for n in range(20)]
        facts.say("\n".join(lines))
        asked: list[tuple[Region, ...]] = []
        drawn = Widget.refresh

        def watched(self: Widget, *regions: Region, **named: Any) -> Widget:
            if self is facts:
                asked.append(regions)
            return drawn(self, *regions, **named)

        monkeypatch.setattr(Widget, "refresh", watched)
        lines[7] = "line of another kind"
        facts.say("\n".join(lines))
        assert [(region.y, region.height) for region in asked[0]] == [(7, 1)]
        assert len(asked) == 1


@pytest.mark.requirement("fast.line_list")
async def test_of_a_row_only_the_cells_that_differ_are_drawn_again() -> None:
    old = Paint((Piece("a", 4), Piece(" ", 1), Piece("b", 6), Piece("c", 5)))
    new = Paint((Piece("a", 4), Piece(" ", 1), Piece("x", 6), Piece("c", 5)))
    assert differing(old, new) == (6, 12)
    assert differing(old, Paint(new.pieces, stale=True)) == (0, 17)
    assert differing(old, Paint((Piece("a", 5), *new.pieces[1:]))) == (0, 18)


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
