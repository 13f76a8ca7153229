"""The frame of every screen: top line, bar of a broken connection, key line, and "too small".

Only what the first frame shows is composed at once; the rest, and what it imports, comes after it.
"""

import asyncio
from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from runwatch_console.keymap import Owner, key_text, keys_of
from runwatch_console.lens import as_ascii
from runwatch_console.messages import ScreenShown
from runwatch_console.screens.host import Host
from runwatch_console.state import ConsoleState
from runwatch_console.statustext import Span, bar_lines, status_spans
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.text_line import TextLine


class FrameScreen(Screen[None]):
    """Base of `ConsoleScreen`: what stands around the body, and when a state is shown."""

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
        self.set_reactive(FrameScreen.state, host.state)
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
        left, right = status_spans(
            state, width, self.title_spans(), counts=self.COUNTS, cells=cell_len
        )
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
