"""What every screen can be asked for: the prompt, a search, copying, and a run's events."""

import re
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from textual import events, work

from runwatch_console.messages import CommandEntered, CopyRequested, RunItemsArrived
from runwatch_console.screens.frame import FrameScreen
from runwatch_console.screens.host import Host as Host

if TYPE_CHECKING:
    from runwatch_console.rows import RunRow
    from runwatch_console.views import View
    from runwatch_console.widgets.prompt import Prompt
    from runwatch_shared.settings import SavedView


MOST_SEARCHES: Final = 50


class ConsoleScreen(FrameScreen):
    """Base of the screens. Subclasses give a body and say what follows from a new state."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.needle: re.Pattern[str] | None = None
        self.needle_text = ""

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

    def run_known(self, run_id: str) -> "RunRow | None":
        """A run that the screen has read of itself."""
        return None

    def retry(self) -> None:
        """Ask again for what could not be had."""

    # Prompt.

    async def open_prompt(
        self,
        purpose: str,
        text: str = "",
        complete: Callable[[str], list[str]] | None = None,
        *,
        before: str | None = None,
        history: Sequence[str] = (),
    ) -> None:
        """Open the line at the bottom; see `Prompt.open`."""
        from runwatch_console.commands import complete_filter

        await self._completed.wait()
        completions: dict[str, Callable[[str], list[str]]] = {
            "command": self._completed_command,
            "filter": lambda typed: complete_filter(typed, self.state.fleet),
            "search": lambda _: [],
        }
        self.prompt.open(
            purpose,  # type: ignore[arg-type]  # of the words above
            text,
            complete or completions[purpose],
            before=before,
            history=history,
        )

    def _completed_command(self, typed: str) -> list[str]:
        from runwatch_console.commands import complete_command
        from runwatch_console.views import views_of

        preferences = self.state.preferences
        views = [view.name for view in views_of(preferences.views, preferences.user)]
        return complete_command(typed, self.state.fleet, views, preferences.contexts)

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
                self._search(event.text)
            case "filter":
                self.filter_submitted(event.text)

    def _search(self, text: str) -> None:
        """Nothing typed means what was searched for last, as in `less` and `vi`."""
        searches = self.host.searches
        text = text or (searches[-1] if searches else "")
        self.set_needle(text)
        if not text:
            return
        if text in searches:
            searches.remove(text)
        searches.append(text)
        del searches[:-MOST_SEARCHES]
        self.search_from_here()

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

    def on_prompt_too_late(self, event: "Prompt.TooLate") -> None:
        """A key behind the one that ended the line is given out anew, for what has the keys now."""
        self.app.post_message(events.Key(event.key.key, event.key.character))

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
        """Begin a search; the arrows bring those of before."""
        before, history = self.needle_text, tuple(self.host.searches)
        await self.open_prompt("search", before=before, history=history)

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
