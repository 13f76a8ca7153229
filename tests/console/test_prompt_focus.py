"""Keys that are typed right behind the one that opened a screen go to the line that they opened."""

import pytest
from textual import events

from runwatch_console.screens.base import ConsoleScreen
from tests.console.driving import console


@pytest.mark.parametrize("keys", [("2",), ("2", "enter"), ("4",), ("5",), ("6",), ("7",)])
async def test_a_screen_that_takes_the_focus_takes_none_from_a_prompt_opened_since(
    keys: tuple[str, ...],
) -> None:
    async with console() as driven:
        await driven.press(*keys)
        screen = driven.app.screen
        assert isinstance(screen, ConsoleScreen)
        await driven.until(lambda: screen.is_whole)
        screen.focus_body()
        await screen.open_prompt("command")
        await driven.press(*"runs")
        assert driven.app.screen is screen
        await driven.until(lambda: any(line.strip() == ":runs" for line in driven.lines))


async def test_a_line_that_is_cleared_and_typed_anew_in_one_burst_is_the_new_one() -> None:
    async with console() as driven:
        await driven.press("2", "colon")
        await driven.press(*"nodes")
        burst = (("ctrl+u", None), *((each, each) for each in "pulsx"), ("backspace", None))
        for key, character in (*burst, ("e", "e")):
            driven.app.post_message(events.Key(key, character))
        await driven.until(lambda: any(line.strip() == ":pulse" for line in driven.lines))
        driven.app.post_message(events.Key("enter", "\r"))
        await driven.until(lambda: driven.app.mode == "pulse")
