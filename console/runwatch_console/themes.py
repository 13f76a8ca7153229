"""The themes as data, and which one a terminal gets of itself; what a tone is made of is in the
style sheets, what Textual makes of a theme in `widgets.theming`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class ThemeColours(NamedTuple):
    """The variables of the style sheets that differ by theme: `#rrggbb`, or `ansi_<name>` where a
    theme leaves the colours to the terminal.
    """

    name: str
    dark: bool
    base: Mapping[str, str]
    """`primary`, `secondary`, `warning`, `error`, `success`, `accent`, `foreground`, `background`,
    `surface`, `panel`.
    """
    variables: Mapping[str, str]
    """Everything else; each theme has the same names."""

    @property
    def ansi(self) -> bool:
        """Whether the terminal's own sixteen colours are used."""
        return self.base["background"].startswith("ansi_")


DARK: Final = ThemeColours(
    name="dark",
    dark=True,
    base={
        "primary": "#0178d4",
        "secondary": "#6a4fb3",
        "warning": "#ffa62b",
        "error": "#ba3c5b",
        "success": "#4ebf71",
        "accent": "#ffa62b",
        "foreground": "#e0e0e0",
        "background": "#121212",
        "surface": "#1e1e1e",
        "panel": "#242f38",
    },
    variables={
        "text-primary": "#7cc0f5",
        "text-secondary": "#c3b1f5",
        "text-warning": "#ffc473",
        "text-error": "#ff9fb2",
        "text-success": "#8ad4a1",
        "text-accent": "#ffc473",
        "tone-muted": "#a8a8a8",
        "tone-stale": "#868686",
        "row-cursor": "#0b3b60",
        "row-blurred": "#2c363e",
        "row-marked": "#2f2650",
        "match-text": "#121212",
        "alarm-back": "#a32549",
        "alarm-text": "#ffffff",
        "rule": "#45505a",
    },
)
LIGHT: Final = ThemeColours(
    name="light",
    dark=False,
    base={
        "primary": "#0b5cad",
        "secondary": "#6a4fb3",
        "warning": "#ffc64d",
        "error": "#b3214a",
        "success": "#1e7a3c",
        "accent": "#8a5200",
        "foreground": "#1f1f1f",
        "background": "#fafafa",
        "surface": "#f0f0f0",
        "panel": "#e4e8ec",
    },
    variables={
        "text-primary": "#004a8f",
        "text-secondary": "#4a3396",
        "text-warning": "#6f4200",
        "text-error": "#8f1237",
        "text-success": "#0e5527",
        "text-accent": "#6f4200",
        "tone-muted": "#4a4a4a",
        "tone-stale": "#6c6c6c",
        "row-cursor": "#bcd9f2",
        "row-blurred": "#dfe4e8",
        "row-marked": "#ddd5f2",
        "match-text": "#1f1f1f",
        "alarm-back": "#a31d43",
        "alarm-text": "#ffffff",
        "rule": "#b4bcc4",
    },
)
HIGH_CONTRAST: Final = ThemeColours(
    name="high-contrast",
    dark=True,
    base={
        "primary": "#3aa0ff",
        "secondary": "#b28cff",
        "warning": "#ffd000",
        "error": "#d0002f",
        "success": "#00e060",
        "accent": "#ffd000",
        "foreground": "#ffffff",
        "background": "#000000",
        "surface": "#000000",
        "panel": "#101010",
    },
    variables={
        "text-primary": "#8fd0ff",
        "text-secondary": "#dcc8ff",
        "text-warning": "#ffe066",
        "text-error": "#ffb3c0",
        "text-success": "#7dffab",
        "text-accent": "#ffe066",
        "tone-muted": "#d8d8d8",
        "tone-stale": "#a0a0a0",
        "row-cursor": "#00305e",
        "row-blurred": "#2a2a2a",
        "row-marked": "#3a1f70",
        "match-text": "#000000",
        "alarm-back": "#8f0020",
        "alarm-text": "#ffffff",
        "rule": "#a0a0a0",
    },
)
SIXTEEN: Final = ThemeColours(
    name="16",
    dark=True,
    base={
        "primary": "ansi_blue",
        "secondary": "ansi_magenta",
        "warning": "ansi_yellow",
        "error": "ansi_red",
        "success": "ansi_green",
        "accent": "ansi_yellow",
        "foreground": "ansi_default",
        "background": "ansi_default",
        "surface": "ansi_default",
        "panel": "ansi_default",
    },
    variables={
        "text-primary": "ansi_cyan",
        "text-secondary": "ansi_magenta",
        "text-warning": "ansi_yellow",
        "text-error": "ansi_red",
        "text-success": "ansi_green",
        "text-accent": "ansi_yellow",
        "text-muted": "ansi_default",
        "text-disabled": "ansi_default",
        "tone-muted": "ansi_default",
        "tone-stale": "ansi_default",
        "row-cursor": "ansi_default",
        "row-blurred": "ansi_default",
        "row-marked": "ansi_default",
        "match-text": "ansi_black",
        "alarm-back": "ansi_red",
        "alarm-text": "ansi_bright_white",
        "rule": "ansi_default",
    },
)
THEMES: Final[Mapping[str, ThemeColours]] = {
    theme.name: theme for theme in (DARK, LIGHT, HIGH_CONTRAST, SIXTEEN)
}
"""By the name a user types."""

_MANY_COLOURS: Final = ("256color", "direct", "kitty", "alacritty", "ghostty", "wezterm", "foot")


def theme_of_terminal(environment: Mapping[str, str]) -> str:
    """`dark`, or `16` where neither `COLORTERM` nor `TERM` speak of more than sixteen colours.

    `TEXTUAL_COLOR_SYSTEM` is set for a console in a browser, whose `TERM` says nothing.
    """
    said = (environment.get(name, "") for name in ("COLORTERM", "TEXTUAL_COLOR_SYSTEM"))
    if any(each.casefold() in ("truecolor", "24bit") for each in said):
        return DARK.name
    term = environment.get("TERM", "").casefold()
    return DARK.name if any(part in term for part in _MANY_COLOURS) else SIXTEEN.name
