"""What is shown of a moment that is not now says so."""

import pytest

from runwatch_console.formats import TimeFormat
from runwatch_console.ports import Disconnected, LossReason
from tests.console.driving import console

LOST = Disconnected(reason=LossReason.CLOSED, detail="connection reset", retry_in_s=60.0)


@pytest.mark.requirement("rule.stale_rows")
async def test_a_preview_without_its_server_says_as_of_when_and_counts_nothing_down() -> None:
    async with console(time_format=TimeFormat.UTC) as driven:
        await driven.press("2")
        await driven.until_text("following", "due 46m")
        driven.script.feed.say(LOST)
        await driven.until_text("as of 10:31:22 ", "due 11:17")
        assert "following" not in driven.text
        assert "due 46m" not in driven.text


async def test_attention_names_the_time_of_a_deadline_while_nobody_can_count_it_down() -> None:
    async with console((80, 24), time_format=TimeFormat.UTC) as driven:
        await driven.until_text("due 46m")
        driven.script.feed.say(LOST)
        await driven.until_text("due 11:17")
        assert "due 46m" not in driven.text


@pytest.mark.requirement("state.late")
async def test_ages_of_events_are_lower_bounds_while_the_feed_is_late() -> None:
    async with console(time_format=TimeFormat.RELATIVE) as driven:
        await driven.press("2", "enter")
        await driven.until_text("[60]")
        age = driven.line_with("[59]").split()[0]
        assert age[-1] in "smh"
        assert "≥" not in age
        await driven.pass_time(60)
        await driven.until(lambda: "≥" in driven.line_with("[59]").split()[0])


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.requirement("screen.breakpoints")
async def test_at_eighty_columns_no_count_of_a_state_is_dropped(language: str) -> None:
    async with console((80, 24), language=language) as driven:
        words = driven.app.state.words
        looks = driven.app.state.fleet.looks
        top = driven.lines[0]
        for look in ("look.wait", "look.loop", "look.stall", "look.unknown"):
            assert f"{looks[look]} {words(look)}" in top, look
        assert words("look.fail") in top
