"""All that a screen shows, as one frozen record; the app makes a new one, screens are functions of
it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runwatch_console.feeditems import Target
from runwatch_console.fleet import Fleet
from runwatch_console.formats import TimeFormat
from runwatch_console.lens import Lens
from runwatch_console.link import Link, LinkState
from runwatch_console.locale.words import Words
from runwatch_console.themes import DARK

if TYPE_CHECKING:
    from runwatch_shared.settings import SavedView


@dataclass(frozen=True, kw_only=True, slots=True)
class Preferences:
    """What the user chose."""

    words: Words
    ascii: bool = False
    contexts: tuple[str, ...] = ()
    """Names of the servers that may be switched to, for completion."""
    low_bandwidth: bool = False
    """At most two frames a second, no animation, no preview."""
    read_only: bool = False
    """Nothing is written, whatever the credential allows."""
    time_format: TimeFormat = TimeFormat.LOCAL
    theme: str = DARK.name
    """Of `themes.THEMES`."""
    columns: "Mapping[str, Sequence[str]]" = field(default_factory=dict)
    """By screen: ids of columns in order; a screen that is not here shows all."""
    views: "Mapping[str, SavedView]" = field(default_factory=dict)
    """The user's own."""
    view: str = ""
    """Of the Runs screen when it is first shown."""
    home: str = "attention"
    """The screen to begin with."""
    user: str = ""
    """Whose runs the view `mine` shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaughtUp:
    """What a reconnect brought; shown until `until_mono_s`."""

    events: int
    resumed: bool
    until_mono_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """A moment of before that is shown in place of now; live goes on. Moments are the server's."""

    at_s: float
    oldest_s: float | None
    """How far back one can go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleState:
    """`now_mono_s` moves once a second and with every fold. It is the clock of the feed: in a
    replay that of the recording. Keys and their rests go by `hand_mono_s`, the clock of the room.
    """

    target: Target
    preferences: Preferences
    fleet: Fleet = field(default_factory=Fleet)
    link: Link = field(default_factory=Link)
    now_mono_s: float = 0.0
    hand_mono_s: float = 0.0
    last_key_mono_s: float = float("-inf")
    past: Past | None = None
    """Set while the console is rewound: `fleet` is that of this moment."""
    replaying: bool = False
    """What is shown was recorded; nothing can be asked of it."""
    caught_up: CaughtUp | None = None
    run_id: str = ""
    """The run that screen 3 shows; empty before one was opened."""

    @property
    def words(self) -> Words:
        """The words of the chosen language."""
        return self.preferences.words

    @property
    def link_state(self) -> LinkState:
        """The connection's state now."""
        return self.link.state(self.now_mono_s)

    @property
    def stale(self) -> bool:
        """Whether rows must not look current."""
        return self.past is None and self.link_state is not LinkState.LIVE

    @property
    def server_now_s(self) -> float:
        """The server's clock, or the moment that is shown; 0 before it was ever heard."""
        if self.past is not None:
            return self.past.at_s
        return self.link.server_now_s(self.now_mono_s) or 0.0

    @property
    def behind_s(self) -> float:
        """How long ago the moment was that is shown; 0 while it is now."""
        if self.past is None:
            return 0.0
        return max(0.0, (self.link.server_now_s(self.now_mono_s) or 0.0) - self.past.at_s)

    @property
    def lens(self) -> Lens:
        """How values become text now."""
        return Lens(
            words=self.words,
            now_s=self.server_now_s,
            stale=self.stale,
            ascii=self.preferences.ascii,
            time_format=self.preferences.time_format,
        )
