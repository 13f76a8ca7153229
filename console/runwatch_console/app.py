"""The console's app: its state, its screens and keys.

What the feed brings is `feeding`'s, what screens ask for `answers`': the first frame waits for
neither.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events, on, work
from textual.filter import Monochrome, NoColor

from runwatch_console.feeditems import Target
from runwatch_console.messages import (
    ActionRequested,
    FeedArrived,
    Request,
    ScreenShown,
    ServerMessage,
    ViewMessage,
)
from runwatch_console.screens.base import ConsoleScreen
from runwatch_console.screens.registry import load_screens
from runwatch_console.screens.rewinding import RewindingApp
from runwatch_console.state import ConsoleState, Preferences
from runwatch_console.widgets.bindings import bindings_for
from runwatch_shared.clock import Clock, SystemClock
from runwatch_shared.text import clean

if TYPE_CHECKING:
    from runwatch_console.answers import Answers
    from runwatch_console.ports import Connect, Connection
    from runwatch_console.servers import Servers
    from runwatch_console.switching import Switching

REST_OF_STYLES: Final = "console.tcss"
FOLDS_PER_S: Final = 20
FRAMES_PER_S_LOW: Final = 2
TICK_S: Final = 1.0
TICK_S_LOW: Final = 8.0
"""Without changes a slow link carries ages alone, with each heartbeat; so much they may be behind
when none comes.
"""
CLOSING_S: Final = 2.0
OF_ONE_SERVER: Final = ("write", "open", "trust", "view", "spare")
"""Groups of work that end when its server is left."""


class ConsoleApp(RewindingApp):
    """One worker reads the feed, one handler folds it; screens are functions of their state."""

    CSS_PATH = "first_frame.tcss"
    BINDINGS = bindings_for("app")
    ENABLE_COMMAND_PALETTE = False
    REWINDS: ClassVar[bool] = True
    """Whether what was received is kept to go back to."""
    TITLE = "Runwatch"

    def __init__(
        self,
        *,
        target: Target,
        connect: "Connect",
        preferences: Preferences,
        keymap: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        feed_clock: Clock | None = None,
        settled: Callable[[], object] = lambda: None,
        settings_file: Path | None = None,
        servers: "Servers | None" = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        super().__init__(preferences)
        self.keymap = dict(keymap or {})
        self.environment = environment
        self.clock = clock or SystemClock()
        self.feed_clock = feed_clock or self.clock
        """What the feed's moments are measured by: in a replay it stands and runs with it."""
        self.state = ConsoleState(
            target=_clean_target(target),
            preferences=preferences,
            now_mono_s=self.feed_clock.monotonic(),
            hand_mono_s=self.clock.monotonic(),
        )
        if self.no_color:
            # Textual answers NO_COLOR with shades of grey, which are colours too.
            kept = [each for each in self._filters if not isinstance(each, Monochrome)]
            self._filters = [*kept, NoColor()]
        self.settings_file = settings_file
        """Where views are kept; None: nowhere."""
        self._servers = servers
        self._connect = connect
        self._settled = settled
        """Called when much was made that stays: the first frame, a snapshot."""
        self._connection: asyncio.Future[Connection] | None = None
        self._drawn = False
        self._told_s = float("-inf")
        """When a fold or a tick last brought ages on."""
        self._fresh_until_s = float("-inf")
        """Until then a screen is new, and what it makes after its first frame comes with a tick."""
        self._feed_rests = asyncio.Event()
        """Set while the feed is not read."""
        self._feed_rests.set()

    def read_styles(self) -> None:
        """The rest of the style sheet, once."""
        path = Path(__file__).with_name(REST_OF_STYLES)
        if not self.stylesheet.has_source(str(path)):
            self.stylesheet.add_source(path.read_text(encoding="utf-8"), read_from=(str(path), ""))

    @property
    def drawn(self) -> bool:
        """Whether the first frame has been shown."""
        return self._drawn

    @cached_property
    def switching(self) -> "Switching":
        """Goes from server to server; loaded with the first wish to."""
        from runwatch_console.switching import Switching

        return Switching(self, self._servers)

    @cached_property
    def answers(self) -> "Answers":
        """Does what screens ask for; loaded with the first request."""
        from runwatch_console.answers import Answers

        return Answers(self)

    @property
    def pace_s(self) -> float:
        """Seconds between two folds, at least."""
        low = self.state.preferences.low_bandwidth
        return 1 / (FRAMES_PER_S_LOW if low else FOLDS_PER_S)

    async def connection(self) -> "Connection":
        """The connection, made once, in a thread, after the first frame."""
        assert self._connection is not None
        return await asyncio.shield(self._connection)

    def on_mount(self) -> None:
        """Keys as the user wants them; the network only after the first frame."""
        self.add_modes()
        self.set_keymap(self.keymap)
        if self.state.preferences.low_bandwidth:
            self.animation_level = "none"
        self._connection = asyncio.get_running_loop().create_future()
        self.call_after_refresh(self.read_feed)
        self.set_interval(TICK_S, self._tick)

    async def on_unmount(self) -> None:
        """Let the network go with the console; the process does not wait for it for long."""
        await self._let_go()

    async def _let_go(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self._feed_rests.wait()
                if self._connection is not None and self._connection.done():
                    await self._connection.result().close()

    async def change_server(
        self, target: Target, connect: "Connect", preferences: Preferences
    ) -> None:
        """Leave the server with all that is known of it, and begin with another. Nothing of the one
        is ever shown under the name of the other: the screens go first.
        """
        self._feeding = None
        self.clear_notifications()
        await self.leave_screens()
        self.workers.cancel_group(self, "feed")
        for group in OF_ONE_SERVER:
            self.workers.cancel_group(self, group)
        await self._let_go()
        self._connect = connect
        self._connection = asyncio.get_running_loop().create_future()
        self.state = ConsoleState(
            target=_clean_target(target),
            preferences=preferences,
            now_mono_s=self.feed_clock.monotonic(),
            hand_mono_s=self.clock.monotonic(),
        )
        await self.begin_screens()
        self.read_feed()

    # The feed.

    @work(exclusive=True, group="feed", exit_on_error=True)
    async def read_feed(self) -> None:
        """What comes after the first frame: the network, then all that is said for ever."""
        self._feed_rests.clear()
        try:
            await self._read_feed()
        finally:
            self._feed_rests.set()

    async def _read_feed(self) -> None:
        from runwatch_console.feeding import Feeding

        assert self._connection is not None
        self._drawn = True
        self._settled()
        self._feeding = feeding = Feeding(self.post_message, rewinds=self.REWINDS)
        connection = await asyncio.to_thread(self._connect)
        self._connection.set_result(connection)
        await connection.spare(self.state.preferences.low_bandwidth)
        self.load_rest()
        await feeding.read(connection, lambda: self.pace_s)

    @work(thread=True, group="load", exit_on_error=False)
    def load_rest(self) -> None:
        """The other screens, while nobody waits for them."""
        load_screens()

    @on(FeedArrived)
    def _fold_feed(self, event: FeedArrived) -> None:
        """The one place where the fleet changes."""
        from runwatch_console.feeding import brings_much

        if self._feeding is None or event.source is not self._feeding:
            event.folded.set()
            return
        state = self._feeding.folded(self.state, event, self.feed_clock.monotonic())
        if state.past is None and state.fleet.problem != self.state.fleet.problem:
            self.tell("link.refused", severity="warning", text=state.fleet.problem)
        loss, before = state.link.loss, self.state.link.loss
        self._told_s = self.clock.monotonic()
        self.set_state(replace(state, hand_mono_s=self._told_s))
        event.folded.set()
        if loss is not None and loss is not before and loss.offered is not None:
            from runwatch_console.trusting import ask_to_trust

            ask_to_trust(self, loss.offered)
        if brings_much(event):
            self.call_after_refresh(self._settled)

    def _tick(self) -> None:
        """Ages go on; on a slow link only where no fold has brought them on."""
        now, hand = self.feed_clock.monotonic(), self.clock.monotonic()
        slow = self.state.preferences.low_bandwidth and hand > self._fresh_until_s
        if slow and hand - self._told_s < TICK_S_LOW:
            return
        self._told_s = hand
        self.set_state(replace(self.state, now_mono_s=now, hand_mono_s=hand))

    def set_state(self, state: ConsoleState) -> None:
        self.state = state
        screen = self.console_screen
        if screen is not None and screen.is_whole:
            with self.batch_update():
                screen.state = state

    @on(ScreenShown)
    def _screen_shown(self) -> None:
        self.set_state(self.state)
        self._fresh_until_s = self.clock.monotonic() + 2 * TICK_S

    async def on_event(self, event: events.Event) -> None:
        """Any key or click counts as a hand on the list: rows stand still."""
        if isinstance(
            event, events.Key | events.MouseDown | events.MouseScrollDown | events.MouseScrollUp
        ):
            hand = self.clock.monotonic()
            self.state = replace(
                self.state,
                last_key_mono_s=hand,
                hand_mono_s=hand,
                now_mono_s=self.feed_clock.monotonic(),
            )
        if isinstance(event, events.Key) and await self._done_at_once(event):
            return
        await super().on_event(event)

    async def _done_at_once(self, event: events.Key) -> bool:
        """Whether a key was a binding's, outside of an input.

        By way of the focused widget it would come back here after the keys behind it were given
        out: of a burst `:run ID` all would go to the list.
        """
        from textual.widgets import Input

        if event.is_forwarded or isinstance(self.focused, Input):
            return False
        if self.console_screen is None:
            # Between two servers a key means nothing.
            return True
        if isinstance(self.screen, ConsoleScreen) and not self.screen.is_whole:
            # Its own queue gives the key out when the widgets that it means are there.
            return False
        self.app_focus = True
        if event.key == "escape" and self.state.past is not None and self.at_screen:
            self.action_live()
            return True
        return await self._check_bindings(event.key, priority=True) or await self._check_bindings(
            event.key
        )

    @property
    def at_screen(self) -> bool:
        """Whether keys go to a screen, not to a dialog over it."""
        return self.screen is self.console_screen

    @property
    def typing(self) -> bool:
        """Whether keys go into a field."""
        from textual.widgets import Input

        return isinstance(self.focused, Input)

    @work(exclusive=True, group="spare", exit_on_error=False)
    async def spare_link(self, low: bool) -> None:
        """Ask the server for fewer rows, or for all again; before the connection is made it is
        asked so from the beginning.
        """
        if self._connection is not None and self._connection.done():
            await self._connection.result().spare(low)

    # What screens ask for.

    @on(Request)
    def _request(self, request: Request) -> None:
        self.answers.answer(request)

    def action_help(self) -> None:
        """Keys and signs of this screen."""
        self.answers.help()

    def action_new_run(self) -> None:
        """Ask what to run."""
        self.answers.new_run()

    # Keys and commands.

    async def action_command(self) -> None:
        """Type a command."""
        screen = self.console_screen
        if screen is not None and self.screen is screen:
            await screen.open_prompt("command")

    @on(ActionRequested)
    async def _action_requested(self, event: ActionRequested) -> None:
        await self.run_action(event.action)

    async def action_retry_now(self) -> None:
        """End the wait for the next attempt; ask again for what a screen could not have."""
        if (screen := self.console_screen) is not None:
            screen.retry()
        if self._connection is not None and self._connection.done():
            self._connection.result().feed.retry_now()
            if not self.state.link.connected:
                self.tell("link.retrying")

    @on(ServerMessage)
    def _server_message(self, message: ServerMessage) -> None:
        self.switching.answer(message)

    @on(ViewMessage)
    def _view_message(self, message: ViewMessage) -> None:
        self.answers.views.answer(message)


def _clean_target(target: Target) -> Target:
    return Target(
        context=clean(target.context, limit=40, fold=True),
        server_url=clean(target.server_url, limit=200, fold=True),
        credential=clean(target.credential, limit=200, fold=True),
    )
