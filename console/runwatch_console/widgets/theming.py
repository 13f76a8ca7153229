"""An app in our themes, and the filter that keeps to a terminal's sixteen colours."""

from functools import lru_cache
from typing import Final

from rich.color import Color, ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color as TextualColor
from textual.filter import ANSIToTruecolor, LineFilter
from textual.theme import Theme

from runwatch_console.themes import THEMES, ThemeColours

_LEFT_OUT: Final = dict.fromkeys(
    ("ansi-background", "ansi-foreground", "foreground-disabled", "surface-active"), "ansi_default"
)
"""What Textual's sheets name and Textual does not make for a theme of the terminal's colours."""


def textual_theme(colours: ThemeColours) -> Theme:
    """The theme to register; its name is our own."""
    base = dict(colours.base)
    return Theme(
        name=colours.name,
        dark=colours.dark,
        ansi=colours.ansi,
        primary=base.pop("primary"),
        variables=(_LEFT_OUT if colours.ansi else {}) | dict(colours.variables),
        **base,  # type: ignore[arg-type]  # the rest are colours, by Textual's own names
    )


class ThemedApp(App[None]):
    """An app that begins in one of `THEMES` and may change to another at any time."""

    def __init__(self, theme: str) -> None:
        super().__init__()
        self._sixteen = SixteenColours(enabled=THEMES[theme].ansi)
        self._filters.append(self._sixteen)
        self.register_theme(textual_theme(THEMES[theme]))
        # Set before the first frame, it costs no second style of all.
        self.set_reactive(App.theme, theme)
        self.stylesheet.set_variables(self.get_css_variables())
        for each in self._filters:
            if isinstance(each, ANSIToTruecolor):
                each.enabled = not self.native_ansi_color

    def wear(self, theme: str) -> None:
        """Change to the theme of this name.

        Raises:
            KeyError: There is none.
        """
        colours = THEMES[theme]
        self.register_theme(textual_theme(colours))
        self._sixteen.enabled = colours.ansi
        self.theme = theme


class SixteenColours(LineFilter):
    """Nothing but the sixteen colours every terminal has reaches the driver.

    The theme asks for no other; what a widget of Textual mixes by itself is brought to the nearest.
    """

    def apply(self, segments: list[Segment], background: TextualColor) -> list[Segment]:
        """The same text in colours of the terminal's palette."""
        return [
            Segment(text, None if style is None else _nearest(style), control)
            for text, style, control in segments
        ]


@lru_cache(maxsize=2048)
def _nearest(style: Style) -> Style:
    return style + Style.from_color(_standard(style.color), _standard(style.bgcolor))


def _standard(color: Color | None) -> Color | None:
    return None if color is None else color.downgrade(ColorSystem.STANDARD)
