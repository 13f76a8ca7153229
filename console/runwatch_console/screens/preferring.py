"""The app's part that shows what the user prefers: theme, format of moments, words."""

from dataclasses import replace
from typing import Any

from textual import on

from runwatch_console.formats import TimeFormat
from runwatch_console.lens import as_ascii
from runwatch_console.messages import LowBandwidthRequested, ThemeRequested, TimeFormatRequested
from runwatch_console.state import ConsoleState, Preferences
from runwatch_console.widgets.theming import ThemedApp


class PreferringApp(ThemedApp):
    """Base of the console's app; the state is kept by whoever derives from it."""

    state: ConsoleState

    def set_state(self, state: ConsoleState) -> None:
        """Show this state."""
        raise NotImplementedError

    def spare_link(self, low: bool) -> object:
        """Have the server send less, or all again."""
        raise NotImplementedError

    def action_time_format(self) -> None:
        """Relative, local, UTC, round and round."""
        self.set_time_format(self.state.preferences.time_format.following())

    @on(ThemeRequested)
    def _theme_requested(self, event: ThemeRequested) -> None:
        self.wear(event.name)
        self.prefer(replace(self.state.preferences, theme=event.name))

    @on(LowBandwidthRequested)
    def _low_bandwidth_requested(self, event: LowBandwidthRequested) -> None:
        self.animation_level = "none" if event.on else "full"
        self.prefer(replace(self.state.preferences, low_bandwidth=event.on))
        self.spare_link(event.on)
        self.tell("low_bw.on" if event.on else "low_bw.off")

    @on(TimeFormatRequested)
    def _time_format_requested(self, event: TimeFormatRequested) -> None:
        self.set_time_format(TimeFormat(event.name))

    def set_time_format(self, time_format: TimeFormat) -> None:
        """Show moments so."""
        self.prefer(replace(self.state.preferences, time_format=time_format))
        self.tell("time.now", format=self.state.words(f"time.{time_format.value}"))

    def prefer(self, preferences: Preferences) -> None:
        """Show all as these want it."""
        self.set_state(replace(self.state, preferences=preferences))

    def tell(self, word: str, *, severity: Any = "information", **facts: object) -> None:
        """A short message in the user's language; facts are clean."""
        text = self.state.words(word, **facts)
        text = as_ascii(text) if self.state.preferences.ascii else text
        self.notify(text, severity=severity, markup=False, timeout=5)
