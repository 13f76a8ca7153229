"""Commands, options and arguments of a program as records; how they are read is `reading`'s."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

FILES: Final = "files"
DIRECTORIES: Final = "directories"
"""Kinds of value that a shell knows by itself; every other kind is asked of the program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option with all its names, the long ones first."""

    names: tuple[str, ...]
    help: str = ""
    value: str = ""
    """What it takes, for people; empty: it is a switch."""
    choices: tuple[str, ...] = ()
    kind: str = ""
    """Of its value: FILES, DIRECTORIES, a kind that the program lists, or not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """What stands without a name, in its place."""

    name: str
    help: str = ""
    choices: tuple[str, ...] = ()
    kind: str = ""
    required: bool = True
    repeated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandTree:
    """A program or one of its commands. The options of a program stand at all of its commands."""

    name: str
    help: str = ""
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    commands: tuple["CommandTree", ...] = ()

    @property
    def summary(self) -> str:
        """The first line of its help."""
        return self.help.strip().partition("\n")[0]


def options_at(command: CommandTree, program: CommandTree) -> list[Option]:
    """All that may be typed at a command: its own, and the program's where it has none so named."""
    own = {name for option in command.options for name in option.names}
    inherited = [option for option in program.options if not own & set(option.names)]
    return [*command.options, *inherited]


def walk(
    tree: CommandTree, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], CommandTree]]:
    """Every command with the names that lead to it; the program itself has none and is first."""
    yield path, tree
    for command in tree.commands:
        yield from walk(command, (*path, command.name))
