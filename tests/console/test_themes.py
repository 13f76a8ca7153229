"""Themes: every tone can be read on every background, and sixteen colours are sixteen colours."""

from pathlib import Path
from typing import Any

import pytest
from rich.style import Style

from runwatch_console.themes import THEMES, theme_of_terminal
from runwatch_console.widgets.toned import TONES
from runwatch_console.widgets.virtual_list import VirtualList
from tests.console.driving import console
from tests.console.terminal import Terminal, clean_environment

LEAST = {"dark": 4.5, "light": 4.5, "high-contrast": 7.0}
ROWS = ("", "cursor", "cursor-blurred", "marked")


def luminance(triplet: Any) -> float:
    """WCAG 2.2, "relative luminance"."""
    parts = [value / 255 for value in triplet]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(style: Style) -> float:
    """WCAG 2.2, "contrast ratio"."""
    assert style.color is not None
    assert style.bgcolor is not None
    light, dark = sorted(
        (luminance(style.color.get_truecolor()), luminance(style.bgcolor.get_truecolor())),
        reverse=True,
    )
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_of_contrast_is_that_of_wcag() -> None:
    assert contrast(Style.parse("#ffffff on #000000")) == pytest.approx(21)
    assert contrast(Style.parse("#777777 on #ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", LEAST)
@pytest.mark.requirement("settings.themes")
async def test_every_tone_can_be_read_on_every_background(name: str) -> None:
    unread = []
    async with console(theme=name) as driven:
        await driven.press("2")
        for selector in ("#rows", "#header", "#status", "#keys"):
            widget: Any = driven.app.screen.query_one(selector)
            for row in ROWS if selector == "#rows" else ("",):
                under = widget.rich_style + (widget.row_style(row) if row else Style())
                for tone in ("", *TONES):
                    found = contrast(under + widget.tone(tone))
                    if found < LEAST[name]:
                        unread.append(f"{tone} on {selector} {row}: {found:.2f}")
        rows: Any = driven.app.screen.query_one("#rows")
        stale = contrast(rows.rich_style + rows.row_style("stale"))
        assert stale >= 4.5
        assert stale < contrast(rows.rich_style), "old rows are never as bright as new ones"
    assert unread == []


async def test_a_theme_is_changed_while_the_console_runs() -> None:
    async with console() as driven:
        await driven.press("2")
        rows: Any = driven.app.screen.query_one("#rows")
        before = rows.rich_style.bgcolor, rows.tone("failed").color
        await driven.press("colon", *"theme light", "enter")
        await driven.until(lambda: rows.rich_style.bgcolor != before[0])
        await driven.until(lambda: rows.tone("failed").color != before[1])
        assert driven.app.state.preferences.theme == "light"


async def test_themes_are_completed_and_an_unknown_one_is_said_with_those_there_are() -> None:
    async with console() as driven:
        await driven.press("colon", *"theme ")
        await driven.until_text("high-contrast", "light")
        await driven.press(*"lihgt", "enter")
        await driven.until_text("no theme lihgt", "dark light high-contrast 16")


@pytest.mark.parametrize(
    ("environment", "theme"),
    [
        ({"TERM": "xterm-256color"}, "dark"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "dark"),
        ({"TERM": "xterm-kitty"}, "dark"),
        ({"TERM": "dumb", "TEXTUAL_COLOR_SYSTEM": "truecolor"}, "dark"),
        ({"TERM": "xterm"}, "16"),
        ({"TERM": "linux"}, "16"),
        ({"TERM": "screen"}, "16"),
        ({}, "16"),
    ],
)
def test_a_terminal_that_knows_sixteen_colours_gets_them(
    environment: dict[str, str], theme: str
) -> None:
    assert theme_of_terminal(environment) == theme


async def test_in_sixteen_colours_the_cursor_is_one_bar_whatever_tones_its_row_has() -> None:
    async with console(theme="16") as driven:
        await driven.press("2")
        rows = driven.app.screen.query_one("#rows", VirtualList)
        await driven.until(lambda: rows.has_focus and len(rows.source) > 2)
        bar = [segment.style for segment in rows.render_line(rows.cursor - rows.top_index)]
        assert all(style is not None and style.reverse for style in bar)
        assert {(style.color, style.bgcolor, bool(style.dim)) for style in bar if style} == {
            (rows.base_style.color, rows.base_style.bgcolor, False)
        }


def test_every_theme_gives_every_colour_of_the_sheets() -> None:
    names = [(set(theme.base), set(theme.variables)) for theme in THEMES.values()]
    base, variables = names[0]
    assert all(found == base for found, _ in names)
    assert all(found >= variables for _, found in names)


def colours(tmp_path: Path, *arguments: str, **environment: str) -> bytes:
    """What the console writes until it says that nobody answers, and while a dialog is open."""
    arguments = ("--server", "http://127.0.0.1:1", *arguments)
    with Terminal(arguments, clean_environment(tmp_path, **environment)) as terminal:
        terminal.until(lambda text: b"DISCONNECTED" in text)
        terminal.press(b"2")
        terminal.until(lambda text: b"TASK" in text)
        terminal.press(b"?")
        terminal.until(lambda text: b"esc closes" in text)
        return terminal.written


def test_sixteen_colours_write_no_other(tmp_path: Path) -> None:
    many = colours(tmp_path, "--theme", "dark", TERM="xterm-256color", COLORTERM="truecolor")
    assert b"38;2;" in many
    assert b"48;2;" in many
    asked = colours(tmp_path, "--theme", "16", TERM="xterm-256color", COLORTERM="truecolor")
    found = colours(tmp_path, TERM="xterm")
    for written in (asked, found):
        assert not [code for code in (b"38;2", b"48;2", b"38;5", b"48;5") if code in written]
        assert b"\x1b[" in written
        assert b";31m" in written or b"33m" in written or b";41m" in written


@pytest.mark.requirement("state.no_color")
def test_no_color_goes_before_a_theme(tmp_path: Path) -> None:
    written = colours(tmp_path, "--theme", "16", TERM="xterm", NO_COLOR="1")
    assert not [code for code in (b"[31", b"[33", b";41m", b";33m") if code in written]
