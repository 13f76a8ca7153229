"""A console on a slow link: what it writes while nothing happens, and while much does."""

import pytest

from runwatch_console.app import TICK_S_LOW, ConsoleApp
from runwatch_console.screens.run_list import RunListScreen
from runwatch_console.widgets.preview import Preview
from runwatch_shared.wire import HeartbeatFrame
from tests.console import records
from tests.console.driving import Driven, console

ALLOWED_BYTES_PER_S = 200
SECONDS = 30


def previewing(driven: Driven) -> bool:
    screen = driven.app.console_screen
    return isinstance(screen, RunListScreen) and screen.previewing


class Counting:
    """What goes to the terminal of a driven console."""

    def __init__(self, driven: Driven) -> None:
        self.driven = driven
        self.frames = 0
        self.bytes = 0
        app = driven.app
        show = ConsoleApp._display

        def counted(screen, renderable) -> None:
            if renderable is not None:
                self.frames += 1
                text = getattr(renderable, "render_segments", lambda _: "")(app.console)
                self.bytes += len(text.encode())
            show(app, screen, renderable)

        app._display = counted  # type: ignore[method-assign]

    async def seconds(self, seconds: int) -> None:
        """Time passes, with a heartbeat every five seconds."""
        driven = self.driven
        for second in range(1, seconds + 1):
            await driven.pass_time(1.0)
            if second % 5 == 0:
                server_time = records.at(-float(second))
                driven.script.feed.say(HeartbeatFrame(revision=2, server_time=server_time))
                await driven.until(self._heard)

    def _heard(self) -> bool:
        return self.driven.app.state.link.frame_mono_s == self.driven.clock.now_s


@pytest.mark.requirement("state.low_bw")
async def test_while_nothing_happens_next_to_nothing_is_written() -> None:
    written = {}
    for low in (True, False):
        async with console((160, 50), low_bandwidth=low) as driven:
            await driven.press("2")
            await driven.pass_time(1.0)
            await driven.pass_time(TICK_S_LOW)
            counting = Counting(driven)
            await counting.seconds(SECONDS)
            written[low] = counting.bytes
            if low:
                assert 0 < counting.frames <= SECONDS / 2
    assert written[True] <= ALLOWED_BYTES_PER_S * SECONDS
    assert written[True] < written[False] / 2


async def test_ages_go_on_at_once_on_a_screen_that_was_just_shown_and_with_every_change() -> None:
    async with console((160, 50), low_bandwidth=True) as driven:
        await driven.pass_time(60.0)
        before = driven.app.state.now_mono_s
        await driven.pass_time(1.0)
        assert driven.app.state.now_mono_s == before
        await driven.press("2")
        await driven.pass_time(1.0)
        assert driven.app.state.now_mono_s == before + 2.0
        await driven.pass_time(TICK_S_LOW)
        assert driven.app.state.now_mono_s == before + 2.0 + TICK_S_LOW


@pytest.mark.requirement("state.low_bw")
async def test_the_list_has_the_room_of_the_preview() -> None:
    async with console() as driven:
        await driven.press("2")
        rows = driven.app.screen.query_one("#rows")
        preview = driven.app.screen.query_one(Preview)
        await driven.until(lambda: preview.display and preview.size.height > 0)
        before = rows.size.height
        await driven.until(lambda: driven.script.run_events.open == 1)
        await driven.press("colon", *"low-bw on", "enter")
        await driven.until(lambda: not preview.display and rows.size.height > before)
        await driven.until(lambda: driven.script.run_events.open == 0)
        await driven.press("colon", *"low-bw off", "enter")
        await driven.until(lambda: preview.display and rows.size.height == before)


async def test_the_link_is_spared_or_not_by_a_command_at_once() -> None:
    async with console() as driven:
        await driven.press("2", "j")
        await driven.until(lambda: driven.script.run_events.opened)
        await driven.press(*":low-bw on", "enter")
        await driven.until_text("slow link")
        assert driven.app.pace_s == 0.5
        assert driven.app.animation_level == "none"
        await driven.until(lambda: not previewing(driven))
        await driven.press(*":low-bw off", "enter")
        await driven.until(lambda: driven.app.pace_s == 0.05)
        assert previewing(driven)
        await driven.until(lambda: driven.app.animation_level == "full")
        await driven.press(*":low-bw maybe", "enter")
        await driven.until_text(":low-bw takes one of on off")
