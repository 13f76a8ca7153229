"""The console over a recording: the same screens, with a banner, a line to point at, and keys that
hold, hasten and seek.
"""

from dataclasses import replace
from typing import Any, Final

from textual import on
from textual.css.query import NoMatches
from textual.widgets import Input

from runwatch_console.app import ConsoleApp
from runwatch_console.feeditems import Target
from runwatch_console.messages import FeedArrived, ScreenShown
from runwatch_console.ports import Connection
from runwatch_console.replay.api import RecordedApi
from runwatch_console.replay.player import Player
from runwatch_console.replay.playhead import PlayClock
from runwatch_console.replay.scrubline import Standing
from runwatch_console.screens.base import ConsoleScreen
from runwatch_console.state import Preferences
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.scrubber import Scrubber
from runwatch_shared.text import clean

REPLAY_ACTIONS: Final = frozenset({"pause_replay", "speed", "scrub"})
SHOWN_PER_S: Final = 5
FOLDED_AT_ONCE: Final = 4_000
"""Rows: what is read ahead at the highest speed is held in memory."""
SCRUB_STEPS: Final = 100
"""Into so many steps the keys divide the line."""


def replay_connection(player: Player) -> Connection:
    """The seam of the network, over a recording."""
    api = RecordedApi(player)
    return Connection(feed=player, run_events=player, api=api, close=api.aclose)


class ReplayApp(ConsoleApp):
    """See the module."""

    BINDINGS = bindings_for("replay")
    REWINDS = False

    def __init__(self, player: Player, *, name: str, preferences: Preferences, **more: Any) -> None:
        self.player = player
        player.ahead = FOLDED_AT_ONCE
        self._file = clean(name, limit=60, fold=True)
        super().__init__(
            target=Target(context=player.recording.header.context, server_url=name, credential="–"),
            connect=lambda: replay_connection(player),
            preferences=preferences,
            feed_clock=PlayClock(player.playhead, player.recording.began_s),
            **more,
        )
        self.state = replace(self.state, replaying=True)
        self._arrived = 0

    def on_mount(self) -> None:
        """The lines of the replay move on by themselves."""
        low = self.state.preferences.low_bandwidth
        self.set_interval(1.0 if low else 1 / SHOWN_PER_S, self.show_standing)

    # Lines.

    @on(ScreenShown)
    async def _with_scrubber(self) -> None:
        """Each screen gets the lines when it is shown first."""
        screen = self.console_screen
        if screen is None or not screen.is_whole:
            return
        if not screen.query(Scrubber):
            await screen.query_one("#top").mount(
                Scrubber(
                    self._file,
                    self.player.recording.index.marks,
                    ascii_only=self.state.preferences.ascii,
                )
            )
        self.show_standing()

    def show_standing(self) -> None:
        """Bring the lines up to where the replay stands."""
        screen = self.console_screen
        if screen is None:
            return
        try:
            scrubber = screen.query_one(Scrubber)
        except NoMatches:
            return
        playhead = self.player.playhead
        standing = Standing(
            position_s=playhead.position_s,
            length_s=playhead.length_s,
            began_s=self.player.recording.began_s,
            speed=playhead.speed,
            paused=playhead.paused,
        )
        scrubber.call_after_refresh(scrubber.show, standing, self.state)

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys of the replay are the screens' own where somebody types or a dialog is open."""
        if action not in REPLAY_ACTIONS:
            return super().check_action(action, parameters)
        if isinstance(self.focused, Input) or not self.at_screen:
            return False
        return not (action == "scrub" and self.mode == "pulse")

    def action_pause_replay(self) -> None:
        """Hold it, or let it go on."""
        playhead = self.player.playhead
        self.player.set_paused(not playhead.paused and not playhead.ended)
        self._tick()
        self.show_standing()

    def action_speed(self, step: int) -> None:
        """Faster or slower."""
        self.player.faster(step)
        self.show_standing()

    def action_scrub(self, step: int) -> None:
        """Along the line."""
        self.action_step_time(step * max(1.0, self.player.playhead.length_s / SCRUB_STEPS))

    def action_step_time(self, seconds: float) -> None:
        """Elsewhere in the recording."""
        self._seek(self.player.playhead.position_s + seconds)

    def action_live(self) -> None:
        """From the begin."""
        self._seek(0.0)

    @on(Scrubber.Sought)
    def _sought(self, event: Scrubber.Sought) -> None:
        self._seek(event.at_s)

    def _seek(self, at_s: float) -> None:
        self.player.seek(at_s)
        self.show_standing()

    @on(FeedArrived)
    def _begin_again(self, event: FeedArrived) -> None:
        """Logs belong to the moment they were read at."""
        self.player.folded(event.items)
        if self._arrived == self.player.arrived:
            return
        first, self._arrived = self._arrived == 0, self.player.arrived
        if first:
            return
        self.call_after_refresh(self.show_moment_anew)

    def show_moment_anew(self) -> None:
        """Rows in the order of the moment, logs up to it."""
        self.show_moment(self.state)
        for stack in self._screen_stacks.values():
            for screen in stack:
                if isinstance(screen, ConsoleScreen) and screen.is_whole:
                    screen.begin_again()
