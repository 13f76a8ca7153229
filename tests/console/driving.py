"""Driving the console in tests: a running app with a scripted server, its screen as text, bounded
waits.
"""

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from textual.events import Key
from textual.keys import _character_to_key
from textual.pilot import Pilot

from runwatch_console.app import ConsoleApp
from runwatch_console.locale.words import Words
from runwatch_console.servers import Servers
from runwatch_console.state import Preferences
from tests.console.scripted import TARGET, Script

WAIT_S = 15.0
AFTER_LETTERS = 3
"""Letters in a row that are still pressed one by one: they may go to different screens."""
_BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}


def is_harmless(text: str) -> bool:
    """Whether a terminal would neither obey nor reorder anything in it."""
    return not any(
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or ord(character) in _BIDI
        for character in text
    )


class HandClock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_s, UTC)

    def now_us(self) -> int:
        return int(self.now_s * 1_000_000)


@dataclass
class Driven:
    """A running console."""

    app: ConsoleApp
    pilot: Pilot[None]
    script: Script
    clock: HandClock

    @property
    def text(self) -> str:
        """What stands on the screen, dialogs included, line by line."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    def line_with(self, part: str) -> str:
        found = [line for line in self.lines if part in line]
        assert found, f"{part!r} is not on the screen:\n{self.text}"
        return found[0]

    @property
    def cursor_line(self) -> str:
        return next((line for line in self.lines if line.startswith((">", "±"))), "")

    async def press(self, *keys: str) -> None:
        """Press keys; from the fourth letter in a row on they come as fast as a paste does.

        The pilot waits 40 ms and more for the console to be idle after each single key.
        """
        letters = 0
        for key in keys:
            letters = letters + 1 if len(key) == 1 else 0
            if letters > AFTER_LETTERS:
                self._send(key)
            else:
                await self.pilot.press(key)
        await self.pilot.press()
        await self.pilot.pause()

    def _send(self, letter: str) -> None:
        driver = self.app._driver
        assert driver is not None
        name = letter if letter.isalnum() else _character_to_key(letter)
        driver.send_message(Key(name, letter))

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until it holds, at most `WAIT_S`."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"it never came true; the screen says:\n{self.text}")
            await self.pilot.pause(0.01)

    async def until_text(self, *parts: str) -> None:
        await self.until(lambda: all(part in self.text for part in parts))

    async def until_no_text(self, part: str) -> None:
        await self.until(lambda: part not in self.text)

    async def pass_time(self, seconds: float) -> None:
        """Move the clock, and let the console look at it."""
        self.clock.now_s += seconds
        self.app._tick()
        await self.pilot.pause()


@asynccontextmanager
async def console(
    size: tuple[int, int] = (120, 40),
    *,
    fleet: bool = True,
    script: Script | None = None,
    language: str = "en",
    ascii_only: bool = False,
    low_bandwidth: bool = False,
    keymap: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    settings_file: Path | None = None,
    servers: Servers | None = None,
    **preferred: Any,
) -> AsyncIterator[Driven]:
    """A console before a scripted server; with `fleet` the server has told of a whole fleet.

    `preferred` are further fields of `Preferences`.
    """
    script = script or Script()
    clock = HandClock()
    app = ConsoleApp(
        target=TARGET,
        connect=script.connect,
        preferences=Preferences(
            words=Words(language),
            ascii=ascii_only,
            low_bandwidth=low_bandwidth,
            **preferred,
        ),
        keymap=keymap,
        settings_file=settings_file,
        clock=clock,
        environment=environment or {},
        servers=servers,
    )
    async with app.run_test(size=size, notifications=True) as pilot:
        driven = Driven(app, pilot, script, clock)
        if fleet:
            script.say_fleet()
            await driven.until(lambda: app.state.fleet.loaded)
            await pilot.pause()
        yield driven
