"""The servers that the settings know by name, and which one a start means; no network.

Flags go before the entries of a context, those before the environment and the rest of the file. A
context that is switched to later takes neither flags nor `RUNWATCH_TOKEN`: they were meant for the
server of the start.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ConsoleSettings, ContextSettings

LOCAL: Final = "local"
"""The server of this machine; there without being written down."""
LONGEST_NAME: Final = 40


def names_of(settings: ConsoleSettings) -> tuple[str, ...]:
    """In the order of the file, the local server's last."""
    return tuple(dict.fromkeys((*settings.contexts, LOCAL)))


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextBook:
    """`typed`: the flags of this start, by setting name."""

    settings: ConsoleSettings
    typed: Mapping[str, Any]
    environment: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """See `names_of`."""
        return names_of(self.settings)

    def start(self) -> ConsoleSettings:
        """The settings of this start, with the entries of its context.

        Raises:
            SettingsError: There is no such context.
        """
        name = self.settings.context
        if not name and not (self.typed.get("server") or self.environment.get("RUNWATCH_SERVER")):
            name = self.settings.default_context
        if not name:
            return self.settings
        return self._entries(name, self.typed, self.environment.get("RUNWATCH_TOKEN", ""))

    def other(self, name: str) -> ConsoleSettings:
        """Those of a context that is switched to.

        Raises:
            SettingsError: There is no such context.
        """
        return self._entries(name, {}, "")

    def _entries(self, name: str, typed: Mapping[str, Any], token: str) -> ConsoleSettings:
        entry = self._named(name)
        own = bool(entry.token_file or entry.token_command or typed.get("token_file"))
        return msgspec.structs.replace(
            self.settings,
            context=name,
            server=typed.get("server") or entry.url,
            token="" if own else token,
            token_file=typed.get("token_file") or entry.token_file,
            token_command=[] if typed.get("token_file") else entry.token_command,
            ca=typed.get("ca") or entry.ca,
            lang=self.typed.get("lang") or entry.lang or self.settings.lang,
            read_only=self.settings.read_only or entry.read_only,
        )

    def _named(self, name: str) -> ContextSettings:
        if name != LOCAL and name not in self.settings.contexts:
            known = ", ".join(self.names)
            raise SettingsError(f"context: there is no {name!r}; known are {known}")
        if len(name) > LONGEST_NAME or not name.isprintable() or " " in name:
            raise SettingsError(f"contexts: {name!r} is no name: at most 40 characters, no blanks")
        return self.settings.contexts.get(name, ContextSettings())
