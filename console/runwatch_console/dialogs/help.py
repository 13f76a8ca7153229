"""Help of one screen: its keys, the signs of states, and the filter language."""

from collections.abc import Iterable, Mapping, Sequence

from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.dialogs.base import Dialog
from runwatch_console.filters import FIELDS
from runwatch_console.keymap import Key, Owner, key_text, keys_of
from runwatch_console.looks import LOOKS
from runwatch_console.state import ConsoleState
from runwatch_console.widgets.cells import fit

TWO_COLUMNS = 120
"""In less a sentence of a column would go on in a second line."""


class HelpDialog(Dialog[None]):
    """Made from the key table, so it cannot be out of date."""

    def __init__(
        self, state: ConsoleState, owners: Sequence[Owner], keymap: Mapping[str, str]
    ) -> None:
        super().__init__(state)
        self.owners = owners
        self.keymap = keymap

    @property
    def title_text(self) -> str:
        """Help."""
        return self.state.words("help.title")

    def compose_content(self) -> Iterable[Widget]:
        """Keys in two columns where there is room, then signs, then filters."""
        with Horizontal(id="help-keys"):
            keys = keys_of(self.owners)
            half = (len(keys) + 1) // 2 if self.app.size.width >= TWO_COLUMNS else len(keys)
            for part in filter(None, (keys[:half], keys[half:])):
                yield Static(self._keys(part), classes="keys", markup=False)
        yield Static(self._signs(), id="help-signs", markup=False)
        yield Static(self._filters(), id="help-filters", markup=False)

    def _keys(self, keys: Sequence[Key]) -> Content:
        words = self.state.words
        lines = []
        for key in keys:
            shown = fit(key_text(self.keymap.get(key.id, key.keys)), 10)
            lines.append(Content.assemble((f" {shown}", "$text-accent"), words(key.help)))
        return Content("\n").join(lines)

    def _signs(self) -> Content:
        words = self.state.words
        lines = [Content.styled(words("help.signs"), "bold")]
        seen = set()
        for look in LOOKS:
            if look.word in seen:
                continue
            seen.add(look.word)
            sign = look.ascii if self.state.preferences.ascii else look.glyph
            word = fit(f"{sign} {words(look.word)}", 14)
            lines.append(Content(f" {word}{words(f'{look.word}.help')}"))
        return Content("\n").join(lines)

    def _filters(self) -> Content:
        words = self.state.words
        text = words("help.filter_text", fields=" ".join(FIELDS))
        return Content.assemble((words("help.filter"), "bold"), f"\n{text}\n\n", words("help.age"))
