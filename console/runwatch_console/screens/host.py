"""What screens and dialogs know of the app they stand in."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from runwatch_console.state import ConsoleState

if TYPE_CHECKING:
    from runwatch_console.ports import Connection


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
    def searches(self) -> list[str]:
        """What was searched for on any screen, the newest last."""
        ...

    async def show_screen(self, name: str, *, run_id: str = "") -> None:
        """Show a screen by name, and remember the way back."""
        ...

    async def show_runs(self, filter_text: str) -> None:
        """Show the Runs screen with this filter; empty: let the user type one."""
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
