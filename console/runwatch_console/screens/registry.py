"""The screens by name, each loaded when it is first shown: the first frame waits for one alone."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from runwatch_console.screens.base import ConsoleScreen, Host

HOME: Final = "attention"
PLACES: Final[Mapping[str, tuple[str, str]]] = {
    HOME: ("attention", "AttentionScreen"),
    "runs": ("runs", "RunsScreen"),
    "run": ("run_detail", "RunScreen"),
    "nodes": ("nodes", "NodesScreen"),
    "auth": ("auth", "AuthScreen"),
    "pulse": ("pulse", "PulseScreen"),
    "tasks": ("tasks", "TasksScreen"),
}
"""Module of this package, and class in it."""


def make_screen(name: str, host: Host) -> ConsoleScreen:
    """A new screen.

    Raises:
        KeyError: There is none of this name.
    """
    place, kind = PLACES[name]
    module = import_module(f"runwatch_console.screens.{place}")
    return cast(ConsoleScreen, getattr(module, kind)(host))


def load_screens() -> None:
    """Load them all, so that the first key to each finds it there."""
    for place, _ in PLACES.values():
        import_module(f"runwatch_console.screens.{place}")
