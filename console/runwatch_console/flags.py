"""The flags every start of `monitor-tui` takes, told apart from a command without any library.

Typer costs as much as half of the console's own start, so a start without a command never loads it.
Nor are dataclasses loaded: the first line on the screen waits for what is imported here.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from runwatch_shared.errors import RunwatchError


class FlagError(RunwatchError):
    """A flag without its value, or with one it does not take."""

    def __init__(self, flag: str, *, takes_value: bool) -> None:
        super().__init__(flag)
        self.flag = flag
        self.takes_value = takes_value


class Flag(NamedTuple):
    """One flag; `setting` is the name in the file's [console] and, after RUNWATCH_, in the
    environment.
    """

    name: str
    setting: str
    help: str
    """Id of the locale."""
    value: str = ""
    """What it takes, for the help; empty: it is a switch."""
    switch: bool = True
    """What a switch sets."""


CONFIG: Final = "config"
"""Not a setting of the file: where the file is."""
SERVE: Final = "serve"
DEMO: Final = frozenset({"demo", "demo_seed", "demo_rate", "demo_runs"})
"""Any of them means the made-up fleet."""
START_ONLY: Final = frozenset({CONFIG, SERVE}) | DEMO
"""What is typed for this start and is no setting."""

FLAGS: Final = (
    Flag(name="--context", setting="context", value="NAME", help="flag.context"),
    Flag(name="--server", setting="server", value="URL", help="flag.server"),
    Flag(name="--token-file", setting="token_file", value="FILE", help="flag.token_file"),
    Flag(name="--ca", setting="ca", value="FILE", help="flag.ca"),
    Flag(name="--data-dir", setting="data_dir", value="DIR", help="flag.data_dir"),
    Flag(name="--lang", setting="lang", value="en|zh", help="flag.lang"),
    Flag(name="--theme", setting="theme", value="NAME", help="flag.theme"),
    Flag(name="--time", setting="time", value="relative|local|utc", help="flag.time"),
    Flag(name="--low-bw", setting="low_bw", help="flag.low_bw"),
    Flag(name="--plain", setting="plain", help="flag.plain"),
    Flag(name="--read-only", setting="read_only", help="flag.read_only"),
    Flag(name="--demo", setting="demo", help="flag.demo"),
    Flag(name="--demo-seed", setting="demo_seed", value="N", help="flag.demo_seed"),
    Flag(name="--demo-rate", setting="demo_rate", value="N", help="flag.demo_rate"),
    Flag(name="--demo-runs", setting="demo_runs", value="N", help="flag.demo_runs"),
    Flag(name="--no-mouse", setting="mouse", switch=False, help="flag.no_mouse"),
    Flag(name="--config", setting=CONFIG, value="FILE", help="flag.config"),
    Flag(name="--serve", setting=SERVE, help="flag.serve"),
)
_BY_NAME: Final = {flag.name: flag for flag in FLAGS}


class Split(NamedTuple):
    """A command line taken apart."""

    typed: dict[str, str | bool]
    """What was typed, by setting name; the last one counts."""
    rest: tuple[str, ...]
    """The command and its own arguments; empty for the console itself."""


def split_flags(arguments: Sequence[str]) -> Split:
    """Take the common flags from wherever they stand before `--`.

    Raises:
        FlagError: A flag has no value, or a switch was given one.
    """
    typed: dict[str, str | bool] = {}
    rest: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            rest += [argument, *left]
            break
        name, equals, value = argument.partition("=")
        flag = _BY_NAME.get(name)
        if flag is None:
            rest.append(argument)
        elif not flag.value:
            if equals:
                raise FlagError(name, takes_value=False)
            typed[flag.setting] = flag.switch
        elif equals:
            typed[flag.setting] = value
        elif left and left[0] != "--":
            typed[flag.setting] = left.pop(0)
        else:
            raise FlagError(name, takes_value=True)
    return Split(typed=typed, rest=tuple(rest))
