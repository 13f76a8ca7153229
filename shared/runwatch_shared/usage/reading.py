"""A command tree read from the parser that a program really uses; knows its shape, not its
library.

The library (Typer with Click inside) belongs to the programs. What is relied on is written down as
Protocols and held by a test for each program.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, Protocol

from runwatch_shared.usage.tree import DIRECTORIES, FILES, Argument, CommandTree, Option

PATHS: Final[Mapping[str, str]] = {
    "ca": FILES,
    "config": FILES,
    "data_dir": DIRECTORIES,
    "file": FILES,
    "ready_file": FILES,
    "tls_cert": FILES,
    "tls_key": FILES,
    "token_file": FILES,
}
"""Parameters of every program that are paths, by name."""


class Runtime(Protocol):
    """What a parameter becomes."""

    annotation: Any


class Parameter(Protocol):
    """An option or argument of the library."""

    name: str | None
    param_type_name: str
    opts: list[str]
    secondary_opts: list[str]
    metavar: str | None
    nargs: int
    required: bool

    def get_runtime_param(self) -> Runtime:
        """The type it has in the program."""
        ...


class Command(Protocol):
    """A command of the library; a group has `commands` too."""

    name: str | None
    help: str | None
    params: Any
    hidden: bool


def read_tree(
    command: Command,
    *,
    name: str,
    kinds: Mapping[str, str] | None = None,
    common: tuple[Option, ...] = (),
) -> CommandTree:
    """The tree of a parser; hidden commands and options are left out.

    Args:
        kinds: Kind of value by name of parameter, beside `PATHS`.
        common: Options that are taken out before the parser sees them.
    """
    known = {**PATHS, **(kinds or {})}
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    children: Mapping[str, Command] = getattr(command, "commands", {})
    return CommandTree(
        name=name,
        help=_unwrapped(command.help or ""),
        options=(*_options(shown, known), _HELP, *common),
        arguments=tuple(
            Argument(
                name=p.metavar or (p.name or "").upper(),
                help=_help(p),
                choices=_choices(p),
                kind=known.get(p.name or "", ""),
                required=p.required,
                repeated=p.nargs != 1,
            )
            for p in shown
            if p.param_type_name == "argument"
        ),
        commands=tuple(
            read_tree(child, name=key, kinds=kinds)
            for key, child in children.items()
            if not child.hidden
        ),
    )


_HELP: Final = Option(names=("--help", "-h"), help="Show this message and exit.")


def _options(parameters: list[Any], kinds: Mapping[str, str]) -> Iterator[Option]:
    for parameter in parameters:
        if parameter.param_type_name != "option":
            continue
        names = sorted(parameter.opts, key=lambda name: not name.startswith("--"))
        switch = bool(getattr(parameter, "is_flag", False))
        yield Option(
            names=(*names, *parameter.secondary_opts),
            help=_help(parameter),
            value="" if switch else _value(parameter),
            choices=_choices(parameter),
            kind=kinds.get(parameter.name or "", ""),
        )


def _value(parameter: Parameter) -> str:
    choices = _choices(parameter)
    if parameter.metavar or choices:
        return parameter.metavar or "|".join(choices)
    annotation = parameter.get_runtime_param().annotation
    return "N" if annotation in (int, float) else "TEXT"


def _choices(parameter: Parameter) -> tuple[str, ...]:
    annotation = parameter.get_runtime_param().annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(str(member.value) for member in annotation)
    return ()


def _help(parameter: Any) -> str:
    return " ".join((parameter.help or "").split())


def _unwrapped(text: str) -> str:
    """Paragraphs of one line each: a docstring is wrapped where its source is."""
    paragraphs = text.replace("\b", "").split("\n\n")
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip()
