"""The console's app: its screens, its keys, the worker that reads the feed, and the fold.

A dialog is loaded when it is asked for: the first frame does not wait for it.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from textual import events, on, work
from textual.app import App
from textual.filter import Monochrome, NoColor

from runwatch_console.clipboard import copy_way
from runwatch_console.commands import CommandError
from runwatch_console.fleet import fold
from runwatch_console.formats import TimeFormat
from runwatch_console.lens import as_ascii
from runwatch_console.link import next_link
from runwatch_console.messages import (
    ActionRequested,
    CancelRequested,
    CommandEntered,
    CopyRequested,
    ExplainRequested,
    FeedArrived,
    PeekRequested,
    RetryRequested,
    RunOpenRequested,
    RunsRequested,
    ScreenRequested,
    ScreenShown,
    SortRequested,
    TimeFormatRequested,
)
from runwatch_console.ordering import sort_named
from runwatch_console.pacing import paced
from runwatch_console.ports import (
    ApiError,
    Connect,
    Connected,
    Connection,
    Frame,
    Target,
)
from runwatch_console.rows import RunRow
from runwatch_console.screens.absent import AuthScreen, TasksScreen
from runwatch_console.screens.attention import AttentionScreen
from runwatch_console.screens.base import ConsoleScreen, Host
from runwatch_console.screens.command_requests import request_of
from runwatch_console.screens.nodes import NodesScreen
from runwatch_console.screens.pulse import PulseScreen
from runwatch_console.screens.run_detail import RunScreen
from runwatch_console.screens.run_list import RunListScreen
from runwatch_console.screens.runs import RunsScreen
from runwatch_console.state import CaughtUp, ConsoleState, Preferences
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.toned import TONE_CLASSES
from runwatch_shared.clock import Clock, SystemClock
from runwatch_shared.text import clean
from runwatch_shared.wire import SnapshotFrame

HOME: Final = "attention"
SCREENS: Final[Mapping[str, Callable[[Host], ConsoleScreen]]] = {
    HOME: AttentionScreen,
    "runs": RunsScreen,
    "run": RunScreen,
    "nodes": NodesScreen,
    "auth": AuthScreen,
    "pulse": PulseScreen,
    "tasks": TasksScreen,
}
FOLDS_PER_S: Final = 20
FRAMES_PER_S_LOW: Final = 2
CAUGHT_UP_SHOWN_S: Final = 6.0
HISTORY_LIMIT: Final = 50
CLOSING_S: Final = 2.0


class ConsoleApp(App[None]):
    """One worker reads the feed, one handler folds it; screens are functions of their state."""

    COMPONENT_CLASSES = set(TONE_CLASSES)
    CSS_PATH = "console.tcss"
    BINDINGS = bindings_for("app")
    ENABLE_COMMAND_PALETTE = False
    DEFAULT_MODE = HOME
    TITLE = "Runwatch"

    def __init__(
        self,
        *,
        target: Target,
        connect: Connect,
        preferences: Preferences,
        keymap: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        settled: Callable[[], object] = lambda: None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        super().__init__()
        self.keymap = dict(keymap or {})
        self.environment = environment
        self.clock = clock or SystemClock()
        self.state = ConsoleState(
            target=Target(
                context=clean(target.context, limit=40, fold=True),
                server_url=clean(target.server_url, limit=200, fold=True),
                credential=clean(target.credential, limit=200, fold=True),
            ),
            preferences=preferences,
            now_mono_s=self.clock.monotonic(),
        )
        if self.no_color:
            # Textual answers NO_COLOR with shades of grey, which are colours too.
            kept = [each for each in self._filters if not isinstance(each, Monochrome)]
            self._filters = [*kept, NoColor()]
        self._connect = connect
        self._settled = settled
        """Called when much was made that stays: the first frame, a snapshot."""
        self._connection: asyncio.Future[Connection] | None = None
        self._mode = HOME
        self._trail: list[tuple[str, str]] = [(HOME, "")]
        self._trail_at = 0
        self._events_before_loss: int | None = None
        for name, kind in SCREENS.items():
            self.add_mode(name, partial(kind, self))

    @property
    def pace_s(self) -> float:
        """Seconds between two folds, at least."""
        low = self.state.preferences.low_bandwidth
        return 1 / (FRAMES_PER_S_LOW if low else FOLDS_PER_S)

    async def connection(self) -> Connection:
        """The connection, made once, in a thread, after the first frame."""
        assert self._connection is not None
        return await asyncio.shield(self._connection)

    def on_mount(self) -> None:
        """Keys as the user wants them; the network only after the first frame."""
        self.set_keymap(self.keymap)
        if self.state.preferences.low_bandwidth:
            self.animation_level = "none"
        self._connection = asyncio.get_running_loop().create_future()
        self.call_after_refresh(self.read_feed)
        self.set_interval(1.0, self._tick)

    async def on_unmount(self) -> None:
        """Let the network go with the console; the process does not wait for it for long."""
        if self._connection is not None and self._connection.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSING_S):
                    await self._connection.result().close()

    # The feed.

    @work(exclusive=True, group="feed", exit_on_error=True)
    async def read_feed(self) -> None:
        """Read the feed for ever, in batches, each folded before the next is taken."""
        assert self._connection is not None
        self._settled()
        connection = await asyncio.to_thread(self._connect)
        self._connection.set_result(connection)
        async with aclosing(paced(connection.feed.frames(), self.pace_s, name="feed")) as batches:
            async for items in batches:
                folded = asyncio.Event()
                self.post_message(FeedArrived(items, folded))
                await folded.wait()

    @on(FeedArrived)
    def _fold_feed(self, event: FeedArrived) -> None:
        """The one place where the fleet changes."""
        now = self.clock.monotonic()
        link, fleet = self.state.link, self.state.fleet
        caught_up = self.state.caught_up
        frames = []
        for item in event.items:
            link = next_link(link, item, now)
            if isinstance(item, Frame):
                frames.append(item.frame)
            elif isinstance(item, Connected):
                self._events_before_loss = fleet.events_seen if fleet.loaded else None
        if frames:
            fleet = fold(fleet, frames)
            caught_up = (
                self._caught_up(fleet.events_seen, resumed=link.resumed, now=now) or caught_up
            )
        if fleet.problem != self.state.fleet.problem:
            self.tell("link.refused", severity="warning", text=fleet.problem)
        self._set_state(
            replace(self.state, link=link, fleet=fleet, caught_up=caught_up, now_mono_s=now)
        )
        event.folded.set()
        if any(isinstance(frame, SnapshotFrame) for frame in frames):
            self.call_after_refresh(self._settled)

    def _caught_up(self, seen: int, *, resumed: bool, now: float) -> CaughtUp | None:
        """What a reconnect brought: the events that rows count now and did not before."""
        before, self._events_before_loss = self._events_before_loss, None
        if before is None:
            return None
        return CaughtUp(
            events=max(0, seen - before), resumed=resumed, until_mono_s=now + CAUGHT_UP_SHOWN_S
        )

    def _tick(self) -> None:
        """Ages go on."""
        self._set_state(replace(self.state, now_mono_s=self.clock.monotonic()))

    def _set_state(self, state: ConsoleState) -> None:
        self.state = state
        screen = self._console_screen
        if screen is not None and screen.is_whole:
            with self.batch_update():
                screen.state = state

    @property
    def _console_screen(self) -> ConsoleScreen | None:
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
            now = self.clock.monotonic()
            self.state = replace(self.state, last_key_mono_s=now, now_mono_s=now)
        await super().on_event(event)

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
        screen = self._console_screen
        if isinstance(screen, RunsScreen):
            if event.filter_text:
                screen.set_filter(event.filter_text)
            else:
                screen.action_filter()

    @on(SortRequested)
    async def _sort_requested(self, event: SortRequested) -> None:
        await self.show_screen("runs")
        sort = sort_named(event.name)
        if isinstance(screen := self._console_screen, RunsScreen) and sort is not None:
            screen.set_sort(sort)

    # Dialogs.

    @on(PeekRequested)
    def _peek(self, event: PeekRequested) -> None:
        from runwatch_console.dialogs.peek import PeekDialog

        if (run := self.state.fleet.runs.get(event.run_id)) is not None:
            self.push_screen(PeekDialog(self, run))

    @on(ExplainRequested)
    def _explain(self, event: ExplainRequested) -> None:
        from runwatch_console.dialogs.explain import ExplainDialog

        if (run := self.state.fleet.runs.get(event.run_id)) is not None:
            self.push_screen(ExplainDialog(self, run))
        else:
            self.tell("run.not_here", run=event.run_id)

    def action_help(self) -> None:
        """Keys and signs of this screen."""
        from runwatch_console.dialogs.help import HelpDialog

        screen = self._console_screen
        if screen is not None and self.screen is screen:
            self.push_screen(HelpDialog(self.state, screen.OWNERS, self.keymap))

    def action_new_run(self) -> None:
        """Ask what to run."""
        from runwatch_console.dialogs.new_run import NewRunDialog

        if self._may_write():
            self.push_screen(NewRunDialog(self), self._run_made)

    async def _run_made(self, run_id: str | None) -> None:
        if run_id:
            self.tell("new.made", run=run_id)
            await self.show_screen("run", run_id=run_id)

    @on(CancelRequested)
    def _cancel_requested(self, event: CancelRequested) -> None:
        """Ask, then cancel: only what can still be cancelled."""
        from runwatch_console.dialogs.confirm_cancel import ConfirmCancelDialog

        if not self._may_write():
            return
        runs = [self.state.fleet.runs.get(run_id) for run_id in event.run_ids]
        live = [run for run in runs if run is not None and not run.ended]
        if not live:
            self.tell("cancel.none")
            return
        self.push_screen(
            ConfirmCancelDialog(self.state, live), partial(self._cancel_answered, live)
        )

    def _cancel_answered(self, runs: list[RunRow], yes: bool | None) -> None:
        if yes:
            self.cancel_runs(tuple(run.id for run in runs))
            if isinstance(screen := self._console_screen, RunListScreen):
                screen.clear_marks()

    @work(group="write", exit_on_error=False)
    async def cancel_runs(self, run_ids: tuple[str, ...]) -> None:
        """Cancel one after the other; what the server answered is said."""
        connection = await self.connection()
        asked = 0
        for run_id in run_ids:
            try:
                await connection.api.cancel_run(run_id)
                asked += 1
            except ApiError as error:
                self.tell("cancel.refused", severity="error", run=run_id, error=_said(error))
        if asked:
            self.tell("cancel.asked", n=asked)

    @work(group="write", exit_on_error=False)
    async def retry_run(self, run_id: str) -> None:
        """Run it again, and open the new run."""
        connection = await self.connection()
        try:
            run = await connection.api.retry_run(run_id)
        except ApiError as error:
            self.tell("retry.refused", severity="error", run=run_id, error=_said(error))
            return
        self.tell("new.made", run=clean(run.id))
        self.post_message(RunOpenRequested(clean(run.id)))

    @on(RetryRequested)
    def _retry_requested(self, event: RetryRequested) -> None:
        if self._may_write():
            self.retry_run(event.run_id)

    def _may_write(self) -> bool:
        if self.state.link.read_only:
            self.tell("read_only", severity="warning", scope=self.state.link.scope)
            return False
        return True

    # Keys and commands.

    def action_command(self) -> None:
        """Type a command."""
        screen = self._console_screen
        if screen is not None and self.screen is screen:
            screen.open_prompt("command")

    @on(CommandEntered)
    def _command_entered(self, event: CommandEntered) -> None:
        try:
            self.post_message(request_of(event.text, self.state.fleet, event.run_id))
        except CommandError as error:
            facts = {name: clean(fact) for name, fact in error.facts.items()}
            self.tell(error.word, severity="warning", **facts)

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

    @on(TimeFormatRequested)
    def _time_format_requested(self, event: TimeFormatRequested) -> None:
        self.set_time_format(TimeFormat(event.name))

    def set_time_format(self, time_format: TimeFormat) -> None:
        """Show moments so."""
        preferences = replace(self.state.preferences, time_format=time_format)
        self._set_state(replace(self.state, preferences=preferences))
        self.tell("time.now", format=self.state.words(f"time.{time_format.value}"))

    @on(CopyRequested)
    def _copy(self, event: CopyRequested) -> None:
        way = copy_way(self.environment, len(event.text))
        if way.command:
            self.copy_by_program(way.command, event.text, way.word)
            return
        self.copy_to_clipboard(event.text)
        self.tell(way.word, n=f"{len(event.text):,}")

    @work(group="copy", exit_on_error=False)
    async def copy_by_program(self, command: tuple[str, ...], text: str, word: str) -> None:
        """Give the text to a program; its failure is said."""
        try:
            async with asyncio.timeout(5):
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                )
                await process.communicate(text.encode())
        except (OSError, TimeoutError):
            self.tell("copy.failed", severity="error", program=command[0])
            return
        if process.returncode == 0:
            self.tell(word, n=f"{len(text):,}")
        else:
            self.tell("copy.failed", severity="error", program=command[0])

    def tell(self, word: str, *, severity: Any = "information", **facts: object) -> None:
        """A short message in the user's language; facts are clean."""
        text = self.state.words(word, **facts)
        text = as_ascii(text) if self.state.preferences.ascii else text
        self.notify(text, severity=severity, markup=False, timeout=5)


def _said(error: ApiError) -> str:
    return clean(error.error, limit=200, fold=True)
