"""The app's part that goes from screen to screen, and remembers the way back."""

from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

from textual import on
from textual.screen import Screen

from runwatch_console.messages import (
    ColumnsRequested,
    RowOpenRequested,
    RunOpenRequested,
    RunsRequested,
    ScreenRequested,
    SortRequested,
)
from runwatch_console.screens.base import ConsoleScreen, Host
from runwatch_console.screens.preferring import PreferringApp
from runwatch_console.screens.registry import HOME, PLACES, make_screen
from runwatch_console.state import Preferences

HISTORY_LIMIT: Final = 50
NOWHERE: Final = "nowhere"
"""Mode of the empty screen between two servers."""


class NavigatingApp(PreferringApp):
    """Base of the console's app. `host` of its screens is the app that derives from it."""

    DEFAULT_MODE = HOME

    def __init__(self, preferences: Preferences) -> None:
        self.DEFAULT_MODE = preferences.home  # type: ignore[misc]  # the constructor reads it
        super().__init__(preferences.theme)
        self._mode = preferences.home
        self._trail: list[tuple[str, str]] = [(preferences.home, "")]
        self._trail_at = 0
        self._nowhere = False
        self.searches: list[str] = []
        """What was searched for, the newest last."""

    def get_default_screen(self) -> Screen[Any]:
        """Home. A mode becomes known only after it: for a mode Textual reads the style sheet again,
        twice.
        """
        return make_screen(self.state.preferences.home, cast(Host, self))

    def add_modes(self) -> None:
        """Make every screen known by its name."""
        for name in PLACES:
            self.add_mode(name, partial(make_screen, name, cast(Host, self)))

    async def leave_screens(self) -> None:
        """Show an empty screen, and drop all others with what they hold. There is nowhere to go
        until `begin_screens`.
        """
        self._nowhere = True
        self.add_mode(NOWHERE, Screen)
        await self.switch_mode(NOWHERE)
        for name in PLACES:
            await self.remove_mode(name)

    async def begin_screens(self) -> None:
        """Make all screens anew and show the first of them; there is no way back."""
        home = self.state.preferences.home
        self.add_modes()
        self._trail, self._trail_at = [(home, "")], 0
        self._mode = home
        await self.switch_mode(home)
        await self.remove_mode(NOWHERE)
        self._nowhere = False

    @property
    def mode(self) -> str:
        """Name of the screen that is shown."""
        return self._mode

    @property
    def console_screen(self) -> ConsoleScreen | None:
        """The screen below any dialogs."""
        stack = self.screen_stack
        return stack[0] if stack and isinstance(stack[0], ConsoleScreen) else None

    async def show_screen(self, name: str, *, run_id: str = "", keep_trail: bool = False) -> None:
        """Show a screen by name, and remember the way back."""
        if self._nowhere:
            return
        if run_id:
            self.state = replace(self.state, run_id=run_id)
        stop = (name, self.state.run_id if name == "run" else "")
        if not keep_trail and self._trail[self._trail_at] != stop:
            self._trail = [*self._trail[: self._trail_at + 1], stop][-HISTORY_LIMIT:]
            self._trail_at = len(self._trail) - 1
        if name != self._mode:
            self._mode = name
            await self.switch_mode(name)
        self.set_state(self.state)

    async def action_go(self, name: str) -> None:
        """Show a screen."""
        await self.show_screen(name)

    async def action_history(self, step: int) -> None:
        """Back or forward."""
        index = self._trail_at + step
        if 0 <= index < len(self._trail):
            self._trail_at = index
            name, run_id = self._trail[index]
            await self.show_screen(name, run_id=run_id, keep_trail=True)

    @on(ScreenRequested)
    async def _screen_requested(self, event: ScreenRequested) -> None:
        await self.show_screen(event.name)

    @on(RunOpenRequested)
    async def _open_run(self, event: RunOpenRequested) -> None:
        await self.show_screen("run", run_id=event.run_id)

    @on(RowOpenRequested)
    async def _row_requested(self, event: RowOpenRequested) -> None:
        await event.opener(event.key)

    @on(RunsRequested)
    async def _runs_requested(self, event: RunsRequested) -> None:
        await self.show_runs(event.filter_text)

    async def show_runs(self, filter_text: str) -> None:
        """Show the Runs screen with this filter; empty: let the user type one."""
        await self.show_screen("runs")
        if (screen := self.console_screen) is not None:
            await screen.take_filter(filter_text)

    @on(SortRequested)
    async def _sort_requested(self, event: SortRequested) -> None:
        await self.show_screen("runs")
        if (screen := self.console_screen) is not None:
            screen.take_sort(event.name)

    @on(ColumnsRequested)
    async def _columns_requested(self, event: ColumnsRequested) -> None:
        await self.show_screen("runs")
        if (screen := self.console_screen) is not None:
            screen.take_columns(event.names)
