"""The line at the bottom where commands, filters and searches are typed, with completion."""

from collections.abc import Callable, Sequence
from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from runwatch_shared.text import clean

Purpose = Literal["command", "filter", "search"]
_SIGNS: dict[Purpose, str] = {"command": ":", "filter": "f ", "search": "/"}


class PromptInput(Input):
    """An input whose Tab completes and whose Escape gives up."""

    class Completed(Message):
        """Tab was pressed: +1 forward, -1 back."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class GivenUp(Message):
        """Escape, or Backspace in an empty line."""

    class Recalled(Message):
        """An arrow was pressed: -1 to the text before, +1 to the one after."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class TooLate(Message):
        """A key that came here behind the one that ended the line."""

        def __init__(self, key: events.Key) -> None:
            super().__init__()
            self.key = key

    ended = False
    """Enter or Escape was pressed: the keys behind it in a burst are not for this line."""
    recalls = False
    """Whether the arrows go through what was typed before; else through what completes."""

    async def on_key(self, event: events.Key) -> None:
        """Keys that an input does not have of itself."""
        if self.ended:
            self._tell(event, self.TooLate(event))
        elif self.recalls and event.key in ("up", "down"):
            self._tell(event, self.Recalled(-1 if event.key == "up" else 1))
        elif event.key in ("tab", "down"):
            self._tell(event, self.Completed(1))
        elif event.key in ("shift+tab", "up"):
            self._tell(event, self.Completed(-1))
        elif event.key == "escape" or (event.key == "backspace" and not self.value):
            self.ended = True
            self._tell(event, self.GivenUp())
        elif bindings := self._bindings.key_to_bindings.get(event.key):
            # By way of the screen and the app it would come after the letters behind it: `^u` and a
            # new line in one burst would leave an empty one.
            event.stop()
            event.prevent_default()
            self.ended = event.key == "enter"
            await self.run_action(bindings[0].action)

    def _on_paste(self, event: events.Paste) -> None:
        """What is pasted comes from outside: its first line, harmless."""
        event.stop()
        event.prevent_default()
        lines = event.text.splitlines()
        self.insert_text_at_cursor(clean(lines[0], limit=2000, fold=True) if lines else "")

    def _tell(self, event: events.Key, message: Message) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(message)


class Prompt(Vertical):
    """Hidden until asked for. Says what was typed, and while it is typed."""

    DEFAULT_CSS = """
    Prompt { height: auto; display: none; dock: bottom; }
    Prompt.-shown { display: block; }
    Prompt Horizontal { height: 1; }
    Prompt #sign { width: auto; height: 1; }
    Prompt PromptInput { width: 1fr; height: 1; border: none; padding: 0; }
    Prompt #offers { height: auto; max-height: 3; }
    Prompt #offers.-empty { display: none; }
    """

    class Changed(Message):
        """The text is another now."""

        def __init__(self, purpose: Purpose, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Submitted(Changed):
        """Enter was pressed."""

    class Cancelled(Changed):
        """The user gave up; `text` is what stood there before the prompt was opened."""

    class TooLate(Message):
        """A key meant for what the line has led to; said behind `Submitted` or `Cancelled`."""

        def __init__(self, key: events.Key) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.purpose: Purpose = "command"
        self._complete: Callable[[str], list[str]] = lambda _: []
        self._before = ""
        self._offers: list[str] = []
        self._offer = -1
        self._completing = False
        self._history: Sequence[str] = ()
        self._recalled = 0
        """Place in the history; its length for what is typed now."""
        self._typed = ""
        """What stood there before the history was gone through."""

    def compose(self) -> ComposeResult:
        """The offers above the line."""
        yield Static(id="offers", classes="-empty", markup=False)
        with Horizontal():
            yield Static(id="sign", markup=False)
            yield PromptInput(id="typed", select_on_focus=False)

    @property
    def shown(self) -> bool:
        """Whether the user is typing here."""
        return self.has_class("-shown")

    def open(
        self,
        purpose: Purpose,
        text: str,
        complete: Callable[[str], list[str]],
        *,
        before: str | None = None,
        history: Sequence[str] = (),
    ) -> None:
        """Show the line, with a text to begin from. `before`: what comes back when it is given up,
        where that is not the same; `history`: what the arrows bring, the newest last.
        """
        self.purpose = purpose
        self._complete = complete
        self._before = text if before is None else before
        self._history, self._recalled = history, len(history)
        self.add_class("-shown")
        self.query_one("#sign", Static).update(Content(_SIGNS[purpose]))
        typed = self.query_one(PromptInput)
        typed.recalls = bool(history)
        typed.ended = False
        with self.prevent(Input.Changed):
            typed.value = text
        typed.cursor_position = len(text)
        self._offer_again(text)
        # Not `focus()`, which waits for its turn: the next key of a burst is there before.
        self.screen.set_focus(typed)

    def show_problem(self, text: str) -> None:
        """Say what is wrong with what was typed; clean text. Nothing wrong: the offers come
        back.
        """
        if not text:
            self._show_offers()
            return
        offers = self.query_one("#offers", Static)
        offers.update(Content(f" {text}"))
        offers.remove_class("-empty")
        offers.add_class("-problem")

    def close(self) -> None:
        """Hide the line."""
        self.remove_class("-shown")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offer what may come of it, and say it."""
        event.stop()
        if not self.shown:
            return
        if self._completing:
            self._completing = False
        else:
            self._offer_again(event.value)
        self.post_message(self.Changed(self.purpose, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Done."""
        event.stop()
        self.close()
        self.post_message(self.Submitted(self.purpose, event.value))

    def on_prompt_input_given_up(self, event: PromptInput.GivenUp) -> None:
        """Leave everything as it was."""
        event.stop()
        self.close()
        self.post_message(self.Cancelled(self.purpose, self._before))

    def on_prompt_input_too_late(self, event: PromptInput.TooLate) -> None:
        """The same way as what was said before it, so that it comes behind."""
        event.stop()
        self.post_message(self.TooLate(event.key))

    def on_prompt_input_completed(self, event: PromptInput.Completed) -> None:
        """Put the next offer in the line."""
        event.stop()
        if not self._offers:
            return
        self._offer = (self._offer + event.step) % len(self._offers)
        typed = self.query_one(PromptInput)
        self._completing = True
        typed.value = self._offers[self._offer]
        typed.cursor_position = len(typed.value)
        self._show_offers()

    def on_prompt_input_recalled(self, event: PromptInput.Recalled) -> None:
        """Put what was typed before in the line; after the newest, what was being typed."""
        event.stop()
        typed = self.query_one(PromptInput)
        if self._recalled == len(self._history):
            self._typed = typed.value
        self._recalled = min(max(0, self._recalled + event.step), len(self._history))
        typed.value = [*self._history, self._typed][self._recalled]
        typed.cursor_position = len(typed.value)

    def _offer_again(self, text: str) -> None:
        self._offers = self._complete(text)[:50]
        self._offer = -1
        self._show_offers()

    def _show_offers(self) -> None:
        offers = self.query_one("#offers", Static)
        offers.remove_class("-problem")
        shown = [
            f"[{offer.rpartition(' ')[2]}]" if index == self._offer else offer.rpartition(" ")[2]
            for index, offer in enumerate(self._offers)
        ]
        first = max(0, self._offer - 5)
        offers.set_class(not shown, "-empty")
        offers.update(Content(" " + "  ".join(shown[first : first + 30])))
