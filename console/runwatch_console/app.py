"""The console's app: its state, its screens and keys.

What the feed brings is `feeding`'s, what screens ask for `answers`': the first frame waits for
neither.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import events, on, work
from textual.filter import Monochrome, NoColor
from textual.screen import Screen

from runwatch_console.feeditems import Target
from runwatch_console.formats import TimeFormat
from runwatch_console.lens import as_ascii
from runwatch_console.messages import (
    ActionRequested,
    ColumnsRequested,
    FeedArrived,
    Request,
    RunOpenRequested,
    RunsRequested,
    ScreenRequested,
    ScreenShown,
    SortRequested,
    ThemeRequested,
    TimeFormatRequested,
    ViewMessage,
)
from runwatch_console.screens.base import ConsoleScreen
from runwatch_console.screens.registry import HOME, PLACES, load_screens, make_screen
from runwatch_console.state import ConsoleState, Preferences
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.theming import ThemedApp
from runwatch_shared.clock import Clock, SystemClock
from runwatch_shared.text import clean

if TYPE_CHECKING:
    from runwatch_console.answers import Answers
    from runwatch_console.feeding import Feeding
    from runwatch_console.ports import Connect, Connection

REST_OF_STYLES: Final = "console.tcss"
FOLDS_PER_S: Final = 20
FRAMES_PER_S_LOW: Final = 2
HISTORY_LIMIT: Final = 50
CLOSING_S: Final = 2.0


class ConsoleApp(ThemedApp):
    """One worker reads the feed, one handler folds it; screens are functions of their state."""

    CSS_PATH = "first_frame.tcss"
    BINDINGS = bindings_for("app")
    ENABLE_COMMAND_PALETTE = False
    DEFAULT_MODE = HOME
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
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.DEFAULT_MODE = preferences.home  # type: ignore[misc]  # the constructor reads it
        super().__init__(preferences.theme)
        self.keymap = dict(keymap or {})
        self.environment = environment
        self.clock = clock or SystemClock()
        self.feed_clock = feed_clock or self.clock
        """What the feed's moments are measured by: in a replay it stands and runs with it."""
        self.state = ConsoleState(
            target=Target(
                context=clean(target.context, limit=40, fold=True),
                server_url=clean(target.server_url, limit=200, fold=True),
                credential=clean(target.credential, limit=200, fold=True),
            ),
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
        self._connect = connect
        self._settled = settled
        """Called when much was made that stays: the first frame, a snapshot."""
        self._connection: asyncio.Future[Connection] | None = None
        self._mode = preferences.home
        self._trail: list[tuple[str, str]] = [(preferences.home, "")]
        self._trail_at = 0
        self._drawn = False
        self._feed_rests = asyncio.Event()
        """Set while the feed is not read."""
        self._feed_rests.set()
        self._feeding: Feeding | None = None

    def get_default_screen(self) -> Screen[Any]:
        """Home. A mode becomes known only after it: for a mode Textual reads the style sheet again,
        twice.
        """
        return make_screen(self.state.preferences.home, self)

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
        for name in PLACES:
            self.add_mode(name, partial(make_screen, name, self))
        self.set_keymap(self.keymap)
        if self.state.preferences.low_bandwidth:
            self.animation_level = "none"
        self._connection = asyncio.get_running_loop().create_future()
        self.call_after_refresh(self.read_feed)
        self.set_interval(1.0, self._tick)

    async def on_unmount(self) -> None:
        """Let the network go with the console; the process does not wait for it for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self._feed_rests.wait()
                if self._connection is not None and self._connection.done():
                    await self._connection.result().close()

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
        self._feeding = Feeding(self.post_message, rewinds=self.REWINDS)
        connection = await asyncio.to_thread(self._connect)
        self._connection.set_result(connection)
        self.load_rest()
        await self._feeding.read(connection, self.pace_s)

    @work(thread=True, group="load", exit_on_error=False)
    def load_rest(self) -> None:
        """The other screens, while nobody waits for them."""
        load_screens()

    @on(FeedArrived)
    def _fold_feed(self, event: FeedArrived) -> None:
        """The one place where the fleet changes."""
        from runwatch_console.feeding import brings_much

        assert self._feeding is not None
        state = self._feeding.folded(self.state, event, self.feed_clock.monotonic())
        if state.past is None and state.fleet.problem != self.state.fleet.problem:
            self.tell("link.refused", severity="warning", text=state.fleet.problem)
        loss, before = state.link.loss, self.state.link.loss
        self._set_state(replace(state, hand_mono_s=self.clock.monotonic()))
        event.folded.set()
        if loss is not None and loss is not before and loss.offered is not None:
            from runwatch_console.trusting import ask_to_trust

            ask_to_trust(self, loss.offered)
        if brings_much(event):
            self.call_after_refresh(self._settled)

    def _tick(self) -> None:
        """Ages go on."""
        now, hand = self.feed_clock.monotonic(), self.clock.monotonic()
        self._set_state(replace(self.state, now_mono_s=now, hand_mono_s=hand))

    def _set_state(self, state: ConsoleState) -> None:
        self.state = state
        screen = self.console_screen
        if screen is not None and screen.is_whole:
            with self.batch_update():
                screen.state = state

    @property
    def console_screen(self) -> ConsoleScreen | None:
        """The screen below any dialogs."""
        stack = self.screen_stack
        return stack[0] if stack and isinstance(stack[0], ConsoleScreen) else None

    @on(ScreenShown)
    def _screen_shown(self) -> None:
        self._set_state(self.state)

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

    # Going back in time.

    @property
    def at_screen(self) -> bool:
        """Whether keys go to a screen, not to a dialog over it."""
        return self.screen is self.console_screen

    @property
    def mode(self) -> str:
        """Name of the screen that is shown."""
        return self._mode

    @property
    def typing(self) -> bool:
        """Whether keys go into a field."""
        from textual.widgets import Input

        return isinstance(self.focused, Input)

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
        self._set_state(replace(state, last_key_mono_s=float("-inf")))

    def action_live(self) -> None:
        """Show what is now."""
        if self._feeding is not None and self.state.past is not None:
            self.show_moment(self._feeding.rewind.returned(self.state))

    # Going about.

    async def show_screen(self, name: str, *, run_id: str = "", keep_trail: bool = False) -> None:
        """Show a screen by name, and remember the way back."""
        if run_id:
            self.state = replace(self.state, run_id=run_id)
        stop = (name, self.state.run_id if name == "run" else "")
        if not keep_trail and self._trail[self._trail_at] != stop:
            self._trail = [*self._trail[: self._trail_at + 1], stop][-HISTORY_LIMIT:]
            self._trail_at = len(self._trail) - 1
        if name != self._mode:
            self._mode = name
            await self.switch_mode(name)
        self._set_state(self.state)

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

    @on(RunsRequested)
    async def _show_runs(self, event: RunsRequested) -> None:
        await self.show_screen("runs")
        if (screen := self.console_screen) is not None:
            await screen.take_filter(event.filter_text)

    @on(SortRequested)
    async def _sort_requested(self, event: SortRequested) -> None:
        await self.show_screen("runs")
        if (screen := self.console_screen) is not None:
            screen.take_sort(event.name)

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
        """End the wait for the next attempt."""
        if self._connection is not None and self._connection.done():
            self._connection.result().feed.retry_now()
            if not self.state.link.connected:
                self.tell("link.retrying")

    def action_time_format(self) -> None:
        """Relative, local, UTC, round and round."""
        self.set_time_format(self.state.preferences.time_format.following())

    @on(ThemeRequested)
    def _theme_requested(self, event: ThemeRequested) -> None:
        self.wear(event.name)
        self.prefer(replace(self.state.preferences, theme=event.name))

    @on(ViewMessage)
    def _view_message(self, message: ViewMessage) -> None:
        self.answers.views.answer(message)

    @on(ColumnsRequested)
    async def _columns_requested(self, event: ColumnsRequested) -> None:
        await self.show_screen("runs")
        if (screen := self.console_screen) is not None:
            screen.take_columns(event.names)

    @on(TimeFormatRequested)
    def _time_format_requested(self, event: TimeFormatRequested) -> None:
        self.set_time_format(TimeFormat(event.name))

    def set_time_format(self, time_format: TimeFormat) -> None:
        """Show moments so."""
        self.prefer(replace(self.state.preferences, time_format=time_format))
        self.tell("time.now", format=self.state.words(f"time.{time_format.value}"))

    def prefer(self, preferences: Preferences) -> None:
        """Show all as these want it."""
        self._set_state(replace(self.state, preferences=preferences))

    def tell(self, word: str, *, severity: Any = "information", **facts: object) -> None:
        """A short message in the user's language; facts are clean."""
        text = self.state.words(word, **facts)
        text = as_ascii(text) if self.state.preferences.ascii else text
        self.notify(text, severity=severity, markup=False, timeout=5)
