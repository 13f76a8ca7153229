"""The app's part that goes from moment to moment; what was is `rewind`'s."""

from dataclasses import replace
from typing import TYPE_CHECKING

from runwatch_console.screens.navigation import NavigatingApp
from runwatch_console.state import ConsoleState, Preferences

if TYPE_CHECKING:
    from runwatch_console.feeding import Feeding


class RewindingApp(NavigatingApp):
    """Base of the console's app."""

    def __init__(self, preferences: Preferences) -> None:
        super().__init__(preferences)
        self._feeding: Feeding | None = None
        """None before the network is asked for."""

    def action_step_time(self, seconds: float) -> None:
        """Show the fleet so many seconds later, or earlier; live goes on."""
        if self._feeding is None or not self.state.fleet.loaded:
            return
        before = self.state.past
        state = self._feeding.rewind.stepped(self.state, seconds)
        past = state.past
        if seconds < 0 and (past is None or (before is not None and past.at_s == before.at_s)):
            self.tell("rewind.oldest" if past is not None else "rewind.nothing")
        self.show_moment(state)

    def show_moment(self, state: ConsoleState) -> None:
        """Another moment has another order: rows need not wait until the hand rests."""
        self.set_state(replace(state, last_key_mono_s=float("-inf")))

    def action_live(self) -> None:
        """Show what is now."""
        if self._feeding is not None and self.state.past is not None:
            self.show_moment(self._feeding.rewind.returned(self.state))
