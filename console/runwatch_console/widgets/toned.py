"""Tones: the named colours of the style sheet, for widgets that paint their own lines."""

from typing import Final

from rich.style import Style
from textual.dom import DOMNode
from textual.widget import Widget

TONES: Final = (
    "running",
    "waiting",
    "stalled",
    "looping",
    "slow",
    "queued",
    "done",
    "failed",
    "cancelled",
    "unknown",
    "muted",
    "id",
    "tool",
    "heading",
    "title",
    "accent",
    "match",
    "key",
    "alarm",
    "json-key",
    "json-text",
    "json-number",
    "json-constant",
)
_PLAIN: Final = Style()


class Toned(Widget):
    """A widget whose lines are made of (text, tone).

    What a tone looks like is `.tone--<name>` in the sheet, worked out when it is first asked for:
    Textual would work out all component classes of each widget, whenever a class above it changes,
    which was a third of the console's start (ADR 0026). Colours may be partly transparent: they are
    laid over the widget's background here, since a line of a terminal knows no transparency.
    """

    _styles_made: dict[str, Style] | None = None
    _base_made: Style | None = None

    @property
    def base_style(self) -> Style:
        """What the widget looks like where no tone is; kept until the theme or the sheet changes:
        Textual makes it anew for each line.
        """
        if self._base_made is None:
            self._base_made = self.rich_style
        return self._base_made

    def tone(self, name: str) -> Style:
        """The style of a tone; without a background unless the sheet gives it one."""
        return self._style(f"tone--{name}") if name else _PLAIN

    def tone_in(self, row: Style, name: str) -> Style:
        """A row's style with a tone. A reversed row stays one bar: colours of tones would be
        as many patches of other backgrounds, with text on them that is hard to read.
        """
        tone = self.tone(name)
        if not row.reverse or not tone:
            return row + tone
        return row + Style(bold=tone.bold, italic=tone.italic, underline=tone.underline)

    def row_style(self, name: str) -> Style:
        """The style of a whole row: `cursor`, `cursor-blurred`, `marked`, `stale`, `heading`."""
        return self._style(f"row--{name}")

    def notify_style_update(self) -> None:
        """The theme or the sheet changed."""
        super().notify_style_update()
        self._styles_made = None
        self._base_made = None

    def _style(self, component: str) -> Style:
        if self._styles_made is None:
            self._styles_made = {}
        style = self._styles_made.get(component)
        if style is None:
            style = self._styles_made[component] = self._make_style(component)
        return style

    def _make_style(self, component: str) -> Style:
        # As Textual does it for a component class: a node that only the sheet ever sees.
        node = DOMNode(classes=component)
        node._attach(self.app)
        self.app.stylesheet.apply(node, animate=False)
        styles = node.styles
        under = self.background_colors[1]
        color = (under + styles.color).rich_color if styles.has_rule("color") else None
        over = (under + styles.background).rich_color if styles.has_rule("background") else None
        return Style.from_color(color, over) + styles.text_style
