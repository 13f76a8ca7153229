"""The servers that the console knows by name: records and a Protocol, no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from runwatch_console.feeditems import Target
from runwatch_console.ports import Connect


class Standing(StrEnum):
    """How a server answers a handshake; nothing is sent to it for that."""

    ANSWERS = "answers"
    SILENT = "silent"
    """Nobody listens, or not in time."""
    UNTRUSTED = "untrusted"
    CHANGED = "changed"
    """Its certificate is another than the one that is remembered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One line of the list."""

    name: str
    target: Target | None
    problem: str = ""
    """Why it cannot be used, where `target` is None; not yet cleaned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """What the app needs to look at another server."""

    target: Target
    connect: Connect
    language: str
    read_only: bool


class Servers(Protocol):
    """The named servers, read anew at each call."""

    def listed(self) -> Sequence[Listed]:
        """All of them; blocks for the file.

        Raises:
            SettingsError: The settings file cannot be used.
        """
        ...

    def open(self, name: str) -> Server:
        """The one of this name; blocks for the file.

        Raises:
            SettingsError: There is none, or it cannot be used.
        """
        ...

    async def standing(self, name: str) -> Standing:
        """How it answers now; within a few seconds.

        Raises:
            SettingsError: There is none, or it cannot be used.
        """
        ...
