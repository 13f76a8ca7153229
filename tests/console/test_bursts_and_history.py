"""Keys that come in one burst, and what was searched for before."""

import pytest
from textual import events

from tests.console.driving import Driven, console

CHARACTERS = {"/": "slash", " ": "space", "-": "minus", ":": "colon"}


def burst(driven: Driven, *keys: str) -> None:
    """Keys as one read of the terminal brings them: nothing is done between two of them."""
    for key in keys:
        if key in ("enter", "escape"):
            driven.app.post_message(events.Key(key, "\r" if key == "enter" else "\x1b"))
        else:
            driven.app.post_message(events.Key(CHARACTERS.get(key, key), key))


@pytest.mark.parametrize("screen", ["1", "2"])
async def test_what_follows_enter_in_a_burst_is_meant_for_the_run(screen: str) -> None:
    async with console() as driven:
        await driven.press(screen)
        burst(driven, "enter", "/", *"pytest", "enter")
        await driven.until(lambda: driven.app.state.run_id == "run-8f21a0c4d2e1")
        await driven.until(lambda: driven.app.mode == "run")
        opened = driven.app.console_screen
        await driven.until(lambda: opened is not None and opened.needle_text == "pytest")


@pytest.mark.parametrize("end", ["enter", "escape"])
async def test_what_follows_the_end_of_a_line_is_not_for_that_line(end: str) -> None:
    async with console() as driven:
        await driven.press("2")
        burst(driven, "f", *"docs", end, "s")
        await driven.until_text("sort: newest")
        assert ("filter: docs" in driven.text) == (end == "enter")


async def test_a_line_behind_a_line_in_one_burst_is_a_line_of_its_own() -> None:
    async with console() as driven:
        await driven.press("2")
        burst(driven, "f", *"docs", "enter", ":", *"nodes", "enter", ":", *"pulse", "enter")
        await driven.until(lambda: driven.app.mode == "pulse")
        await driven.press("2")
        await driven.until_text("filter: docs")


async def test_what_follows_enter_on_a_node_is_meant_for_its_runs() -> None:
    async with console() as driven:
        await driven.press("4")
        await driven.until_text("Nodes")
        burst(driven, "enter", "s")
        await driven.until_text("filter: node:", "sort: newest")


@pytest.mark.requirement("keys.search")
async def test_a_search_begins_empty_and_the_arrows_bring_those_of_before() -> None:
    async with console() as driven:
        await driven.press("2", "slash", *"docs", "enter")
        await driven.press("slash", *"build", "enter")
        await driven.press("slash")
        typed = driven.app.screen.query_one("#typed")
        assert typed.value == ""  # type: ignore[attr-defined]
        await driven.press(*"x", "up")
        assert typed.value == "build"  # type: ignore[attr-defined]
        await driven.press("up", "up")
        assert typed.value == "docs"  # type: ignore[attr-defined]
        await driven.press("down", "down")
        assert typed.value == "x"  # type: ignore[attr-defined]
        await driven.press("up", "up", "enter")
        await driven.until(lambda: "docs" in driven.cursor_line)


async def test_a_search_that_is_given_up_leaves_the_one_before() -> None:
    async with console() as driven:
        await driven.press("2", "slash", *"docs", "enter", "slash", *"zz", "escape")
        screen = driven.app.console_screen
        assert screen is not None
        assert screen.needle_text == "docs"


async def test_enter_alone_searches_for_the_same_again() -> None:
    async with console() as driven:
        await driven.press("2", "slash", *"build-1", "enter")
        first = driven.cursor_line
        await driven.press("slash", "enter")
        assert driven.cursor_line != first
        assert "build-1" in driven.cursor_line


async def test_a_search_of_one_screen_can_be_had_on_another() -> None:
    async with console() as driven:
        await driven.press("2", "slash", *"pytest", "enter", "1", "enter")
        await driven.until(lambda: driven.app.mode == "run")
        await driven.press("slash", "up", "enter")
        screen = driven.app.console_screen
        await driven.until(lambda: screen is not None and screen.needle_text == "pytest")
