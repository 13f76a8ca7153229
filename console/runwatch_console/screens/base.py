"""What every screen has: top line, bar of a broken connection, key line, prompt, and "too
small".

Only what the first frame shows is composed at once; the rest, and what it imports, comes after it.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar, Protocol

from rich.cells import cell_len
from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from runwatch_console.keymap import Owner, key_text, keys_of
from runwatch_console.lens import as_ascii
from runwatch_console.messages import (
    CommandEntered,
    CopyRequested,
    RunItemsArrived,
    ScreenShown,
)
from runwatch_console.state import ConsoleState
from runwatch_console.statustext import Span, bar_lines, status_spans
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.text_line import TextLine

if TYPE_CHECKING:
    from runwatch_console.ports import Connection
    from runwatch_console.views import View
    from runwatch_console.widgets.prompt import Prompt
    from runwatch_shared.settings import SavedView


class Host(Protocol):
    """What screens know of the app."""

    @property
    def state(self) -> ConsoleState:
        """The newest state."""
        ...

    @property
    def pace_s(self) -> float:
        """Seconds between two updates of a stream, at least."""
        ...

    @property
    def keymap(self) -> Mapping[str, str]:
        """The user's own keys, by id."""
        ...

    @property
    def drawn(self) -> bool:
        """Whether the first frame has been shown."""
        ...

    async def connection(self) -> "Connection":
        """The connection, once it is made."""
        ...

    def read_styles(self) -> None:
        """Read what the first frame did without of the style sheet."""
        ...


class ConsoleScreen(Screen[None]):
    """Base of the screens. Subclasses give a body and say what follows from a new state."""

    BINDINGS = bindings_for("browse")
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-medium"), (160, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (15, "-tall"), (40, "-high")]
    OWNERS: ClassVar[tuple[Owner, ...]] = ("browse", "list", "app")
    """Whose keys help and the key line show, the most particular first."""
    COUNTS: ClassVar[bool] = False
    """Whether the top line counts runs by state."""

    # Without `repaint=False` every state would paint the whole screen, not only what changed.
    state: reactive[ConsoleState] = reactive(
        None,  # type: ignore[arg-type]  # set before anybody reads it
        init=False,
        always_update=True,
        repaint=False,
    )

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host
        self.set_reactive(ConsoleScreen.state, host.state)
        self.needle: re.Pattern[str] | None = None
        self.needle_text = ""
        self.set_class(host.state.preferences.ascii, "-ascii")
        self._bar_text = ""
        self._body: Vertical | None = None
        self._completed = asyncio.Event()

    # Frame.

    def compose(self) -> ComposeResult:
        """The lines around the body, and of the body what the first frame shows."""
        self._set_breakpoints()
        ascii_only = self.state.preferences.ascii
        with Vertical(id="top"):
            yield TextLine(id="status", ascii=ascii_only)
        with Vertical(id="body") as self._body:
            yield from self.compose_body()
        yield TextLine(id="keys", ascii=ascii_only)
        if self.too_small:
            yield QuietText(id="too-small")

    def _set_breakpoints(self) -> None:
        """The classes of the size, before there are widgets: later each costs a style of all."""
        for points, size in (
            (self.HORIZONTAL_BREAKPOINTS, self.app.size.width),
            (self.VERTICAL_BREAKPOINTS, self.app.size.height),
        ):
            reached = [name for least, name in points if size >= least]
            self.add_class(reached[-1], update=False)

    def compose_body(self) -> Iterable[Widget]:
        """The widgets of the screen itself."""
        raise NotImplementedError

    def title_spans(self) -> tuple[Span, ...]:
        """What the top line says of this screen."""
        return ()

    def show_state(self) -> None:
        """Bring the body up to the state."""

    def key_facts(self) -> tuple[Span, ...]:
        """Facts at the right end of the key line."""
        return ()

    @on(events.Mount)
    async def _first_picture(self) -> None:
        """The first picture; what it does not show is made after it."""
        if self.host.drawn:
            await self.complete()
            if self.is_whole:
                self._show()
        else:
            self._show_frame()
            self.show_state()
            self.call_after_refresh(self.complete)

    async def complete(self) -> None:
        """Make the rest of the widgets; from here on new states are shown."""
        from runwatch_console.widgets.prompt import Prompt

        self.host.read_styles()
        if self.is_attached:
            await self.query_one("#top").mount(QuietText(id="bar"))
        if self.is_attached:
            hidden = [] if self.query("#too-small") else [QuietText(id="too-small")]
            await self.mount(Prompt(id="prompt"), *hidden, after="#keys")
        if self.is_attached:
            await self.mount_rest()
        self._completed.set()
        self.post_message(ScreenShown())

    async def mount_rest(self) -> None:
        """Mount what is in the body and not in the first frame."""

    def on_screen_resume(self) -> None:
        """Ask for the newest state: while hidden, none came."""
        self.post_message(ScreenShown())

    def on_screen_suspend(self) -> None:
        """Another screen came to the front; under a dialog this one is still in sight."""
        if not self.in_sight:
            self.left()

    @property
    def width(self) -> int:
        """Columns; before the first layout only the app knows them."""
        return self.size.width or self.app.size.width

    @property
    def too_small(self) -> bool:
        """Whether only the counts have room."""
        return self.has_class("-tiny") or self.has_class("-short")

    @property
    def is_whole(self) -> bool:
        """Whether its widgets are all there: while the app ends, they go one by one."""
        body = self._body
        # A screen that is on its way out is not displayed any more, while its widgets still go.
        if not self._completed.is_set() or not self.display:
            return False
        return self.is_attached and body is not None and body.is_attached and bool(body.children)

    @property
    def in_sight(self) -> bool:
        """Whether it is the screen that is shown, alone or under dialogs."""
        return self in self.app.screen_stack

    def left(self) -> None:
        """Nobody looks any more."""

    def begin_again(self) -> None:
        """The moment that is shown is another: what was read from logs does not belong to it."""

    # What commands ask of the screens that can do it.

    async def take_filter(self, text: str) -> None:
        """Show only what matches; empty: let the user type one."""

    def take_sort(self, name: str) -> None:
        """Show the rows in the order of this name."""

    def take_view(self, view: "View") -> None:
        """Show the rows as this view has them."""

    def present_view(self) -> "SavedView | None":
        """What is shown, to be kept; None where nothing can be."""
        return None

    def take_columns(self, names: Sequence[str]) -> None:
        """Show the rows with these columns; none: all."""

    def clear_marks(self) -> None:
        """Nothing is marked any more."""

    def on_resize(self) -> None:
        """Lines depend on the width."""
        self.show_frame()

    def watch_state(self) -> None:
        """A new state came."""
        self._show()

    def _show(self) -> None:
        # A size or a state may come before the widgets are there, and after some are gone.
        if self.is_whole:
            self._show_frame()
            self.show_state()

    def show_frame(self) -> None:
        """Bring the lines around the body up to date."""
        if self.is_whole:
            self._show_frame()

    def _show_frame(self) -> None:
        state = self.state
        width = self.width
        left, right = status_spans(state, width, self.title_spans(), counts=self.COUNTS)
        self.query_one("#status", TextLine).show(left, right)
        lines = bar_lines(state)
        self.set_class(bool(lines), "-barred")
        self.set_class(state.past is not None, "-past")
        text = "\n".join("".join(part for part, _ in line) for line in lines)
        if state.preferences.ascii:
            text = (
                as_ascii(text) if "\n" not in text else "\n".join(map(as_ascii, text.split("\n")))
            )
        if text != self._bar_text:
            self._bar_text = text
            self.query_one("#bar", QuietText).say(Content(text))
        self.query_one("#keys", TextLine).show(*self._key_spans(width))
        if self.too_small:
            self._show_too_small()

    def _key_spans(self, width: int) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
        """Whole hints only, as many as fit; facts and help stand at the right."""
        words = self.state.words
        hints = []
        for key in keys_of(self.OWNERS):
            if key.hint:
                shown = key_text(self.host.keymap.get(key.id, key.keys)).split(" ")[0]
                hints.append((f" {shown}", f" {words(key.help + '.short')} ", key.id))
        help_hint = next((hint for hint in hints if hint[2] == "app.help"), None)
        right = self.key_facts()
        if help_hint is not None:
            right += ((help_hint[0], "key"), (help_hint[1], "muted"))
        room = width - sum(cell_len(text) for text, _ in right)
        left: list[Span] = []
        for shown, said, key_id in hints:
            room -= cell_len(shown + said)
            if room < 0:
                break
            if key_id != "app.help":
                left += [(shown, "key"), (said, "muted")]
        return tuple(left), right

    def _show_too_small(self) -> None:
        state = self.state
        looks = state.fleet.looks
        counts = {word: looks.get(f"look.{word}", 0) for word in ("run", "wait", "stall")}
        text = state.words("too_small", width=self.width, height=self.app.size.height, **counts)
        self.query_one("#too-small", QuietText).say(Content(text))

    # Prompt.

    async def open_prompt(
        self, purpose: str, text: str = "", complete: Callable[[str], list[str]] | None = None
    ) -> None:
        """Open the line at the bottom."""
        from runwatch_console.commands import complete_command, complete_filter

        await self._completed.wait()
        completions: dict[str, Callable[[str], list[str]]] = {
            "command": lambda typed: complete_command(typed, self.state.fleet, self._views()),
            "filter": lambda typed: complete_filter(typed, self.state.fleet),
            "search": lambda _: [],
        }
        self.prompt.open(purpose, text, complete or completions[purpose])  # type: ignore[arg-type]

    def _views(self) -> list[str]:
        from runwatch_console.views import views_of

        preferences = self.state.preferences
        return [view.name for view in views_of(preferences.views, preferences.user)]

    @property
    def prompt(self) -> "Prompt":
        """The line at the bottom."""
        from runwatch_console.widgets.prompt import Prompt

        return self.query_one(Prompt)

    def on_prompt_submitted(self, event: "Prompt.Submitted") -> None:
        """A line was typed to its end."""
        self.focus_body()
        match event.purpose:
            case "command":
                if event.text.strip():
                    self.post_message(CommandEntered(event.text, self.run_id_here))
            case "search":
                self.set_needle(event.text)
                if event.text:
                    self.search_from_here()
            case "filter":
                self.filter_submitted(event.text)

    def on_prompt_changed(self, event: "Prompt.Changed") -> None:
        """A search or a filter is shown while it is typed."""
        if event.purpose == "search":
            self.set_needle(event.text)
        elif event.purpose == "filter":
            self.filter_typed(event.text)

    def on_prompt_cancelled(self, event: "Prompt.Cancelled") -> None:
        """What was before comes back."""
        self.focus_body()
        if event.purpose == "search":
            self.set_needle(event.text)
        elif event.purpose == "filter":
            self.filter_typed(event.text)

    def filter_typed(self, text: str) -> None:
        """The filter is being typed."""

    def filter_submitted(self, text: str) -> None:
        """The filter was typed to its end."""
        self.filter_typed(text)

    def set_needle(self, text: str) -> None:
        """Highlight this text; empty for nothing."""
        self.needle_text = text
        self.needle = search_pattern(text)
        self.needle_changed()

    def needle_changed(self) -> None:
        """The search is another now."""

    def search_from_here(self) -> None:
        """Go to the first match at the cursor or after it."""
        self.action_search_next(1)

    def focus_body(self) -> None:
        """Keys go to the body again."""

    @property
    def run_id_here(self) -> str:
        """The run that a command without an id means; empty for none."""
        return ""

    # Actions.

    async def action_search(self) -> None:
        """Begin a search."""
        await self.open_prompt("search", self.needle_text)

    def action_search_next(self, step: int) -> None:
        """Go to the next match."""

    def action_escape(self) -> None:
        """Leave what is narrowest: the search, then the filter, then nothing."""
        if self.needle is not None:
            self.set_needle("")

    def action_copy_id(self) -> None:
        """Copy the id of what the cursor stands on."""

    def action_copy_line(self) -> None:
        """Copy the line, or the JSON, of what the cursor stands on."""

    def copy(self, text: str) -> None:
        """Ask the app to copy."""
        if text:
            self.post_message(CopyRequested(text))

    def tell(self, word: str, **facts: object) -> None:
        """A short message; facts are clean."""
        self.notify(self.state.words(word, **facts), markup=False, timeout=4)

    # The network, in a worker.

    @work(exclusive=True, group="follow", exit_on_error=False)
    async def follow_events(self, run_id: str, *, tail: bool = True) -> None:
        """Read a run's events, its tail first or live ones alone; they arrive as
        `RunItemsArrived`.
        """
        from runwatch_console.following import TAIL, follow_run
        from runwatch_console.pacing import paced

        connection = await self.host.connection()
        items = follow_run(connection, run_id, tail=TAIL if tail else 0)
        async with aclosing(paced(items, self.host.pace_s, name=f"events {run_id}")) as batches:
            async for batch in batches:
                self.post_message(RunItemsArrived(run_id, batch))


def search_pattern(text: str) -> re.Pattern[str] | None:
    """What `/` looks for: the text as it is, so that no search can take long; case counts only when
    a
    capital letter was typed."""
    if not text:
        return None
    return re.compile(re.escape(text), re.IGNORECASE if text == text.lower() else re.NOFLAG)
